package task

import (
	"errors"
	"fmt"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Bips is a share in parts per ten thousand.
type Bips uint64

// whole is all, in Bips.
const whole Bips = 10_000

// Economy holds the parameters that a genesis chooses. The shape of the rules,
// such as what a newcomer's reputation is, is not among them.
type Economy struct {
	Fee         Bips       `json:"fee_bp"`          // F, of the price
	SeatFee     Bips       `json:"seat_fee_bp"`     // f, of the price, per witness
	LateCharge  Bips       `json:"late_charge_bp"`  // L, of the price
	DisputeBond Bips       `json:"dispute_bond_bp"` // D, of the price, above the witnesses' pay
	LeastCharge atp.Amount `json:"least_charge_uatp"`
	LeastAudit  PPM        `json:"least_audit_ppm"` // lowest probability of an audit
	PoolAudit   PPM        `json:"pool_audit_ppm"`  // part of it that the pool pays for
	Unaudited   PPM        `json:"unaudited_ppm"`   // weight of a task that nobody checked
	Decay       PPM        `json:"decay_ppm"`       // what a day leaves of evidence

	MinWindow       atp.Span `json:"min_window_ms"` // of offer and execution
	MaxWindow       atp.Span `json:"max_window_ms"`
	OfferWindow     atp.Span `json:"offer_window_ms"`     // by default
	ExecutionWindow atp.Span `json:"execution_window_ms"` // by default
	RecomputeWindow atp.Span `json:"recompute_window_ms"` // longest execution in class recompute
	Silence         atp.Span `json:"silence_ms"`          // of a requester, after which a result counts as accepted

	LeastStake   atp.Amount `json:"least_stake_uatp"` // of a witness
	SeatBond     uint64     `json:"seat_bond"`        // reserved of it for a seat, in seat fees
	LeastCommit  atp.Span   `json:"least_commit_ms"`  // of twice the execution window, in which witnesses commit
	MostCommit   atp.Span   `json:"most_commit_ms"`
	RevealWindow atp.Span   `json:"reveal_window_ms"`
	AppealWindow atp.Span   `json:"appeal_window_ms"`
	Unbonding    atp.Span   `json:"unbonding_ms"` // from a STAKE_UNBOND to the release
}

// DefaultEconomy returns the parameters of the design.
func DefaultEconomy() Economy {
	return Economy{
		Fee:         300,
		SeatFee:     500,
		LateCharge:  1_000,
		DisputeBond: 2_000,
		LeastCharge: atp.ATP,
		LeastAudit:  20_000,
		PoolAudit:   50_000,
		Unaudited:   300_000,
		Decay:       977_160, // a half-life of 30 days

		MinWindow:       5 * atp.Second,
		MaxWindow:       atp.Day,
		OfferWindow:     60 * atp.Second,
		ExecutionWindow: 300 * atp.Second,
		RecomputeWindow: 300 * atp.Second,
		Silence:         120 * atp.Second,

		LeastStake:   100 * atp.ATP,
		SeatBond:     10,
		LeastCommit:  30 * atp.Second,
		MostCommit:   600 * atp.Second,
		RevealWindow: 60 * atp.Second,
		AppealWindow: 300 * atp.Second,
		Unbonding:    3_600 * atp.Second,
	}
}

// Validate reports every parameter that cannot found an economy.
func (e Economy) Validate() error {
	var errs []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("task: economy: "+format, args...))
		}
	}
	require(e.Fee <= 1_000, "fee_bp: have %d, want at most 1000", e.Fee)
	require(e.SeatFee <= 1_000, "seat_fee_bp: have %d, want at most 1000", e.SeatFee)
	require(e.LateCharge >= e.Fee && e.LateCharge <= whole, // so that a late executor pays the fee back
		"late_charge_bp: have %d, want at least fee_bp %d and at most %d", e.LateCharge, e.Fee, whole)
	require(e.DisputeBond <= whole, "dispute_bond_bp: have %d, want at most %d", e.DisputeBond, whole)
	require(e.LeastCharge > 0, "least_charge_uatp: have 0, want some")
	require(e.LeastAudit > 0 && e.LeastAudit <= S, "least_audit_ppm: have %d, want 1 to %d", e.LeastAudit, S)
	require(e.PoolAudit <= S, "pool_audit_ppm: have %d, want at most %d", e.PoolAudit, S)
	require(e.Unaudited <= S, "unaudited_ppm: have %d, want at most %d", e.Unaudited, S)
	require(e.Decay <= 999_900, "decay_ppm: have %d, want at most 999900", e.Decay)
	require(e.MinWindow > 0 && e.MinWindow <= e.MaxWindow, "min_window_ms: have %d, want 1 to %d", e.MinWindow, e.MaxWindow)
	require(e.MaxWindow <= 366*atp.Day, "max_window_ms: have %d, want at most a year", e.MaxWindow)
	require(e.inWindow(e.OfferWindow), "offer_window_ms: have %d, want %d to %d", e.OfferWindow, e.MinWindow, e.MaxWindow)
	require(e.inWindow(e.ExecutionWindow), "execution_window_ms: have %d, want %d to %d", e.ExecutionWindow, e.MinWindow, e.MaxWindow)
	require(e.inWindow(e.RecomputeWindow), "recompute_window_ms: have %d, want %d to %d", e.RecomputeWindow, e.MinWindow, e.MaxWindow)
	require(e.Silence > 0 && e.Silence <= e.MaxWindow, "silence_ms: have %d, want 1 to %d", e.Silence, e.MaxWindow)
	e.validateWitnesses(require)
	return errors.Join(errs...)
}

