package task

import (
	"fmt"

	"github.com/sage-p2p/sage-p2p/atp"
)

// An ending is how a task comes to its end.
type ending struct {
	by      atp.ID // nobody: a deadline's own edge, or witnesses
	path    Path
	verdict Verdict // of witnesses, if there were any
	quality *PPM    // that they found
	mark    *PPM    // of the requester
}

// A leaver is a seat whose task ends, and what it gets.
type leaver struct {
	level Level
	Seat
	Reward
}

// settle ends a task: the money goes where the table says, reputations follow,
// and the task leaves the state.
func (b Book) settle(t Task, m move, end ending, at atp.Clock) ([]Event, error) {
	seats, err := b.leavers(t, end.verdict)
	if err != nil {
		return nil, err
	}
	if end.path == Unaudited {
		q := AcceptedQuality(t.Terms.MinQuality, t.Proof.Claim, end.mark)
		end.quality = &q
	}
	judgements, err := b.judge(t, end, seats, DayOf(at.Block))
	if err != nil {
		return nil, err
	}
	paid, err := b.pay(t, end, seats)
	if err != nil {
		return nil, err
	}
	if paid.Outcome == Commit {
		paid.Quality = end.quality
	}
	if err := b.remove(t); err != nil {
		return nil, err
	}
	t.Stage, t.Deadline = Settled, 0
	events := []Event{&Moved{t.ID, m.from, m.to, m.op, atp.OptionalID{ID: end.by}, 0, t}, paid}
	for _, s := range seats {
		if err := b.free(s.Seat, s.Slash); err != nil {
			return nil, err
		}
		events = append(events, &SeatPaid{t.ID, s.level, s.Witness, s.Rating, s.Pay, s.Slash})
	}
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

// leavers returns all seats of a task, and what each gets.
func (b Book) leavers(t Task, verdict Verdict) ([]leaver, error) {
	if t.Review == nil {
		return nil, nil
	}
	var all, decided []Seat
	var out []leaver
	for level := Committee; level <= t.Review.Level; level++ {
		panel, _, err := b.State.Panel(t.ID, level)
		if err != nil {
			return nil, fmt.Errorf("task %s: panel: %w", t.ID, err)
		}
		all, decided = append(all, panel.Seats...), panel.Seats
		for _, s := range panel.Seats {
			out = append(out, leaver{level: level, Seat: s})
		}
	}
	for i, r := range Rewards(t.Terms, verdict, b.charges(t).Pay, decided, all) {
		out[i].Reward = r
	}
	return out, nil
}

// remove takes a task out of the state.
func (b Book) remove(t Task) error {
	if err := b.State.DeleteDue(t.Deadline, t.ID); err != nil {
		return fmt.Errorf("task %s: %w", t.ID, err)
	}
	for level := Committee; t.Review != nil && level <= t.Review.Level; level++ {
		_, there, err := b.State.Panel(t.ID, level)
		if err == nil && there {
			err = b.State.DeletePanel(t.ID, level)
		}
		if err != nil {
			return fmt.Errorf("task %s: panel: %w", t.ID, err)
		}
	}
	if err := b.State.DeleteTask(t.ID); err != nil {
		return fmt.Errorf("task %s: %w", t.ID, err)
	}
	return nil
}

// pay ends the task's lock and bonds along a path of the table.
func (b Book) pay(t Task, end ending, seats []leaver) (*Paid, error) {
	stakes := Stakes{Price: t.Terms.Price, Fee: t.Fee}
	paid := Paid{Task: t.ID, Path: end.path, Requester: t.Requester.ID, Lock: t.Terms.Price + t.Fee} // was checked when posted
	s := atp.Settlement{Task: t.ID}
	if a := t.Acceptance; a != nil {
		stakes.Bond, stakes.Late = a.Bond, a.LateCharge
		paid.Executor, paid.Lock, paid.Bond = atp.OptionalID{ID: a.Executor.ID}, t.Terms.Price, a.Bond
		charges := b.charges(t)
		stakes.Dispute, stakes.Appeal = charges.Dispute, charges.Appeal
	}
	s.Bonds = t.Bonds(b.State.Economy())
	if t.Review != nil && t.Review.Disputed {
		paid.Dispute = stakes.Dispute
	}
	if t.Review != nil && t.Review.Appealed {
		paid.Appeal, paid.Appellant = stakes.Appeal, atp.OptionalID{ID: t.loser().ID}
	}
	for _, seat := range seats {
		stakes.Earned += seat.Pay // at most U
		s.Payments = append(s.Payments, atp.Payment{Who: seat.Witness, Amount: seat.Pay})
	}
	if t.Review != nil {
		stakes.PoolShare = b.State.Economy().PoolShare(stakes.Earned, t.Review.Audit, b.State.Totals().Pool)
	}
	legs, err := stakes.Legs(end.path)
	if err != nil {
		return nil, err
	}
	paid.Outcome = legs.Outcome
	paid.ToRequester, paid.ToExecutor, paid.ToSeats = legs.Requester, legs.Executor, legs.Seats
	paid.ToPool, paid.FromPool = legs.ToPool, legs.FromPool
	if legs.Outcome == Void { // the bond of an appeal goes back, whoever's it is
		back := &paid.ToRequester
		if paid.Appellant == paid.Executor {
			back = &paid.ToExecutor
		}
		*back += paid.Appeal // is part of the supply
	}
	s.Payments = append(s.Payments,
		atp.Payment{Who: t.Requester.ID, Amount: paid.ToRequester}, atp.Payment{Who: paid.Executor.ID, Amount: paid.ToExecutor})
	s.ToPool, s.FromPool = legs.ToPool, legs.FromPool
	if err := b.ledger().Settle(s); err != nil {
		return nil, err
	}
	return &paid, nil
}

// Bonds returns what is bonded for an open task, and by whom: what seats have
// reserved of their stakes is apart.
func (t Task) Bonds(e Economy) (bonds []atp.Payment) {
	if t.Acceptance == nil {
		return nil
	}
	bonds = append(bonds, atp.Payment{Who: t.Acceptance.Executor.ID, Amount: t.Acceptance.Bond})
	charges := e.Charges(t.Terms.Price, t.Acceptance.Seats)
	if t.Review != nil && t.Review.Disputed {
		bonds = append(bonds, atp.Payment{Who: t.Requester.ID, Amount: charges.Dispute})
	}
	if t.Review != nil && t.Review.Appealed {
		bonds = append(bonds, atp.Payment{Who: t.loser().ID, Amount: charges.Appeal})
	}
	return bonds
}
