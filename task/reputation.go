package task

import (
	"fmt"
	"strings"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Role is what a reputation was earned as.
type Role string

// The roles of the design.
const (
	Executor  Role = "executor"
	Requester Role = "requester"
	Witness   Role = "witness"
)

// Cause says why a reputation changed.
type Cause string

// The causes.
const (
	CausePass    Cause = "PASS"      // the result was accepted, or the task paid for
	CauseLate    Cause = "LATE"      // no proof in time, or one that withdrew
	CauseRefused Cause = "REFUSED"   // the requester would not pay
	CauseFail    Cause = "FAIL"      // witnesses found the result wanting; or what the requester said of it false
	CauseWitness Cause = "WITNESSED" // by how near the answer was to that of the others
	CauseAbsent  Cause = "ABSENT"    // a witness that did not commit, or did not reveal
)

// Key names a record of evidence: a platform in a role, per task type as
// executor; in all, or as seen by one counterpart society.
type Key struct {
	Who         atp.ID
	Role        Role
	Type        Type    // as executor only
	Counterpart Society // empty: in all
}

// String returns the key's one form, for use as a map's key.
func (k Key) String() string {
	return strings.Join([]string{k.Who.String(), string(k.Role), string(k.Type), string(k.Counterpart)}, "/")
}

// ParseKey reads what String wrote.
func ParseKey(s string) (Key, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 4 {
		return Key{}, fmt.Errorf("task: key of evidence: have %d parts in %.120q, want 4", len(parts), s)
	}
	who, err := atp.ParseID(parts[0])
	if err != nil {
		return Key{}, fmt.Errorf("task: key of evidence: %w", err)
	}
	return Key{who, Role(parts[1]), Type(parts[2]), Society(parts[3])}, nil
}

// Day is a day of consensus time since the Unix epoch.
type Day uint64

// DayOf returns the day that m is in.
func DayOf(m atp.Millis) Day { return Day(m / atp.Millis(atp.Day)) }

// Evidence is what speaks for and against a platform, in ppm of one settled
// task of weight 1. It decays daily.
type Evidence struct {
	For     PPM    // s
	Against PPM    // f
	Day     Day    // up to which it has decayed
	Voids   uint64 // tasks that ended without a verdict; does not decay
}

// faded is what decays away for good: evidence below it is forgotten when it is
// touched, and no task adds less, so that records do not pile up.
const faded PPM = 1_000

// At returns the evidence as of day d, with the share decay left each day,
// exactly as if it had been touched daily. A day before its own changes nothing.
func (e Evidence) At(d Day, decay PPM) Evidence {
	for ; e.Day < d && (e.For > 0 || e.Against > 0); e.Day++ {
		// Ends within some 2,000 rounds, since each takes away at least 1
		// and the share that is not left.
		e.For = atp.MulDiv(e.For, decay, S)
		e.Against = atp.MulDiv(e.Against, decay, S)
	}
	e.Day = max(e.Day, d)
	return e
}

// Reputation returns the expected quality of the next task: 500,000 for a
// newcomer, who starts as if with ten tasks, half of them good.
func (e Evidence) Reputation() PPM {
	return atp.MulDiv(plus(e.For, 5*S), S, plus(plus(e.For, e.Against), 10*S))
}

// LowerBound returns the reputation less one standard deviation: what routing
// uses, since it favours the proven over the lucky.
func (e Evidence) LowerBound() PPM {
	rep := e.Reputation()
	spread := PPM(atp.SqrtMulDiv(uint64(rep*(S-rep)), uint64(S), uint64(plus(plus(e.For, e.Against), 11*S))))
	return rep - min(rep, spread)
}

// Weight returns v, the weight of a task of a price before any factor: the
// root of the price in units of 18 ATP, at most 4.
func Weight(price atp.Amount) PPM {
	return min(4*S, PPM(atp.SqrtMulDiv(uint64(price), uint64(S), 18)))
}

// Cap returns the most live evidence of one sign that one counterpart society
// can give, in a federation of n societies.
func Cap(n uint64) PPM {
	others := uint64(1)
	if n > 2 {
		others = n - 1
	}
	return max(3*S, 30*S/PPM(others))
}

// Capped returns how much of added counts, where live is the decayed evidence
// of the same sign from the same society, in a federation of n societies.
func Capped(added, live PPM, n uint64) PPM {
	most := Cap(n)
	return min(added, most-min(most, live))
}

// plus is a + b, at most the largest PPM.
func plus(a, b PPM) PPM {
	if sum := a + b; sum >= a {
		return sum
	}
	return ^PPM(0)
}