func (e Economy) validateWitnesses(require func(ok bool, format string, args ...any)) {
	require(e.LeastStake > 0, "least_stake_uatp: have 0, want some")
	require(e.SeatBond > 0 && e.SeatBond <= 1_000, "seat_bond: have %d, want 1 to 1000", e.SeatBond)
	require(e.LeastCommit > 0 && e.LeastCommit <= e.MostCommit, "least_commit_ms: have %d, want 1 to %d", e.LeastCommit, e.MostCommit)
	for _, w := range []struct {
		name string
		have atp.Span
	}{
		{"most_commit_ms", e.MostCommit}, {"reveal_window_ms", e.RevealWindow},
		{"appeal_window_ms", e.AppealWindow}, {"unbonding_ms", e.Unbonding},
	} {
		require(w.have > 0 && w.have <= e.MaxWindow, "%s: have %d, want 1 to %d", w.name, w.have, e.MaxWindow)
	}
}

// CommitWindow returns how long witnesses of a task of that execution window
// have to find their answer.
func (e Economy) CommitWindow(execution atp.Span) atp.Span {
	return min(max(e.LeastCommit, 2*execution), e.MostCommit)
}

func (e Economy) inWindow(d atp.Span) bool { return d >= e.MinWindow && d <= e.MaxWindow }

// DefaultTerms returns terms that ask for little, for a requester to fill in:
// type, runtime, program, input and price are left.
func (e Economy) DefaultTerms() Terms {
	return Terms{
		Complexity:      Low,
		Horizon:         Horizon{Local, Session, Simple},
		Memory:          DefaultMemory,
		MinQuality:      defaultQuality,
		Class:           Mutual,
		OfferWindow:     e.OfferWindow,
		ExecutionWindow: e.ExecutionWindow,
	}
}

// Bounds of θ, the quality that a task asks for.
const (
	leastQuality   PPM = 500_000
	defaultQuality PPM = 700_000
	judgeQuality   PPM = 900_000 // the most that class judge can be asked for
)

// Bounds of tasks that witnesses may have to see.
const (
	witnessedPrice = atp.ATP
	witnessedBlob  = 16 * MiB
)

