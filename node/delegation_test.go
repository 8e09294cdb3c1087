package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ipfs/go-cid"

	coin "github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec"
	"github.com/sage-p2p/sage-p2p/task/exec/programs"
)

// registered waits until so many platforms offer something, on all.
func registered(t *testing.T, n int, all ...*platform) {
	t.Helper()
	for _, p := range all {
		p.wait(t, "aware of all offers", func(view.Status) bool {
			list, err := p.Platforms(t.Context())
			return err == nil && len(list) == n
		})
	}
}

// holds stores content on p.
func (p *platform) holds(t *testing.T, content []byte) view.CID {
	t.Helper()
	b, err := p.PutBlob(t.Context(), bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return b.CID
}

// posts posts a vision task at 50 ATP to an executor.
func (p *platform) posts(t *testing.T, executor *platform, module, input []byte) view.CID {
	t.Helper()
	sub, err := p.PostTask(t.Context(), view.NewTask{
		Type: string(task.Vision), Runtime: exec.WASMName, PriceUATP: 50 * atp, Verify: string(task.Mutual),
		Program: p.holds(t, module), Input: p.holds(t, input), To: executor.cfg.Name,
	}, executor.id(t))
	if err != nil {
		t.Fatal(err)
	}
	return sub.TaskID
}

// waitTask waits until a task is as claimed, as p sees it.
func (p *platform) waitTask(t *testing.T, id view.CID, claim string, holds func(view.Task) bool) (last view.Task) {
	t.Helper()
	p.wait(t, "sure that the task is "+claim, func(view.Status) bool {
		v, err := p.Task(t.Context(), id)
		last = v
		return err == nil && holds(v)
	})
	return last
}

func in(s view.TaskState) func(view.Task) bool { return func(v view.Task) bool { return v.State == s } }

// hasResult says that a task is proven and its result is here.
func hasResult(v view.Task) bool { return v.State == view.TaskProven && v.ResultHere }

// read returns content that p holds, or fetches.
func (p *platform) read(t *testing.T, c view.CID) []byte {
	t.Helper()
	r, err := p.OpenBlob(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return data
}

// steps counts how often each step is in a task's history.
func steps(v view.Task) map[string]int {
	n := map[string]int{}
	for _, s := range v.History {
		n[s.Event]++
	}
	return n
}

func (p *platform) acknowledges(t *testing.T, id view.CID) {
	t.Helper()
	if _, err := p.Acknowledge(t.Context(), id, view.Mark{}); err != nil {
		t.Fatal(err)
	}
}

// reputationOf is that of an executor of vision tasks.
func (p *platform) reputationOf(t *testing.T, executor *platform) view.PPM {
	t.Helper()
	a, err := p.Account(t.Context(), executor.id(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range a.Reputation {
		if r.Role == string(task.Executor) && r.Type == string(task.Vision) {
			return r.ReputationPPM
		}
	}
	return 0
}

func TestARealTaskIsExecutedProvenAndPaidOnAllFour(t *testing.T) {
	t.Parallel()
	module, input := program(t, programs.TextStats)
	all := federation(t, 4, offering(t, wasm(t)))
	registered(t, 4, all...)
	requester, executor := all[1], all[2]
	id := requester.posts(t, executor, module, input)
	v := requester.waitTask(t, id, "proven, its result here", hasResult)
	result := requester.read(t, v.Result)
	if !json.Valid(result) || !strings.Contains(string(result), "words") {
		t.Errorf("result: %.100q, want statistics of a text in JSON", result)
	}
	t.Run("strangers get nothing", func(t *testing.T) {
		for _, c := range []view.CID{v.Spec.Program, v.Spec.Input, v.Result} {
			for _, from := range []*platform{requester, executor} {
				if err := all[3].Fetch(t.Context(), from.id(t), id.Cid, c.Cid); err == nil || !strings.Contains(err.Error(), "gives no right") {
					t.Errorf("%s gave %s to a stranger: %v", from.cfg.Name, c, err)
				}
			}
		}
	})
	requester.acknowledges(t, id)
	for _, p := range all {
		p.waitTask(t, id, "settled", in(view.TaskSettled))
	}
	agree(t, all...)
	for _, p := range all {
		v, err := p.Task(t.Context(), id)
		if err != nil || v.Settlement != view.SettledCommit || v.Executor != executor.id(t) {
			t.Errorf("%s: settled by %s, executed by %s, %v", p.cfg.Name, v.Settlement, v.Executor, err)
		}
		if got := p.has(t, executor.id(t)); got != 950*atp {
			t.Errorf("%s: the executor has %d µATP, want 950 ATP", p.cfg.Name, got)
		}
		if got := p.has(t, requester.id(t)); got != 850*atp-1_500_000 {
			t.Errorf("%s: the requester has %d µATP, want 50 ATP less, and the fee of 1.5", p.cfg.Name, got)
		}
		if got, want := p.reputationOf(t, executor), requester.reputationOf(t, executor); got <= 500_000 || got != want {
			t.Errorf("%s: reputation %d ppm, want more than a newcomer's, and %d", p.cfg.Name, got, want)
		}
	}
}

// gate holds runs back until it is opened, and tells of those that begin.
type gate struct {
	began chan struct{}
	open  chan struct{}
	once  sync.Once
}

func newGate() *gate { return &gate{began: make(chan struct{}, 16), open: make(chan struct{})} }

func (g *gate) let() { g.once.Do(func() { close(g.open) }) }

// behind is a runtime whose runs wait for the gate.
func (g *gate) behind() *scripted {
	return &scripted{run: func(ctx context.Context, j exec.Job) (exec.Result, error) {
		g.began <- struct{}{}
		select {
		case <-g.open:
			return exec.Result{Output: append([]byte("done: "), j.Input...)}, nil
		case <-ctx.Done():
			return exec.Result{}, ctx.Err()
		}
	}}
}

func TestAnExecutorThatRestartsProvesOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		off  []int // that are off while the work is done, so that nothing becomes final
		runs int32 // of the second start
	}{
		{"while it executes", nil, 1},
		{"before its proof is final", []int{0, 3}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGate()
			rt := g.behind()
			all := federation(t, 4, offering(t, rt))
			registered(t, 4, all...)
			requester, executor := all[1], all[2]
			id := requester.posts(t, executor, []byte("module"), []byte("input"))
			<-g.began
			for _, i := range tt.off {
				all[i].end(t)
			}
			if len(tt.off) > 0 {
				g.let()
				executor.wait(t, "on the way with its proof", func(view.Status) bool { return executor.Pending() == 1 })
			}
			executor.end(t)
			second := echoing()
			all[2] = executor.again(t, offering(t, second))
			for _, i := range tt.off {
				all[i] = all[i].again(t)
			}
			all[2].waitTask(t, id, "proven", in(view.TaskProven))
			v := requester.waitTask(t, id, "proven, its result here", hasResult)
			if got := string(requester.read(t, v.Result)); got != "done: input" {
				t.Errorf("result: %q", got)
			}
			requester.acknowledges(t, id)
			v = all[2].waitTask(t, id, "settled", in(view.TaskSettled))
			if got := steps(v); got["accept"] != 1 || got["prove"] != 1 || v.Failure != "" {
				t.Errorf("steps = %v, failure %q; want one acceptance and one proof", got, v.Failure)
			}
			if got := second.runs.Load(); got != tt.runs {
				t.Errorf("executed %d times after the restart, want %d", got, tt.runs)
			}
			self := all[2].id(t)
			all[2].wait(t, "paid, after three transactions (offer, acceptance, proof)", func(view.Status) bool {
				a, err := all[2].Account(t.Context(), self)
				return err == nil && a.Nonce == 3 && a.AvailableUATP == 950*atp
			})
		})
	}
}

// rogue are terms that a requester who keeps to no rule posts.
func (p *platform) rogue(t *testing.T, executor *platform, program, input cid.Cid, size int) view.CID {
	t.Helper()
	terms, err := p.Terms()
	if err != nil {
		t.Fatal(err)
	}
	terms.Type, terms.Runtime, terms.Class, terms.Price = task.Vision, exec.WASMName, task.Mutual, 50*coin.ATP
	terms.Program, terms.Input, terms.InputSize = program, input, task.Size(size)
	terms.Executor = coin.OptionalID{ID: coin.ID{ID: executor.id(t)}}
	tx, err := p.Do(t.Context(), &chain.FederationTask{Terms: terms})
	if err != nil {
		t.Fatal(err)
	}
	var id view.CID
	p.wait(t, "sure that its task is posted", func(view.Status) bool {
		v, err := p.Tx(t.Context(), tx)
		if err != nil || v.State != view.TxFinal {
			return false
		}
		if !v.OK {
			t.Fatalf("not posted: %s", v.Error)
		}
		i := slices.IndexFunc(v.Events, func(e view.Event) bool { return e.Kind == view.EventTask })
		c, err := cid.Decode(v.Events[i].Subject)
		id = view.CID{Cid: c}
		return err == nil
	})
	return id
}

func TestATaskThatIsNotWhatItSaysIsDeclinedWithoutHarm(t *testing.T) {
	rt := echoing()
	all := federation(t, 4, offering(t, rt))
	registered(t, 4, all...)
	requester, executor := all[1], all[2]
	module, input := requester.holds(t, []byte("module")).Cid, requester.holds(t, []byte("some input")).Cid
	nowhere := all[3].holds(t, []byte("on another platform")).Cid
	for _, bad := range []struct {
		name           string
		program, input cid.Cid
		size           int
	}{
		{"larger than it says", module, input, 3},
		{"smaller than it says", module, input, 300},
		{"no program", requester.holds(t, []byte("bad program")).Cid, input, 10},
		{"content that nobody has", nowhere, nowhere, 10},
	} {
		id := requester.rogue(t, executor, bad.program, bad.input, bad.size)
		// The next task is executed nevertheless: none of these holds anything up.
		good := requester.posts(t, executor, []byte("module"), []byte(bad.name))
		v := requester.waitTask(t, good, "proven", hasResult)
		if got := string(requester.read(t, v.Result)); got != "done: "+bad.name {
			t.Errorf("after %s: result %q", bad.name, got)
		}
		requester.acknowledges(t, good)
		requester.waitTask(t, good, "settled", in(view.TaskSettled))
		if v := executor.waitTask(t, id, "known", func(view.Task) bool { return true }); v.State != view.TaskPosted {
			t.Errorf("%s: the task is %s, want it left alone", bad.name, v.State)
		}
	}
	if got := rt.runs.Load(); got != 4 {
		t.Errorf("%d executions, want those of the good tasks", got)
	}
	if got := requester.has(t, executor.id(t)); got != 1100*atp {
		t.Errorf("the executor has %d µATP, want 1100 ATP: nothing was taken from it", got)
	}
}

func TestAMachineThatFailsTriesAgainAndThenWithdraws(t *testing.T) {
	tries := 0
	rt := &scripted{run: func(_ context.Context, j exec.Job) (exec.Result, error) {
		tries++
		if string(j.Input) == "once" && tries > 1 {
			return exec.Result{Output: []byte("at last")}, nil
		}
		return exec.Result{}, exec.ErrHost
	}}
	all := federation(t, 1, offering(t, rt))
	requester := up(t, "requester", func(c *node.Config) { c.Bootstrap, c.Observer = all[0].wait(t, "listening", listening).Listen, true }, offering(t, echoing()))
	registered(t, 2, all[0], requester)
	once := requester.posts(t, all[0], []byte("module"), []byte("once"))
	if v := requester.waitTask(t, once, "proven", hasResult); string(requester.read(t, v.Result)) != "at last" {
		t.Errorf("result: %q", requester.read(t, v.Result))
	}
	never := requester.posts(t, all[0], []byte("module"), []byte("never"))
	v := requester.waitTask(t, never, "settled", in(view.TaskSettled))
	if v.Settlement != view.SettledRollback || v.Cause != "withdrawn" {
		t.Errorf("settled by %s, %s; want the price back at once", v.Settlement, v.Cause)
	}
	if mine := all[0].waitTask(t, never, "known", func(view.Task) bool { return true }); !strings.Contains(mine.Failure, "machine failed") {
		t.Errorf("the executor says of its failure: %q", mine.Failure)
	}
}
