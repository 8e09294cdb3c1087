package chain

import (
	"errors"
	"fmt"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// Result is what a block did.
type Result struct {
	State    State     // after the block; it reads Nodes before what is saved
	Receipts []Receipt // of each transaction, of each deadline that fired, of the validators if they changed
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
	if err := b.Header.claims(header); err != nil {
		return Result{}, err
	}
	return result, nil
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
	return Block{header, e.txs}, result, nil
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
	case !tip.certifiedBy(h.LastCommit):
		return nil, fmt.Errorf("%w: block %d: its certificate is not of its parent", ErrInvalid, h.Height)
	case !parent.validators.Contains(h.Proposer):
		return nil, fmt.Errorf("%w: block %d: proposer %s is not a validator", ErrInvalid, h.Height, h.Proposer)
	}
	e := &execution{
		draft:  newDraft(newOverlay(parent.nodes), parent.root, parent.constants),
		parent: parent, header: h,
		clock: atp.Clock{Parent: tip.Time, Block: h.Time},
	}
	if err := e.drawBeacon(); err != nil {
		return nil, err
	}
	return e, e.seeSigners()
}

func (e *execution) drawBeacon() error {
	h := e.header
	v, _, err := e.validators.get(string(h.Proposer.ID))
	if err != nil {
		return err
	}
	young := bft.Young(v.Joined, h.Height)
	e.root.Beacon, err = bft.NextBeacon(e.parent.beaconScheme(), e.root.Beacon, h.Height, h.Proposer, h.BeaconProof, young)
	e.block = task.Block{
		Genesis: e.constants.Genesis, Height: task.Height(h.Height), Beacon: task.Beacon(e.root.Beacon),
		Proposer: atp.ID(h.Proposer), Young: young,
	}
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
			return internal(err) // admit has seen that it is there
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
	if err := e.see(tx.From); err != nil {
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
			// No refusal either: what stands in Due is open, and its time is past.
			return internal(fmt.Errorf("deadline of %s: %w", d.id, err))
		}
		if len(events) > 0 { // a task may still wait for its beacon
			e.receipts = append(e.receipts, Receipt{Subject: d.id, Events: events})
		}
	}
	return nil
}

// finish fires what is due, changes the validators, notes who could witness, checks A2, writes the state and completes the
// header.
func (e *execution) finish() (Header, Result, error) {
	if err := e.fire(); err != nil {
		return Header{}, Result{}, err
	}
	if err := e.renew(); err != nil {
		return Header{}, Result{}, err
	}
	if err := e.summon(); err != nil {
		return Header{}, Result{}, err
	}
	if err := e.root.Totals.Check(); err != nil {
		return Header{}, Result{}, fmt.Errorf("%w: block %d: %w", ErrBroken, e.header.Height, err)
	}
	e.root.Decided = e.parent.root.Validators
	id, root, err := e.flush()
	if err != nil {
		return Header{}, Result{}, err
	}
	s := e.parent
	s.nodes, s.id, s.root, s.decided = e.over.reader(), id, &root, e.parent.validators
	if root.Validators != e.parent.root.Validators {
		if s.validators, err = loadValidators(e.over, root.Validators); err != nil {
			return Header{}, Result{}, err
		}
	}
	h := e.header
	h.StateRoot, h.ValidatorsHash = id, s.validators.Hash()
	if h.BodyRoot, err = BodyRoot(addresses(e.txs)); err != nil {
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