// Validate reports, as [ErrTerms], what is wrong with the terms
// in this economy, with that supply.
func (t Terms) Validate(e Economy, supply atp.Amount) error {
	if err := t.Check(); err != nil {
		return err
	}
	most := S
	if t.Class == Judge {
		most = judgeQuality
	}
	witnessed := t.Class != Mutual
	switch {
	case t.Price > supply:
		return fmt.Errorf("%w: price: have %s ATP, want at most the supply of %s ATP", ErrTerms, t.Price, supply)
	case witnessed && t.Price < witnessedPrice:
		return fmt.Errorf("%w: price: have %s ATP, want at least %s ATP in class %s", ErrTerms, t.Price, witnessedPrice, t.Class)
	case witnessed && t.InputSize > witnessedBlob:
		return fmt.Errorf("%w: input: have %d bytes, want at most %d in class %s", ErrTerms, t.InputSize, witnessedBlob, t.Class)
	case t.MinQuality < leastQuality || t.MinQuality > most:
		return fmt.Errorf("%w: quality: have %d ppm, want %d to %d in class %s", ErrTerms, t.MinQuality, leastQuality, most, t.Class)
	case !e.inWindow(t.OfferWindow):
		return fmt.Errorf("%w: offer window: have %d ms, want %d to %d", ErrTerms, t.OfferWindow, e.MinWindow, e.MaxWindow)
	case !e.inWindow(t.ExecutionWindow):
		return fmt.Errorf("%w: execution window: have %d ms, want %d to %d", ErrTerms, t.ExecutionWindow, e.MinWindow, e.MaxWindow)
	case t.Class == Recompute && t.ExecutionWindow > e.RecomputeWindow:
		return fmt.Errorf("%w: execution window: have %d ms, want at most %d in class %s", ErrTerms, t.ExecutionWindow, e.RecomputeWindow, t.Class)
	}
	return nil
}

// Charges are what a task of some price costs whom.
type Charges struct {
	Price   atp.Amount // P
	Fee     atp.Amount // F, of the requester; taken when the task is accepted
	SeatFee atp.Amount // f, at most, to each witness
	Seats   uint64     // n₀
	Pay     atp.Amount // U, at most, to all witnesses of a committee
	Late    atp.Amount // L, of the executor
	Dispute atp.Amount // D, bond of a requester who disputes
	Appeal  atp.Amount // A, bond of who appeals
}

// Charges returns those of a task of that price, with that many societies who
// could witness it. Sums that do not fit are the largest Amount, which nobody has.
func (e Economy) Charges(price atp.Amount, eligible uint64) Charges {
	share := func(b Bips) atp.Amount { return atp.CeilDiv(price, b, whole) }
	c := Charges{
		Price:   price,
		Fee:     share(e.Fee),
		SeatFee: share(e.SeatFee),
		Seats:   min(committee(price), eligible),
		Late:    max(e.LeastCharge, share(e.LateCharge)),
	}
	c.Pay = atp.MulDiv(c.SeatFee, c.Seats, 1)
	c.Dispute = sum(max(e.LeastCharge, share(e.DisputeBond)), c.Pay)
	c.Appeal = max(e.LeastCharge, c.Pay)
	return c
}

// committee returns how many witnesses a task of that price wants.
func committee(price atp.Amount) uint64 {
	switch {
	case price < 10*atp.ATP:
		return 3
	case price < 100*atp.ATP:
		return 5
	}
	return 7
}

// Discharged returns the part of a fee that is discharged; the rest goes to the pool.
func Discharged(fee atp.Amount) atp.Amount { return fee / 3 }

// MinBond returns the least bond of an executor.
func (c Charges) MinBond(class Class) atp.Amount {
	if class == Mutual {
		return c.Late
	}
	return max(c.Late, sum(c.Pay, c.Fee))
}

// AuditProbability returns p: high enough that lying does not pay.
func (e Economy) AuditProbability(price, bond atp.Amount) PPM {
	return max(e.LeastAudit, min(S, atp.CeilDiv(S, price, sum(price, bond))))
}

// PoolShare returns g, what the pool pays of what the seats of an audit of
// probability p earned.
func (e Economy) PoolShare(earned atp.Amount, p PPM, pool atp.Amount) atp.Amount {
	return min(pool, atp.MulDiv(earned, min(p, e.PoolAudit), p))
}

// acceptedSlack is how far above what was asked for a quality counts that
// nobody but the parties has seen.
const acceptedSlack PPM = 100_000

// AcceptedQuality returns the quality of a result that was accepted unaudited:
// the least of the executor's claim and the requester's mark, where there are
// any, and a little above what was asked for.
func AcceptedQuality(asked PPM, claim, mark *PPM) PPM {
	q := min(S, plus(asked, acceptedSlack))
	if claim != nil {
		q = min(q, *claim)
	}
	if mark != nil {
		q = min(q, *mark)
	}
	return q
}

// sum is a + b, at most the largest Amount.
func sum(a, b atp.Amount) atp.Amount {
	if s, err := a.Add(b); err == nil {
		return s
	}
	return atp.MaxAmount
}
