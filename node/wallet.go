package node

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/mempool"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/task"
)

// wallet makes the transactions of the platform's own account. They get their
// nonces one after the other: one that the mempool refuses leaves no gap.
type wallet struct {
	self    atp.ID
	genesis bft.GenesisHash
	state   func() chain.State // after the newest final block
	sign    func([]byte) (bft.Signature, error)
	give    func(replica.Input) bool

	turn sync.Mutex // held while a transaction is made
	next uint64     // guarded by turn: the nonce after the newest of ours

	mu      sync.Mutex
	waiting map[cid.Cid]chan error // guarded by mu: verdicts of the mempool
	took    latencies              // guarded by mu
}

// submit makes a transaction with one operation and returns when it is on the
// disk and on its way.
func (w *wallet) submit(ctx context.Context, a chain.Action) (chain.VerifiedTx, error) {
	w.turn.Lock()
	defer w.turn.Unlock()
	account, err := w.state().Account(w.self)
	if err != nil {
		return chain.VerifiedTx{}, err
	}
	w.next = max(w.next, account.Nonce)
	tx, err := chain.SignTx(bft.ZIP215{}, w.genesis, chain.Transaction{
		Version: chain.TxVersion, From: w.self, Nonce: w.next,
		Fee: w.state().Params().MinFee, Ops: []chain.Op{{Action: a}},
	}, w.sign)
	if err != nil {
		return chain.VerifiedTx{}, refuse(err)
	}
	if err := w.hand(ctx, tx); err != nil {
		return chain.VerifiedTx{}, err
	}
	w.next++
	return tx, nil
}

// resume takes over a nonce that a transaction of before the start has.
func (w *wallet) resume(nonce uint64) {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.next = max(w.next, nonce+1)
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
		if tx.Tx().From == w.self {
			w.took.final(tx.ID(), nowMillis())
		}
	}
}

// spentOn returns how long this platform's transactions for a task took to
// become final, in ms.
func (w *wallet) spentOn(id cid.Cid) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.took.spent[id]
}

