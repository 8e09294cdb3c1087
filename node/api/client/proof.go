package client

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// TaskReceipt returns the proof of what became of a settled task, given by ID
// or an unambiguous part of one. It proves nothing before it is verified.
func (c *Client) TaskReceipt(ctx context.Context, task string) ([]byte, error) {
	return c.proof(ctx, path("tasks", task, "receipt"))
}

// AccountProof returns the proof of what an account holds after the newest
// final block, given by name, peer ID or an unambiguous part of one. It proves
// nothing before it is verified.
func (c *Client) AccountProof(ctx context.Context, account string) ([]byte, error) {
	return c.proof(ctx, path("accounts", account, "proof"))
}

func (c *Client) proof(ctx context.Context, path string) ([]byte, error) {
	resp, err := c.do(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if t := resp.Header.Get("Content-Type"); t != view.ProofType {
		return nil, fmt.Errorf("%w: a proof of type %.40q", errForeign, t)
	}
	proof, err := io.ReadAll(io.LimitReader(resp.Body, view.MaxProof+1))
	if err != nil {
		return nil, fmt.Errorf("client: read the proof: %w", unwrapContext(ctx, err))
	}
	if len(proof) > view.MaxProof {
		return nil, fmt.Errorf("%w: a proof of more than %d bytes", errForeign, view.MaxProof)
	}
	return proof, nil
}
