package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/mempool"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/task"
)

// wallet makes the transactions of the platform's own account, each with the
// first nonce that is free: one that the mempool refuses, or that no block can
// hold any more, leaves no gap for those after it to wait behind for ever.
type wallet struct {
	self    atp.ID
	genesis bft.GenesisHash
	state   func() chain.State // after the newest final block
	current <-chan struct{}    // closed once that state can be trusted to be new
	ended   <-chan struct{}    // closed when the loop has ended
	sign    func([]byte) (bft.Signature, error)
	give    func(replica.Input) bool
	known   *known

	desk chan slip     // to the clerk
	turn chan struct{} // holds one token while a transaction is made

	mu       sync.Mutex
	pending  map[uint64]cid.Cid           // guarded by mu: of our own that are not final, by nonce
	kept     map[cid.Cid]chain.VerifiedTx // guarded by mu: transactions on disk that are not final, anybody's
	handed   map[cid.Cid]handedTx         // guarded by mu: that await the verdict of the mempool
	hopeless map[cid.Cid]bool             // guarded by mu: kept ones that the mempool will never take
	dropped  map[cid.Cid]chain.VerifiedTx // guarded by mu: given up, for those who ask; at most maxDropped
	took     latencies                    // guarded by mu
}

// handedTx is a transaction that the loop was given, and who awaits its verdict.
type handedTx struct {
	tx      chain.VerifiedTx
	verdict chan<- error
}

// Bounds of the wallet.
const (
	maxLocals  = 1024 // transactions made here that wait on disk
	maxDropped = 256
)

// Patience of the wallet.
const (
	// currentPatience is how long a transaction waits, after the start, for the
	// chain here to be as new as the others'.
	currentPatience = 10 * time.Second
	// expiryGrace is how long after its end a transaction may still be in a
	// block: validators refuse a block whose time is that far behind.
	expiryGrace = 60 * atp.Second
)

func newWallet(self atp.ID, r *running, sign func([]byte) (bft.Signature, error)) *wallet {
	return &wallet{
		self: self, genesis: r.genesis, state: r.state, current: r.current, ended: r.ctx.Done(), sign: sign, give: r.wires.give,
		known: r.wires.known, desk: make(chan slip), turn: make(chan struct{}, 1), pending: map[uint64]cid.Cid{}, kept: map[cid.Cid]chain.VerifiedTx{}, handed: map[cid.Cid]handedTx{},
		hopeless: map[cid.Cid]bool{}, dropped: map[cid.Cid]chain.VerifiedTx{}, took: newLatencies(),
	}
}

// submit makes a transaction with one operation, which no block past a time may
// hold unless that is zero, and returns when it is on the disk and on its way.
func (w *wallet) submit(ctx context.Context, a chain.Action, expires atp.Millis) (chain.VerifiedTx, error) {
	if err := w.awaitCurrent(ctx); err != nil {
		return chain.VerifiedTx{}, err
	}
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return chain.VerifiedTx{}, ctx.Err()
	}
	return w.make(ctx, a, expires)
}

// make is submit for who has the turn.
func (w *wallet) make(ctx context.Context, a chain.Action, expires atp.Millis) (chain.VerifiedTx, error) {
	state := w.state()
	account, err := state.Account(w.self)
	if err != nil {
		return chain.VerifiedTx{}, err
	}
	nonce := w.free(account.Nonce)
	tx, err := chain.SignTx(bft.ZIP215{}, w.genesis, chain.Transaction{
		Version: chain.TxVersion, From: w.self, Nonce: nonce, Expires: expires,
		Fee: state.Params().MinFee, Ops: []chain.Op{{Action: a}},
	}, w.sign)
	if err != nil {
		return chain.VerifiedTx{}, refuse(err)
	}
	if err := w.hand(ctx, slip{verified: tx}); err != nil {
		return chain.VerifiedTx{}, err
	}
	return tx, nil
}

