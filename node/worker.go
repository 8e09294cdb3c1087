package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/task"
)

// worker does this platform's part in tasks: as executor it accepts, executes
// and proves; as requester it fetches results while they are served. What it
// promises is on the disk first (journal.go), so that a restart goes on where
// it was, and one task never gets two results.
type worker struct {
	n       *Node
	r       *running
	journal journal
	awake   atomic.Bool       // it hears news: the state that it has seen is a new one
	news    *queue[task.Task] // bounded by what blocks hold: run only sorts it
	ended   *queue[ending]    // at most one of each goroutine
	slots   chan struct{}     // held by tasks being accepted or executed

	// Of run alone.
	active map[cid.Cid]*attention // tasks with a goroutine, at most maxActive
	turned map[cid.Cid]bool       // tasks that were turned down, at most maxTurned
	missed bool                   // there are tasks that found no place in active
	looked time.Time              // when all open tasks were last looked at
}

// attention is a task that is being looked after.
type attention struct {
	requester atp.ID
	moved     bool // since it began: look again when it ends
}

// ending is what a task's goroutine leaves.
type ending struct {
	task     cid.Cid
	declined bool
}

// Bounds of the worker.
const (
	maxActive = 256 // tasks looked after at once
	maxOfOne  = 32  // of them, those of one requester, so that none keeps out the others
	maxTurned = 4096

	// lookEvery is the least time between two looks at all open tasks: they
	// cost as much as there are tasks, and dust is cheap.
	lookEvery = 5 * time.Second
)

// errDeclined reports a task that this platform does not take.
var errDeclined = errors.New("node: task declined")

func newWorker(n *Node, r *running) (*worker, error) {
	j, err := openJournal(filepath.Join(n.cfg.Home, "journal"))
	return &worker{
		n: n, r: r, journal: j,
		news: newQueue[task.Task](), ended: newQueue[ending](),
		slots:  make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		active: map[cid.Cid]*attention{}, turned: map[cid.Cid]bool{},
	}, err
}

// hear takes the tasks that a final block has moved. It never blocks. Before it
// is awake it only learns: run reads all open tasks from the state then.
func (w *worker) hear(f replica.Final) {
	for _, receipt := range f.Result.Receipts {
		for _, e := range receipt.Events {
			moved, ok := e.Fact.(*task.Moved)
			if !ok || !w.concerns(moved.After) {
				continue
			}
			w.learn(*moved, f.Block.Header.Time)
			if w.awake.Load() {
				w.news.put(moved.After)
			}
		}
	}
}

// concerns reports whether the task is, or could become, this platform's.
func (w *worker) concerns(t task.Task) bool {
	id := w.n.id()
	return t.Requester.ID == id || t.Terms.Executor.ID == id ||
		t.Acceptance != nil && t.Acceptance.Executor.ID == id ||
		t.Stage == task.Posted && t.Terms.Executor.IsZero() ||
		t.Stage == task.Committing || t.Stage == task.Revealing // part knows whether we sit
}

// learn tells the router how an executor of ours did, at the time of a block.
func (w *worker) learn(m task.Moved, at atp.Millis) {
	t := m.After
	if t.Requester.ID != w.n.id() || t.Acceptance == nil {
		return
	}
	executor := t.Acceptance.Executor.ID
	switch {
	case m.Step == task.OpRefuse, m.Step == task.OpWithdraw, m.From == task.Accepted && m.Step == task.OpExpire:
		w.r.router.failed(time.UnixMilli(int64(at)), executor, t.Terms.Type)
	}
}

// run looks after tasks until ctx ends, once the state is a new one: on what is
// long over it would accept and prove twice.
func (w *worker) run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-w.r.current:
	}
	w.awake.Store(true)
	if err := w.lookAtAll(ctx); err != nil {
		return err
	}
	w.r.work.Go(func() error { return errors.Join(w.register(ctx), w.offerStake(ctx)) })
	again := time.NewTicker(lookEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
			if !w.missed {
				continue
			}
			if err := w.lookAtAll(ctx); err != nil {
				return err
			}
		case <-w.ended.ready:
			if err := w.tidy(ctx, w.ended.take(maxActive)); err != nil {
				return err
			}
		case <-w.news.ready:
			for _, t := range w.news.take(maxActive) {
				w.attend(ctx, t)
			}
		}
	}
}

