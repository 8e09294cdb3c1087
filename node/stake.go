package node

import (
	"context"
	"fmt"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
)

// BondStake implements api.Wallet.
func (n *Node) BondStake(ctx context.Context, amount view.Amount) (view.Submission, error) {
	r, err := n.ready()
	if err != nil {
		return view.Submission{}, err
	}
	if err := n.afford(r, atp.Amount(amount)); err != nil {
		return view.Submission{}, err
	}
	tx, err := r.wallet.submit(ctx, &chain.StakeBond{Amount: atp.Amount(amount)}, 0)
	return view.Submission{TxID: viewCID(tx.ID())}, err
}

// UnbondStake implements api.Wallet.
func (n *Node) UnbondStake(ctx context.Context, amount view.Amount) (view.Submission, error) {
	r, err := n.ready()
	if err != nil {
		return view.Submission{}, err
	}
	state := r.state()
	stake, _, err := state.Stake(n.id())
	if err != nil {
		return view.Submission{}, err
	}
	if free := stake.Free(); atp.Amount(amount) > free {
		return view.Submission{}, &view.Error{
			Code:    view.CodeRefused,
			Message: fmt.Sprintf("the stake has %s ATP that no seat has reserved and that is not on its way back; %s ATP are asked for", free, amount),
			Hint:    "what seats have reserved is free when their tasks are settled, and the bond of a vote comes back with it: sage-p2p validator leave",
			Height:  view.Height(state.Tip().Height),
		}
	}
	tx, err := r.wallet.submit(ctx, &chain.StakeUnbond{Amount: atp.Amount(amount)}, 0)
	return view.Submission{TxID: viewCID(tx.ID())}, err
}

// viewStake shows a platform's stake, or nothing if it has none.
func viewStake(s task.Stake, known bool) *view.Stake {
	if !known {
		return nil
	}
	return &view.Stake{
		AmountUATP: view.Amount(s.Amount), FreeUATP: view.Amount(s.Free()), ReservedUATP: view.Amount(s.Reserved),
		LeavingUATP: view.Amount(s.Leaving), OpenSeats: s.Open,
	}
}

// A platform that works offers itself as a witness, where there can be witnesses
// at all: it bonds the least stake, and as much again as half of it for what may be
// slashed, unless that is more than a part of what it has.
const (
	enoughOwners  = 4 // two parties, and the two witnesses that an audit needs
	mostStakePart = 3 // of what is available, one in that many
)

// offerStake bonds the stake of a witness, once there are enough societies for one
// to be of use. What the operator has bonded already, or asks back, it leaves alone.
func (w *worker) offerStake(ctx context.Context) error {
	if w.n.cfg.NoWork || w.n.cfg.NoWitness || len(w.n.runtimes.Names()) == 0 {
		return nil
	}
	for {
		changed := w.n.hub.Changed()
		amount, settled, err := w.stakeToOffer()
		if err != nil {
			return ours(err)
		}
		if settled {
			return nil
		}
		if amount > 0 {
			err := w.submit(ctx, &chain.StakeBond{Amount: amount}, nowAtp().Add(atp.Day), func(a chain.Action) bool {
				_, is := a.(*chain.StakeBond)
				return is
			})
			if err != nil && ctx.Err() == nil {
				w.n.hub.alarm(fmt.Sprintf("this platform could not bond the stake of a witness, and is drawn as none: %v: try sage-p2p stake bond", err))
			}
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// stakeToOffer returns what to bond now, nothing while there is no use in it; or
// that there is nothing to bond any more.
func (w *worker) stakeToOffer() (amount atp.Amount, settled bool, err error) {
	state := w.r.state()
	stake, _, err := state.Stake(w.n.id())
	least := state.Params().Economy.LeastStake
	if err != nil || stake.Leaving > 0 || stake.Amount >= least {
		return 0, err == nil, err
	}
	_, registered, err := state.Platform(w.n.id())
	if err != nil || !registered || societiesOf(state) < enoughOwners {
		return 0, false, err
	}
	account, err := state.Account(w.n.id())
	amount = least + least/2 - stake.Amount
	if err != nil || amount > account.Available/mostStakePart {
		return 0, false, err
	}
	return amount, false, nil
}