// closeGap fills the nonce that a transaction of ours has left which no block can
// hold any more, if others stand behind it: they would wait for ever, and whoever
// made them would make them again. What fills it pays 0.000001 ATP to ourselves.
func (w *wallet) closeGap(ctx context.Context) error {
	select {
	case <-w.current:
	default:
		return nil // in an old state what is final looks like a gap
	}
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return nil
	}
	for {
		account, err := w.state().Account(w.self)
		if err != nil || !w.stranded(w.free(account.Nonce)) {
			return err
		}
		if _, err := w.make(ctx, &chain.Transfer{To: w.self, Amount: 1}, 0); err != nil {
			return err
		}
	}
}

// stranded reports whether something of ours waits behind a nonce.
func (w *wallet) stranded(nonce uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := range w.pending {
		if n > nonce {
			return true
		}
	}
	return false
}

// awaitCurrent waits until the state can be trusted to be new: a nonce of an old
// one is spent already.
func (w *wallet) awaitCurrent(ctx context.Context) error {
	t := time.NewTimer(currentPatience)
	defer t.Stop()
	select {
	case <-w.current:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.ended:
		return errStopping()
	case <-t.C:
		return &view.Error{
			Code: view.CodeNotReady, Retryable: true, Hint: "see who is connected: sage-p2p validators",
			Message: "since its start this node has not reached enough validators to know that its chain is the newest",
		}
	}
}

func errStopping() error {
	return &view.Error{Code: view.CodeNotReady, Message: "the node is stopping", Hint: "try again once it runs", Retryable: true}
}

// free returns the first nonce that nothing of ours has, given the account's.
func (w *wallet) free(next uint64) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for nonce := range w.pending {
		if nonce < next {
			delete(w.pending, nonce)
		}
	}
	for w.pending[next].Defined() {
		next++
	}
	return next
}

// resume takes over the transactions of before the start, before the first new
// one is made.
func (w *wallet) resume(locals []chain.VerifiedTx) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, tx := range locals {
		w.keep(tx)
	}
}

// sort parts the transactions that are kept here, and not final, in those that
// no block can hold any more and the others.
func (w *wallet) sort(locals []chain.VerifiedTx, now atp.Millis) (dead []cid.Cid, alive []chain.VerifiedTx, err error) {
	state := w.state()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, tx := range locals {
		account, err := state.Account(tx.Tx().From)
		if err != nil {
			return nil, nil, err
		}
		t := tx.Tx()
		over := t.Expires != 0 && (t.Expires <= state.Tip().Time || t.Expires.Add(expiryGrace) < now)
		if t.Nonce >= account.Nonce && !over && !w.hopeless[tx.ID()] {
			alive = append(alive, tx)
			continue
		}
		dead = append(dead, tx.ID())
		w.drop(tx)
	}
	return dead, alive, nil
}

// drop forgets a transaction that will never be final. The caller holds mu.
func (w *wallet) drop(tx chain.VerifiedTx) {
	delete(w.hopeless, tx.ID())
	delete(w.kept, tx.ID())
	if nonce := tx.Tx().Nonce; tx.Tx().From == w.self && w.pending[nonce] == tx.ID() {
		delete(w.pending, nonce)
	}
	if len(w.dropped) >= maxDropped {
		clear(w.dropped)
	}
	w.dropped[tx.ID()] = tx
}

// waiting returns a transaction that was made here and is not final yet. It is
// let go of only once readers see it as final.
func (w *wallet) waiting(id cid.Cid) (chain.VerifiedTx, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tx, ok := w.kept[id]
	return tx, ok
}

// allWaiting returns all of them, in no order.
func (w *wallet) allWaiting() []chain.VerifiedTx {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Values(w.kept))
}

// gaveUp returns a transaction that was made here and given up.
func (w *wallet) gaveUp(id cid.Cid) (chain.VerifiedTx, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tx, ok := w.dropped[id]
	return tx, ok
}

