package chain

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// AwaitsBeacon reports whether a task waits to be drawn, or spared, by the
// beacon of a coming block: that is work for the validators.
func (s State) AwaitsBeacon() bool { return s.root.Census.Drawing > 0 }

// CouldWitness is [task.Book.CouldWitness] in the next block.
func (s State) CouldWitness(requester atp.ID, terms task.Terms) (uint64, error) {
	return s.next().CouldWitness(requester, terms)
}

// ChargesTo is [task.Book.ChargesTo] in the next block.
func (s State) ChargesTo(executor atp.ID, t task.Task) (task.Charges, error) {
	return s.next().ChargesTo(executor, t)
}

// next returns a book over a draft of the next block, to ask and not to write.
func (s State) next() task.Book {
	d := newDraft(newOverlay(s.nodes), s.root, s.constants)
	d.block.Height = task.Height(s.tip.Height) + 1
	return task.Book{State: d}
}

// Stake returns what a platform has set aside to be a witness.
func (s State) Stake(id atp.ID) (task.Stake, bool, error) {
	return lookup[task.Stake](s.nodes, s.root.Stakes, accountKey(id))
}

// Panel returns who witnesses an open task at a level, once its draw is asked for.
func (s State) Panel(id cid.Cid, level task.Level) (task.Panel, bool, error) {
	return lookup[task.Panel](s.nodes, s.root.Panels, panelKey(id, level))
}

// Seats returns every seat of an open task, by level.
func (s State) Seats(t task.Task) (seats []task.OpenSeat, err error) {
	for level := task.Committee; t.Review != nil && level <= t.Review.Level; level++ {
		panel, _, err := s.Panel(t.ID, level)
		if err != nil {
			return nil, err
		}
		for _, seat := range panel.Seats {
			seats = append(seats, task.OpenSeat{Task: t, Seat: seat, Of: level})
		}
	}
	return seats, nil
}

// SeatsOf returns every open seat of a platform, in no order that means
// anything. It looks at all open tasks, unless the platform has no seat.
func (s State) SeatsOf(id atp.ID) (seats []task.OpenSeat, err error) {
	stake, _, err := s.Stake(id)
	if err != nil || stake.Open == 0 {
		return nil, err
	}
	err = s.EachTask(func(t task.Task) error {
		all, err := s.Seats(t)
		for _, seat := range all {
			if seat.Seat.Witness == id {
				seats = append(seats, seat)
			}
		}
		return err
	})
	return seats, err
}

// EachStake calls f for every stake, like EachAccount.
func (s State) EachStake(f func(atp.ID, task.Stake) error) error {
	return each[task.Stake](newOverlay(s.nodes), s.root.Stakes, func(key string, stake task.Stake) error {
		id, err := idFromKey(key)
		if err != nil {
			return err
		}
		return f(id, stake)
	})
}

// EachUnbonding calls f for every stake on its way back, like EachAccount.
func (s State) EachUnbonding(f func(task.Unbonding) error) error {
	return each[task.Unbonding](newOverlay(s.nodes), s.root.Unbondings, func(_ string, u task.Unbonding) error { return f(u) })
}

// checkStakes compares stakes with the seats that they have reserved for, and
// the census with the tasks that wait for a beacon. It fails with [ErrBroken],
// or [ErrStorage].
func (s State) checkStakes() error {
	type sums struct {
		reserved atp.Amount
		open     uint64
	}
	held := make(map[atp.ID]sums)
	drawing, bonds := uint64(0), atp.Amount(0)
	err := s.EachTask(func(t task.Task) error {
		if t.Stage == task.Drawing {
			drawing++
		}
		for _, b := range t.Bonds(s.constants.Params.Economy) {
			if err := addTo(&bonds, b.Amount); err != nil {
				return err
			}
		}
		seats, err := s.Seats(t)
		for _, seat := range seats {
			h := held[seat.Seat.Witness]
			held[seat.Seat.Witness] = sums{h.reserved + seat.Seat.Bond, h.open + 1}
		}
		return err
	})
	if err != nil {
		return err
	}
	err = s.EachStake(func(id atp.ID, stake task.Stake) error {
		if want := held[id]; stake.Reserved != want.reserved || stake.Open != want.open || stake.Reserved > stake.Amount {
			return fmt.Errorf("%w: height %d: the stake of %s is %+v, its seats have %+v", ErrBroken, s.tip.Height, id, stake, want)
		}
		delete(held, id)
		return addTo(&bonds, stake.Amount)
	})
	if err != nil {
		return err
	}
	if len(held) > 0 || drawing != s.root.Census.Drawing || bonds > s.root.Totals.Bonded {
		return fmt.Errorf("%w: height %d: %d witnesses without a stake; %d tasks wait for a beacon, want %d; tasks and stakes hold %s ATP of %s ATP bonded",
			ErrBroken, s.tip.Height, len(held), drawing, s.root.Census.Drawing, bonds, s.root.Totals.Bonded)
	}
	return nil
}
