package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// maxBondShare is the share of what is available, one in that many, that the
// bond of one task may take: a requester whose program never ends must not cost
// an executor everything.
const maxBondShare = 10

// hostTries is how often a task is executed when this machine fails at it.
const hostTries = 3

// execute takes the task through acceptance, execution and proof. What depends
// on others, fetching and becoming final, keeps no slot from other tasks.
func (w *worker) execute(ctx context.Context, t task.Task) error {
	if err := w.prepare(ctx, t); err != nil {
		return err
	}
	var proof *task.Proof
	err := w.inSlot(ctx, func() (err error) {
		t, proof, err = w.work(ctx, t.ID)
		return err
	})
	if err != nil || proof == nil {
		return err
	}
	return w.submit(ctx, &chain.FederationProof{Task: t.ID, Proof: *proof}, t.Deadline, func(a chain.Action) bool {
		p, ok := a.(*chain.FederationProof)
		return ok && p.Task == t.ID
	})
}

// inSlot calls f when it is a task's turn to use the machine.
func (w *worker) inSlot(ctx context.Context, f func() error) error {
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
		return f()
	case <-ctx.Done():
		return nil
	}
}

// work accepts the task if it is still to be had, and executes it if it is
// ours. Without a proof there was nothing to do.
func (w *worker) work(ctx context.Context, id cid.Cid) (task.Task, *task.Proof, error) {
	t, known, err := w.n.knownTask(id) // it may have moved meanwhile
	if err != nil || !known {
		return t, nil, err
	}
	if t.Stage == task.Posted {
		if t, err = w.accept(ctx, t); err != nil {
			return t, nil, err
		}
	}
	if t.Stage != task.Accepted || t.Acceptance.Executor.ID != w.n.id() {
		return t, nil, nil // somebody else was first, or it ended
	}
	proof, done, err := w.journal.result(t.ID)
	if err != nil || done {
		return t, &proof, err
	}
	if proof, err = w.perform(ctx, t); err != nil {
		return t, nil, err
	}
	proof, err = w.journal.produced(t.ID, proof)
	return t, &proof, err
}

// accept notes the promise and accepts. It returns the task as it stands once
// the acceptance is final.
func (w *worker) accept(ctx context.Context, t task.Task) (task.Task, error) {
	if err := w.suits(t); err != nil {
		return t, err
	}
	if err := w.journal.promise(t); err != nil {
		return t, err
	}
	if err := w.journal.prune(maxEntries, w.settled); err != nil {
		return t, err
	}
	bond, err := w.bondFor(t)
	if err != nil {
		return t, err
	}
	err = w.submit(ctx, &chain.TaskAccept{Task: t.ID, Bond: bond}, t.Deadline, func(a chain.Action) bool {
		p, ok := a.(*chain.TaskAccept)
		return ok && p.Task == t.ID
	})
	if err != nil {
		return t, err
	}
	now, known, err := w.n.knownTask(t.ID)
	if err == nil && !known {
		err = fmt.Errorf("node: task %s was accepted and is gone", t.ID)
	}
	return now, err
}

func (w *worker) settled(id cid.Cid) (bool, error) {
	t, known, err := w.n.knownTask(id)
	return known && t.Stage == task.Settled, err
}

// suits reports, as errDeclined, why this platform does not take the task.
func (w *worker) suits(t task.Task) error {
	decline := func(format string, args ...any) error {
		return fmt.Errorf("%w: %w", errDeclined, fmt.Errorf(format, args...))
	}
	if _, err := w.n.runtimes.Runtime(string(t.Terms.Runtime)); err != nil {
		return decline("%w", err)
	}
	if t.Terms.Class == task.Judge {
		return decline("%w: class %s", errNoJudge, t.Terms.Class)
	}
	p, registered, err := w.r.state().Platform(w.n.id())
	if err != nil {
		return err
	}
	offer, offered := p.Offer(t.Terms.Type)
	switch {
	case !registered || !offered:
		return decline("not registered for tasks of type %s", t.Terms.Type)
	case w.left(t.Deadline) <= 0:
		return decline("its offer has ended")
	case offer.Quote(t.Terms.Complexity, 0) > t.Terms.Price:
		return decline("price: have %s ATP, want at least %s ATP", t.Terms.Price, offer.Quote(t.Terms.Complexity, 0))
	case !t.Terms.Horizon.Within(p.Horizon):
		return decline("its horizon is wider than ours")
	case t.Terms.InputSize > exec.MaxInput:
		return decline("input: have %d bytes, want at most %d", t.Terms.InputSize, exec.MaxInput)
	}
	account, err := w.r.state().Account(w.n.id())
	if err != nil {
		return err
	}
	charges, err := w.r.state().ChargesTo(w.n.id(), t)
	if errors.Is(err, task.ErrClass) {
		return decline("%w", err)
	}
	if err != nil {
		return err
	}
	bond := charges.MinBond(t.Terms.Class)
	if most := account.Available / maxBondShare; bond > most {
		return decline("bond: it takes %s ATP, and of what is available at most %s ATP go into one task", bond, most)
	}
	return nil
}

