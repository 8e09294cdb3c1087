package task_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// act is what one party may try on a task.
type act struct {
	name string
	by   atp.ID // who has the right to it; nobody for the deadline's edge
	do   func(b task.Book, p task.Posting, by atp.ID, at atp.Clock) ([]task.Event, error)
}

// acts are all that can be tried, by those who may at the right stage.
func acts() []act {
	theta := terms().MinQuality
	return []act{
		{"post", alice, func(b task.Book, p task.Posting, _ atp.ID, at atp.Clock) ([]task.Event, error) { return b.Post(p, at) }},
		{"accept", bob, func(b task.Book, p task.Posting, by atp.ID, at atp.Clock) ([]task.Event, error) {
			return b.Accept(idOf(p), by, 100*atp.ATP, at)
		}},
		{"cancel", alice, func(b task.Book, p task.Posting, by atp.ID, at atp.Clock) ([]task.Event, error) {
			return b.Cancel(idOf(p), by, at)
		}},
		{"prove", bob, func(b task.Book, p task.Posting, by atp.ID, at atp.Clock) ([]task.Event, error) {
			return b.Prove(idOf(p), by, proof(theta), at)
		}},
		{"withdraw", bob, func(b task.Book, p task.Posting, by atp.ID, at atp.Clock) ([]task.Event, error) {
			return b.Prove(idOf(p), by, proof(theta-1), at)
		}},
		{"acknowledge", alice, func(b task.Book, p task.Posting, by atp.ID, at atp.Clock) ([]task.Event, error) {
			return b.Acknowledge(idOf(p), by, theta, at)
		}},
		{"refuse", alice, func(b task.Book, p task.Posting, by atp.ID, at atp.Clock) ([]task.Event, error) {
			return b.Acknowledge(idOf(p), by, theta-1, at)
		}},
		{"expire", atp.ID{}, func(b task.Book, p task.Posting, _ atp.ID, at atp.Clock) ([]task.Event, error) {
			return b.Expire(idOf(p), at)
		}},
	}
}

// legalMoves is the table of economy.md, written down a second time: where
// each act leads from each stage, for those it is legal at.
var legalMoves = map[task.Stage]map[string]task.Stage{
	"":            {"post": task.Posted},
	task.Posted:   {"accept": task.Accepted, "cancel": task.Settled, "expire": task.Settled},
	task.Accepted: {"prove": task.Proven, "withdraw": task.Settled, "expire": task.Settled},
	task.Proven:   {"acknowledge": task.Settled, "refuse": task.Settled, "expire": task.Settled},
	task.Settled:  {},
}

// windows are how long each stage lasts.
var windows = map[task.Stage]atp.Span{
	task.Posted: terms().OfferWindow, task.Accepted: terms().ExecutionWindow, task.Proven: task.DefaultEconomy().Silence,
}

// at returns a world with a task at a stage ("" is before it was posted), and
// the task's posting.
func at(t *testing.T, stage task.Stage) (*world, task.Posting) {
	t.Helper()
	w := newWorld(t)
	if stage != "" {
		w.to(t, stage, terms())
		w.nonce--
	}
	return w, w.posting(alice, terms())
}

// refuses fails unless err is the refusal, and the world is as it was.
func refuses(t *testing.T, w *world, before *memory, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || !errors.Is(err, atp.ErrRefused) {
		t.Errorf("have %v, want %v", err, want)
	}
	if !w.m.equal(before) {
		t.Error("the state changed, though it was refused")
	}
}

