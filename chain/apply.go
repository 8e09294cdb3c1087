package chain

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// Result is what a block did.
type Result struct {
	State    State     // after the block; it reads Nodes before what is saved
	Receipts []Receipt // of each transaction, then of each deadline that fired
	Nodes    []Node    // to be saved with the block, by address
}

// Apply executes a block on the state of its parent. It is a pure function:
// the same state and block give the same result on every machine. If it fails
// nothing has changed, and the class says whose fault it was: [ErrInvalid] the
// proposer's, [ErrStorage] our own disk's, [ErrBroken] this program's.
//
// A block is invalid for a transaction that is of another chain, of a wrong
// nonce (so also for one listed twice), expired by the block's own time, over
// a limit, or unable to pay its fee. A transaction whose operations are refused
// does not make it so: that is told by a receipt, and its nonce and fee are
// spent.
//
// The signatures of the header's LastCommit are not Apply's matter, only that
// it names the parent: whoever takes in a fresh block checks them with a
// [bft.Verifier] before voting, and a block that is final has been so checked
// by a quorum.
func Apply(parent State, b Block) (Result, error) {
	if err := b.Header.check(); err != nil {
		return Result{}, err
	}
	e, err := begin(parent, b.Header)
	if err != nil {
		return Result{}, err
	}
	for i, tx := range b.Txs {
		if err := e.include(tx); err != nil {
			return Result{}, fmt.Errorf("block %d: transaction %d: %w", b.Header.Height, i, err)
		}
	}
	header, result, err := e.finish()
	if err != nil {
		return Result{}, err
	}
	return result, b.Header.same(header)
}

// Assemble makes a block on parent from a header with Time, Proposer,
// BeaconProof and LastCommit, which it completes, and from those candidates,
// in their order, that make no block invalid and fit its limits. The result is
// that of [Apply], which need not be called again.
func Assemble(parent State, h Header, candidates []VerifiedTx) (Block, Result, error) {
	h.Version, h.Height, h.Parent = BlockVersion, parent.tip.Height+1, parent.tip.ID
	e, err := begin(parent, h)
	if err != nil {
		return Block{}, Result{}, err
	}
	for _, tx := range candidates {
		if err := e.include(tx); err != nil && !errors.Is(err, ErrInvalid) {
			return Block{}, Result{}, err
		}
	}
	header, result, err := e.finish()
	if err != nil {
		return Block{}, Result{}, err
	}
	block := Block{header, e.txs}
	result.State.tip, err = header.Tip()
	return block, result, err
}

// execution is a block while it is executed.
type execution struct {
	*draft
	parent   State
	header   Header // its roots are not read
	clock    atp.Clock
	txs      []VerifiedTx
	bytes    uint64
	ops      uint64
	receipts []Receipt
}

// begin checks how the header stands on its parent.
func begin(parent State, h Header) (*execution, error) {
	tip := parent.tip
	switch {
	case h.Height != tip.Height+1 || h.Parent != tip.ID:
		return nil, fmt.Errorf("%w: have block %d on %s, want %d on %s", ErrInvalid, h.Height, h.Parent, tip.Height+1, tip.ID)
	case h.Time <= tip.Time:
		return nil, fmt.Errorf("%w: block %d: time %d, want later than its parent's %d", ErrInvalid, h.Height, h.Time, tip.Time)
	case h.LastCommit == nil && h.Height > 1:
		return nil, fmt.Errorf("%w: block %d: no certificate of its parent", ErrInvalid, h.Height)
	case h.LastCommit != nil && (h.Height == 1 || h.LastCommit.Height != tip.Height || h.LastCommit.Block != tip.ID):
		return nil, fmt.Errorf("%w: block %d: its certificate is not of its parent", ErrInvalid, h.Height)
	case !parent.validators.Contains(h.Proposer):
		return nil, fmt.Errorf("%w: block %d: proposer %s is not a validator", ErrInvalid, h.Height, h.Proposer)
	}
	e := &execution{
		draft:  newDraft(newOverlay(parent.nodes), parent.root, parent.constants),
		parent: parent, header: h,
		clock: atp.Clock{Parent: tip.Time, Block: h.Time},
	}
	return e, e.drawBeacon()
}