// left is how long it is until a deadline, by our clock or by the chain's time,
// whichever is further.
func (w *worker) left(deadline atp.Millis) time.Duration {
	now := max(atp.Millis(nowMillis()), w.r.state().Tip().Time)
	if now >= deadline {
		return 0
	}
	return time.Duration(deadline-now) * time.Millisecond
}

// prepare fetches program and input, before the task's deadline, and checks
// that they can be executed: nothing is promised that is not here. For a task
// whose result is known there is nothing to prepare.
func (w *worker) prepare(ctx context.Context, t task.Task) error {
	if t.Stage == task.Posted {
		if err := w.suits(t); err != nil {
			return err
		}
	} else if _, done, err := w.journal.result(t.ID); err != nil || done {
		return err
	}
	until, cancel := context.WithTimeout(ctx, w.left(t.Deadline))
	defer cancel()
	type content struct {
		id    cid.Cid
		limit int64
	}
	all := []content{{t.Terms.Program, exec.MaxProgram}, {t.Terms.Input, int64(t.Terms.InputSize)}}
	if t.Terms.Checker != nil {
		all = append(all, content{*t.Terms.Checker, exec.MaxProgram})
	}
	for _, c := range all {
		if err := w.obtain(until, t, c.id, c.limit); err != nil {
			return err
		}
	}
	if size, _ := w.content(t).size(t.Terms.Input); task.Size(size) != t.Terms.InputSize {
		return fmt.Errorf("%w: input: have %d bytes, the terms say %d", errDeclined, size, t.Terms.InputSize)
	}
	rt, err := w.n.runtimes.Runtime(string(t.Terms.Runtime))
	if err != nil {
		return fmt.Errorf("%w: %w", errDeclined, err)
	}
	if err := w.checked(t, rt, t.Terms.Program); err != nil || t.Terms.Checker == nil {
		return err
	}
	if rt, err = w.n.runtimes.Runtime(exec.WASMName); err != nil {
		return fmt.Errorf("%w: its checker: %w", errDeclined, err)
	}
	if err := w.checked(t, rt, *t.Terms.Checker); err != nil {
		return fmt.Errorf("its checker: %w", err)
	}
	return nil
}

// checked reports, as errDeclined, that no machine runs a program: no result of it
// is worth anything, nor is any result by the word of such a checker.
func (w *worker) checked(t task.Task, rt exec.Runtime, program cid.Cid) error {
	code, err := w.content(t).get(program)
	if err != nil {
		return err
	}
	if err := rt.Check(code); err != nil {
		return fmt.Errorf("%w: %w", errDeclined, err)
	}
	return nil
}

// obtain fetches content from the requester until it is here, ctx ends, or it
// is plain that it will never be what the task says.
func (w *worker) obtain(ctx context.Context, t task.Task, blob cid.Cid, limit int64) error {
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		err := w.n.fetchBlob(ctx, w.content(t), t.Requester.ID, wire.BlobRequest{Task: t.ID, Blob: blob}, limit)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errLied):
			return fmt.Errorf("%w: %w", errDeclined, err)
		}
		if now, known, storeErr := w.n.knownTask(t.ID); storeErr != nil || !known || now.Stage != t.Stage {
			return errors.Join(fmt.Errorf("%w: it moved before its content was here: %w", errDeclined, err), storeErr)
		}
		if !sleep(ctx, pause) {
			return fmt.Errorf("%w: its requester did not serve it in time: %w", errDeclined, err)
		}
	}
}

// content is where what the requester of a task has sent is kept.
func (w *worker) content(t task.Task) blobs { return w.n.posted(t) }

// proving is how much of the time that is left before a deadline is kept for the
// proof to become final.
func proving(left time.Duration) time.Duration { return min(3*time.Second, left/4) }

