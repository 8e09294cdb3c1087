package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	coin "github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// court is a federation whose platforms bond the stakes of witnesses: the first
// posts tasks, the second executes them, the others could witness them.
type court struct{ all []*platform }

func (c court) requester() *platform { return c.all[0] }
func (c court) executor() *platform  { return c.all[1] }

// newCourt founds a federation of one platform for each runtime.
func newCourt(t *testing.T, change func(*task.Economy), runtimes ...exec.Runtime) court {
	t.Helper()
	params := chain.DefaultParams(chain.AdmitAuto)
	params.Economy.LeastAudit = task.S // every result is audited
	params.Economy.MinWindow = coin.Second
	change(&params.Economy)
	raw, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "params.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	var c court
	var bootstrap []string
	for i, rt := range runtimes {
		p := up(t, fmt.Sprintf("node-%d", i), func(cfg *node.Config) {
			cfg.Expect, cfg.ParamsFile, cfg.Bootstrap, cfg.NoWitness = len(runtimes), file, bootstrap, i < 2
		}, offering(t, rt))
		if i == 0 {
			bootstrap = p.wait(t, "listening", listening).Listen
		}
		c.all = append(c.all, p)
	}
	registered(t, len(runtimes), c.all...)
	for _, p := range c.all[2:] {
		id := p.id(t)
		c.requester().wait(t, "aware of a witness's stake", func(view.Status) bool {
			a, err := c.requester().Account(t.Context(), id)
			return err == nil && a.Stake != nil && a.Stake.AmountUATP == 150*atp
		})
	}
	return c
}

// posts posts a task that is to be executed again.
func (c court) posts(t *testing.T, price view.Amount, input string) view.CID {
	t.Helper()
	sub, err := c.requester().PostTask(t.Context(), view.NewTask{
		Type: string(task.Vision), Runtime: exec.WASMName, PriceUATP: price, MinQualityPPM: 900_000,
		Program: c.requester().holds(t, []byte("module")), Input: c.requester().holds(t, []byte(input)), To: c.executor().cfg.Name,
	}, c.executor().id(t))
	if err != nil {
		t.Fatal(err)
	}
	if sub.Verify != string(task.Recompute) {
		t.Fatalf("the task is of class %s, since %s; want %s", sub.Verify, sub.Because, task.Recompute)
	}
	return sub.TaskID
}

// settled waits until a task is settled, everywhere alike.
func (c court) settled(t *testing.T, id view.CID) view.Task {
	t.Helper()
	for _, p := range c.all {
		p.waitTask(t, id, "settled", in(view.TaskSettled))
	}
	agree(t, c.all...)
	return c.requester().waitTask(t, id, "settled", in(view.TaskSettled))
}