// about notes that a transaction made just now is part of a task.
func (w *wallet) about(tx, of cid.Cid) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took.sent(tx, of, nowMillis())
}

// final notes that transactions are final.
func (w *wallet) final(txs []chain.VerifiedTx) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, tx := range txs {
		delete(w.kept, tx.ID())
		w.took.final(tx.ID(), nowMillis())
	}
}

// timesOf returns when a transaction made here was submitted, and when it was
// final, in Unix ms; 0 for what is not known.
func (w *wallet) timesOf(id cid.Cid) (submitted, final uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := w.took.times[id]
	return i.from, i.to
}

// spentOn returns how long this platform's transactions for a task took to
// become final, in ms.
func (w *wallet) spentOn(id cid.Cid) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.took.spent[id]
}

// expect has the verdict on a transaction told.
func (w *wallet) expect(tx chain.VerifiedTx, verdict chan<- error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch _, twice := w.handed[tx.ID()]; {
	case len(w.kept) >= maxLocals:
		return &view.Error{Code: view.CodeFull, Message: fmt.Sprintf("%d transactions made here wait already", len(w.kept)), Hint: "try again in a few seconds", Retryable: true}
	case twice:
		return &view.Error{Code: view.CodeRefused, Message: "the same transaction is being submitted already", Retryable: true}
	}
	w.handed[tx.ID()] = handedTx{tx, verdict}
	w.took.began(tx.ID(), nowMillis())
	return nil
}

// verdicts hears, from the loop, what the mempool made of local transactions.
func (w *wallet) verdicts(list []replica.Verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range list {
		h, ours := w.handed[v.ID]
		switch {
		case !v.Local:
		case ours:
			if v.Err == nil || errors.Is(v.Err, mempool.ErrKnown) {
				w.keep(h.tx)
			}
			h.verdict <- v.Err // has room for the one verdict
			delete(w.handed, v.ID)
		case errors.Is(v.Err, mempool.ErrUnderpriced), errors.Is(v.Err, chain.ErrInvalid):
			w.hopeless[v.ID] = true
		}
	}
}

// keep notes a transaction that is on the disk until it is final. The caller
// holds mu.
func (w *wallet) keep(tx chain.VerifiedTx) {
	w.kept[tx.ID()] = tx
	if tx.Tx().From == w.self {
		w.pending[tx.Tx().Nonce] = tx.ID()
	}
}

// pooled turns what the mempool says into what a user reads.
func pooled(err error) error {
	switch {
	case err == nil, errors.Is(err, mempool.ErrKnown):
		return nil
	case errors.Is(err, mempool.ErrFull), errors.Is(err, mempool.ErrAhead):
		return &view.Error{Code: view.CodeFull, Message: err.Error(), Hint: "try again in a few seconds", Retryable: true}
	case errors.Is(err, mempool.ErrFunds):
		return &view.Error{Code: view.CodeInsufficient, Message: err.Error(), Hint: "see what is available: sage-p2p balance"}
	case errors.Is(err, mempool.ErrStale), errors.Is(err, mempool.ErrUnderpriced), errors.Is(err, chain.ErrInvalid):
		return &view.Error{Code: view.CodeRefused, Message: err.Error()}
	}
	return refuse(err)
}

// refuse turns a refusal of the rules into what a user reads, and leaves any
// other error as it is: the node's own fault.
func refuse(err error) error {
	switch {
	case errors.Is(err, atp.ErrInsufficient):
		return &view.Error{Code: view.CodeInsufficient, Message: err.Error(), Hint: "see what is available: sage-p2p balance"}
	case errors.Is(err, task.ErrClass):
		return &view.Error{Code: view.CodeUnsupported, Message: err.Error(), Hint: "use --verify mutual, or have more platforms bond stakes: sage-p2p stake bond"}
	case errors.Is(err, atp.ErrRefused), errors.Is(err, chain.ErrInvalid):
		return &view.Error{Code: view.CodeRefused, Message: err.Error()}
	}
	return err
}
