package atp

import (
	"fmt"

	"github.com/ipfs/go-cid"
)

// Lock sets an amount of the payer's aside for the payee until the deadline.
// The lock's ID must be unused and its deadline ahead.
func (l Ledger) Lock(lock Lock, at Clock) error {
	switch {
	case lock.Task:
		return fmt.Errorf("%w: only posting a task makes a task's lock", ErrTaskLock)
	case lock.Payee.IsZero() || lock.Payee.ID == lock.Payer:
		return fmt.Errorf("%w: have %q, want another than the payer", ErrPayee, lock.Payee)
	case lock.Deadline <= at.Block:
		return fmt.Errorf("%w: deadline %d has passed, the block's time is %d", ErrTooLate, lock.Deadline, at.Block)
	}
	if err := l.openLock(lock); err != nil {
		return err
	}
	return l.State.SetDue(lock.Deadline, lock.ID)
}

// Commit pays an open lock to its payee. Only the payer may, and in time.
func (l Ledger) Commit(id cid.Cid, by ID, at Clock) error {
	lock, err := l.payment(id)
	switch {
	case err != nil:
		return err
	case by != lock.Payer:
		return fmt.Errorf("%w: only the payer %s commits a lock", ErrNotYours, lock.Payer)
	case !at.InTime(lock.Deadline):
		return fmt.Errorf("%w: the lock's deadline was %d, now %d", ErrTooLate, lock.Deadline, at.Parent)
	}
	return l.endLock(lock, lock.Payee.ID)
}

// Rollback gives an open lock back to its payer. The payee may at any time,
// anyone once the deadline has passed.
func (l Ledger) Rollback(id cid.Cid, by ID, at Clock) error {
	lock, err := l.payment(id)
	if err != nil {
		return err
	}
	if by != lock.Payee.ID && at.InTime(lock.Deadline) {
		return fmt.Errorf("%w: until %d only the payee %s gives a lock back, now %d",
			ErrTooEarly, lock.Deadline, lock.Payee, at.Parent)
	}
	return l.endLock(lock, lock.Payer)
}

// Expire gives a lock back whose deadline has passed: its own edge, which
// needs nobody (A3).
func (l Ledger) Expire(id cid.Cid, at Clock) error {
	lock, err := l.payment(id)
	if err != nil {
		return err
	}
	if at.InTime(lock.Deadline) {
		return fmt.Errorf("%w: the lock's deadline is %d, now %d", ErrTooEarly, lock.Deadline, at.Parent)
	}
	return l.endLock(lock, lock.Payer)
}

// payment returns an open lock outside tasks.
func (l Ledger) payment(id cid.Cid) (Lock, error) {
	lock, err := l.lock(id)
	if err == nil && lock.Task {
		return Lock{}, fmt.Errorf("%w: %s is a task's, which settles it by itself", ErrTaskLock, id)
	}
	return lock, err
}

func (l Ledger) lock(id cid.Cid) (Lock, error) {
	lock, ok, err := l.State.Lock(id)
	switch {
	case err != nil:
		return Lock{}, fmt.Errorf("atp: lock %s: %w", id, err)
	case !ok:
		return Lock{}, fmt.Errorf("%w: %s", ErrNoLock, id)
	}
	return lock, nil
}

func (l Ledger) openLock(lock Lock) error {
	switch _, taken, err := l.State.Lock(lock.ID); {
	case err != nil:
		return fmt.Errorf("atp: lock %s: %w", lock.ID, err)
	case taken:
		return fmt.Errorf("%w: %s", ErrExists, lock.ID)
	}
	if err := l.move(available(lock.Payer), locked(lock.Payer), lock.Amount); err != nil {
		return err
	}
	return l.State.SetLock(lock)
}

func (l Ledger) endLock(lock Lock, to ID) error {
	if err := l.move(locked(lock.Payer), available(to), lock.Amount); err != nil {
		return err
	}
	if err := l.State.DeleteLock(lock.ID); err != nil {
		return fmt.Errorf("atp: lock %s: %w", lock.ID, err)
	}
	return l.State.DeleteDue(lock.Deadline, lock.ID)
}

// LockTask sets amount of the payer's aside for a task. The lock has the
// task's ID, and the task's deadlines are its own.
func (l Ledger) LockTask(id cid.Cid, payer ID, amount Amount) error {
	return l.openLock(Lock{ID: id, Payer: payer, Amount: amount, Task: true})
}

// Engagement is what accepting a task does to its money.
type Engagement struct {
	Task       cid.Cid
	Payee      ID
	Bond       Amount // of the payee, set aside
	Discharged Amount // of the fee, from the lock
	ToPool     Amount // the rest of the fee, from the lock
}

// Engage takes the fee out of a task's lock, for good, and sets the bond of
// the one who accepted it aside.
func (l Ledger) Engage(e Engagement) error {
	lock, err := l.taskLock(e.Task)
	if err != nil {
		return err
	}
	fee, err := e.Discharged.Add(e.ToPool)
	if err != nil {
		return err
	}
	if lock.Amount, err = lock.Amount.Sub(fee); err != nil {
		return err
	}
	lock.Payee = OptionalID{e.Payee}
	c := newChange(l.State)
	if err := c.run(
		step{locked(lock.Payer), discharged, e.Discharged},
		step{locked(lock.Payer), pool, e.ToPool},
		step{available(e.Payee), bonded(e.Payee), e.Bond},
	); err != nil {
		return err
	}
	return l.State.SetLock(lock)
}

// Payment is an amount and who gets or gives it.
type Payment struct {
	Who    ID
	Amount Amount
}

// Settlement ends a task's lock and the bonds held for the task, and pays out
// all that they held.
type Settlement struct {
	Task     cid.Cid
	Bonds    []Payment // taken from what each has bonded
	Payments []Payment // put to what each has available
	FromPool Amount
	ToPool   Amount
}

// Settle does s as a whole. Lock, bonds and FromPool must add up to the
// payments and ToPool, or it is [ErrUnbalanced].
func (l Ledger) Settle(s Settlement) error {
	lock, err := l.taskLock(s.Task)
	if err != nil {
		return err
	}
	c := newChange(l.State)
	if err := c.take(locked(lock.Payer), lock.Amount); err != nil {
		return err
	}
	if err := c.take(pool, s.FromPool); err != nil {
		return err
	}
	for _, b := range s.Bonds {
		if err := c.take(bonded(b.Who), b.Amount); err != nil {
			return err
		}
	}
	for _, p := range s.Payments {
		if err := c.put(available(p.Who), p.Amount); err != nil {
			return err
		}
	}
	if err := c.put(pool, s.ToPool); err != nil {
		return err
	}
	if err := c.save(); err != nil {
		return err
	}
	return l.State.DeleteLock(lock.ID)
}

// taskLock returns the open lock of a task.
func (l Ledger) taskLock(id cid.Cid) (Lock, error) {
	lock, err := l.lock(id)
	if err == nil && !lock.Task {
		return Lock{}, fmt.Errorf("%w: %s is not a task's", ErrTaskLock, id)
	}
	return lock, err
}