func (e *execution) drawBeacon() error {
	h := e.header
	v, _, err := e.validators.get(string(h.Proposer.ID))
	if err != nil {
		return err
	}
	e.root.Beacon, err = bft.NextBeacon(e.root.Beacon, h.Height, h.Proposer, h.BeaconProof, bft.Young(v.Joined, h.Height))
	if err != nil {
		return fmt.Errorf("%w: block %d: %w", ErrInvalid, h.Height, err)
	}
	return nil
}

// include executes one transaction. If the error wraps ErrInvalid nothing has
// changed, and a block with the transaction at this place would be invalid.
func (e *execution) include(v VerifiedTx) error {
	if err := e.admit(v); err != nil {
		return err
	}
	tx := v.tx
	receipt := Receipt{Subject: v.id}
	if tx.Fee > 0 {
		if err := e.ledger().Fee(tx.From, tx.Fee); err != nil {
			return err
		}
		receipt.Events = append(receipt.Events, Event{&FeePaid{tx.From, tx.Fee}})
	}
	account, err := e.Account(tx.From)
	if err != nil {
		return err
	}
	account.Nonce++
	if err := e.SetAccount(tx.From, account); err != nil {
		return err
	}
	if err := e.run(tx, &receipt); err != nil {
		return err
	}
	e.txs = append(e.txs, v)
	e.bytes += uint64(len(v.raw))
	e.ops += uint64(len(tx.Ops))
	e.receipts = append(e.receipts, receipt)
	return nil
}

// admit reports why a transaction cannot be in the block at this place.
func (e *execution) admit(v VerifiedTx) error {
	limits, tx := e.constants.Params.Limits, v.tx
	switch {
	case v.IsZero() || v.genesis != e.constants.Genesis:
		return fmt.Errorf("%w: a transaction of another chain", ErrSignature)
	case tx.Expires != 0 && tx.Expires < e.header.Time:
		return fmt.Errorf("%w: have %d, the block's time is %d", ErrExpired, tx.Expires, e.header.Time)
	case tx.Fee < e.constants.Params.MinFee:
		return fmt.Errorf("%w: fee: have %s ATP, want at least %s ATP", ErrLimit, tx.Fee, e.constants.Params.MinFee)
	case uint64(len(v.raw)) > limits.TxBytes:
		return fmt.Errorf("%w: bytes of a transaction: have %d, want at most %d", ErrLimit, len(v.raw), limits.TxBytes)
	case uint64(len(e.txs)) >= limits.Txs:
		return fmt.Errorf("%w: transactions: want at most %d", ErrLimit, limits.Txs)
	case e.bytes+uint64(len(v.raw)) > limits.BodyBytes:
		return fmt.Errorf("%w: bytes of all transactions: want at most %d", ErrLimit, limits.BodyBytes)
	case e.ops+uint64(len(tx.Ops)) > limits.Ops:
		return fmt.Errorf("%w: operations: want at most %d", ErrLimit, limits.Ops)
	}
	account, err := e.Account(tx.From)
	switch {
	case err != nil:
		return err
	case account.Nonce != tx.Nonce:
		return fmt.Errorf("%w: of %s: have %d, want %d", ErrNonce, tx.From, tx.Nonce, account.Nonce)
	case account.Available < tx.Fee:
		return fmt.Errorf("%w: fee of %s: have %s ATP, want %s ATP", ErrLimit, tx.From, account.Available, tx.Fee)
	}
	return nil
}

// run executes the operations of a transaction together or not at all, and
// completes its receipt.
func (e *execution) run(tx Transaction, receipt *Receipt) error {
	start, before := e.save(), len(receipt.Events)
	for i, op := range tx.Ops {
		events, err := e.operate(tx, i, op.Action)
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
	}
	return nil, fmt.Errorf("%w: %T is not executed", ErrBroken, action)
}

func (e *execution) ledger() atp.Ledger { return atp.Ledger{State: e.draft} }
func (e *execution) book() task.Book    { return task.Book{State: e.draft} }

