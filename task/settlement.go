package task

import (
	"fmt"

	"github.com/sage-p2p/sage-p2p/atp"
)

// settle ends a task: the money goes where the table says, reputations follow,
// and the task leaves the state.
func (b Book) settle(t Task, m move, by atp.ID, mark *PPM, at atp.Clock) ([]Event, error) {
	judgements, err := b.judge(t, m.path, mark, DayOf(at.Block))
	if err != nil {
		return nil, err
	}
	paid, err := b.pay(t, m.path)
	if err != nil {
		return nil, err
	}
	if paid.Outcome == Commit {
		q := AcceptedQuality(t.Terms.MinQuality, t.Proof.Claim, mark)
		paid.Quality = &q
	}
	if err := b.State.DeleteDue(t.Deadline, t.ID); err != nil {
		return nil, fmt.Errorf("task %s: %w", t.ID, err)
	}
	if err := b.State.DeleteTask(t.ID); err != nil {
		return nil, fmt.Errorf("task %s: %w", t.ID, err)
	}
	t.Stage, t.Deadline = Settled, 0
	events := []Event{&Moved{t.ID, m.from, m.to, m.op, atp.OptionalID{ID: by}, 0, t}, paid}
	for _, j := range judgements {
		if err := b.write(j); err != nil {
			return nil, err
		}
		if j.event.Old != j.event.New {
			events = append(events, &j.event)
		}
	}
	return events, nil
}

// pay ends the task's lock and bond along a path of the table.
func (b Book) pay(t Task, path Path) (*Paid, error) {
	stakes := Stakes{Price: t.Terms.Price, Fee: t.Fee}
	paid := Paid{Task: t.ID, Path: path, Requester: t.Requester.ID, Lock: t.Terms.Price + t.Fee} // was checked when posted
	s := atp.Settlement{Task: t.ID}
	if a := t.Acceptance; a != nil {
		stakes.Bond, stakes.Late = a.Bond, a.LateCharge
		paid.Executor, paid.Lock, paid.Bond = atp.OptionalID{ID: a.Executor.ID}, t.Terms.Price, a.Bond
		s.Bonds = []atp.Payment{{Who: a.Executor.ID, Amount: a.Bond}}
	}
	legs, err := stakes.Legs(path)
	if err != nil {
		return nil, err
	}
	s.Payments = []atp.Payment{{Who: t.Requester.ID, Amount: legs.Requester}, {Who: paid.Executor.ID, Amount: legs.Executor}}
	s.ToPool, s.FromPool = legs.ToPool, legs.FromPool
	if err := b.ledger().Settle(s); err != nil {
		return nil, err
	}
	paid.Outcome = legs.Outcome
	paid.ToRequester, paid.ToExecutor, paid.ToSeats = legs.Requester, legs.Executor, legs.Seats
	paid.ToPool, paid.FromPool = legs.ToPool, legs.FromPool
	return &paid, nil
}
