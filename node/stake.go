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
