package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// errNotSworn reports a seat whose answer is not in the journal: it cannot be
// revealed, and none but it may be.
var errNotSworn = errors.New("node: the answer that this platform has committed to is not in its journal")

// dueSeat returns the seat of ours that has something to do now, if there is one.
func (w *worker) dueSeat(t task.Task) (task.OpenSeat, bool, error) {
	if t.Stage != task.Committing && t.Stage != task.Revealing {
		return task.OpenSeat{}, false, nil
	}
	seats, err := w.r.state().Seats(t)
	for _, s := range seats {
		if s.Seat.Witness == w.n.id() && s.Due() {
			return s, true, err
		}
	}
	return task.OpenSeat{}, false, err
}

// witness does what a seat of ours has to do: find an answer and commit to it, or
// reveal it. What it commits to is in the journal first, so that it never says two
// things, whatever happens in between.
func (w *worker) witness(ctx context.Context, id task.Task) error {
	t, known, err := w.n.knownTask(id.ID) // it may have moved meanwhile
	if err != nil || !known {
		return err
	}
	seat, due, err := w.dueSeat(t)
	if err != nil || !due {
		return err
	}
	if t.Stage == task.Revealing {
		return w.reveal(ctx, t, seat)
	}
	opening, sworn, err := w.journal.sworn(t, seat.Of)
	if err != nil {
		return err
	}
	if !sworn {
		if opening, err = w.swear(ctx, t, seat.Of); err != nil {
			return err
		}
	}
	opening = w.opening(t, opening)
	w.n.log.Info("witness commits", "task", t.ID, "level", seat.Of)
	err = w.submit(ctx, &chain.WitnessCommit{Task: t.ID, Level: uint8(seat.Of), Commit: opening.Seal()}, t.Deadline, func(a chain.Action) bool {
		p, ok := a.(*chain.WitnessCommit)
		return ok && p.Task == t.ID && p.Level == uint8(seat.Of)
	})
	return w.unlessMoved(t, err)
}

// opening completes an answer of the journal.
func (w *worker) opening(t task.Task, o task.Opening) task.Opening {
	o.Genesis, o.Task, o.Result, o.Witness = w.r.genesis, t.ID, t.Proof.Result, w.n.id()
	return o
}

// reveal says what was committed to.
func (w *worker) reveal(ctx context.Context, t task.Task, seat task.OpenSeat) error {
	opening, sworn, err := w.journal.sworn(t, seat.Of)
	if err != nil {
		return err
	}
	if opening = w.opening(t, opening); !sworn || opening.Seal() != seat.Seat.Digest {
		return fmt.Errorf("%w: task %s, level %d", errNotSworn, t.ID, seat.Of)
	}
	w.n.log.Info("witness reveals", "task", t.ID, "level", seat.Of, "answer", opening.Answer)
	err = w.submit(ctx, &chain.WitnessReveal{
		Task: t.ID, Level: uint8(seat.Of), Score: opening.Answer, Hash: opening.Hash, Salt: opening.Salt,
	}, t.Deadline, func(a chain.Action) bool {
		p, ok := a.(*chain.WitnessReveal)
		return ok && p.Task == t.ID && p.Level == uint8(seat.Of)
	})
	return w.unlessMoved(t, err)
}

// unlessMoved returns err, unless the task has moved on from where it was: then
// what was too late is nobody's trouble any more.
func (w *worker) unlessMoved(t task.Task, err error) error {
	if err == nil {
		return nil
	}
	if now, known, storeErr := w.n.knownTask(t.ID); storeErr == nil && known && now.Stage != t.Stage {
		w.n.log.Debug("too late", "task", t.ID, "stage", t.Stage, "now", now.Stage, "err", err)
		return nil
	}
	return err
}

// gathering is the share of the time for an answer, one in that many, in which
// what is needed for it must be served: the rest is for the run.
const gathering = 3

// runTime is how long the run of a witness may take: twice what the executor had,
// or what every checker may take, whatever the window.
func runTime(t task.Terms) time.Duration {
	if t.Class == task.Checker {
		return exec.CheckTime
	}
	return 2 * time.Duration(t.ExecutionWindow) * time.Millisecond
}

// seatTime is how long the run of a witness may take at least, once it has what it
// needs.
func (w *worker) seatTime(t task.Terms) time.Duration {
	window := time.Duration(w.r.state().Params().Economy.CommitWindow(t.ExecutionWindow)) * time.Millisecond
	rest := window - window/gathering
	return min(runTime(t), rest-proving(rest))
}

// swear finds the answer of a seat and notes it. Nothing is said without a note.
func (w *worker) swear(ctx context.Context, t task.Task, level task.Level) (task.Opening, error) {
	if err := w.n.judgesHere(t.Terms); err != nil {
		return task.Opening{}, err
	}
	if err := w.journal.prune(maxEntries, w.settled); err != nil {
		return task.Opening{}, err
	}
	window, cancel := context.WithTimeout(ctx, w.left(t.Deadline))
	defer cancel()
	found := verdict{answer: task.Unavailable}
	if err := w.gather(window, t, w.left(t.Deadline)/gathering); err != nil {
		if ctx.Err() != nil || errors.Is(err, ErrBlobsFull) { // nobody's fault but ours
			return task.Opening{}, err
		}
		found.why = err.Error()
	} else {
		err := w.inSlot(window, func() (err error) {
			left := w.left(t.Deadline)
			limit := min(runTime(t.Terms), left-proving(left))
			if limit <= 0 {
				return fmt.Errorf("node: no time is left to witness task %s", t.ID)
			}
			found, err = w.examine(window, t, limit)
			return err
		})
		if err := errors.Join(err, window.Err()); err != nil {
			return task.Opening{}, err
		}
	}
	w.n.log.Info("witness has an answer", "task", t.ID, "level", level, "answer", found.answer, "why", found.why)
	opening := task.Opening{Level: level, Answer: found.answer, Hash: found.hash}
	if _, err := rand.Read(opening.Salt[:]); err != nil {
		return task.Opening{}, err
	}
	return w.journal.swear(t, opening)
}
