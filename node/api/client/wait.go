package client

import (
	"context"
	"net/url"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// poll is how long one request of a wait lasts; a wait is as many as it takes.
const poll = 20 * time.Second

// WaitTx waits until a transaction is final or can never be. Whether its
// operations took effect is in the answer.
func (c *Client) WaitTx(ctx context.Context, tx view.CID) (view.Tx, error) {
	q := url.Values{"wait": {"final"}, "timeout": {poll.String()}}
	for {
		v, err := get[view.Tx](ctx, c, path("txs", tx.String()), q)
		if err != nil || v.State != view.TxPending {
			return v, err
		}
	}
}

// WaitTask waits until a task has moved on from state, or is settled.
func (c *Client) WaitTask(ctx context.Context, task string, from view.TaskState) (view.Task, error) {
	q := url.Values{"wait": {"moved"}, "from": {string(from)}, "timeout": {poll.String()}}
	for {
		v, err := get[view.Task](ctx, c, path("tasks", task), q)
		if err != nil || v.State != from || v.State == view.TaskSettled {
			return v, err
		}
	}
}

// WaitSettled waits until a task is settled. It calls progress, if there is
// one, with each state on the way that it sees.
func (c *Client) WaitSettled(ctx context.Context, task string, progress func(view.Task)) (view.Task, error) {
	t, err := c.Task(ctx, task)
	for err == nil {
		if progress != nil {
			progress(t)
		}
		if t.State == view.TaskSettled {
			break
		}
		t, err = c.WaitTask(ctx, task, t.State)
	}
	return t, err
}
