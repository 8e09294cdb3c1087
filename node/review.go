package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// review looks at a result of our task as a witness would, and says what it finds:
// what is as good as was asked for is acknowledged, what is not is disputed. What
// cannot be found out here is left to the operator, and to silence.
func (w *worker) review(ctx context.Context, t task.Task, last time.Duration) error {
	if w.n.cfg.NoReview {
		return nil
	}
	if err := w.n.judgesHere(t.Terms); err != nil {
		w.n.log.Info("a result is left to the operator", "task", t.ID, "err", err)
		return nil
	}
	found, err := w.lookAgain(ctx, t, w.left(t.Deadline)-last)
	if err != nil {
		return fmt.Errorf("node: the result was not examined, and is left to the operator: %w", err)
	}
	return w.answer(ctx, t, found)
}

// answer says what a look at a result of our task has found.
func (w *worker) answer(ctx context.Context, t task.Task, found verdict) error {
	if now, known, err := w.n.knownTask(t.ID); err != nil || !known || now.Stage != task.Proven {
		return err // it was answered meanwhile
	}
	if q, scored := found.answer.Score(); !scored {
		w.n.log.Warn("a result cannot be examined here, and is left to the operator", "task", t.ID, "why", found.why)
		return nil
	} else if !found.passes(t) {
		return w.dispute(ctx, t, found.why)
	} else {
		took := t.Proof.Record.Latency
		w.r.router.proved(t.Acceptance.Executor.ID, t.Terms.Type, time.Duration(took)*time.Millisecond)
		return w.acknowledge(ctx, t, q)
	}
}

// repeats reports whether we would execute a task of ours again: also one whose
// checker judges it, for there are no bytes to check.
func (w *worker) repeats(t task.Terms) bool {
	return !w.n.cfg.NoReview && t.Runtime == exec.WASMName && w.n.judgesHere(t) == nil
}

// repeat executes a task of ours again, since its executor does not serve us the
// result, and answers by what that gives. The result that was proved is ours then,
// as if it had been served. Where nothing is found out, nothing is answered.
func (w *worker) repeat(ctx context.Context, t task.Task, last time.Duration, unserved error) (answered bool, err error) {
	again := t
	again.Terms.Class = task.Recompute
	found, err := w.lookAgain(ctx, again, w.left(t.Deadline)-last)
	_, scored := found.answer.Score()
	same := err == nil && found.passes(again)
	switch {
	case ctx.Err() != nil:
		return true, nil
	case err != nil || !scored, !same && t.Terms.Class == task.Checker:
		w.n.log.Info("a result that is not served is not had by executing its task again", "task", t.ID, "why", found.why, "err", err)
		return false, nil
	case !same:
		return true, w.answer(ctx, t, found)
	}
	w.n.log.Warn("the executor does not serve its result, and our own run gives it", "task", t.ID, "executor", t.Acceptance.Executor.ID, "err", unserved)
	if err := w.keep(t, found.output); err != nil {
		return true, err
	}
	if t.Terms.Class == task.Checker {
		return true, w.collected(ctx, t, last)
	}
	w.n.hub.tell()
	return true, w.answer(ctx, t, found)
}

// keep stores the result of our task.
func (w *worker) keep(t task.Task, result []byte) error {
	if err := w.n.makeRoom(); err != nil {
		return err
	}
	return w.n.proved(t).receive(t.Proof.Result, func(to io.Writer) error {
		_, err := to.Write(result)
		return err
	})
}

// lookAgain examines a result in a slot, within a time.
func (w *worker) lookAgain(ctx context.Context, t task.Task, limit time.Duration) (found verdict, err error) {
	if limit <= 0 {
		return verdict{}, errors.New("node: no time is left")
	}
	window, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err = w.inSlot(window, func() (err error) {
		found, err = w.examine(window, t, limit)
		return err
	})
	return found, errors.Join(err, window.Err())
}

