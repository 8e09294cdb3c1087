package node

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// TaskLogs implements api.Asks.
func (n *Node) TaskLogs(ctx context.Context, id view.CID, follow bool, tell func([]byte) error) error {
	r, err := n.ready()
	if err != nil {
		return err
	}
	t, err := n.begunTask(ctx, r, id, follow, tell)
	if err != nil {
		return err
	}
	if t.Acceptance.Executor.ID == n.id() {
		own, err := n.ownTale(r, id.Cid, wire.Logs)
		if err != nil {
			return err
		}
		return retell(ctx, own, follow, tell)
	}
	heard := newTale(exec.MaxLogs)
	if !follow {
		if err := n.hear(ctx, t, wire.Logs, heard, false); err != nil {
			return unheard(err)
		}
		heard.end()
		return retell(ctx, heard, true, tell)
	}
	listening, stop := context.WithCancel(ctx)
	defer stop()
	both, _ := errgroup.WithContext(listening)
	both.Go(func() error {
		defer heard.end()
		return unheard(n.hearOut(listening, id.Cid, wire.Logs, heard))
	})
	both.Go(func() error {
		defer stop() // who does not listen any more need not be told
		return retell(listening, heard, true, tell)
	})
	return both.Wait()
}

// unheard says that the executor could not be heard.
func unheard(err error) error {
	if err == nil {
		return nil
	}
	return &view.Error{
		Code: view.CodeGone, Message: "its executor did not tell the logs: " + err.Error(), Retryable: true,
		Hint: "it tells them while it is connected, and keeps those of its newest tasks: sage-p2p peers",
	}
}

// retell tells what a tale tells, until it is over or, without follow, all of it
// was told.
func retell(ctx context.Context, t *tale, follow bool, tell func([]byte) error) error {
	begun, from := uint64(0), 0
	for {
		at := t.look(begun, from)
		begun, from = at.begun, at.from+len(at.piece)
		if len(at.piece) > 0 {
			if err := tell(at.piece); err != nil {
				return err
			}
		}
		if at.over || !follow {
			return nil
		}
		select {
		case <-at.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// begunTask returns a task of this platform that somebody has accepted; with
// wait, as soon as somebody has. Who waits is told nothing, at once.
func (n *Node) begunTask(ctx context.Context, r *running, id view.CID, wait bool, tell func([]byte) error) (task.Task, error) {
	for told := false; ; told = true {
		changed := n.hub.Changed()
		t, _, err := n.anyTask(r, id)
		switch {
		case err != nil:
			return t, err
		case !isParty(t, n.id()):
			return t, &view.Error{
				Code: view.CodeRefused, Message: "the task is between others: only its requester and its executor see its logs",
				Hint: "ask one of them, whom sage-p2p task show names",
			}
		case t.Acceptance == nil && (!wait || t.Stage == task.Settled):
			return t, &view.Error{
				Code: view.CodeNotFound, Message: "the task has no logs: nobody has worked on it", Retryable: t.Stage != task.Settled,
				Hint: "see how it stands with: sage-p2p task show " + id.String(),
			}
		}
		if wait && !told {
			if err := tell(nil); err != nil {
				return t, err
			}
		}
		if t.Acceptance != nil {
			return t, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return t, ctx.Err()
		}
	}
}

// isParty reports whether who posted the task, or is its executor or to be it.
func isParty(t task.Task, who atp.ID) bool { return t.Requester.ID == who || executes(t, who) }