// lookAtAll attends to every open task of the state.
func (w *worker) lookAtAll(ctx context.Context) error {
	w.missed, w.looked = false, time.Now()
	err := w.r.state().EachTask(func(t task.Task) error {
		if w.concerns(t) {
			w.attend(ctx, t)
		}
		return nil
	})
	if err != nil {
		return ours(err)
	}
	return nil
}

// tidy makes room after goroutines that have ended, and looks again at what
// moved meanwhile or had no place.
func (w *worker) tidy(ctx context.Context, list []ending) error {
	for _, e := range list {
		moved := w.active[e.task].moved
		delete(w.active, e.task)
		if e.declined {
			if len(w.turned) >= maxTurned {
				clear(w.turned)
			}
			w.turned[e.task] = true
		}
		if !moved {
			continue
		}
		t, known, err := w.n.knownTask(e.task)
		if err != nil {
			return ours(err)
		}
		if known {
			w.attend(ctx, t)
		}
	}
	if w.missed && time.Since(w.looked) >= lookEvery {
		return w.lookAtAll(ctx)
	}
	return nil
}

// attend starts what a task needs, unless it is under way.
func (w *worker) attend(ctx context.Context, t task.Task) {
	if a := w.active[t.ID]; a != nil {
		a.moved = true
		return
	}
	do := w.part(t)
	if do == nil {
		return
	}
	if t.Stage == task.Posted {
		if err := w.suits(t); err != nil { // before it costs a place
			w.n.log.Debug("task declined", "task", t.ID, "reason", err)
			return
		}
	}
	if !w.hasPlace(t) {
		w.missed = true
		return
	}
	w.active[t.ID] = &attention{requester: t.Requester.ID}
	w.r.work.Go(func() error {
		err := do(ctx, t)
		declined := errors.Is(err, errDeclined)
		switch {
		case err == nil || ctx.Err() != nil:
		case declined:
			w.n.log.Debug("task declined", "task", t.ID, "reason", err)
		default:
			w.n.log.Warn("task failed here", "task", t.ID, "requester", t.Requester.ID, "err", err)
			if err := w.journal.fail(t.ID, err); err != nil {
				w.n.log.Warn("failure not noted", "task", t.ID, "err", err)
			}
		}
		w.ended.put(ending{t.ID, declined})
		return nil // one task's trouble ends no other
	})
}

// part returns what this platform has to do for a task, nil if it is nothing.
func (w *worker) part(t task.Task) func(context.Context, task.Task) error {
	id := w.n.id()
	switch {
	case t.Stage == task.Proven && t.Requester.ID == id:
		return w.collect
	case t.Stage == task.Decided && t.Review.First == task.Fail && t.Acceptance.Executor.ID == id:
		return w.appeal
	case t.Requester.ID == id && witnessing(t):
		if !w.n.blobs.has(t.Proof.Result) {
			return w.take
		}
	case t.Stage == task.Committing || t.Stage == task.Revealing:
		if _, due, err := w.dueSeat(t); due && err == nil {
			return w.witness
		}
	case t.Stage == task.Posted && t.Requester.ID != id && !w.n.cfg.NoWork && !w.turned[t.ID],
		t.Stage == task.Accepted && t.Acceptance.Executor.ID == id:
		return w.execute
	}
	return nil
}

// witnessing reports whether witnesses sit, or a committee has decided.
func witnessing(t task.Task) bool {
	return t.Stage == task.Committing || t.Stage == task.Revealing || t.Stage == task.Decided
}

// take fetches the result of our task while witnesses look at it: it may be settled
// without asking us.
func (w *worker) take(ctx context.Context, t task.Task) error {
	if left := w.left(t.Deadline); left > 0 {
		if err := w.gather(ctx, t, left); err != nil && ctx.Err() == nil {
			w.n.log.Info("a result that witnesses look at is not here", "task", t.ID, "err", err)
			return nil
		}
		w.n.hub.tell()
	}
	return nil
}

