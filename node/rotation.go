package node

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// RotateKey implements api.Wallet. The new key is durable before its transaction
// leaves; the node goes over to it once the chain has (see package signer).
func (n *Node) RotateKey(ctx context.Context) (view.Submission, error) {
	r, err := n.ready()
	if err != nil {
		return view.Submission{}, err
	}
	state := r.state()
	if err := n.mayRotate(r, state); err != nil {
		return view.Submission{}, err
	}
	next, err := n.signer.NextKey()
	if err != nil {
		return view.Submission{}, ours(err)
	}
	to := atp.ID(next.ID())
	agreed := next.Sign(chain.RotationBytes(r.genesis, n.id(), to))
	tx, err := r.wallet.submit(ctx, &chain.KeyRotate{To: to, Signature: chain.FounderSignature(agreed)}, 0)
	return view.Submission{TxID: viewCID(tx.ID()), NewID: to.ID}, err
}

// mayRotate refuses what the ledger would.
func (n *Node) mayRotate(r *running, state chain.State) error {
	_, waits, err := n.ownPending(func(a chain.Action) bool { return a.Kind() == chain.OpKeyRotate })
	if err != nil {
		return err
	}
	refused := &view.Error{Code: view.CodeRefused, Height: view.Height(state.Tip().Height)}
	if waits {
		refused.Message, refused.Hint = "the key of this platform is being replaced already", "see how it stands: sage-p2p status"
		return refused
	}
	open, err := state.Burden(n.id())
	if err != nil {
		return err
	}
	if open != nil {
		refused.Message = open.Error()
		if refused.Hint, err = n.unburdening(state); err != nil {
			return err
		}
		return refused
	}
	return n.afford(r)
}

// unburdening says how what keeps this platform from another key ends.
func (n *Node) unburdening(state chain.State) (string, error) {
	stake, _, err := state.Stake(n.id())
	switch {
	case err != nil:
		return "", err
	case stake.Staying() > 0:
		return fmt.Sprintf("ask the stake of a witness back, and try again when it is here, %s later: sage-p2p stake unbond %s",
			time.Duration(state.Params().Economy.Unbonding)*time.Millisecond, stake.Staying()), nil
	case stake.Leaving > 0:
		return "the stake of a witness is on its way back: see sage-p2p balance", nil
	}
	return "see what is open: sage-p2p lock list, sage-p2p task list", nil
}

// watchKey ends the node with [ErrAgain] when the chain has another key in the place
// of this one: it begins anew with that.
func (r *running) watchKey(n *Node) error {
	for {
		changed := n.hub.Changed()
		now, err := r.state().Newest(n.id())
		switch {
		case err != nil:
			return ours(err)
		case now == n.id():
		case n.signer.HasNextKey(bft.ID(now)):
			if err := n.signer.Replaced(); err != nil {
				return ours(err)
			}
			n.log.Info("the key was replaced: the platform begins anew with the new one", "id", now)
			return ErrAgain
		default:
			n.hub.alarm(fmt.Sprintf("the key of this platform was replaced by %s, which this home does not have: put that key in as %s, or begin as a new platform in another --home",
				now, filepath.Join(n.cfg.Home, signer.NextKeyFile)))
			changed = nil
		}
		select {
		case <-changed:
		case <-r.ctx.Done():
			return nil
		}
	}
}
