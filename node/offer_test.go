package node_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// nonce is how many transactions of the platform are in blocks.
func (p *platform) nonce(t *testing.T) uint64 {
	t.Helper()
	a, err := p.Account(t.Context(), p.id(t))
	if err != nil {
		t.Fatal(err)
	}
	return a.Nonce
}

// What the rules would refuse is refused before it is signed: it costs neither a
// nonce nor a block, and says what is to be done.
func TestWhatNoBlockCouldDoIsRefusedBeforeItIsPosted(t *testing.T) {
	t.Parallel()
	mine := up(t, "node-0", func(c *node.Config) { c.Expect = 1 }, offering(t, echoing()))
	at := mine.wait(t, "listening", listening).Listen
	other := up(t, "node-1", func(c *node.Config) { c.Bootstrap = at }, offering(t, echoing()))
	idle := up(t, "idle", func(c *node.Config) { c.NoWork, c.Observer, c.Bootstrap = true, true, at }, offering(t, echoing()))
	registered(t, 2, mine, other)
	idle.wait(t, "of the federation", func(s view.Status) bool { return idle.Current() && s.Validators > 0 })
	register := func(p *platform, r view.Registration) func() error {
		return func() error { _, err := p.Register(t.Context(), r); return err }
	}
	lock := func(amount view.Amount, until time.Duration) func() error {
		return func() error {
			_, err := mine.CreateLock(t.Context(), other.id(t), amount, view.Millis(time.Now().Add(until).UnixMilli()))
			return err
		}
	}
	post := func(to *platform, change func(*view.NewTask)) func() error {
		return func() error {
			nt := view.NewTask{
				Type: string(task.Vision), Runtime: exec.WASMName, PriceUATP: 50 * atp, To: to.cfg.Name,
				Program: mine.holds(t, []byte("module")), Input: mine.holds(t, []byte("input")),
			}
			change(&nt)
			_, err := mine.PostTask(t.Context(), nt, to.id(t))
			return err
		}
	}
	before := mine.nonce(t)
	for _, tt := range []struct {
		name string
		do   func() error
		code view.Code
		want string // of the message
		hint string // a part of the remedy
	}{
		{"a runtime that is not here", register(mine, view.Registration{Runtimes: []string{"nonsense"}}), view.CodeInvalid, "no runtime nonsense: it has wasm", "--runtime wasm"},
		{"nothing to register", register(mine, view.Registration{}), view.CodeInvalid, "nothing", "--horizon"},
		{"another name than the first", register(mine, view.Registration{Name: "another"}), view.CodeRefused, `"node-0"`, "without a name"},
		{"a name that is taken", register(idle, view.Registration{Name: "node-1"}), view.CodeRefused, `"node-1"`, "--name"},
		{"a lock beyond the most", lock(atp, 10_000*time.Hour), view.CodeInvalid, "8784h", "--until +8783h"},
		{"a lock of next to nothing", lock(999, time.Hour), view.CodeInvalid, "0.001 ATP", "sage-p2p transfer"},
		{"a type that it does not take", post(other, func(n *view.NewTask) { n.Type = "singing" }), view.CodeRefused, "node-1 does not take tasks of type singing", "sage-p2p platforms"},
		{"a runtime that it does not have", post(other, func(n *view.NewTask) { n.Runtime = "docker" }), view.CodeRefused, "node-1 has no runtime docker", "sage-p2p platforms"},
		{"one that takes no tasks", post(idle, func(*view.NewTask) {}), view.CodeRefused, "has not registered", "sage-p2p platforms"},
		{"a deadline below the least", post(other, func(n *view.NewTask) { n.ExecutionWindowMS = 1000 }), view.CodeInvalid, "execution window 1s: want 5s to 24h", ""},
		{"an offer beyond the most", post(other, func(n *view.NewTask) { n.OfferWindowMS = 90_000_000 }), view.CodeInvalid, "offer window 25h: want 5s to 24h", ""},
		{"to be done again, for long", post(other, func(n *view.NewTask) { n.Verify, n.ExecutionWindowMS = "recompute", 600_000 }), view.CodeInvalid, "execution window 10m: want at most 5m in class recompute", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.do()
			var no *view.Error
			if !errors.As(err, &no) || no.Code != tt.code || !strings.Contains(no.Message, tt.want) || !strings.Contains(no.Hint, tt.hint) {
				t.Errorf("%#v, want %s about %q with the remedy %q", err, tt.code, tt.want, tt.hint)
			}
		})
	}
	mine.pays(t, other.id(t), 1)
	sub, err := idle.Register(t.Context(), view.Registration{}) // the first time, that says something
	if err != nil {
		t.Fatal(err)
	}
	idle.final(t, sub)
	if got := [2]uint64{mine.nonce(t), idle.nonce(t)}; got != [2]uint64{before + 1, 1} {
		t.Errorf("nonces = %v, want %d and 1: what was refused was posted", got, before+1)
	}
	t.Run("what will wait", func(t *testing.T) { checkNotes(t, mine, other) })
}

// checkNotes posts tasks that their executor accepts only if something changes.
func checkNotes(t *testing.T, requester, executor *platform) {
	sub, err := executor.Register(t.Context(), view.Registration{Runtimes: []string{exec.WASMName}, Horizon: &view.Horizon{Spatial: "local"}})
	if err != nil {
		t.Fatal(err)
	}
	executor.final(t, sub)
	requester.wait(t, "aware of a narrower horizon", func(view.Status) bool {
		p, err := requester.Platforms(t.Context())
		return err == nil && slices.ContainsFunc(p, func(p view.Platform) bool {
			return p.Horizon == view.Horizon{Spatial: "local", Temporal: "epoch", Complexity: "society"}
		})
	})
	for _, tt := range []struct {
		price   view.Amount
		horizon view.Horizon
		want    string
	}{
		{11 * atp, view.Horizon{}, ""},
		{3 * atp, view.Horizon{}, "3 ATP is below its list price of 11 ATP"},
		{11 * atp, view.Horizon{Spatial: "global"}, "horizon is wider than its own"},
	} {
		sub, err := requester.PostTask(t.Context(), view.NewTask{
			Type: string(task.Vision), Runtime: exec.WASMName, PriceUATP: tt.price, To: executor.cfg.Name, Horizon: tt.horizon,
			Program: requester.holds(t, []byte("module")), Input: requester.holds(t, []byte("input")),
		}, executor.id(t))
		if err != nil || (tt.want == "") != (sub.Note == "") || !strings.Contains(sub.Note, tt.want) {
			t.Errorf("%s ATP, horizon %+v: the note %q, %v, want %q", tt.price, tt.horizon, sub.Note, err, tt.want)
		}
	}
}