func TestOnlyTheMovesOfTheTableAreLegal(t *testing.T) {
	for stage, legal := range legalMoves {
		for _, a := range acts() {
			t.Run(fmt.Sprintf("%s of %s", a.name, stage), func(t *testing.T) {
				w, p := at(t, stage)
				before := w.m.clone()
				clock := w.clock()
				if a.by.IsZero() {
					clock = w.after(atp.Day)
				}
				events, err := a.do(w.book, p, a.by, clock)
				want, ok := legal[a.name]
				switch {
				case ok && err != nil:
					t.Fatal(err)
				case !ok && a.name == "post" && stage == task.Settled:
					// The chain's nonces keep a posting from coming twice.
				case !ok && a.name == "post":
					refuses(t, w, before, err, atp.ErrExists)
				case !ok && (stage == "" || stage == task.Settled):
					refuses(t, w, before, err, task.ErrNoTask)
				case !ok:
					refuses(t, w, before, err, task.ErrStage)
				default:
					moved := events[0].(*task.Moved)
					if moved.From != stage || moved.To != want || moved.After.Stage != want || moved.By.ID != a.by {
						t.Errorf("moved %+v, want from %s to %s by %s", moved, stage, want, a.by)
					}
					if _, open, err := w.m.Task(idOf(p)); err != nil || open != (want != task.Settled) {
						t.Errorf("open is %v, %v, want %v", open, err, want != task.Settled)
					}
				}
				if err := w.m.check(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestDeadlinesAreJudgedToTheMillisecond tries every legal move at the
// deadline of its stage, and one millisecond after.
func TestDeadlinesAreJudgedToTheMillisecond(t *testing.T) {
	for stage, window := range windows {
		for _, a := range acts() {
			if _, ok := legalMoves[stage][a.name]; !ok {
				continue
			}
			t.Run(fmt.Sprintf("%s of %s", a.name, stage), func(t *testing.T) {
				onTime, late := error(nil), error(atp.ErrTooLate)
				if a.by.IsZero() {
					onTime, late = atp.ErrTooEarly, nil
				}
				for _, edge := range []struct {
					after atp.Span
					want  error
				}{{window, onTime}, {window + 1, late}} {
					w, p := at(t, stage)
					before := w.m.clone()
					switch _, err := a.do(w.book, p, a.by, w.after(edge.after)); {
					case edge.want != nil:
						refuses(t, w, before, err, edge.want)
					case err != nil:
						t.Errorf("%d ms after: %v", edge.after, err)
					}
				}
			})
		}
	}
}

func TestEachMoveIsOnePartysAlone(t *testing.T) {
	for stage := range windows {
		for _, a := range acts() {
			if _, ok := legalMoves[stage][a.name]; !ok || a.by.IsZero() {
				continue
			}
			for _, by := range []atp.ID{alice, bob, eve} {
				if by == a.by || a.name == "accept" {
					continue // who may accept has a test of its own
				}
				t.Run(fmt.Sprintf("%s of %s", a.name, stage), func(t *testing.T) {
					w, p := at(t, stage)
					before := w.m.clone()
					_, err := a.do(w.book, p, by, w.clock())
					refuses(t, w, before, err, atp.ErrNotYours)
				})
			}
		}
	}
}

func TestWhoMayAccept(t *testing.T) {
	named := func(id atp.ID) func(*task.Terms) {
		return func(t *task.Terms) { t.Executor = atp.OptionalID{ID: id} }
	}
	open := func(*task.Terms) {}
	for _, tt := range []struct {
		name  string
		terms func(*task.Terms)
		by    atp.ID
		want  error
	}{
		{"open: one who is registered", open, bob, nil},
		{"open: one whose society was never admitted", open, eve, nil},
		{"open: not one who is not registered", open, dora, task.ErrExecutor},
		{"open: not the requester", open, alice, task.ErrExecutor},
		{"open: not without the type", func(t *task.Terms) { t.Type = task.LLMInference }, bob, task.ErrExecutor},
		{"open: not without the runtime", func(t *task.Terms) { t.Runtime = "openai" }, bob, task.ErrExecutor},
		{"named: the one", named(bob), bob, nil},
		{"named: one whose society was never admitted", named(eve), eve, nil},
		{"named: not another of its society", named(bob), carl, atp.ErrNotYours},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, terms := newWorld(t), terms()
			tt.terms(&terms)
			id := w.to(t, task.Posted, terms)
			before := w.m.clone()
			_, err := w.book.Accept(id, tt.by, 100*atp.ATP, w.clock())
			switch {
			case tt.want != nil:
				refuses(t, w, before, err, tt.want)
			case err != nil:
				t.Error(err)
			}
		})
	}
	t.Run("open: not one of the requester's society", func(t *testing.T) {
		w := newWorld(t)
		p := w.posting(carl, terms())
		must(t)(w.book.Post(p, w.clock()))
		before := w.m.clone()
		_, err := w.book.Accept(idOf(p), bob, 100*atp.ATP, w.clock())
		refuses(t, w, before, err, task.ErrExecutor)
	})
}

// TestANamedExecutorIsRegisteredForTheWork refuses one who is not when the task
// is posted, and again when it is accepted: between unregistered keys, dust
// prices for invented types would leave records of evidence for good.
func TestANamedExecutorIsRegisteredForTheWork(t *testing.T) {
	for _, tt := range []struct {
		name string
		lose func(*task.Member)
	}{
		{"registered", func(m *task.Member) { m.Registered = false }},
		{"for the type", func(m *task.Member) { m.Platform.Offers = nil }},
		{"for the runtime", func(m *task.Member) { m.Platform.Runtimes = nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			p := w.posting(alice, terms())
			p.Terms.Executor.ID = bob
			registered := w.m.members[bob]
			other := registered
			tt.lose(&other)

			w.m.members[bob] = other
			before := w.m.clone()
			_, err := w.book.Post(p, w.clock())
			refuses(t, w, before, err, task.ErrExecutor)

			w.m.members[bob] = registered
			must(t)(w.book.Post(p, w.clock()))
			w.m.members[bob] = other // a platform may register anew
			before = w.m.clone()
			_, err = w.book.Accept(idOf(p), bob, 100*atp.ATP, w.clock())
			refuses(t, w, before, err, task.ErrExecutor)
		})
	}
}

func TestARequesterThatMovedToAnotherSocietyStillCannotTakeItsOwnTask(t *testing.T) {
	w, p := at(t, task.Posted)
	moved := w.m.members[alice]
	moved.Society = "f-team"
	w.m.members[alice] = moved
	before := w.m.clone()
	_, err := w.book.Accept(idOf(p), alice, 100*atp.ATP, w.clock())
	refuses(t, w, before, err, task.ErrExecutor)
}

func TestAnOpenTaskHasOneWinner(t *testing.T) {
	w := newWorld(t)
	id := w.to(t, task.Posted, terms())
	must(t)(w.book.Accept(id, carl, 100*atp.ATP, w.clock()))
	before := w.m.clone()
	for _, by := range []atp.ID{bob, carl, eve} {
		_, err := w.book.Accept(id, by, 100*atp.ATP, w.clock())
		refuses(t, w, before, err, task.ErrStage)
	}
	_, err := w.book.Prove(id, bob, proof(), w.clock())
	refuses(t, w, before, err, atp.ErrNotYours)
	must(t)(w.book.Prove(id, carl, proof(), w.clock()))
}

func TestWhatABookRefuses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		stage task.Stage
		do    func(*world, task.Posting) ([]task.Event, error)
		want  error
	}{
		{"a price above the balance", "", func(w *world, p task.Posting) ([]task.Event, error) {
			p.Terms.Price = 1000 * atp.ATP // the fee comes on top
			return w.book.Post(p, w.clock())
		}, atp.ErrInsufficient},
		{"a task for oneself", "", func(w *world, p task.Posting) ([]task.Event, error) {
			p.Terms.Executor.ID = alice
			return w.book.Post(p, w.clock())
		}, task.ErrTerms},
		{"a class without its witnesses", "", func(w *world, p task.Posting) ([]task.Event, error) {
			p.Terms.Class = task.Recompute
			return w.book.Post(p, w.clock())
		}, task.ErrClass},
		{"a bond below the late charge", task.Posted, func(w *world, p task.Posting) ([]task.Event, error) {
			return w.book.Accept(idOf(p), bob, 5*atp.ATP-1, w.clock())
		}, task.ErrBond},
		{"a bond above the balance", task.Posted, func(w *world, p task.Posting) ([]task.Event, error) {
			return w.book.Accept(idOf(p), bob, 1001*atp.ATP, w.clock())
		}, atp.ErrInsufficient},
		{"a claim above the whole", task.Accepted, func(w *world, p task.Posting) ([]task.Event, error) {
			return w.book.Prove(idOf(p), bob, proof(task.S+1), w.clock())
		}, task.ErrProof},
		{"a proof without a result", task.Accepted, func(w *world, p task.Posting) ([]task.Event, error) {
			return w.book.Prove(idOf(p), bob, task.Proof{}, w.clock())
		}, task.ErrProof},
		{"a mark above the whole", task.Proven, func(w *world, p task.Posting) ([]task.Event, error) {
			return w.book.Acknowledge(idOf(p), alice, task.S+1, w.clock())
		}, task.ErrMark},
		{"a commit of the task's lock", task.Proven, func(w *world, p task.Posting) ([]task.Event, error) {
			return nil, atp.Ledger{State: w.m}.Commit(idOf(p), alice, w.clock())
		}, atp.ErrTaskLock},
		{"a rollback of the task's lock", task.Proven, func(w *world, p task.Posting) ([]task.Event, error) {
			return nil, atp.Ledger{State: w.m}.Rollback(idOf(p), bob, w.after(atp.Day))
		}, atp.ErrTaskLock},
		{"the expiry of the task's lock", task.Posted, func(w *world, p task.Posting) ([]task.Event, error) {
			return nil, atp.Ledger{State: w.m}.Expire(idOf(p), w.after(atp.Day))
		}, atp.ErrTaskLock},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, p := at(t, tt.stage)
			before := w.m.clone()
			_, err := tt.do(w, p)
			refuses(t, w, before, err, tt.want)
		})
	}
}

