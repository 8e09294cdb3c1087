package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// submit makes a transaction, unless one of before a restart says the same, and
// waits until it is final. It tries again while there is no room for it, until
// the deadline has passed.
func (w *worker) submit(ctx context.Context, a chain.Action, deadline atp.Millis, same func(chain.Action) bool) error {
	tx, waits, err := w.n.ownPending(same)
	if err != nil || waits {
		return errors.Join(err, w.final(ctx, tx.ID()))
	}
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		tx, err := w.r.wallet.submit(ctx, a, deadline.Add(expiryGrace))
		if err == nil {
			return w.final(ctx, tx.ID())
		}
		var no *view.Error
		if !errors.As(err, &no) || !no.Retryable || w.left(deadline) <= 0 {
			return err
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

// ownPending returns a transaction of ours that is not final yet and does what
// is asked for.
func (n *Node) ownPending(does func(chain.Action) bool) (chain.VerifiedTx, bool, error) {
	locals, err := n.store.Locals()
	if err != nil {
		return chain.VerifiedTx{}, false, err
	}
	for _, tx := range locals {
		for _, op := range tx.Tx().Ops {
			if tx.Tx().From == n.id() && does(op.Action) {
				return tx, true, nil
			}
		}
	}
	return chain.VerifiedTx{}, false, nil
}

// errGivenUp reports a transaction that no block can hold any more.
var errGivenUp = errors.New("node: transaction was in no block in time")

// final waits until a transaction of ours is final, and returns why its
// operations failed, if they did.
func (w *worker) final(ctx context.Context, id cid.Cid) error {
	for {
		changed := w.n.hub.Changed()
		_, gaveUp := w.r.wallet.gaveUp(id) // before looking: what is final has been given up too
		tx, ok, err := w.n.finalTx(id)
		switch {
		case err != nil:
			return err
		case ok && !tx.Receipt.OK():
			return fmt.Errorf("node: refused in block %d: %s", tx.Height, tx.Receipt.Detail)
		case ok:
			return nil
		case gaveUp:
			return fmt.Errorf("%w: %s", errGivenUp, id)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