// cheap lets a platform take a task for less than the list price.
func (c court) cheap(t *testing.T) {
	t.Helper()
	sub, err := c.executor().Register(t.Context(), view.Registration{Offers: []view.Offer{{
		Type: string(task.Vision), LowUATP: atp, MediumUATP: atp, HighUATP: atp, CriticalUATP: atp,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	c.executor().wait(t, "registered at another price", func(view.Status) bool {
		tx, err := c.executor().Tx(t.Context(), sub.TxID)
		return err == nil && tx.State == view.TxFinal && tx.OK
	})
}

// lying answers with something else than an honest runtime would, always the same.
func lying() *scripted {
	return &scripted{run: func(_ context.Context, j exec.Job) (exec.Result, error) {
		return exec.Result{Output: append([]byte("lies: "), j.Input...), MemoryHash: exec.MemoryHash{6}}, nil
	}}
}

func honest(n int) []exec.Runtime {
	var all []exec.Runtime
	for range n {
		all = append(all, echoing())
	}
	return all
}

func unchanged(*task.Economy) {}

func TestAnAuditedResultIsPaidAndSoAreItsWitnesses(t *testing.T) {
	t.Parallel()
	c := newCourt(t, unchanged, honest(5)...)
	before := c.requester().has(t, c.executor().id(t))
	id := c.posts(t, 50*atp, "input")
	v := c.settled(t, id)
	if v.Settlement != view.SettledCommit || v.Cause != string(task.AuditPass) || v.QualityPPM == nil || *v.QualityPPM != 1_000_000 {
		t.Errorf("settled by %s (%s), quality %v; want an audit that was passed", v.Settlement, v.Cause, v.QualityPPM)
	}
	if len(v.Witnesses) != 3 {
		t.Fatalf("%d witnesses, want all three", len(v.Witnesses))
	}
	for _, w := range v.Witnesses {
		if w.EarnedUATP != 2_500_000 || w.ScorePPM == nil || *w.ScorePPM != 1_000_000 || w.SlashedUATP != 0 {
			t.Errorf("a witness said %s, earned %d µATP, lost %d; want 2.5 ATP for saying 1", w.Answer, w.EarnedUATP, w.SlashedUATP)
		}
	}
	if got := c.requester().has(t, c.executor().id(t)); got <= before+42*atp || got > before+50*atp {
		t.Errorf("the executor has %d µATP after %d, want the price, less than its part of the audit", got, before)
	}
	if got := string(c.requester().read(t, v.Result)); got != "done: input" {
		t.Errorf("result: %q", got)
	}
	x, err := c.requester().VerifyTask(t.Context(), id)
	if err != nil || !x.Passes || x.Found != x.Proved || x.MemoryAlike != 3 || x.MemoryOther != 0 {
		t.Errorf("examined: %+v, %v; want the same result and the memory of all three", x, err)
	}
}

func TestALiarIsFoundOutAndAppealsInVain(t *testing.T) {
	t.Parallel()
	runtimes := honest(6)
	runtimes[1] = lying()
	runtimes[5] = lying() // a witness who lies too
	c := newCourt(t, func(e *task.Economy) { e.LeastAudit = 1 }, runtimes...)
	c.cheap(t)
	liar := c.executor().id(t)
	disputed := false
	for try := 0; try < 20 && !disputed; try++ {
		before := c.requester().has(t, liar)
		id := c.posts(t, 2*atp, fmt.Sprint("input ", try))
		v := c.settled(t, id)
		did := steps(v)
		disputed = did["dispute"] == 1
		if v.Settlement != view.SettledRollback || did["appeal"] != 1 {
			t.Fatalf("settled by %s (%s) after %v; want a rollback after an appeal", v.Settlement, v.Cause, did)
		}
		if got := c.requester().has(t, liar); got >= before {
			t.Errorf("the liar has %d µATP after %d, want less", got, before)
		}
		i := slices.IndexFunc(v.Witnesses, func(w view.Witness) bool { return w.Level == 1 && w.PeerID == c.all[5].id(t) })
		if i < 0 || v.Witnesses[i].SlashedUATP != atp {
			t.Errorf("the witness who lied: %d of %+v, want it to sit with everyone, and to lose 1 ATP", i, v.Witnesses)
		}
	}
	if !disputed {
		t.Error("in twenty tasks the requester has disputed none")
	}
	if got := c.requester().reputationOf(t, c.executor()); got >= 500_000 {
		t.Errorf("the liar's reputation is %d ppm, want less than a newcomer's", got)
	}
}

func TestAWitnessThatRestartsRevealsWhatItCommittedTo(t *testing.T) {
	t.Parallel()
	gates := []*gate{newGate(), newGate(), newGate()}
	runtimes := honest(2)
	for _, g := range gates {
		runtimes = append(runtimes, g.behind())
	}
	c := newCourt(t, unchanged, runtimes...)
	id := c.posts(t, 50*atp, "input")
	witness := c.all[2]
	gates[0].let()
	c.requester().waitTask(t, id, "committed to by the first witness", func(v view.Task) bool { return steps(v)["commit"] == 1 })
	witness.end(t)
	second := lying()
	c.all[2] = witness.again(t, offering(t, second))
	gates[1].let()
	gates[2].let()
	v := c.settled(t, id)
	for _, w := range v.Witnesses {
		if w.Answer != "1000000 ppm" || w.EarnedUATP != 2_500_000 {
			t.Errorf("%s said %s and earned %d µATP, want the answer of before the restart", w.Name, w.Answer, w.EarnedUATP)
		}
	}
	if second.runs.Load() != 0 {
		t.Error("the task was executed again after the restart")
	}
}

func TestTheOthersDecideWhereASeatDies(t *testing.T) {
	t.Parallel()
	g := newGate()
	runtimes := append(honest(4), g.behind())
	c := newCourt(t, func(e *task.Economy) {
		e.LeastCommit, e.RevealWindow = 15*coin.Second, 10*coin.Second
		e.ExecutionWindow = 5 * coin.Second
	}, runtimes...)
	id := c.posts(t, 50*atp, "input")
	<-g.began // it sits, and works
	dead := c.all[4].id(t)
	c.all[4].end(t)
	c.all = c.all[:4]
	v := c.settled(t, id)
	if v.Settlement != view.SettledCommit {
		t.Errorf("settled by %s (%s), want the word of the other two to count", v.Settlement, v.Cause)
	}
	for _, w := range v.Witnesses {
		if w.PeerID == dead && (w.SlashedUATP != 5*atp || w.Answer != "") || w.PeerID != dead && w.EarnedUATP == 0 {
			t.Errorf("%s said %q, earned %d and lost %d µATP", w.Name, w.Answer, w.EarnedUATP, w.SlashedUATP)
		}
	}
}

// checking is a runtime whose program "checker" says what an output is worth:
// 800,000 ppm of what was done, nothing of a lie. What else it executes, it does
// like another.
func checking(work *scripted) *scripted {
	return &scripted{run: func(ctx context.Context, j exec.Job) (exec.Result, error) {
		switch {
		case string(j.Program) != "\x00asm checker":
			return work.run(ctx, j)
		case bytes.Contains(j.Input, []byte("lies: ")):
			return exec.Result{Output: []byte("0\n"), MemoryHash: exec.MemoryHash{1}}, nil
		}
		return exec.Result{Output: []byte("800000\n"), MemoryHash: exec.MemoryHash{2}}, nil
	}}
}

func TestACheckerFindsTheQuality(t *testing.T) {
	t.Parallel()
	var runtimes []exec.Runtime
	for range 5 {
		runtimes = append(runtimes, checking(echoing()))
	}
	c := newCourt(t, unchanged, runtimes...)
	post := func() view.CID {
		sub, err := c.requester().PostTask(t.Context(), view.NewTask{
			Type: string(task.Vision), Runtime: exec.WASMName, PriceUATP: 50 * atp, To: c.executor().cfg.Name,
			Program: c.requester().holds(t, []byte("module")), Input: c.requester().holds(t, []byte("input")),
			Checker: c.requester().holds(t, []byte("\x00asm checker")),
		}, c.executor().id(t))
		if err != nil || sub.Verify != string(task.Checker) {
			t.Fatalf("posted in class %s, %v; want %s", sub.Verify, err, task.Checker)
		}
		return sub.TaskID
	}
	v := c.settled(t, post())
	if v.Settlement != view.SettledCommit || v.QualityPPM == nil || *v.QualityPPM != 800_000 || len(v.Witnesses) != 3 {
		t.Errorf("settled by %s (%s), quality %v, %d witnesses", v.Settlement, v.Cause, v.QualityPPM, len(v.Witnesses))
	}
	c.all[1].end(t)
	c.all[1] = c.all[1].again(t, offering(t, &scripted{run: func(ctx context.Context, j exec.Job) (exec.Result, error) {
		if string(j.Program) == "\x00asm checker" { // which it does not believe
			return exec.Result{Output: []byte("1000000")}, nil
		}
		return lying().run(ctx, j)
	}}))
	c.all[1].wait(t, "in its federation", func(s view.Status) bool { return s.Peers >= 4 && s.Ready() })
	if v := c.settled(t, post()); v.Settlement != view.SettledRollback || v.Witnesses[0].Answer != "0 ppm" {
		t.Errorf("what the checker finds worthless is settled by %s (%s), %+v", v.Settlement, v.Cause, v.Witnesses)
	}
}

func TestAnExecutorProvesNothingThatTheCheckerFindsWorthless(t *testing.T) {
	t.Parallel()
	var runtimes []exec.Runtime
	for i := range 5 {
		work := echoing()
		if i == 1 {
			work = lying()
		}
		runtimes = append(runtimes, checking(work))
	}
	c := newCourt(t, unchanged, runtimes...)
	sub, err := c.requester().PostTask(t.Context(), view.NewTask{
		Type: string(task.Vision), Runtime: exec.WASMName, PriceUATP: 50 * atp, To: c.executor().cfg.Name, ExecutionWindowMS: 5_000,
		Program: c.requester().holds(t, []byte("module")), Input: c.requester().holds(t, []byte("input")),
		Checker: c.requester().holds(t, []byte("\x00asm checker")),
	}, c.executor().id(t))
	if err != nil {
		t.Fatal(err)
	}
	v := c.settled(t, sub.TaskID)
	if mine := c.executor().waitTask(t, sub.TaskID, "settled", in(view.TaskSettled)); v.Cause != "late" || !strings.Contains(mine.Failure, "not good enough") {
		t.Errorf("settled by %s (%s), failure %q; want it late rather than wrong", v.Settlement, v.Cause, mine.Failure)
	}
}

func TestContentOfATaskIsForItsPartiesAndSeatsAlone(t *testing.T) {
	t.Parallel()
	g := newGate()
	runtimes := honest(6)
	for i := 2; i < 6; i++ {
		runtimes[i] = g.behind()
	}
	c := newCourt(t, func(e *task.Economy) { e.AppealWindow = 2 * coin.Second }, runtimes...)
	c.cheap(t)
	id := c.posts(t, 9*atp, "input")
	v := c.requester().waitTask(t, id, "witnessed", func(v view.Task) bool { return len(v.Witnesses) == 3 })
	<-g.began
	seated := func(p *platform) bool {
		return slices.ContainsFunc(v.Witnesses, func(w view.Witness) bool { return w.PeerID == p.id(t) })
	}
	for _, p := range c.all[2:] {
		for _, from := range c.all[:2] {
			for _, blob := range []view.CID{v.Spec.Program, v.Spec.Input, v.Result} {
				if blob == v.Result && from == c.requester() {
					continue // its executor and the seats serve it
				}
				if err := p.Fetch(t.Context(), from.id(t), id.Cid, blob.Cid); (err == nil) != seated(p) {
					t.Errorf("%s has a seat: %t; from %s it gets: %v", p.cfg.Name, seated(p), from.cfg.Name, err)
				}
			}
		}
	}
	g.let()
	c.settled(t, id)
}