// hasPlace reports whether one more task may be looked after. Offers of others
// leave half of the places to tasks in which this platform has a part already.
func (w *worker) hasPlace(t task.Task) bool {
	if t.Stage != task.Posted {
		return len(w.active) < maxActive
	}
	of := 0
	for _, a := range w.active {
		if a.requester == t.Requester.ID {
			of++
		}
	}
	return len(w.active) < maxActive/2 && of < maxOfOne
}

// collect fetches the result of our task while its executor serves it, and looks
// at it. Silence would pay for it: what cannot be had is refused or, where
// witnesses judge, disputed before it is too late. Witnesses may be served what we
// are not, and a dispute be lost: what can be executed again here, is executed
// first.
func (w *worker) collect(ctx context.Context, t task.Task) error {
	whole := w.left(t.Deadline)
	last := whole / 3 // of the time to answer, for the answer to become final
	turn := last      // what is left of it when the executor has had its turn
	if w.repeats(t.Terms) {
		turn = whole / 2
	}
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		err := w.fetchWithin(ctx, t, w.left(t.Deadline)-turn)
		if err == nil {
			return w.collected(ctx, t, last)
		}
		now, known, storeErr := w.n.knownTask(t.ID)
		if storeErr != nil || !known || now.Stage != task.Proven {
			return errors.Join(err, storeErr)
		}
		if over := errors.Is(err, errLied) || w.left(t.Deadline) <= turn; !over {
			if !sleep(ctx, min(pause, max(retryFirst, w.left(t.Deadline)-turn))) {
				return nil
			}
			continue
		}
		switch {
		case turn > last:
			turn = last
			if answered, err := w.repeat(ctx, t, last, err); answered {
				return err
			}
		case t.Terms.Class == task.Mutual:
			return w.refuse(ctx, t, err)
		case w.n.cfg.NoReview:
			w.n.hub.alarm(fmt.Sprintf("the executor of task %s does not serve its result (%v), and --no-review leaves the answer to you: without one it is paid; dispute it with sage-p2p task dispute %s", t.ID, err, t.ID))
			return nil
		default:
			return w.dispute(ctx, t, err.Error())
		}
	}
}

// fetchWithin fetches the result of our task, within a time: its executor may send
// it as slowly as it likes.
func (w *worker) fetchWithin(ctx context.Context, t task.Task, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, max(retryFirst, limit))
	defer cancel()
	return w.n.fetchResult(ctx, t)
}

// collected looks at a result of our task that is here. In class mutual one that
// only says that there is none is refused, and the rest is the operator's to judge;
// in the others we judge it as a witness would.
func (w *worker) collected(ctx context.Context, t task.Task, last time.Duration) error {
	switch failed := t.Proof.Result.Prefix().Codec != cid.Raw; {
	case t.Terms.Class != task.Mutual:
		w.n.hub.tell()
		return w.review(ctx, t, last)
	case failed:
		return w.refuse(ctx, t, nil)
	}
	economy := w.r.state().Params().Economy
	took := t.Deadline - atp.Millis(economy.Silence) - t.Acceptance.Time
	w.r.router.proved(t.Acceptance.Executor.ID, t.Terms.Type, time.Duration(took)*time.Millisecond)
	w.n.hub.tell()
	return nil
}

// refuse marks the result of our task as worth nothing.
func (w *worker) refuse(ctx context.Context, t task.Task, why error) error {
	if why == nil {
		why = errors.New("the program failed, so says its record")
	}
	w.n.log.Warn("result refused", "task", t.ID, "executor", t.Acceptance.Executor.ID, "err", why)
	return w.submit(ctx, &chain.TaskAcknowledge{Task: t.ID}, t.Deadline, func(a chain.Action) bool {
		p, ok := a.(*chain.TaskAcknowledge)
		return ok && p.Task == t.ID
	})
}

// Pauses before something that may succeed later is tried again.
const (
	retryFirst = 250 * time.Millisecond
	retryMost  = 5 * time.Second
)

// sleep waits, and reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