// perform executes the task and stores its result. A machine that fails tries
// again while there is time.
func (w *worker) perform(ctx context.Context, t task.Task) (task.Proof, error) {
	rt, err := w.n.runtimes.Runtime(string(t.Terms.Runtime))
	if err != nil {
		return task.Proof{}, err
	}
	program, err := w.content(t).get(t.Terms.Program)
	if err != nil {
		return task.Proof{}, err
	}
	input, err := w.content(t).get(t.Terms.Input)
	if err != nil {
		return task.Proof{}, err
	}
	told := w.n.works.begin(t.ID)
	defer w.fallSilent(t.ID, told)
	for try := 1; ; try++ {
		left := w.left(t.Deadline)
		if left <= 0 {
			return task.Proof{}, errors.New("node: its execution window ended before it was executed")
		}
		got, err := rt.Run(ctx, exec.Job{
			Task: t.ID, Program: program, Input: input, AcceptTime: t.Acceptance.Time,
			MemoryPages: uint32(t.Terms.Memory / task.Page), OutputLimit: exec.MaxOutput, TimeLimit: left - proving(left),
			Listen: told.listener(),
		})
		switch {
		case ctx.Err() != nil:
			return task.Proof{}, ctx.Err()
		case errors.Is(err, exec.ErrHost) && try < hostTries:
			w.n.log.Warn("execution failed here, and is tried again", "task", t.ID, "err", err)
			told.text.again()
		case err != nil && t.Terms.Class != task.Mutual:
			return task.Proof{}, err // late costs less than what witnesses would find
		case errors.Is(err, exec.ErrHost):
			return w.unfinished(t.ID, err, new(task.PPM(0)))
		case err != nil:
			return w.unfinished(t.ID, err, nil)
		default:
			return w.worthProving(ctx, t, got)
		}
	}
}

// fallSilent keeps the logs of a task whose execution has ended.
func (w *worker) fallSilent(id cid.Cid, told work) {
	if err := w.journal.keepLogs(id, told.logs.look(0, 0).piece); err != nil {
		w.n.log.Warn("logs not kept", "task", id, "err", err)
	}
	w.n.works.end(id)
}

// unfinished is the proof of a task whose program was not brought to its end.
// With a claim of nothing it withdraws: this machine failed, and pays for it.
// Without a claim it says that program or window, which the requester chose,
// made an end impossible: the requester may refuse it, and nobody is late.
func (w *worker) unfinished(id cid.Cid, why error, claim *task.PPM) (task.Proof, error) {
	w.n.log.Warn("task not brought to its end", "task", id, "withdrawn", claim != nil, "err", why)
	output := exec.EncodeFailed(exec.TrapCode)
	record, err := w.n.blobs.putRecord(output)
	if err := errors.Join(err, w.journal.fail(id, why)); err != nil {
		return task.Proof{}, errors.Join(why, err)
	}
	return task.Proof{Result: record, Size: task.Size(len(output)), Claim: claim}, nil
}

// checkMargin is how much slower than this machine those of witnesses may be, or
// busier, and still see the end of a checker: a result of which they do not counts
// as a bad one.
const checkMargin = 2

// worthProving is the proof of a result, unless the task's checker finds it not
// good enough: late costs less than what witnesses would find.
func (w *worker) worthProving(ctx context.Context, t task.Task, got exec.Result) (task.Proof, error) {
	proof, err := w.proofOf(got)
	if err != nil || t.Terms.Class != task.Checker {
		return proof, err
	}
	t.Proof = &proof
	left := w.left(t.Deadline)
	found, err := w.examine(ctx, t, min(left-proving(left), w.seatTime(t.Terms)/checkMargin))
	if err == nil && !found.passes(t) {
		err = fmt.Errorf("node: the result is not proved, as it is not good enough: %s", found.why)
	}
	return proof, err
}

// proofOf stores a result, and names it.
func (w *worker) proofOf(got exec.Result) (task.Proof, error) {
	if err := w.n.makeRoom(); err != nil {
		return task.Proof{}, err
	}
	var stored cid.Cid
	var err error
	if got.Failed {
		stored, err = w.n.blobs.putRecord(got.Output)
	} else {
		stored, err = w.n.blobs.putBytes(got.Output)
	}
	return task.Proof{
		Result: stored, Size: task.Size(len(got.Output)),
		Record: task.Record{Latency: atp.Span(got.Elapsed.Milliseconds()), Iterations: 1},
	}, err
}

// resultCID names a result without storing it.
func resultCID(got exec.Result) (cid.Cid, error) {
	sum := sha256.Sum256(got.Output)
	if got.Failed {
		return blobCID(cid.DagCBOR, sum[:])
	}
	return blobCID(cid.Raw, sum[:])
}
