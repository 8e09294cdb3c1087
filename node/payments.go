package node

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

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
	tx, err := r.wallet.submit(ctx, &chain.Transfer{To: payee, Amount: atp.Amount(amount)}, 0)
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
	if err := checkLock(r.state(), atp.Amount(amount), atp.Millis(deadline)); err != nil {
		return view.Submission{}, err
	}
	tx, err := r.wallet.submit(ctx, &chain.TransferLock{Payee: payee, Amount: atp.Amount(amount), Deadline: atp.Millis(deadline)}, 0)
	if err != nil {
		return view.Submission{}, err
	}
	id, err := chain.LockID(r.genesis, tx.Tx(), 0)
	return view.Submission{TxID: viewCID(tx.ID()), LockID: viewCID(id)}, err
}

// checkLock refuses a lock that the ledger would refuse.
func checkLock(s chain.State, amount atp.Amount, deadline atp.Millis) error {
	now := max(nowAtp(), s.Tip().Time)
	p := s.Params()
	switch {
	case amount < p.MinLock:
		return &view.Error{
			Code: view.CodeInvalid, Message: fmt.Sprintf("a lock of %s ATP: want at least %s ATP", amount, p.MinLock),
			Hint: "pay so little at once: sage-p2p transfer",
		}
	case deadline <= now:
		return &view.Error{Code: view.CodeInvalid, Message: "the lock's deadline has passed already", Hint: "give a time to come, such as --until +30m"}
	case deadline > now.Add(p.MaxLock):
		return &view.Error{
			Code: view.CodeInvalid, Message: fmt.Sprintf("the lock would last longer than %s, the most that is allowed", lasting(p.MaxLock)),
			Hint: "end it sooner, such as --until +" + lasting(justBelow(p.MaxLock)),
		}
	}
	return nil
}

// justBelow is a round length of time below d: clocks differ, and the block that
// takes a deadline is not made yet.
func justBelow(d atp.Span) atp.Span {
	unit := atp.Second
	for _, u := range []atp.Span{60 * atp.Second, 3600 * atp.Second} {
		if d > 2*u {
			unit = u
		}
	}
	return max((d-1)/unit*unit, 1)
}

// lasting is a length of time without the minutes and seconds that it has none of.
func lasting(d atp.Span) string {
	text := (time.Duration(d) * time.Millisecond).String()
	for _, none := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, none) {
			text = text[:len(text)-len("0s")]
		}
	}
	return text
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
	tx, err := r.wallet.submit(ctx, a, 0)
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
	id, err := tx.ID()
	if err != nil {
		return view.Submission{}, &view.Error{Code: view.CodeInvalid, Message: err.Error()}
	}
	if err := r.wallet.awaitCurrent(ctx); err != nil {
		return view.Submission{}, err
	}
	return view.Submission{TxID: viewCID(id)}, r.wallet.hand(ctx, slip{signed: tx})
}
