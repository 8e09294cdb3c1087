package apitest

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// TaskReceipt implements api.Proofs: for a settled task, bytes that name it.
func (n *Node) TaskReceipt(ctx context.Context, id view.CID) ([]byte, error) {
	t, err := n.Task(ctx, id)
	if err != nil {
		return nil, err
	}
	if t.State != view.TaskSettled {
		return nil, &view.Error{Code: view.CodeRefused, Message: "there is no receipt yet: the task is " + string(t.State), Retryable: true}
	}
	return []byte("receipt of " + id.String()), nil
}

// AccountProof implements api.Proofs: bytes that name the account.
func (n *Node) AccountProof(_ context.Context, id peer.ID) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return []byte("proof of " + id.String()), n.Fail
}
