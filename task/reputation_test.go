package task_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// keys of the evidence that a vision task of alice's with bob makes.
var (
	asExecutor  = task.Key{Who: bob, Role: task.Executor, Type: task.Vision}
	asRequester = task.Key{Who: alice, Role: task.Requester}
)

func with(k task.Key, counterpart task.Society) task.Key {
	k.Counterpart = counterpart
	return k
}

// known returns what the state holds under a key; nothing is zero.
func (w *world) known(t *testing.T, k task.Key) task.Evidence {
	t.Helper()
	e, _, err := w.m.Evidence(k)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// run plays a task from one platform to another, to the end that finish makes.
func (w *world) run(t *testing.T, requester, executor atp.ID, price atp.Amount, finish func(p task.Posting) ([]task.Event, error)) []task.Event {
	t.Helper()
	terms := terms()
	terms.Price, terms.Executor = price, atp.OptionalID{ID: executor}
	p := w.posting(requester, terms)
	must(t)(w.book.Post(p, w.clock()))
	must(t)(w.book.Accept(idOf(p), executor, 30*atp.ATP, w.clock()))
	return must(t)(finish(p))
}

// commits proves with a claim of the whole and acknowledges with the whole.
func (w *world) commits(requester, executor atp.ID) func(p task.Posting) ([]task.Event, error) {
	return func(p task.Posting) ([]task.Event, error) {
		if _, err := w.book.Prove(idOf(p), executor, proof(task.S), w.clock()); err != nil {
			return nil, err
		}
		return w.book.Acknowledge(idOf(p), requester, task.S, w.clock())
	}
}

func changes(events []task.Event) (changed []task.ReputationChanged) {
	for _, e := range events {
		if c, ok := e.(*task.ReputationChanged); ok {
			changed = append(changed, *c)
		}
	}
	return changed
}

func TestWhatATaskSaysOfItsParties(t *testing.T) {
	const w = 499_999 // weight of 50 ATP, unaudited
	const good = w * 8 / 10
	for _, tt := range []struct {
		name                string
		finish              func(w *world, p task.Posting) ([]task.Event, error)
		executor, requester task.Evidence
	}{
		{"accepted: a little above what was asked for counts, whatever is claimed", func(w *world, p task.Posting) ([]task.Event, error) {
			return w.commits(alice, bob)(p)
		}, task.Evidence{For: good, Against: w - good, Day: 20_000}, task.Evidence{For: w, Day: 20_000}},
		{"late: against the executor alone", func(w *world, p task.Posting) ([]task.Event, error) {
			return w.book.Expire(idOf(p), w.after(301*atp.Second))
		}, task.Evidence{Against: w, Day: 20_000}, task.Evidence{}},
		{"withdrawn: as if late", func(w *world, p task.Posting) ([]task.Event, error) {
			return w.book.Prove(idOf(p), bob, proof(1), w.clock())
		}, task.Evidence{Against: w, Day: 20_000}, task.Evidence{}},
		{"refused: against the requester alone", func(w *world, p task.Posting) ([]task.Event, error) {
			must(t)(w.book.Prove(idOf(p), bob, proof(), w.clock()))
			return w.book.Acknowledge(idOf(p), alice, 0, w.clock())
		}, task.Evidence{}, task.Evidence{Against: w, Day: 20_000}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			events := w.run(t, alice, bob, 50*atp.ATP, func(p task.Posting) ([]task.Event, error) { return tt.finish(w, p) })
			records, changed := 0, 0
			for key, want := range map[task.Key]task.Evidence{
				asExecutor: tt.executor, with(asExecutor, "a-team"): tt.executor,
				asRequester: tt.requester, with(asRequester, "b-team"): tt.requester,
			} {
				if got := w.known(t, key); got != want {
					t.Errorf("%s: have %+v, want %+v", key, got, want)
				}
				if want != (task.Evidence{}) {
					records++
					changed += 1 - len(key.Counterpart)/len("a-team")
				}
			}
			if got := len(w.m.keys("evidence")); got != records {
				t.Errorf("%d records of evidence, want %d", got, records)
			}
			got := changes(events)
			if len(got) != changed {
				t.Errorf("%d reputations changed, want %d", len(got), changed)
			}
			for _, c := range got {
				if now := w.known(t, task.Key{Who: c.Who, Role: c.Role, Type: c.Type}).Reputation(); c.Old != 500_000 || c.New != now {
					t.Errorf("%+v: want from 500000 to %d", c, now)
				}
			}
		})
	}
}

