package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// verdict is what a look at a result has found.
type verdict struct {
	answer task.Answer
	hash   task.Digest // of the run's final memory; zero if nothing was run to its end
	result cid.Cid     // of our own run, in class recompute
	output []byte      // the bytes of that result
	why    string      // for people
}

// passes reports whether the result is as good as its task asks for.
func (v verdict) passes(t task.Task) bool {
	q, scored := v.answer.Score()
	return scored && q >= t.Terms.MinQuality
}

// errNoJudge reports a class in which this platform cannot find a quality.
var errNoJudge = errors.New("node: nothing here can judge results of this class")

// judgesHere reports, as errNoJudge, that this platform could not witness such a
// task: there is no judge, or not the runtime.
func (n *Node) judgesHere(t task.Terms) error {
	name := exec.WASMName // of every checker
	switch t.Class {
	case task.Recompute:
		name = string(t.Runtime)
	case task.Checker:
	default:
		return fmt.Errorf("%w: class %s", errNoJudge, t.Class)
	}
	if _, err := n.runtimes.Runtime(name); err != nil {
		return fmt.Errorf("%w: class %s: %w", errNoJudge, t.Class, err)
	}
	return nil
}

// gather fetches everything that an examination of a result needs, each from
// whoever of the task serves it, for so long at most.
func (w *worker) gather(ctx context.Context, t task.Task, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	type part struct {
		name  string
		blob  cid.Cid
		into  blobs
		limit int64
	}
	parts := []part{
		{"program", t.Terms.Program, w.n.posted(t), exec.MaxProgram},
		{"input", t.Terms.Input, w.n.posted(t), int64(t.Terms.InputSize)},
		{"result", t.Proof.Result, w.n.proved(t), int64(t.Proof.Size)},
	}
	if t.Terms.Checker != nil {
		parts[0] = part{"checker", *t.Terms.Checker, w.n.posted(t), exec.MaxProgram}
	}
	for _, p := range parts {
		if err := w.find(ctx, t, p.blob, p.into, p.limit); err != nil {
			return fmt.Errorf("its %s was served by nobody in time: %w", p.name, err)
		}
	}
	return nil
}

// find asks everyone who may serve content of a task, in turn and again, until it
// is here or ctx ends. Each may take a third of the time that is left.
func (w *worker) find(ctx context.Context, t task.Task, blob cid.Cid, into blobs, limit int64) (err error) {
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		holders, stateErr := w.holders(t)
		if stateErr != nil {
			return stateErr
		}
		for _, from := range holders {
			until, _ := ctx.Deadline()
			try, cancel := context.WithTimeout(ctx, time.Until(until)/3)
			got := w.n.fetchBlob(try, into, from, wire.BlobRequest{Task: t.ID, Blob: blob}, limit)
			cancel()
			if got == nil {
				return nil
			}
			err = got
		}
		if !sleep(ctx, pause) {
			return errors.Join(err, ctx.Err())
		}
	}
}

// holders are the others who hold what a task names: its executor, who swore to
// serve it, its requester, and its witnesses.
func (w *worker) holders(t task.Task) ([]atp.ID, error) {
	witnesses, err := w.n.witnesses(w.r.state(), t)
	var others []atp.ID
	seen := map[atp.ID]bool{w.n.id(): true}
	for _, id := range append([]atp.ID{t.Acceptance.Executor.ID, t.Requester.ID}, witnesses...) {
		if !seen[id] {
			seen[id] = true
			others = append(others, id)
		}
	}
	return others, err
}

// examine finds the quality of a result, all of which is here: by executing the
// task again or by its checker, within a time. A machine that fails tries again.
func (w *worker) examine(ctx context.Context, t task.Task, limit time.Duration) (v verdict, err error) {
	if err := w.n.judgesHere(t.Terms); err != nil {
		return verdict{}, err
	}
	for try := 1; ; try++ {
		if t.Terms.Class == task.Checker {
			v, err = w.checkAgain(ctx, t, limit)
		} else {
			v, err = w.runAgain(ctx, t, limit)
		}
		switch {
		case errors.Is(err, exec.ErrHost) && try < hostTries:
			w.n.log.Warn("examination failed here, and is tried again", "task", t.ID, "err", err)
		case errors.Is(err, exec.ErrResourceLimit):
			return verdict{answer: task.ResourceLimit, why: err.Error()}, nil
		case errors.Is(err, exec.ErrInvalid):
			return verdict{why: "no machine runs the program: " + err.Error()}, nil
		default:
			return v, err
		}
	}
}

// runAgain executes the task as its executor should have.
func (w *worker) runAgain(ctx context.Context, t task.Task, limit time.Duration) (verdict, error) {
	rt, err := w.n.runtimes.Runtime(string(t.Terms.Runtime))
	if err != nil {
		return verdict{}, err
	}
	program, err := w.n.posted(t).get(t.Terms.Program)
	if err != nil {
		return verdict{}, err
	}
	input, err := w.n.posted(t).get(t.Terms.Input)
	if err != nil {
		return verdict{}, err
	}
	got, err := rt.Run(ctx, exec.Job{
		Task: t.ID, Program: program, Input: input, AcceptTime: t.Acceptance.Time,
		MemoryPages: uint32(t.Terms.Memory / task.Page), OutputLimit: exec.MaxOutput, TimeLimit: limit,
	})
	if err != nil {
		return verdict{}, err
	}
	v := verdict{hash: task.Digest(got.MemoryHash), output: got.Output}
	if v.result, err = resultCID(got); err != nil {
		return verdict{}, err
	}
	v.why = "our own run gives " + v.result.String()
	if v.result == t.Proof.Result {
		v.answer = task.Answer(task.S)
	}
	return v, nil
}

// checkAgain runs the task's checker. The record of a program that failed is worth
// nothing.
func (w *worker) checkAgain(ctx context.Context, t task.Task, limit time.Duration) (verdict, error) {
	if t.Proof.Result.Prefix().Codec != cid.Raw {
		return verdict{why: "the program failed, so says its record"}, nil
	}
	rt, err := w.n.runtimes.Runtime(exec.WASMName)
	if err != nil {
		return verdict{}, err
	}
	var parts [3][]byte
	for i, p := range []struct {
		from blobs
		blob cid.Cid
	}{{w.n.posted(t), *t.Terms.Checker}, {w.n.posted(t), t.Terms.Input}, {w.n.proved(t), t.Proof.Result}} {
		if parts[i], err = p.from.get(p.blob); err != nil {
			return verdict{}, err
		}
	}
	score, err := exec.Check(ctx, rt, parts[0], parts[1], parts[2], limit)
	if err != nil {
		return verdict{}, err
	}
	return verdict{
		answer: task.Answer(score.PPM), hash: task.Digest(score.MemoryHash), why: fmt.Sprintf("its checker says %s %s", decimal(task.PPM(score.PPM)), score.Why),
	}, nil
}
