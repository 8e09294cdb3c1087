package chain

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// run executes the operations of a transaction together or not at all, and
// completes its receipt.
func (e *execution) run(tx Transaction, receipt *Receipt) error {
	start, before := e.save(), len(receipt.Events)
	for i, op := range tx.Ops {
		events, err := e.operate(tx, i, op.Action)
		if err == nil && len(receipt.Events)+len(events) > maxReceiptEvents {
			err = fmt.Errorf("chain: %w: the transaction makes more than %d events: send its operations in several", atp.ErrRefused, maxReceiptEvents)
		}
		if err == nil {
			receipt.Events = append(receipt.Events, events...)
			continue
		}
		if !errors.Is(err, atp.ErrRefused) {
			return internal(err)
		}
		e.rollback(start)
		receipt.Events = receipt.Events[:before]
		receipt.Code, receipt.Op, receipt.Detail = codeOf(err), uint64(i), detail(err)
		return nil
	}
	return nil
}

// operate executes one operation: one case for each kind.
func (e *execution) operate(tx Transaction, index int, action Action) ([]Event, error) {
	switch a := action.(type) {
	case *Transfer:
		if err := e.payable(a.To); err != nil {
			return nil, err
		}
		return told(e.ledger().Transfer(tx.From, a.To, a.Amount), &Transferred{tx.From, a.To, a.Amount})
	case *TransferLock:
		return e.openLock(tx, index, a)
	case *TransferCommit:
		lock, err := e.lockOf(a.Lock)
		if err != nil {
			return nil, err
		}
		return told(e.ledger().Commit(a.Lock, tx.From, e.clock), &LockCommitted{a.Lock, lock.Payer, lock.Payee.ID, lock.Amount})
	case *TransferRollback:
		lock, err := e.lockOf(a.Lock)
		if err != nil {
			return nil, err
		}
		return told(e.ledger().Rollback(a.Lock, tx.From, e.clock),
			&LockRolledBack{a.Lock, lock.Payer, lock.Payee.ID, lock.Amount, atp.OptionalID{ID: tx.From}})
	case *PlatformRegister:
		grant, err := e.register(tx.From, a.Platform)
		events, err := told(err, &PlatformRegistered{tx.From, a.Platform})
		if grant > 0 {
			events = append(events, Event{&Granted{tx.From, grant}})
		}
		return events, err
	case *FederationTask:
		return wrap(e.book().Post(posting(e.constants.Genesis, tx, index, a.Terms), e.clock))
	case *TaskAccept:
		return wrap(e.book().Accept(a.Task, tx.From, a.Bond, e.clock))
	case *FederationProof:
		return wrap(e.book().Prove(a.Task, tx.From, a.Proof, e.clock))
	case *TaskAcknowledge:
		return wrap(e.book().Acknowledge(a.Task, tx.From, a.Mark, e.clock))
	case *TaskCancel:
		return wrap(e.book().Cancel(a.Task, tx.From, e.clock))
	case *ValidatorJoin:
		return e.join(tx)
	case *ValidatorLeave:
		return e.leave(tx.From)
	case *ValidatorVote:
		return e.vote(tx.From, a)
	case *Evidence:
		return e.accuse(tx.From, a)
	case *KeyRotate:
		return e.rotate(tx.From, a)
	}
	if events, known, err := e.operateWitness(tx, index, action); known {
		return events, err
	}
	return nil, fmt.Errorf("%w: %T is not executed", ErrBroken, action)
}

func (e *execution) ledger() atp.Ledger { return atp.Ledger{State: e.draft} }
func (e *execution) book() task.Book    { return task.Book{State: e.draft} }

func (e *execution) openLock(tx Transaction, index int, a *TransferLock) ([]Event, error) {
	if err := e.payable(a.Payee); err != nil {
		return nil, err
	}
	if least := e.constants.Params.MinLock; a.Amount < least {
		return nil, fmt.Errorf("%w: of a lock: have %s ATP, want at least %s ATP", atp.ErrAmount, a.Amount, least)
	}
	if latest := e.header.Time.Add(e.constants.Params.MaxLock); a.Deadline > latest {
		return nil, fmt.Errorf("%w: have %d, want at most %d", ErrDeadline, a.Deadline, latest)
	}
	id, err := LockID(e.constants.Genesis, tx, index)
	if err != nil {
		return nil, err
	}
	lock := atp.Lock{ID: id, Payer: tx.From, Payee: atp.OptionalID{ID: a.Payee}, Amount: a.Amount, Deadline: a.Deadline}
	return told(e.ledger().Lock(lock, e.clock), &LockOpened{id, tx.From, a.Payee, a.Amount, a.Deadline})
}

// lockOf returns the lock that an operation or a deadline is about to end. One
// whose payee has another key by now is made over to that first.
func (e *execution) lockOf(id cid.Cid) (atp.Lock, error) {
	lock, ok, err := e.Lock(id)
	switch {
	case err != nil:
		return lock, err
	case !ok:
		return atp.Lock{}, fmt.Errorf("%w: %s", atp.ErrNoLock, id)
	case lock.Task || lock.Payee.IsZero():
		return lock, nil
	}
	now, err := e.newest(lock.Payee.ID)
	if err != nil || now == lock.Payee.ID {
		return lock, err
	}
	lock.Payee.ID = now
	return lock, e.SetLock(lock)
}

// expire does what is due for the task, the lock outside tasks, the holding of a
// bond, or the stake on its way back, with this ID.
func (e *execution) expire(id cid.Cid) ([]Event, error) {
	_, isTask, err := e.Task(id)
	if err != nil {
		return nil, err
	}
	if isTask {
		return wrap(e.book().Expire(id, e.clock))
	}
	h, isBond, err := e.held.get(id.KeyString())
	if err != nil {
		return nil, err
	}
	if isBond {
		return e.giveBack(h)
	}
	u, isStake, err := e.Unbonding(id)
	if err != nil {
		return nil, err
	}
	if isStake {
		return wrap(e.book().Release(u, e.clock))
	}
	lock, err := e.lockOf(id)
	if err != nil {
		return nil, err
	}
	return told(e.ledger().Expire(id, e.clock), &LockRolledBack{Lock: id, Payer: lock.Payer, Payee: lock.Payee.ID, Amount: lock.Amount})
}

// told returns the event of an operation that succeeded.
func told(err error, fact Fact) ([]Event, error) {
	if err != nil {
		return nil, err
	}
	return []Event{{fact}}, nil
}

// wrap turns the events of package task into the chain's.
func wrap(events []task.Event, err error) ([]Event, error) {
	if err != nil {
		return nil, err
	}
	out := make([]Event, len(events))
	for i, ev := range events {
		out[i] = Event{ev}
	}
	return out, nil
}

// internal gives an error that is no refusal its class, and no other.
func internal(err error) error {
	if errors.Is(err, ErrStorage) || errors.Is(err, ErrBroken) {
		return err
	}
	return fmt.Errorf("%w: %v", ErrBroken, err)
}

// maxDetail bounds the sentence of a receipt, in bytes.
const maxDetail = 500

func detail(err error) string {
	text := err.Error()
	if len(text) > maxDetail {
		text = text[:maxDetail]
	}
	return strings.ToValidUTF8(text, "")
}