func TestOneSocietySaysNothingOfItself(t *testing.T) {
	w := newWorld(t)
	events := w.run(t, carl, bob, 50*atp.ATP, w.commits(carl, bob))
	if got := changes(events); len(got) > 0 || len(w.m.keys("evidence")) > 0 {
		t.Errorf("carl and bob are one society: have %+v, want no change", got)
	}
}

func TestTheWordOfOneNeverAdmittedCountsForNothing(t *testing.T) {
	w := newWorld(t)
	got := changes(w.run(t, alice, eve, 50*atp.ATP, w.commits(alice, eve)))
	if len(got) != 1 || got[0].Who != eve {
		t.Errorf("have %+v, want eve's to change and alice's not", got)
	}
	got = changes(w.run(t, eve, bob, 50*atp.ATP, w.commits(eve, bob)))
	if len(got) != 1 || got[0].Who != eve {
		t.Errorf("have %+v, want eve's to change and bob's not", got)
	}
}

// TestOneSocietysWordIsCapped has alice pay two platforms of one society until
// more adds nothing, while another society's word still does.
func TestOneSocietysWordIsCapped(t *testing.T) {
	w := newWorld(t)
	most := task.Cap(w.m.n)
	for i := range 60 {
		executor := []atp.ID{bob, carl}[i%2]
		w.run(t, alice, executor, 10*atp.ATP, w.commits(alice, executor))
		if err := (atp.Ledger{State: w.m}).Transfer(executor, alice, 10*atp.ATP); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []task.Key{asRequester, with(asRequester, "b-team")} {
		if got := w.known(t, key).For; got != most {
			t.Errorf("%s: have %d, want the cap of %d", key, got, most)
		}
	}
	before := w.known(t, asRequester)
	got := changes(w.run(t, alice, bob, 10*atp.ATP, w.commits(alice, bob)))
	if len(got) != 1 || got[0].Who != bob {
		t.Errorf("have %+v, want bob's to change, who is not at the cap, and alice's not", got)
	}
	if now := w.known(t, asRequester); now != before {
		t.Errorf("beyond the cap: have %+v, want %+v", now, before)
	}
	w.run(t, alice, eve, 10*atp.ATP, w.commits(alice, eve)) // not admitted
	member := w.m.members[eve]
	member.Admitted = true
	w.m.members[eve] = member
	w.run(t, alice, eve, 10*atp.ATP, w.commits(alice, eve))
	if got, want := w.known(t, asRequester).For, most+task.Weight(10*atp.ATP)*3/10; got != want {
		t.Errorf("with another society's word: have %d, want %d", got, want)
	}
}

// TestOneSocietysBlameIsCapped has bob let alice down until more adds nothing.
func TestOneSocietysBlameIsCapped(t *testing.T) {
	w := newWorld(t)
	most := task.Cap(w.m.n)
	for range 60 {
		w.run(t, alice, bob, 10*atp.ATP, func(p task.Posting) ([]task.Event, error) {
			return w.book.Prove(idOf(p), bob, proof(0), w.clock())
		})
	}
	if got, want := w.known(t, asExecutor), (task.Evidence{Against: most, Day: 20_000}); got != want {
		t.Errorf("have %+v, want %+v", got, want)
	}
}

func TestEvidenceDecaysAsIfDaily(t *testing.T) {
	evidence := rapid.Custom(func(t *rapid.T) task.Evidence {
		return task.Evidence{
			For: task.PPM(rapid.Uint64().Draw(t, "for")), Against: task.PPM(rapid.Uint64Max(50_000_000).Draw(t, "against")),
			Day: task.Day(rapid.Uint64Max(30_000).Draw(t, "day")),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		e, decay := evidence.Draw(t, "evidence"), task.DefaultEconomy().Decay
		first := e.Day + task.Day(rapid.Uint64Max(500).Draw(t, "first"))
		second := first + task.Day(rapid.Uint64Max(500).Draw(t, "second"))
		once, twice := e.At(second, decay), e.At(first, decay).At(second, decay)
		if once != twice {
			t.Fatalf("touched once: %+v, touched twice: %+v", once, twice)
		}
		if once.For > e.For || once.Against > e.Against || once.Day != second {
			t.Fatalf("%+v grew to %+v", e, once)
		}
		if back := once.At(first, decay); back != once {
			t.Fatalf("an earlier day changed %+v to %+v", once, back)
		}
		if rep, lcb := e.Reputation(), e.LowerBound(); rep > task.S || lcb > rep {
			t.Fatalf("%+v: reputation %d, lower bound %d, want both within %d", e, rep, lcb, task.S)
		}
	})
}

// TestFadedAcquaintancesAreForgotten settles again after a year: what one
// society once said is gone from the pair, and what is left of all that was
// said still counts in all.
func TestFadedAcquaintancesAreForgotten(t *testing.T) {
	w := newWorld(t)
	member := w.m.members[eve]
	member.Admitted = true
	w.m.members[eve] = member
	for range 6 {
		w.run(t, alice, bob, 50*atp.ATP, w.commits(alice, bob))
		w.run(t, alice, eve, 50*atp.ATP, w.commits(alice, eve))
	}
	const fresh = 499_999
	w.now = w.now.Add(365 * atp.Day)
	w.run(t, alice, bob, 50*atp.ATP, w.commits(alice, bob))
	pair, total := w.known(t, with(asRequester, "b-team")), w.known(t, asRequester)
	if pair.For != fresh || total.For <= fresh {
		t.Errorf("pair has %d, in all %d, want %d and a little more", pair.For, total.For, fresh)
	}
}

// TestDustLeavesNoEvidence settles tasks that weigh less than what is
// forgotten: however many there are, they make no record and move nothing.
func TestDustLeavesNoEvidence(t *testing.T) {
	const dust, least = 200, 201 // µATP: the weight, unaudited, is 999 and 1,002 ppm
	w := newWorld(t)
	for range 3 {
		if got := changes(w.run(t, alice, bob, dust, w.commits(alice, bob))); len(got) > 0 {
			t.Errorf("dust moved %+v", got)
		}
	}
	if got := w.m.keys("evidence"); len(got) > 0 {
		t.Errorf("dust left %v", got)
	}
	w.run(t, alice, bob, least, w.commits(alice, bob))
	if got := w.m.keys("evidence"); len(got) != 4 {
		t.Errorf("the least that counts left %v, want a record of each party in all and of each pair", got)
	}
}

// TestFadedEvidenceIsForgottenInAll settles a task worth no evidence long after
// another: nothing of either stays.
func TestFadedEvidenceIsForgottenInAll(t *testing.T) {
	w := newWorld(t)
	w.run(t, alice, bob, 50*atp.ATP, w.commits(alice, bob))
	w.now = w.now.Add(365 * atp.Day)
	w.run(t, alice, bob, 1, w.commits(alice, bob))
	if got := w.m.keys("evidence"); len(got) > 0 {
		t.Errorf("left after a year: %v", got)
	}
}

func TestAKeyIsReadBackAsItWasWritten(t *testing.T) {
	for _, k := range []task.Key{asExecutor, with(asExecutor, "a-team"), asRequester, with(asRequester, task.Society(bob.String()))} {
		if got, err := task.ParseKey(k.String()); err != nil || got != k {
			t.Errorf("ParseKey(%q) = %v, %v, want %v", k, got, err, k)
		}
	}
	for _, s := range []string{"", "a/b/c/d", alice.String() + "/executor", asExecutor.String() + "/x"} {
		if got, err := task.ParseKey(s); err == nil {
			t.Errorf("ParseKey(%q) = %v, want an error", s, got)
		}
	}
}
