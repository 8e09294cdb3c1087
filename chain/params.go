package chain

import (
	"errors"
	"fmt"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// Admission says who may join a federation.
type Admission string

// The ways of admission.
const (
	// AdmitAuto admits every platform: one owner's LAN.
	AdmitAuto Admission = "auto"
	// AdmitVote asks the validators.
	AdmitVote Admission = "vote"
)

// Params is what a genesis fixes for good.
//
// MinLock bounds how many locks, each with a deadline that wants a block, what
// one has can be spread over: what is set aside is set aside once. It is no
// price. What remains where fees are zero: whoever holds anything can keep a
// federation that would rest awake, by sending transactions, or by offering
// tasks, whose price may be 1 µATP.
type Params struct {
	Admission     Admission    `json:"admission" cborgen:"maxlen=8"`
	MinFee        atp.Amount   `json:"min_fee_uatp"`        // of a transaction
	JoinGrant     atp.Amount   `json:"join_grant_uatp"`     // see [Params.Grant]
	ValidatorBond atp.Amount   `json:"validator_bond_uatp"` // set aside of what a validator has
	MinLock       atp.Amount   `json:"min_lock_uatp"`       // least amount of a lock outside tasks
	MaxLock       atp.Span     `json:"max_lock_ms"`         // how far ahead a lock's deadline may be
	Heartbeat     atp.Span     `json:"heartbeat_ms"`        // a block at least this often; 0 is off
	Limits        Limits       `json:"limits"`
	Membership    Membership   `json:"membership"`
	Economy       task.Economy `json:"economy"`
}

// Membership says how long validators are waited for, and how long they, their
// bonds and their votes on others answer.
type Membership struct {
	AbsentBlocks  uint64   `json:"absent_blocks"` // who is missing from so many certificates in a row,
	AbsentTime    atp.Span `json:"absent_ms"`     // and for so long, has no vote any more
	EvidenceSpan  uint64   `json:"evidence_heights"`
	BondHold      atp.Span `json:"bond_hold_ms"` // how long the bond of one that left still answers for it
	AdmissionSpan atp.Span `json:"admission_ms"` // how long a VALIDATOR_VOTE counts
}

// Limits bounds one block. Deadlines that many blocks made for one moment take
// as many to fire; a later deadline waits for those before it and for no other.
type Limits struct {
	BodyBytes uint64 `json:"body_bytes"` // the signed transactions, encoded, together
	TxBytes   uint64 `json:"tx_bytes"`   // one of them
	Txs       uint64 `json:"txs"`
	Ops       uint64 `json:"ops"` // of all its transactions
	Due       uint64 `json:"due"` // deadlines that fire, at least Ops; the rest is carried over
}

// DefaultParams returns the parameters of a federation that does not say
// otherwise.
func DefaultParams(admission Admission) Params {
	p := Params{
		Admission:     admission,
		JoinGrant:     1_000 * atp.ATP,
		ValidatorBond: 100 * atp.ATP,
		MinLock:       1_000,
		MaxLock:       366 * atp.Day,
		Limits:        Limits{BodyBytes: 1 << 20, TxBytes: 64 << 10, Txs: 2_000, Ops: 4_000, Due: 4_000},
		Membership:    Membership{AbsentBlocks: 200, AbsentTime: 600 * atp.Second, EvidenceSpan: 1_000, BondHold: 3_600 * atp.Second, AdmissionSpan: 7 * atp.Day},
		Economy:       task.DefaultEconomy(),
	}
	if admission == AdmitVote {
		p.MinFee, p.JoinGrant = 1_000, 0
	}
	return p
}

// Bounds of [Membership].
const (
	maxMembershipHeights          = 1 << 20
	maxMembershipSpan    atp.Span = 366 * atp.Day
)

// poolPart is the part of the pool that one grant may be: a 500th.
const poolPart = 500

// Grant returns what a platform is granted that registers for the first time,
// under [AdmitAuto]: JoinGrant, but no more than a 500th of the pool. Keys cost
// nothing, so somebody may register any number; the pool then shrinks ever
// slower, and whoever comes after still gets something.
func (p Params) Grant(pool atp.Amount) atp.Amount { return min(p.JoinGrant, pool/poolPart) }

// Validate reports every problem, not only the first.
func (p Params) Validate() error {
	var errs []error
	if p.Admission != AdmitAuto && p.Admission != AdmitVote {
		errs = append(errs, fmt.Errorf("admission: have %.20q, want %q or %q", p.Admission, AdmitAuto, AdmitVote))
	}
	if p.Admission == AdmitVote && p.JoinGrant != 0 {
		errs = append(errs, errors.New("join grant: admission by vote grants nothing by itself"))
	}
	if p.MaxLock == 0 {
		errs = append(errs, errors.New("max lock: have 0, want a span of time"))
	}
	errs = append(errs, p.Limits.validate()...)
	errs = append(errs, p.Membership.validate()...)
	if err := p.Economy.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (m Membership) validate() (errs []error) {
	for _, bound := range []struct {
		name      string
		have, max uint64
	}{
		{"absent blocks", m.AbsentBlocks, maxMembershipHeights},
		{"absent time", uint64(m.AbsentTime), uint64(maxMembershipSpan)},
		{"evidence heights", m.EvidenceSpan, maxMembershipHeights},
		{"bond hold", uint64(m.BondHold), uint64(maxMembershipSpan)},
		{"admission time", uint64(m.AdmissionSpan), uint64(maxMembershipSpan)},
	} {
		if bound.have == 0 || bound.have > bound.max {
			errs = append(errs, fmt.Errorf("membership: %s: have %d, want 1 to %d", bound.name, bound.have, bound.max))
		}
	}
	return errs
}

func (l Limits) validate() (errs []error) {
	for _, bound := range []struct {
		name      string
		have, max uint64
	}{
		{"body bytes", l.BodyBytes, MaxBodyBytes / 2}, // the rest is for the body's own frame
		{"transaction bytes", l.TxBytes, MaxTxBytes},
		{"transactions", l.Txs, MaxBodyTxs},
		{"operations", l.Ops, MaxBodyOps},
		{"due", l.Due, MaxBodyOps},
	} {
		if bound.have == 0 || bound.have > bound.max {
			errs = append(errs, fmt.Errorf("limit on %s: have %d, want 1 to %d", bound.name, bound.have, bound.max))
		}
	}
	if l.TxBytes > l.BodyBytes {
		// It would wait for ever, and look like work to do.
		errs = append(errs, fmt.Errorf("limit on transaction bytes: have %d, want at most the %d body bytes", l.TxBytes, l.BodyBytes))
	}
	if l.Due < l.Ops {
		// An operation makes at most one deadline. If they could be made faster
		// than they fire, they would pile up, and those of others with them.
		errs = append(errs, fmt.Errorf("limit on due: have %d, want at least the %d operations", l.Due, l.Ops))
	}
	return errs
}
