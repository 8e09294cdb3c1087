package node_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/signer"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// joining starts a platform that joins the federation of another by its address
// alone.
func joining(t *testing.T, name string, at *platform, opts ...node.Option) *platform {
	t.Helper()
	where := at.wait(t, "listening", listening).Listen
	return up(t, name, func(c *node.Config) { c.Bootstrap = where }, append(opts, offering(t, echoing()))...)
}

// isCandidate waits until p sees that a platform waits for a vote.
func (p *platform) isCandidate(t *testing.T, name string) {
	t.Helper()
	p.wait(t, "told of the candidate "+name, func(view.Status) bool {
		set, err := p.Validators(t.Context())
		return err == nil && slices.ContainsFunc(set.Candidates, func(c view.Candidate) bool { return c.Name == name })
	})
}

// decides waits until all see a set of n, and returns the height at which the
// chain says that it began.
func decides(t *testing.T, n int, all ...*platform) view.Height {
	t.Helper()
	for _, p := range all {
		p.wait(t, "in a set of another size", func(s view.Status) bool { return s.Validators == n })
	}
	s := agree(t, all...)
	for h := s.Height; ; h-- {
		b, err := all[0].BlockAt(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range b.Events {
			if e.Name == "VALIDATOR_JOINED" || e.Name == "VALIDATOR_LEFT" {
				return h + 1
			}
		}
	}
}

// sizes lists how many decided each final height, as the headers have it: a
// change is where the hash of the set changes.
func sizes(t *testing.T, p *platform) (list []int) {
	t.Helper()
	top := p.wait(t, "open", listening).Height
	n := 1
	for h := view.Height(1); h <= top; h++ {
		b, err := p.BlockAt(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 || list[len(list)-1] != n {
			list = append(list, n)
		}
		for _, e := range b.Events {
			switch e.Name {
			case "VALIDATOR_JOINED":
				n++
			case "VALIDATOR_LEFT":
				n--
			}
		}
		if got := len(b.Certificate.Signers); got > n && n > list[len(list)-1] {
			t.Errorf("block %d is signed by %d", h, got)
		}
	}
	return list
}

// checked stops a platform and has its store checked from the head to the
// genesis, each certificate by the set of its own height.
func (p *platform) checked(t *testing.T) {
	t.Helper()
	p.end(t)
	s, err := store.Open(filepath.Join(p.cfg.Home, "store"), store.Edge)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Check(bft.ZIP215{}, 1<<20), s.Close()); err != nil {
		t.Errorf("the store of %s: %v", p.cfg.Name, err)
	}
}

// One founds, others join by its address: one decides, then three, then four.
// A transfer becomes final after each step, also with one of four off, and who
// was off across the changes comes back.
func TestAFederationGrowsFromOneToFour(t *testing.T) {
	t.Parallel()
	first := up(t, "first", func(*node.Config) {}, offering(t, echoing()))
	first.wait(t, "registered", func(s view.Status) bool { return s.Height > 0 })
	second := joining(t, "second", first)
	first.isCandidate(t, "second")
	first.pays(t, second.id(t), 1)
	s := agree(t, first, second)
	if s.Validators != 1 || s.OnlyValidator != "first" {
		t.Errorf("of two machines %d validate, and all depends on %q", s.Validators, s.OnlyValidator)
	}
	if other, err := second.Status(t.Context()); err != nil || other.Validator || other.OnlyValidator != "first" || other.BondedUATP != 100*atp {
		t.Errorf("the second machine: %+v, %v", other, err)
	}

	history, err := second.History(t.Context(), second.id(t), "", 10)
	if err != nil || !slices.ContainsFunc(history.Movements, func(m view.Movement) bool {
		return m.Event == "VALIDATOR_CANDIDATE" && m.OutUATP == 100*atp
	}) {
		t.Errorf("the bond is not in its history: %+v, %v", history, err)
	}
	watcher := up(t, "watcher", func(c *node.Config) {
		c.Bootstrap, c.Observer = first.wait(t, "listening", listening).Listen, true
	}, offering(t, echoing()))
	agree(t, first, watcher)
	watcher.end(t) // it is off while the set changes

	third := joining(t, "third", first)
	decides(t, 3, first, second, third)
	second.pays(t, first.id(t), 1)
	third.end(t)
	first.pays(t, second.id(t), 1) // two of three go on
	third = third.again(t)

	fourth := joining(t, "fourth", second)
	decides(t, 4, first, second, third, fourth)
	fourth.pays(t, first.id(t), 2)
	second.end(t)
	fourth.pays(t, first.id(t), 2) // three of four go on
	third.pays(t, first.id(t), 1)
	second = second.again(t)
	all := []*platform{first, second, third, fourth, watcher.again(t)}
	agree(t, all...)
	if got := sizes(t, first); !slices.Equal(got, []int{1, 3, 4}) {
		t.Errorf("sets of %v decided, want 1, 3, 4", got)
	}
	if s := agree(t, all...); s.Quorum != 3 || s.OnlyValidator != "" {
		t.Errorf("of %d validators %d decide, and all depends on %q", s.Validators, s.Quorum, s.OnlyValidator)
	}
	for _, p := range all {
		p.checked(t)
	}
}

// final waits until a transaction of the platform's is final.
func (p *platform) final(t *testing.T, sub view.Submission) view.Tx {
	t.Helper()
	var tx view.Tx
	p.wait(t, "sure of a transaction", func(view.Status) bool {
		var err error
		tx, err = p.Tx(t.Context(), sub.TxID)
		return err == nil && tx.State == view.TxFinal
	})
	return tx
}

// refused is the message of a refusal, which the test demands.
func refused(t *testing.T, err error) string {
	t.Helper()
	var no *view.Error
	if !errors.As(err, &no) || no.Hint == "" {
		t.Fatalf("%v is no refusal with a hint", err)
	}
	return no.Message
}

// Who gives its vote back stays out, also after a restart and when others join,
// until it is told to join again.
func TestWhoGivesItsVoteBackStaysOut(t *testing.T) {
	t.Parallel()
	all := federation(t, 4, offering(t, echoing()))
	for _, p := range all {
		p.wait(t, "registered", func(view.Status) bool {
			list, err := all[0].Platforms(t.Context())
			return err == nil && len(list) == 4
		})
	}
	leaver := all[3]
	if _, err := leaver.JoinValidators(t.Context()); !strings.Contains(refused(t, err), "has a vote already") {
		t.Error(err)
	}
	sub, err := leaver.LeaveValidators(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leaver.final(t, sub)
	decides(t, 3, all...)
	if s, err := leaver.Status(t.Context()); err != nil || s.Validator || s.BondedUATP != 100_000_000 {
		t.Errorf("it has left, with a bond that answers for it still, and is %+v, %v", s, err)
	}
	if _, err := leaver.LeaveValidators(t.Context()); !strings.Contains(refused(t, err), "has left already") {
		t.Error(err)
	}
	leaver.pays(t, all[0].id(t), 1) // it observes, and pays
	leaver.end(t)
	leaver = leaver.again(t)
	all[3] = leaver
	fifth := joining(t, "fifth", all[0])
	decides(t, 4, append(all, fifth)...)

	// Two of four leave: the first at once, the second waits, and stays after all.
	for _, p := range all[1:3] {
		if sub, err = p.LeaveValidators(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.final(t, sub)
	}
	decides(t, 3, append(all, fifth)...)
	if _, err := all[2].LeaveValidators(t.Context()); !strings.Contains(refused(t, err), "leaving already") {
		t.Error(err)
	}
	if sub, err = all[2].JoinValidators(t.Context()); err != nil {
		t.Fatal(err)
	}
	all[2].final(t, sub)
	if sub, err = leaver.JoinValidators(t.Context()); err != nil {
		t.Fatal(err)
	}
	leaver.final(t, sub)
	decides(t, 4, append(all, fifth)...)
	set, err := leaver.Validators(t.Context())
	if err != nil || slices.ContainsFunc(set.Members, func(v view.Validator) bool { return v.Leaving || v.BondedUATP != 100*atp }) {
		t.Errorf("the set is %+v, %v", set, err)
	}
	all[1].pays(t, leaver.id(t), 1)
	agree(t, append(all, fifth)...)
}

// Two found a federation, of whom one validates. The second is an observer like
// any other, and may not leave what it does not have.
func TestOfTwoFoundersOneValidates(t *testing.T) {
	t.Parallel()
	a := up(t, "one", func(c *node.Config) { c.Expect = 2 }, offering(t, echoing()))
	where := a.wait(t, "listening", listening).Listen
	b := up(t, "two", func(c *node.Config) { c.Expect, c.Bootstrap = 2, where }, offering(t, echoing()))
	both := []*platform{a, b}
	for _, p := range both {
		p.wait(t, "in the federation", func(s view.Status) bool { return s.Validators == 1 && s.Height > 0 })
	}
	if s, err := a.Status(t.Context()); err != nil || !s.Validator {
		a, b = b, a
	}
	a.isCandidate(t, b.cfg.Name)
	if _, err := a.LeaveValidators(t.Context()); !strings.Contains(refused(t, err), "the last validator") {
		t.Error(err)
	}
	b.pays(t, a.id(t), 1)
	if s := agree(t, both...); s.Validators != 1 || s.OnlyValidator != a.cfg.Name {
		t.Errorf("%d validate, and all depends on %q", s.Validators, s.OnlyValidator)
	}
	a.checked(t)
}

// A validator that is started as an observer counts as absent, and hears of it.
func TestAnObserverWithAVoteIsTold(t *testing.T) {
	t.Parallel()
	p := up(t, "founder", func(*node.Config) {})
	p.wait(t, "founded", func(s view.Status) bool { return s.Validator })
	p.end(t)
	p.cfg.Observer = true
	p = p.again(t)
	p.wait(t, "told", func(s view.Status) bool {
		return !s.Validator && slices.ContainsFunc(s.Alarms, func(a string) bool { return strings.Contains(a, "validator leave") })
	})
}

// Two machines, of which one validates and the other has asked for a vote in
// vain, say nothing more; when a third asks, the second asks again, and all three
// vote.
func TestTwoMachinesAreSilentUntilAThirdComes(t *testing.T) {
	t.Parallel()
	first := up(t, "first", func(*node.Config) {}, offering(t, echoing()))
	second := joining(t, "second", first, node.WithCandidacy(2_000))
	first.isCandidate(t, "second")
	for _, p := range []*platform{first, second} {
		p.wait(t, "past the candidacy", func(view.Status) bool {
			set, err := p.Validators(t.Context())
			return err == nil && len(set.Candidates) == 0
		})
	}
	height := agree(t, first, second).Height
	said := func() [2]p2p.Counters {
		c := [2]p2p.Counters{first.Host().Counters(), second.Host().Counters()}
		for i := range c { // who listens where is asked about now and again
			c[i] = p2p.Counters{FramesIn: c[i].FramesIn, FramesOut: c[i].FramesOut, GossipOut: c[i].GossipOut}
		}
		return c
	}
	before, quiet := said(), time.Now()
	first.wait(t, "silent for longer than between two Status", func(view.Status) bool {
		if now := said(); now != before {
			before, quiet = now, time.Now()
		}
		return time.Since(quiet) > 12*time.Second
	})
	if s := agree(t, first, second); s.Height != height || s.Validators != 1 {
		t.Errorf("at rest they made blocks from %d to %d, and %d validate", height, s.Height, s.Validators)
	}
	third := joining(t, "third", first)
	decides(t, 3, first, second, third)
	second.pays(t, third.id(t), 1)
	agree(t, first, second, third)
}

// The founder's disk is set back to when it was alone in its set, and could
// decide by itself. It hears of the others' chain first, says nothing more with
// its vote, and follows; through a restart, too. When the others have gone further
// without it, it votes again by itself.
func TestAFounderOnAnOldImageFollowsTheOthers(t *testing.T) {
	t.Parallel()
	first := up(t, "first", func(*node.Config) {}, offering(t, echoing()))
	first.wait(t, "registered", func(s view.Status) bool { return s.Height > 0 })
	first.end(t)
	image := filepath.Join(t.TempDir(), "image")
	if err := os.CopyFS(image, os.DirFS(first.cfg.Home)); err != nil {
		t.Fatal(err)
	}
	first = first.again(t)
	first.wait(t, "back", listening)
	second, third := joining(t, "second", first), joining(t, "third", first)
	decides(t, 3, first, second, third)
	first.pays(t, second.id(t), 1)
	second.pays(t, first.id(t), 1)
	third.pays(t, first.id(t), 1)
	first.end(t)
	if err := errors.Join(os.RemoveAll(first.cfg.Home), os.CopyFS(first.cfg.Home, os.DirFS(image))); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"key", "signer", "api.token"} {
		if err := os.Chmod(filepath.Join(first.cfg.Home, secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first = first.again(t)
	first.wait(t, "found out", func(s view.Status) bool {
		return slices.ContainsFunc(s.Alarms, func(a string) bool { return strings.Contains(a, "Nothing is signed any more") })
	})
	agree(t, first, second, third)
	third.pays(t, first.id(t), 2) // two of three go on
	agree(t, first, second, third)
	first.end(t)
	silence := filepath.Join(first.cfg.Home, signer.SilenceFile)
	if _, err := os.Stat(silence); err != nil {
		t.Errorf("the silence is not on the disk: %v", err)
	}
	first = first.again(t)
	first.wait(t, "silent still", func(s view.Status) bool {
		return slices.ContainsFunc(s.Alarms, func(a string) bool { return strings.Contains(a, "Nothing is signed any more") })
	})
	for back := false; !back; {
		third.pays(t, first.id(t), 1)
		s := agree(t, first, second, third)
		back = slices.ContainsFunc(first.wait(t, "listening", listening).Alarms, func(a string) bool { return strings.Contains(a, "signs again above height") })
		if s.Height > 200 {
			t.Fatalf("at height %d it is still silent: %q", s.Height, first.wait(t, "listening", listening).Alarms)
		}
	}
	if _, err := os.Stat(silence); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it signs, and the next start would not: %v", err)
	}
	third.end(t) // now it is needed
	second.pays(t, first.id(t), 3)
	agree(t, first, second)
	first.checked(t)
}
