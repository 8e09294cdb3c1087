package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// worker does this platform's part in tasks: as executor it accepts, executes
// and proves; as requester it fetches results while they are served. What it
// promises is on the disk first (journal.go), so that a restart goes on where
// it was, and one task never gets two results.
type worker struct {
	n       *Node
	r       *running
	journal journal
	news    *queue[task.Task]
	slots   chan struct{} // held by tasks being prepared or executed
	ended   *queue[cid.Cid]
	active  map[cid.Cid]bool // of run alone: tasks with a goroutine
}

// maxActive bounds the tasks that are looked after at once; those beyond it
// are looked at again when they move, or end by their deadlines.
const maxActive = 256

// retryEvery is the pause before something that may succeed later is tried again.
const retryEvery = 500 * time.Millisecond

// errDeclined reports a task that this platform does not take.
var errDeclined = errors.New("node: task declined")

func newWorker(n *Node, r *running) (*worker, error) {
	j, err := openJournal(filepath.Join(n.cfg.Home, "journal"))
	return &worker{
		n: n, r: r, journal: j,
		news: newQueue[task.Task](), ended: newQueue[cid.Cid](),
		slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), active: map[cid.Cid]bool{},
	}, err
}

// hear takes the tasks that a final block has moved. It never blocks.
func (w *worker) hear(f replica.Final) {
	for _, receipt := range f.Result.Receipts {
		for _, e := range receipt.Events {
			if moved, ok := e.Fact.(*task.Moved); ok && w.concerns(moved.After) {
				w.learn(*moved, f.Block.Header.Time)
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
		t.Stage == task.Posted && t.Terms.Executor.IsZero()
}

// learn tells the router how an executor of ours does.
func (w *worker) learn(m task.Moved, at atp.Millis) {
	t := m.After
	if t.Requester.ID != w.n.id() || t.Acceptance == nil {
		return
	}
	executor := t.Acceptance.Executor.ID
	switch {
	case m.To == task.Proven:
		w.r.router.proved(executor, t.Terms.Type, time.Duration(at-t.Acceptance.Time)*time.Millisecond)
	case m.Step == task.OpRefuse, m.Step == task.OpWithdraw, m.From == task.Accepted && m.Step == task.OpExpire:
		w.r.router.failed(time.Now(), executor, t.Terms.Type)
	}
}

// run looks after tasks until ctx ends.
func (w *worker) run(ctx context.Context) error {
	err := w.r.state().EachTask(func(t task.Task) error {
		if w.concerns(t) {
			w.news.put(t)
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.r.work.Go(func() error { return w.register(ctx) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.ended.ready:
			for _, id := range w.ended.take() {
				delete(w.active, id)
			}
		case <-w.news.ready:
			for _, t := range w.news.take() {
				w.attend(ctx, t)
			}
		}
	}
}

// attend starts what a task needs, unless it is under way.
func (w *worker) attend(ctx context.Context, t task.Task) {
	var do func(context.Context, task.Task) error
	id := w.n.id()
	switch {
	case t.Stage == task.Proven && t.Requester.ID == id:
		do = w.collect
	case t.Stage == task.Posted && t.Requester.ID != id && !w.n.cfg.NoWork,
		t.Stage == task.Accepted && t.Acceptance.Executor.ID == id:
		do = w.execute
	default:
		return
	}
	if w.active[t.ID] || len(w.active) >= maxActive {
		return
	}
	w.active[t.ID] = true
	w.r.work.Go(func() error {
		defer w.ended.put(t.ID)
		err := do(ctx, t)
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, errDeclined):
			w.n.log.Info("task declined", "task", t.ID, "reason", err)
		default:
			w.n.log.Warn("task", "task", t.ID, "err", err)
			w.journal.fail(t.ID, err)
		}
		return nil // one task's trouble ends no other
	})
}

// collect fetches the result of our task while its executor serves it.
func (w *worker) collect(ctx context.Context, t task.Task) error {
	for {
		err := w.n.resultOf(ctx, t)
		if err == nil {
			w.n.hub.tell()
			return nil
		}
		now, known, storeErr := w.n.knownTask(t.ID)
		if storeErr != nil || !known || now.Stage != task.Proven {
			return errors.Join(err, storeErr)
		}
		if !sleep(ctx, retryEvery) {
			return nil
		}
	}
}

// execute takes the task through acceptance, execution and proof.
func (w *worker) execute(ctx context.Context, t task.Task) error {
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-ctx.Done():
		return nil
	}
	t, known, err := w.n.knownTask(t.ID) // it may have moved meanwhile
	if err != nil || !known {
		return err
	}
	if t.Stage == task.Posted {
		if t, err = w.accept(ctx, t); err != nil {
			return err
		}
	}
	if t.Stage != task.Accepted || t.Acceptance.Executor.ID != w.n.id() {
		return nil // somebody else was first, or it ended
	}
	proof, err := w.produce(ctx, t)
	if err != nil {
		return err
	}
	return w.submit(ctx, &chain.FederationProof{Task: t.ID, Proof: proof}, t.Deadline)
}

// accept prepares everything that an acceptance promises, and accepts. It
// returns the task as it stands once the acceptance is final.
func (w *worker) accept(ctx context.Context, t task.Task) (task.Task, error) {
	if err := w.suits(t); err != nil {
		return t, err
	}
	if err := w.prepare(ctx, t); err != nil {
		return t, err
	}
	if err := w.journal.promise(t); err != nil {
		return t, err
	}
	economy := w.r.state().Params().Economy
	bond := economy.Charges(t.Terms.Price, 0).MinBond(t.Terms.Class)
	if err := w.submit(ctx, &chain.TaskAccept{Task: t.ID, Bond: bond}, t.Deadline); err != nil {
		return t, err
	}
	now, known, err := w.n.knownTask(t.ID)
	if err == nil && !known {
		err = fmt.Errorf("node: task %s was accepted and is gone", t.ID)
	}
	return now, err
}

// suits reports, as errDeclined, why this platform does not take the task.
func (w *worker) suits(t task.Task) error {
	decline := func(format string, args ...any) error {
		return fmt.Errorf("%w: %w", errDeclined, fmt.Errorf(format, args...))
	}
	if _, err := w.n.runtimes.Runtime(string(t.Terms.Runtime)); err != nil {
		return decline("%w", err)
	}
	p, registered, err := w.r.state().Platform(w.n.id())
	if err != nil {
		return err
	}
	offer, offered := p.Offer(t.Terms.Type)
	switch {
	case !registered || !offered:
		return decline("not registered for tasks of type %s", t.Terms.Type)
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
	bond := w.r.state().Params().Economy.Charges(t.Terms.Price, 0).MinBond(t.Terms.Class)
	if account.Available < bond {
		return decline("bond: have %s ATP available, want %s ATP", account.Available, bond)
	}
	return nil
}

// prepare fetches program and input, and checks that they can be executed.
func (w *worker) prepare(ctx context.Context, t task.Task) error {
	if err := w.n.blobs.trim(maxBlobs, w.wanted); err != nil {
		return err
	}
	for _, blob := range []cid.Cid{t.Terms.Program, t.Terms.Input} {
		for {
			err := w.n.fetchBlob(ctx, t.Requester.ID, t.ID, blob)
			if err == nil {
				break
			}
			if nowMillis() > uint64(t.Deadline) {
				return fmt.Errorf("fetching from the requester until the offer ended: %w", err)
			}
			if !sleep(ctx, retryEvery) {
				return ctx.Err()
			}
		}
	}
	program, err := w.n.blobs.get(t.Terms.Program)
	if err != nil {
		return err
	}
	input, err := w.n.blobs.get(t.Terms.Input)
	if err != nil {
		return err
	}
	if task.Size(len(input)) != t.Terms.InputSize {
		return fmt.Errorf("%w: input: have %d bytes, the terms say %d", errDeclined, len(input), t.Terms.InputSize)
	}
	rt, err := w.n.runtimes.Runtime(string(t.Terms.Runtime))
	if err != nil {
		return fmt.Errorf("%w: %w", errDeclined, err)
	}
	if err := rt.Check(program); err != nil {
		return fmt.Errorf("%w: %w", errDeclined, err)
	}
	return nil
}

// produce returns the proof of a task: of the result that the journal names,
// or of executing it now.
func (w *worker) produce(ctx context.Context, t task.Task) (task.Proof, error) {
	if proof, done, err := w.journal.result(t.ID); err != nil || done {
		return proof, err
	}
	proof, err := w.perform(ctx, t)
	if err != nil {
		return task.Proof{}, err
	}
	return proof, w.journal.produced(t.ID, proof)
}

// perform executes the task and stores its result.
func (w *worker) perform(ctx context.Context, t task.Task) (task.Proof, error) {
	rt, err := w.n.runtimes.Runtime(string(t.Terms.Runtime))
	if err != nil {
		return task.Proof{}, err
	}
	program, err := w.n.blobs.get(t.Terms.Program)
	if err != nil {
		return task.Proof{}, err
	}
	input, err := w.n.blobs.get(t.Terms.Input)
	if err != nil {
		return task.Proof{}, err
	}
	window := time.Duration(t.Terms.ExecutionWindow) * time.Millisecond
	got, err := rt.Run(ctx, exec.Job{
		Task: t.ID, Program: program, Input: input, AcceptTime: t.Acceptance.Time,
		MemoryPages: uint32(t.Terms.Memory / task.Page), OutputLimit: exec.MaxOutput, TimeLimit: window,
	})
	switch {
	case ctx.Err() != nil:
		return task.Proof{}, ctx.Err()
	case err != nil:
		w.journal.fail(t.ID, err)
		return w.withdrawal(err)
	}
	return w.proofOf(got)
}

// withdrawal is the proof of a task that this platform could not execute: its
// claim of nothing gives the requester the price back now, not at the deadline.
func (w *worker) withdrawal(why error) (task.Proof, error) {
	record, err := w.n.blobs.putRecord(exec.EncodeFailed(-1))
	if err != nil {
		return task.Proof{}, errors.Join(why, err)
	}
	nothing := task.PPM(0)
	return task.Proof{Result: record, Size: task.Size(len(exec.EncodeFailed(-1))), Claim: &nothing}, nil
}

// proofOf stores a result, and names it.
func (w *worker) proofOf(got exec.Result) (task.Proof, error) {
	proof := task.Proof{
		Size:   task.Size(len(got.Output)),
		Record: task.Record{Latency: atp.Span(got.Elapsed.Milliseconds()), Iterations: 1},
	}
	var err error
	if got.Failed {
		proof.Result, err = w.n.blobs.putRecord(got.Output)
	} else {
		proof.Result, err = w.n.blobs.putBytes(got.Output)
	}
	return proof, err
}

// submit makes a transaction and waits until it is final. It tries again while
// the mempool is full, until the deadline has passed.
func (w *worker) submit(ctx context.Context, a chain.Action, deadline atp.Millis) error {
	for {
		tx, err := w.r.wallet.submit(ctx, a)
		if err == nil {
			return w.final(ctx, tx.ID())
		}
		var no *view.Error
		if !errors.As(err, &no) || !no.Retryable || nowMillis() > uint64(deadline) {
			return err
		}
		if !sleep(ctx, retryEvery) {
			return ctx.Err()
		}
	}
}

// final waits until a transaction of ours is final, and returns why its
// operations failed, if they did.
func (w *worker) final(ctx context.Context, id cid.Cid) error {
	for {
		changed := w.n.hub.Changed()
		if tx, ok, err := w.n.finalTx(id); err != nil {
			return err
		} else if ok {
			if !tx.Receipt.OK() {
				return fmt.Errorf("node: refused in block %d: %s", tx.Height, tx.Receipt.Detail)
			}
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// register publishes what this platform offers, once: its runtimes, at the
// default prices. Changing it afterwards is the operator's (platform register).
func (w *worker) register(ctx context.Context) error {
	if w.n.cfg.NoWork || len(w.n.runtimes.Names()) == 0 {
		return nil
	}
	if _, done, err := w.r.state().Platform(w.n.id()); err != nil || done {
		return err
	}
	err := w.submit(ctx, &chain.PlatformRegister{Platform: w.n.defaultPlatform()}, atp.Millis(nowMillis()).Add(atp.Day))
	if err != nil && ctx.Err() == nil {
		w.n.hub.alarm(fmt.Sprintf("this platform could not register, and gets no tasks: %v: try sage-p2p platform register --name ANOTHER", err))
	}
	return nil
}

// defaultPlatform is what a platform says of itself unless told otherwise.
func (n *Node) defaultPlatform() task.Platform {
	p := task.Platform{
		Name:     task.Name(n.cfg.Name),
		Hardware: task.Hardware{RAM: task.Size(machineRAM()), Architecture: runtime.GOARCH},
		Horizon:  task.Horizon{Spatial: task.Global, Temporal: task.Epoch, Complexity: task.SocietyWide},
	}
	for _, t := range []task.Type{task.Vision, task.SensorFusion, task.Coordination, task.Consolidation} {
		p.Offers = append(p.Offers, task.DefaultOffer(t))
	}
	for _, name := range n.runtimes.Names() {
		p.Runtimes = append(p.Runtimes, task.Runtime(name))
	}
	return p
}

// wanted reports whether an open task of this platform needs the content.
func (w *worker) wanted(c cid.Cid) bool {
	found := false
	err := w.r.state().EachTask(func(t task.Task) error {
		found = found || w.concerns(t) && (t.Terms.Program == c || t.Terms.Input == c || t.Proof != nil && t.Proof.Result == c)
		return nil
	})
	return found || err != nil
}

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

// machineRAM returns the machine's memory in bytes, or 0 where it is not told.
func machineRAM() uint64 {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	var kib uint64
	if _, err := fmt.Sscanf(string(raw), "MemTotal: %d kB", &kib); err != nil {
		return 0
	}
	return kib << 10
}
