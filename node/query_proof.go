package node

import (
	"context"
	"errors"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
)

// TaskReceipt implements api.Proofs. It reads the blocks that the task's index
// names, and those that changed the validators.
func (n *Node) TaskReceipt(ctx context.Context, id view.CID) ([]byte, error) {
	r, err := n.ready()
	if err != nil {
		return nil, err
	}
	t, known, err := n.knownTask(id.Cid)
	if err != nil {
		return nil, err
	}
	if !known || t.Stage != task.Settled {
		return nil, n.unsettled(ctx, r, id)
	}
	history, err := n.store.TaskHistory(id.Cid)
	if err != nil {
		return nil, err
	}
	var places []chain.ReceiptPlace
	for _, h := range history {
		place := chain.ReceiptPlace{Height: h.Height, Position: h.Receipt}
		if len(places) == 0 || places[len(places)-1] != place {
			places = append(places, place)
		}
	}
	p, err := chain.ProveTask(n.store, r.genesis, id.Cid, places)
	return written(p, err)
}

// unsettled says why there is no receipt of a task.
func (n *Node) unsettled(ctx context.Context, r *running, id view.CID) error {
	v, err := n.Task(ctx, id)
	if err != nil {
		return err
	}
	return &view.Error{
		Code: view.CodeRefused, Message: "there is no receipt yet: the task is " + string(v.State) + ", and nothing of it is paid out",
		Hint: "wait for its end with: sage-p2p task wait " + id.String(), Retryable: true, Height: view.Height(r.state().Tip().Height),
	}
}

// AccountProof implements api.Proofs. It reads the path to the account, and the
// blocks that changed the validators.
func (n *Node) AccountProof(_ context.Context, id peer.ID) ([]byte, error) {
	r, err := n.ready()
	if err != nil {
		return nil, err
	}
	who, err := atp.IDFromPeer(id)
	if err != nil {
		return nil, &view.Error{Code: view.CodeInvalid, Message: err.Error()}
	}
	head, err := n.store.Head()
	if err != nil {
		return nil, err
	}
	if head.Height == 0 {
		return nil, &view.Error{
			Code: view.CodeRefused, Message: "no block is final yet, so no certificate speaks of any account: all have what the genesis gave them",
			Hint: "a first transaction makes a first block", Retryable: true,
		}
	}
	p, err := chain.ProveAccount(n.store, r.genesis, who, head.Height)
	return written(p, err)
}

// written is a proof as a file holds it, unless it would be too large.
func written(p chain.Proof, err error) ([]byte, error) {
	var raw []byte
	if err == nil {
		raw, err = p.Encode()
	}
	if errors.Is(err, chain.ErrLimit) {
		return nil, &view.Error{Code: view.CodeUnsupported, Message: err.Error(), Hint: "check the whole chain instead, on a stopped node: sage-p2p chain check"}
	}
	return raw, err
}