func (e *execution) openLock(tx Transaction, index int, a *TransferLock) ([]Event, error) {
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

// lockOf returns the lock that an operation or a deadline is about to end.
func (e *execution) lockOf(id cid.Cid) (atp.Lock, error) {
	lock, ok, err := e.Lock(id)
	if err == nil && !ok {
		return atp.Lock{}, fmt.Errorf("%w: %s", atp.ErrNoLock, id)
	}
	return lock, err
}

// fire does what is due: the oldest deadlines first, as many as a block may.
func (e *execution) fire() error {
	if err := e.due.merge(); err != nil {
		return err
	}
	due, err := e.due.past(e.clock.Parent, int(e.constants.Params.Limits.Due))
	if err != nil {
		return err
	}
	for _, d := range due {
		events, err := e.expire(d.id)
		if err != nil {
			// What stands in Due is open, and its time has passed.
			return fmt.Errorf("%w: deadline of %s: %w", ErrBroken, d.id, err)
		}
		e.receipts = append(e.receipts, Receipt{Subject: d.id, Events: events})
	}
	return nil
}

// expire ends the task, or the lock outside tasks, with this ID.
func (e *execution) expire(id cid.Cid) ([]Event, error) {
	_, isTask, err := e.Task(id)
	if err != nil {
		return nil, err
	}
	if isTask {
		return wrap(e.book().Expire(id, e.clock))
	}
	lock, err := e.lockOf(id)
	if err != nil {
		return nil, err
	}
	return told(e.ledger().Expire(id, e.clock), &LockRolledBack{Lock: id, Payer: lock.Payer, Payee: lock.Payee.ID, Amount: lock.Amount})
}

// finish fires what is due, checks A2, writes the state and completes the
// header.
func (e *execution) finish() (Header, Result, error) {
	if err := e.fire(); err != nil {
		return Header{}, Result{}, err
	}
	if err := e.root.Totals.Check(); err != nil {
		return Header{}, Result{}, fmt.Errorf("%w: block %d: %w", ErrBroken, e.header.Height, err)
	}
	id, root, err := e.flush()
	if err != nil {
		return Header{}, Result{}, err
	}
	s := State{nodes: e.over.reader(), id: id, root: root, constants: e.constants, validators: e.parent.validators}
	if root.Validators != e.parent.root.Validators {
		if s.validators, err = loadValidators(e.over, root.Validators); err != nil {
			return Header{}, Result{}, err
		}
	}
	h := e.header
	h.StateRoot, h.ValidatorsHash = id, s.validators.Hash()
	if h.BodyRoot, err = listRoot(addresses(e.txs)); err != nil {
		return Header{}, Result{}, err
	}
	if h.ReceiptsRoot, err = receiptsRoot(e.receipts); err != nil {
		return Header{}, Result{}, err
	}
	if s.tip, err = h.Tip(); err != nil {
		return Header{}, Result{}, err
	}
	return h, Result{State: s, Receipts: e.receipts, Nodes: e.over.nodes()}, nil
}

// same reports whether a header claims what execution found.
func (h Header) same(found Header) error {
	for _, root := range []struct {
		name        string
		have, found cid.Cid
	}{
		{"body", h.BodyRoot, found.BodyRoot},
		{"receipts", h.ReceiptsRoot, found.ReceiptsRoot},
		{"state", h.StateRoot, found.StateRoot},
	} {
		if root.have != root.found {
			return fmt.Errorf("%w: block %d: %s root: have %s, want %s", ErrInvalid, h.Height, root.name, root.have, root.found)
		}
	}
	if h.ValidatorsHash != found.ValidatorsHash {
		return fmt.Errorf("%w: block %d: validators: have %x, want %x", ErrInvalid, h.Height, h.ValidatorsHash, found.ValidatorsHash)
	}
	return nil
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

// internal gives an error that is no refusal its class.
func internal(err error) error {
	if errors.Is(err, ErrStorage) || errors.Is(err, ErrBroken) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrBroken, err)
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