// TestWhatHappenedIsToldInOrder follows the mission's example from posting to
// payment by its events.
func TestWhatHappenedIsToldInOrder(t *testing.T) {
	w, p := at(t, "")
	id := idOf(p)
	silence := atp.Millis(w.m.economy.Silence)
	var events []task.Event
	events = append(events, must(t)(w.book.Post(p, w.clock()))...)
	events = append(events, must(t)(w.book.Accept(id, bob, 6*atp.ATP, w.clock()))...)
	events = append(events, must(t)(w.book.Prove(id, bob, proof(850_000), w.clock()))...)
	events = append(events, must(t)(w.book.Acknowledge(id, alice, task.S, w.clock()))...)
	for _, e := range events {
		if m, ok := e.(*task.Moved); ok {
			m.After = task.Task{}
		}
	}
	want := []task.Event{
		&task.Moved{Task: id, To: task.Posted, Step: task.OpPost, By: atp.OptionalID{ID: alice}, Deadline: monday + 60_000},
		&task.Locked{Task: id, Payer: alice, Amount: 51_500_000},
		&task.Moved{Task: id, From: task.Posted, To: task.Accepted, Step: task.OpAccept, By: atp.OptionalID{ID: bob}, Deadline: monday + 300_000},
		&task.Engaged{Task: id, Requester: alice, Executor: bob, Bond: 6_000_000, Discharged: 500_000, ToPool: 1_000_000},
		&task.Moved{Task: id, From: task.Accepted, To: task.Proven, Step: task.OpProve, By: atp.OptionalID{ID: bob}, Deadline: monday + silence},
		&task.Moved{Task: id, From: task.Proven, To: task.Settled, Step: task.OpAcknowledge, By: atp.OptionalID{ID: alice}},
		&task.Paid{
			Task: id, Path: task.Unaudited, Outcome: task.Commit, Requester: alice, Executor: atp.OptionalID{ID: bob},
			Quality: new(task.PPM(800_000)), Lock: 50_000_000, Bond: 6_000_000, ToExecutor: 56_000_000,
		},
		// 50 ATP unwitnessed weigh 0.3 · 1,666,666; the quality counts as
		// least(0.85, 1, 0.7 + 0.1).
		&task.ReputationChanged{Task: id, Who: bob, Role: task.Executor, Type: task.Vision, Old: 500_000, New: 514_285, Cause: task.CausePass},
		&task.ReputationChanged{Task: id, Who: alice, Role: task.Requester, Old: 500_000, New: 523_809, Cause: task.CausePass},
	}
	same := cmpopts.EquateComparable(cid.Cid{}, atp.ID{})
	if diff := cmp.Diff(want, events, same); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, e := range want {
		data, err := atp.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		again := reflect.New(reflect.TypeOf(e).Elem()).Interface().(task.Event)
		if err := atp.Decode(data, again); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(e, again, same); diff != "" {
			t.Errorf("%T, decoded (-want +got):\n%s", e, diff)
		}
	}
}

// TestABookReadsEverythingBeforeItWrites fails every read in turn: whichever
// fails, nothing has been written by then.
func TestABookReadsEverythingBeforeItWrites(t *testing.T) {
	for stage, legal := range legalMoves {
		for _, a := range acts() {
			if _, ok := legal[a.name]; !ok {
				continue
			}
			t.Run(fmt.Sprintf("%s of %s", a.name, stage), func(t *testing.T) {
				for failing := 1; ; failing++ {
					w, p := at(t, stage)
					clock := w.clock()
					if a.by.IsZero() {
						clock = w.after(atp.Day)
					}
					w.m.reads, w.m.writes, w.m.failRead = 0, 0, failing
					_, err := a.do(w.book, p, a.by, clock)
					if err == nil {
						if failing == 1 {
							t.Fatal("no read ever failed")
						}
						return
					}
					if !errors.Is(err, errDisk) || errors.Is(err, atp.ErrRefused) {
						t.Fatalf("read %d: have %v, want %v and no refusal", failing, err, errDisk)
					}
					if w.m.writes != 0 {
						t.Fatalf("read %d failed after %d writes, want none", failing, w.m.writes)
					}
				}
			})
		}
	}
}
