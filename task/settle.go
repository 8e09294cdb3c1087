package task

import (
	"fmt"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Outcome is what becomes of a task's lock.
type Outcome string

// The outcomes of a task. A void is a rollback under its own name.
const (
	Commit   Outcome = "COMMIT"
	Rollback Outcome = "ROLLBACK"
	Void     Outcome = "VOID"
)

// Path says how a task came to its end.
type Path string

// The paths of the design. Those of class mutual are the first four.
const (
	PostedEnds Path = "posted_ends"      // cancelled, or no one accepted
	Unaudited  Path = "commit_unaudited" // acknowledged, or the requester was silent
	Late       Path = "late"             // no proof in time, or one that withdrew
	Refused    Path = "refused"          // by the requester, in class mutual

	AuditPass           Path = "audit_pass"
	AuditPassVain       Path = "audit_pass_appeal_vain"
	AuditPassOverturned Path = "audit_pass_overturned"
	AuditFail           Path = "audit_fail"
	AuditFailVain       Path = "audit_fail_appeal_vain"
	AuditFailOverturned Path = "audit_fail_overturned"
	AuditVoid           Path = "audit_void"

	DisputeLost           Path = "dispute_lost" // by the requester
	DisputeLostVain       Path = "dispute_lost_appeal_vain"
	DisputeLostOverturned Path = "dispute_lost_overturned"
	DisputeWon            Path = "dispute_won"
	DisputeWonVain        Path = "dispute_won_appeal_vain"
	DisputeWonOverturned  Path = "dispute_won_overturned"
	DisputeVoid           Path = "dispute_void"
	DisputeNoWitnesses    Path = "dispute_no_witnesses"
)

// A formula is a sum of the quantities of a settlement: 1 adds one, -1 takes
// it away, 0 leaves it out.
type formula struct {
	P, F, B, L, D, A int8 // price, fee, bond, late charge, bond of the dispute, of the appeal
	W, Up, Down      int8 // what the seats earned; half of it, rounded up; rounded down
	G                int8 // the pool's share of it
}

// A row says who gets what on one path.
type row struct {
	path                             Path
	outcome                          Outcome
	held                             formula // by the lock and the bonds, when it ends
	requester, executor, seats, pool formula
}

// rows is the table of economy.md, "Money": every settlement is one of them.
// Invariant: what is held is what the four get, whatever the amounts.
var rows = [...]row{
	{PostedEnds, Rollback, formula{P: 1, F: 1},
		formula{P: 1, F: 1}, formula{}, formula{}, formula{}},
	{Unaudited, Commit, formula{P: 1, B: 1},
		formula{}, formula{P: 1, B: 1}, formula{}, formula{}},
	{Late, Rollback, formula{P: 1, B: 1},
		formula{P: 1, F: 1}, formula{B: 1, L: -1}, formula{}, formula{L: 1, F: -1}},
	{Refused, Rollback, formula{P: 1, B: 1},
		formula{P: 1}, formula{B: 1}, formula{}, formula{}},

	{AuditPass, Commit, formula{P: 1, B: 1},
		formula{}, formula{P: 1, B: 1, W: -1, G: 1}, formula{W: 1}, formula{G: -1}},
	{AuditPassVain, Commit, formula{P: 1, B: 1, A: 1},
		formula{}, formula{P: 1, B: 1}, formula{W: 1}, formula{A: 1, W: -1}},
	{AuditPassOverturned, Rollback, formula{P: 1, B: 1, A: 1},
		formula{P: 1, F: 1, A: 1}, formula{}, formula{W: 1}, formula{B: 1, W: -1, F: -1}},
	{AuditFail, Rollback, formula{P: 1, B: 1},
		formula{P: 1, F: 1}, formula{}, formula{W: 1}, formula{B: 1, W: -1, F: -1}},
	{AuditFailVain, Rollback, formula{P: 1, B: 1, A: 1},
		formula{P: 1, F: 1}, formula{}, formula{W: 1}, formula{A: 1, W: -1, B: 1, F: -1}},
	{AuditFailOverturned, Commit, formula{P: 1, B: 1, A: 1},
		formula{}, formula{P: 1, B: 1, W: -1, G: 1, A: 1}, formula{W: 1}, formula{G: -1}},
	{AuditVoid, Void, formula{P: 1, B: 1},
		formula{P: 1, Up: -1}, formula{B: 1, Down: -1}, formula{W: 1}, formula{}},

	{DisputeLost, Commit, formula{P: 1, B: 1, D: 1},
		formula{}, formula{P: 1, B: 1}, formula{W: 1}, formula{D: 1, W: -1}},
	{DisputeLostVain, Commit, formula{P: 1, B: 1, D: 1, A: 1},
		formula{}, formula{P: 1, B: 1}, formula{W: 1}, formula{D: 1, A: 1, W: -1}},
	{DisputeLostOverturned, Rollback, formula{P: 1, B: 1, D: 1, A: 1},
		formula{P: 1, F: 1, D: 1, A: 1}, formula{}, formula{W: 1}, formula{B: 1, W: -1, F: -1}},
	{DisputeWon, Rollback, formula{P: 1, B: 1, D: 1},
		formula{P: 1, F: 1, D: 1}, formula{}, formula{W: 1}, formula{B: 1, W: -1, F: -1}},
	{DisputeWonVain, Rollback, formula{P: 1, B: 1, D: 1, A: 1},
		formula{P: 1, F: 1, D: 1}, formula{}, formula{W: 1}, formula{A: 1, W: -1, B: 1, F: -1}},
	{DisputeWonOverturned, Commit, formula{P: 1, B: 1, D: 1, A: 1},
		formula{}, formula{P: 1, B: 1, A: 1}, formula{W: 1}, formula{D: 1, W: -1}},
	{DisputeVoid, Void, formula{P: 1, B: 1, D: 1},
		formula{P: 1, D: 1, Up: -1}, formula{B: 1, Down: -1}, formula{W: 1}, formula{}},
	{DisputeNoWitnesses, Void, formula{P: 1, B: 1, D: 1},
		formula{P: 1, D: 1}, formula{B: 1}, formula{}, formula{}},
}

// Stakes are the quantities of a settlement. Those that a path does not
// mention do not matter to it.
type Stakes struct {
	Price, Fee, Bond, Late, Dispute, Appeal atp.Amount
	Earned                                  atp.Amount // W, by the seats
	PoolShare                               atp.Amount // g, the pool's part of it
}

// Legs are what a settlement pays to whom.
type Legs struct {
	Outcome                    Outcome
	Requester, Executor, Seats atp.Amount
	ToPool, FromPool           atp.Amount // at most one of them is not zero
}

// Legs computes what the path pays. Stakes that make a payment negative, or
// overflow, are an error: no posting that was accepted has them.
func (s Stakes) Legs(path Path) (Legs, error) {
	r, ok := rowOf(path)
	if !ok {
		return Legs{}, fmt.Errorf("task: settlement: have path %q, want one of the table", path)
	}
	legs := Legs{Outcome: r.outcome}
	for _, leg := range []struct {
		name    string
		formula formula
		to      *atp.Amount
		from    *atp.Amount // where a negative amount goes
	}{
		{"requester", r.requester, &legs.Requester, nil},
		{"executor", r.executor, &legs.Executor, nil},
		{"seats", r.seats, &legs.Seats, nil},
		{"pool", r.pool, &legs.ToPool, &legs.FromPool},
	} {
		plus, minus, err := leg.formula.of(s)
		switch {
		case err != nil:
			return Legs{}, fmt.Errorf("task: settlement %s: %s: %w", path, leg.name, err)
		case plus >= minus:
			*leg.to = plus - minus
		case leg.from != nil:
			*leg.from = minus - plus
		default:
			return Legs{}, fmt.Errorf("task: settlement %s: %s: have %s ATP less %s ATP, want no less than nothing",
				path, leg.name, plus, minus)
		}
	}
	return legs, nil
}

func rowOf(path Path) (row, bool) {
	for _, r := range rows {
		if r.path == path {
			return r, true
		}
	}
	return row{}, false
}

// of returns what f adds and what it takes away.
func (f formula) of(s Stakes) (plus, minus atp.Amount, err error) {
	half := s.Earned / 2
	for _, term := range []struct {
		sign   int8
		amount atp.Amount
	}{
		{f.P, s.Price}, {f.F, s.Fee}, {f.B, s.Bond}, {f.L, s.Late}, {f.D, s.Dispute}, {f.A, s.Appeal},
		{f.W, s.Earned}, {f.Up, s.Earned - half}, {f.Down, half}, {f.G, s.PoolShare},
	} {
		side := &plus
		if term.sign < 0 {
			side = &minus
		}
		if term.sign == 0 {
			continue
		}
		if *side, err = side.Add(term.amount); err != nil {
			return 0, 0, err
		}
	}
	return plus, minus, nil
}
