package task

import (
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Decide returns what the seats of a level found, and the quality if they found
// one. Where everyone sits, more than half of the seats are needed on a side;
// of a committee two thirds. A seat that revealed nothing is on no side.
func Decide(seats []Seat, class Class, asked PPM, final bool) (Verdict, PPM) {
	n := uint64(len(seats))
	need, otherwise := (2*n+2)/3, Inconclusive
	if final {
		need, otherwise = n/2+1, NoVerdict
	}
	for _, v := range []Verdict{Pass, Fail, OverLimit} {
		var scores []PPM
		for _, s := range seats {
			if s.Revealed && s.Answer.side(class, asked) == v {
				q, ok := s.Answer.Score()
				if !ok {
					q = 0
				}
				scores = append(scores, q)
			}
		}
		if n > 0 && uint64(len(scores)) >= need {
			return v, lowerMedian(scores)
		}
	}
	return otherwise, 0
}

// side returns the verdict that the answer speaks for. A checker reads the
// result, which its executor could have made so that no run of it ends in time: there
// a limit that is met counts below what was asked for.
func (a Answer) side(class Class, asked PPM) Verdict {
	q, scored := a.Score()
	switch {
	case a == ResourceLimit && class != Checker:
		return OverLimit
	case scored && q >= asked:
		return Pass
	}
	return Fail
}

// lowerMedian returns the middle of the values, the lower one of two; 0 of none.
// It sorts them.
func lowerMedian(values []PPM) PPM {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

// Bounds of how a score is judged, by how far it is from the median.
const (
	nearEnough  PPM = 20_000  // paid in full
	leastSpread PPM = 100_000 // from here on, or from further, not paid
	mostSpread  PPM = 250_000
	farOff      PPM = 300_000 // slashed beyond
)

// Shares of a seat's bond that are slashed.
const (
	silentSlash  PPM = 200_000 // of one that did not commit, or gave an answer other than a score that was wrong
	withheldPart     = S       // of one that committed and did not reveal
)

// Reward is what a seat gets in the end.
type Reward struct {
	Rating PPM // r: how good its answer was
	Pay    atp.Amount
	Slash  atp.Amount // of its bond
}

// A yardstick is what the level that decided measures answers by.
type yardstick struct {
	class   Class
	asked   PPM
	verdict Verdict
	scored  bool    // the winning side holds a score: who is not on it was wrong
	median  PPM     // of the scores of the level
	spread  PPM     // τ
	finds   []found // in class recompute and checker: what most on the winning side have found
}

// found is an answer, and the memory that the run left.
type found struct {
	answer Answer
	digest Digest
}

func newYardstick(class Class, asked PPM, verdict Verdict, level []Seat) yardstick {
	y := yardstick{class: class, asked: asked, verdict: verdict}
	var scores, distances []PPM
	var winners []found
	for _, s := range level {
		q, ok := s.Answer.Score()
		if !s.Revealed || !ok {
			continue
		}
		scores = append(scores, q)
		if s.Answer.side(class, asked) == verdict {
			winners = append(winners, found{s.Answer, s.Digest})
		}
	}
	y.scored = len(winners) > 0
	y.median = lowerMedian(scores)
	for _, q := range scores {
		distances = append(distances, apart(q, y.median))
	}
	y.spread = min(max(3*lowerMedian(distances), leastSpread), mostSpread)
	y.finds = mostFrequent(winners)
	return y
}

// mostFrequent returns what is found most often; all of them, if several are.
func mostFrequent(all []found) (most []found) {
	count := func(f found) (n int) {
		for _, other := range all {
			if other == f {
				n++
			}
		}
		return n
	}
	best := 0
	for i, f := range all {
		switch n := count(f); {
		case slices.Contains(all[:i], f):
		case n > best:
			best, most = n, []found{f}
		case n == best:
			most = append(most, f)
		}
	}
	return most
}

func apart(a, b PPM) PPM { return max(a, b) - min(a, b) }

// rate returns r of a seat.
func (y yardstick) rate(s Seat) PPM {
	q, ok := s.Answer.Score()
	if !s.Revealed || !ok || y.verdict == OverLimit || y.verdict == NoVerdict {
		return 0
	}
	if y.class != Judge {
		if slices.Contains(y.finds, found{s.Answer, s.Digest}) {
			return S
		}
		return 0
	}
	switch d := apart(q, y.median); {
	case d <= nearEnough:
		return S
	case d >= y.spread:
		return 0
	default:
		return S - atp.MulDiv(d-nearEnough, S, y.spread-nearEnough)
	}
}

// slash returns what a seat loses of its bond. Nobody loses anything by
// disagreeing with those who had no score to give.
func (y yardstick) slash(s Seat) atp.Amount {
	part := func(p PPM) atp.Amount { return atp.MulDiv(s.Bond, p, S) }
	switch {
	case !s.Committed:
		return part(silentSlash)
	case !s.Revealed:
		return part(withheldPart)
	case !y.scored || y.verdict == NoVerdict || y.verdict == OverLimit:
		return 0
	}
	q, ok := s.Answer.Score()
	wrong := s.Answer.side(y.class, y.asked) != y.verdict
	switch {
	case !ok && wrong:
		return part(silentSlash)
	case !ok:
		return 0
	case y.class != Judge && wrong:
		return s.Bond
	case y.class != Judge:
		return 0
	}
	d := apart(q, y.median)
	return atp.MulDiv(s.Bond, d-min(d, farOff), S-farOff)
}

// Rewards returns what each seat of a task gets, in the order of all: those of
// both levels, if both sat. pay is U, for all of them together; decided are the
// seats of the level whose verdict stands. Without a verdict who gave a score
// shares in the pay alike.
func Rewards(t Terms, verdict Verdict, pay atp.Amount, decided, all []Seat) []Reward {
	y := newYardstick(t.Class, t.MinQuality, verdict, decided)
	out := make([]Reward, len(all))
	for i, s := range all {
		r := y.rate(s)
		out[i] = Reward{Rating: r, Pay: atp.MulDiv(pay, r, PPM(len(all))*S), Slash: y.slash(s)}
		if _, scored := s.Answer.Score(); verdict == NoVerdict && s.Revealed && scored {
			out[i].Pay = pay / atp.Amount(len(all))
		}
	}
	return out
}