func (w *worker) acknowledge(ctx context.Context, t task.Task, mark task.PPM) error {
	err := w.submit(ctx, &chain.TaskAcknowledge{Task: t.ID, Mark: mark}, t.Deadline, func(a chain.Action) bool {
		p, ok := a.(*chain.TaskAcknowledge)
		return ok && p.Task == t.ID
	})
	return w.unlessMoved(t, err)
}

// dispute asks for witnesses of a result of our task.
func (w *worker) dispute(ctx context.Context, t task.Task, why string) error {
	w.n.log.Warn("result disputed", "task", t.ID, "executor", t.Acceptance.Executor.ID, "why", why)
	err := w.n.afford(w.r, w.chargesOf(t).Dispute)
	if err == nil {
		err = w.submit(ctx, &chain.TaskDispute{Task: t.ID}, t.Deadline, func(a chain.Action) bool {
			p, ok := a.(*chain.TaskDispute)
			return ok && p.Task == t.ID
		})
	}
	if err = w.unlessMoved(t, err); err != nil && ctx.Err() == nil {
		w.n.hub.alarm(fmt.Sprintf("the result of task %s is not what was asked for (%s), and could not be disputed: %v", t.ID, why, err))
	}
	return err
}

// chargesOf are those that an accepted task has fixed.
func (w *worker) chargesOf(t task.Task) task.Charges {
	return w.r.state().Params().Economy.Charges(t.Terms.Price, t.Acceptance.Seats)
}

// appeal calls upon everyone, where a committee has found against a result of
// ours that another look here finds good. What another look finds bad, or cannot
// be looked at, is left to the operator.
func (w *worker) appeal(ctx context.Context, t task.Task) error {
	if w.n.cfg.NoReview || w.n.judgesHere(t.Terms) != nil {
		return nil
	}
	left := w.left(t.Deadline)
	found, err := w.lookAgain(ctx, t, left-proving(left))
	if err != nil {
		return fmt.Errorf("node: the verdict was not looked at again, and is left to the operator: %w", err)
	}
	if !found.passes(t) {
		w.n.log.Warn("a verdict against this platform stands: another look agrees", "task", t.ID, "why", found.why)
		return nil
	}
	w.n.log.Warn("verdict appealed", "task", t.ID, "why", found.why)
	if err := w.n.afford(w.r, w.chargesOf(t).Appeal); err != nil {
		return err
	}
	err = w.submit(ctx, &chain.TaskAppeal{Task: t.ID}, t.Deadline, func(a chain.Action) bool {
		p, ok := a.(*chain.TaskAppeal)
		return ok && p.Task == t.ID
	})
	return w.unlessMoved(t, err)
}

// newcomerPrice is up to which price a platform that is not known yet sets nine
// times the price aside: an audit is then so rare that it costs an honest one
// next to nothing.
const (
	newcomerPrice            = 10 * atp.ATP
	newcomerBond  atp.Amount = 9
)

// bondFor is what this platform sets aside for a task: the least, or as a newcomer
// nine times the price, where that is small and in its means.
func (w *worker) bondFor(t task.Task) (atp.Amount, error) {
	charges, err := w.r.state().ChargesTo(w.n.id(), t)
	if err != nil {
		return 0, err
	}
	least := charges.MinBond(t.Terms.Class)
	if t.Terms.Class == task.Mutual || t.Terms.Price > newcomerPrice {
		return least, nil
	}
	account, err := w.r.state().Account(w.n.id())
	if err != nil {
		return 0, err
	}
	evidence, _, err := w.r.state().Evidence(task.Key{Who: w.n.id(), Role: task.Executor, Type: t.Terms.Type})
	if err != nil {
		return 0, err
	}
	bond := max(least, atp.MulDiv(t.Terms.Price, newcomerBond, 1))
	if known := evidence.For+evidence.Against >= task.S; known || bond > account.Available/maxBondShare {
		return least, nil
	}
	return bond, nil
}