// hand gives a transaction to the loop and waits for the mempool's verdict.
func (w *wallet) hand(ctx context.Context, tx chain.VerifiedTx) error {
	verdict := make(chan error, 1)
	w.mu.Lock()
	w.waiting[tx.ID()] = verdict
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.waiting, tx.ID())
		w.mu.Unlock()
	}()
	if !w.give(replica.Transactions{Txs: []chain.VerifiedTx{tx}, Local: true}) {
		return &view.Error{Code: view.CodeNotReady, Message: "the node is stopping", Hint: "try again once it runs", Retryable: true}
	}
	select {
	case err := <-verdict:
		return pooled(err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// verdicts hears what the mempool made of local transactions.
func (w *wallet) verdicts(list []replica.Verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range list {
		if back := w.waiting[v.ID]; v.Local && back != nil {
			back <- v.Err // has room for the one verdict
			delete(w.waiting, v.ID)
		}
	}
}

// pooled turns what the mempool says into what a user reads.
func pooled(err error) error {
	switch {
	case err == nil, errors.Is(err, mempool.ErrKnown):
		return nil
	case errors.Is(err, mempool.ErrFull):
		return &view.Error{Code: view.CodeFull, Message: err.Error(), Hint: "try again in a few seconds", Retryable: true}
	case errors.Is(err, chain.ErrInvalid):
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
		return &view.Error{Code: view.CodeUnsupported, Message: err.Error(), Hint: "use --verify mutual"}
	case errors.Is(err, atp.ErrRefused), errors.Is(err, chain.ErrInvalid):
		return &view.Error{Code: view.CodeRefused, Message: err.Error()}
	}
	return err
}

// afford refuses what the account cannot pay as of the newest final block.
func (n *Node) afford(r *running, parts ...atp.Amount) error {
	account, err := r.state().Account(n.id())
	if err != nil {
		return err
	}
	need := atp.Amount(0)
	for _, a := range append(parts, r.state().Params().MinFee) {
		if need, err = need.Add(a); err != nil {
			need = math.MaxUint64
			break
		}
	}
	if need > account.Available {
		return &view.Error{
			Code:    view.CodeInsufficient,
			Message: fmt.Sprintf("%s ATP are needed, and %s ATP are available", need, account.Available),
			Hint:    "see what is available: sage-p2p balance",
			Height:  view.Height(r.state().Tip().Height),
		}
	}
	return nil
}

// Transfer implements api.Wallet.
func (n *Node) Transfer(ctx context.Context, to peer.ID, amount view.Amount) (view.Submission, error) {
	r, payee, err := n.toward(to)
	if err != nil {
		return view.Submission{}, err
	}
	if err := n.afford(r, atp.Amount(amount)); err != nil {
		return view.Submission{}, err
	}
	tx, err := r.wallet.submit(ctx, &chain.Transfer{To: payee, Amount: atp.Amount(amount)})
	return view.Submission{TxID: viewCID(tx.ID())}, err
}

// CreateLock implements api.Wallet.
func (n *Node) CreateLock(ctx context.Context, to peer.ID, amount view.Amount, deadline view.Millis) (view.Submission, error) {
	r, payee, err := n.toward(to)
	if err != nil {
		return view.Submission{}, err
	}
	if err := n.afford(r, atp.Amount(amount)); err != nil {
		return view.Submission{}, err
	}
	if now := max(nowMillis(), uint64(r.state().Tip().Time)); uint64(deadline) <= now {
		return view.Submission{}, &view.Error{Code: view.CodeInvalid, Message: "the lock's deadline has passed already", Hint: "give a time to come, such as --until +30m"}
	}
	tx, err := r.wallet.submit(ctx, &chain.TransferLock{Payee: payee, Amount: atp.Amount(amount), Deadline: atp.Millis(deadline)})
	if err != nil {
		return view.Submission{}, err
	}
	id, err := chain.LockID(r.genesis, tx.Tx(), 0)
	return view.Submission{TxID: viewCID(tx.ID()), LockID: viewCID(id)}, err
}

// toward checks that somebody can be paid.
func (n *Node) toward(to peer.ID) (*running, atp.ID, error) {
	r, err := n.ready()
	if err != nil {
		return nil, atp.ID{}, err
	}
	payee, err := atp.IDFromPeer(to)
	if err != nil {
		return nil, atp.ID{}, &view.Error{Code: view.CodeInvalid, Message: err.Error(), Hint: "give a platform's name or peer ID"}
	}
	if payee == n.id() {
		return nil, atp.ID{}, &view.Error{Code: view.CodeInvalid, Message: "the payee is this platform itself", Hint: "name another platform"}
	}
	return r, payee, nil
}

// CommitLock implements api.Wallet.
func (n *Node) CommitLock(ctx context.Context, lock view.CID) (view.Submission, error) {
	return n.endLock(ctx, lock, &chain.TransferCommit{Lock: lock.Cid}, func(l atp.Lock) string {
		if l.Payer != n.id() {
			return "only its payer commits a lock"
		}
		return ""
	})
}

// RollbackLock implements api.Wallet.
func (n *Node) RollbackLock(ctx context.Context, lock view.CID) (view.Submission, error) {
	return n.endLock(ctx, lock, &chain.TransferRollback{Lock: lock.Cid}, func(l atp.Lock) string {
		if l.Payee.ID != n.id() && nowMillis() <= uint64(l.Deadline) {
			return "before its deadline only the payee gives a lock back"
		}
		return ""
	})
}

func (n *Node) endLock(ctx context.Context, id view.CID, a chain.Action, objection func(atp.Lock) string) (view.Submission, error) {
	r, err := n.ready()
	if err != nil {
		return view.Submission{}, err
	}
	lock, open, err := r.state().Lock(id.Cid)
	if err != nil {
		return view.Submission{}, err
	}
	height := view.Height(r.state().Tip().Height)
	switch {
	case !open:
		return view.Submission{}, &view.Error{
			Code: view.CodeRefused, Message: fmt.Sprintf("lock %s is not open: it ended, or never began", id),
			Hint: "list the open ones: sage-p2p lock list", Height: height,
		}
	case lock.Task:
		return view.Submission{}, &view.Error{
			Code: view.CodeRefused, Message: "this is a task's lock, which only its settlement ends",
			Hint: "see it: sage-p2p task show " + id.String(), Height: height,
		}
	}
	if why := objection(lock); why != "" {
		return view.Submission{}, &view.Error{Code: view.CodeRefused, Message: why, Hint: "list the open locks: sage-p2p lock list", Height: height}
	}
	tx, err := r.wallet.submit(ctx, a)
	return view.Submission{TxID: viewCID(tx.ID()), LockID: id}, err
}

// SubmitTx implements api.Wallet.
func (n *Node) SubmitTx(ctx context.Context, encoded []byte) (view.Submission, error) {
	r, err := n.ready()
	if err != nil {
		return view.Submission{}, err
	}
	tx, err := chain.DecodeTx(encoded)
	if err != nil {
		return view.Submission{}, &view.Error{Code: view.CodeInvalid, Message: err.Error(), Hint: "send one transaction in canonical DAG-CBOR"}
	}
	txs, err := verify(r.genesis, n.entropy, []chain.Transaction{tx})
	if err != nil {
		return view.Submission{}, &view.Error{Code: view.CodeInvalid, Message: err.Error(), Hint: fmt.Sprintf("sign it for the genesis %s", r.genesis)}
	}
	return view.Submission{TxID: viewCID(txs[0].ID())}, r.wallet.hand(ctx, txs[0])
}
