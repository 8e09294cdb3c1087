package task_test

import (
	"errors"
	"testing"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// trial is a court under whatever may be asked of it.
type trial struct {
	*court
	posted  []cid.Cid
	settled map[cid.Cid]int
	opening map[task.Digest]task.Opening // what was committed to
}

// try does something that may be refused, and then must have changed nothing.
func (r *trial) try(t *rapid.T, do operation) bool {
	t.Helper()
	before := r.m.clone()
	events, err := do()
	switch {
	case err == nil:
		r.note(t, events)
	case !errors.Is(err, atp.ErrRefused):
		t.Fatalf("failed: %v", err)
	case len(events) > 0 || !r.m.equal(before):
		t.Fatalf("something happened, though it was refused: %v", err)
	}
	return err == nil
}

// note keeps count of settlements, and fails if one does not pay out what was
// held, or makes anyone rich.
func (r *trial) note(t *rapid.T, events []task.Event) {
	t.Helper()
	for _, e := range events {
		switch e := e.(type) {
		case *task.ReputationChanged:
			if e.New > task.S || e.Old == e.New {
				t.Fatalf("%+v: want another reputation, at most %d", e, task.S)
			}
		case *task.Paid:
			r.settled[e.Task]++
			held := e.Lock + e.Bond + e.Dispute + e.Appeal + e.FromPool
			if out := e.ToRequester + e.ToExecutor + e.ToSeats + e.ToPool; e.Outcome != task.Void && held != out || held < out {
				t.Fatalf("%+v: %s ATP held, %s ATP paid", e, held, out)
			}
			fee := r.m.economy.Charges(e.Lock, 0).Fee
			if most := e.Lock + fee + e.Dispute + e.Appeal; e.ToRequester > most {
				t.Fatalf("%+v: the requester gets %s ATP, want at most %s ATP", e, e.ToRequester, most)
			}
			if most := e.Lock + e.Bond + e.Appeal; e.ToExecutor > most {
				t.Fatalf("%+v: the executor gets %s ATP, want at most %s ATP", e, e.ToExecutor, most)
			}
		}
	}
}

// next makes a block so long after the last.
func (r *trial) next(t *rapid.T, after atp.Span) {
	t.Helper()
	if len(r.witnesses) > 0 {
		r.m.block.Proposer = rapid.SampledFrom(append(r.witnesses, alice, bob)).Draw(t, "proposer")
		r.m.block.Young = rapid.Bool().Draw(t, "young")
	}
	r.court.open(after)
	r.note(t, r.close())
}

// act has the right party do the next thing for an open task, or not, so that
// long lives are common.
func (r *trial) act(t *rapid.T) {
	open := r.m.keys("task")
	if len(open) == 0 {
		return
	}
	tk := r.task(cid.MustParse(rapid.SampledFrom(open).Draw(t, "open task")[len("task/"):]))
	id := tk.ID
	answer := func() task.Answer {
		return rapid.SampledFrom([]task.Answer{good, good, good, bad, bad, task.Unavailable, task.ResourceLimit}).Draw(t, "answer")
	}
	switch tk.Stage {
	case task.Posted:
		bond := atp.Amount(rapid.Uint64Range(14_000_000, 500_000_000).Draw(t, "bond"))
		r.try(t, func() ([]task.Event, error) { return r.book.Accept(id, bob, bond, r.clock()) })
	case task.Accepted:
		r.try(t, func() ([]task.Event, error) { return r.book.Prove(id, bob, proof(), r.clock()) })
	case task.Proven:
		r.try(t, func() ([]task.Event, error) { return r.book.Dispute(id, alice, r.clock()) })
	case task.Committing:
		for _, s := range r.seats(id) {
			if rapid.IntRange(0, 9).Draw(t, "commits") == 0 || r.stage(id) != task.Committing {
				continue
			}
			o := r.court.opening(id, s.Witness, answer())
			r.opening[o.Seal()] = o
			r.try(t, func() ([]task.Event, error) { return r.book.Commit(id, o.Witness, o.Level, o.Seal(), r.clock()) })
		}
	case task.Revealing:
		for _, s := range r.seats(id) {
			if o, ok := r.opening[s.Digest]; ok && rapid.IntRange(0, 9).Draw(t, "reveals") > 0 {
				r.try(t, func() ([]task.Event, error) { return r.book.Reveal(o, r.clock()) })
			}
		}
	case task.Decided:
		by := rapid.SampledFrom([]atp.ID{alice, bob}).Draw(t, "appellant")
		r.try(t, func() ([]task.Event, error) { return r.book.Appeal(id, by, r.clock()) })
	}
}

// TestWitnessedMoneyIsConservedAndTimeAloneSettlesEveryTask is A2 and A3 for
// tasks with witnesses, whatever is asked, by whom and when.
func TestWitnessedMoneyIsConservedAndTimeAloneSettlesEveryTask(t *testing.T) {
	ends := make(map[task.Path]int)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 9).Draw(t, "witnesses")
		r := &trial{newCourt(t, n), nil, make(map[cid.Cid]int), make(map[task.Digest]task.Opening)}
		everybody := append([]atp.ID{alice, bob, carl, eve}, r.witnesses...)
		who := rapid.SampledFrom(everybody)
		some := func(t *rapid.T) cid.Cid {
			return rapid.SampledFrom(append([]cid.Cid{atp.Sum(nil)}, r.posted...)).Draw(t, "task")
		}
		t.Repeat(map[string]func(*rapid.T){
			"post": func(t *rapid.T) {
				tm := witnessed(atp.Amount(rapid.Uint64Range(1_000_000, 60_000_000).Draw(t, "price")))
				p := r.posting(alice, tm)
				if r.try(t, func() ([]task.Event, error) { return r.book.Post(p, r.clock()) }) {
					r.posted = append(r.posted, idOf(p))
				}
			},
			"act": r.act, "act again": r.act, "and again": r.act, "and once more": r.act,
			"anyone": func(t *rapid.T) {
				id, by := some(t), who.Draw(t, "by")
				level := task.Level(rapid.IntRange(0, 1).Draw(t, "level"))
				r.try(t, rapid.SampledFrom([]operation{
					func() ([]task.Event, error) { return r.book.Dispute(id, by, r.clock()) },
					func() ([]task.Event, error) { return r.book.Appeal(id, by, r.clock()) },
					func() ([]task.Event, error) { return r.book.Commit(id, by, level, task.Digest{9}, r.clock()) },
					func() ([]task.Event, error) {
						return r.book.Reveal(task.Opening{Task: id, Witness: by, Level: level, Answer: good}, r.clock())
					},
					func() ([]task.Event, error) { return r.book.Acknowledge(id, by, task.S, r.clock()) },
					func() ([]task.Event, error) { return r.book.Acknowledge(id, by, 0, r.clock()) },
					func() ([]task.Event, error) { return r.book.Cancel(id, by, r.clock()) },
				}).Draw(t, "operation"))
			},
			"stake": func(t *rapid.T) {
				by, amount := who.Draw(t, "by"), atp.Amount(rapid.Uint64Max(200_000_000).Draw(t, "amount"))
				r.try(t, func() ([]task.Event, error) { return r.book.Stake(by, amount) })
			},
			"unstake": func(t *rapid.T) {
				s := task.Staking{Owner: who.Draw(t, "by"), Amount: atp.Amount(rapid.Uint64Max(300_000_000).Draw(t, "amount")), Nonce: r.nonce}
				r.nonce++
				r.try(t, func() ([]task.Event, error) { return r.book.Unstake(s, r.clock()) })
			},
			"block":  func(t *rapid.T) { r.next(t, 10) },
			"blocks": func(t *rapid.T) { r.next(t, 10); r.next(t, 10); r.next(t, 10) },
			"wait":   func(t *rapid.T) { r.next(t, atp.Span(rapid.SampledFrom([]uint64{1, 30_000, 300_001}).Draw(t, "ms"))) },
			"": func(t *rapid.T) {
				if err := r.m.check(); err != nil {
					t.Fatal(err)
				}
			},
		})
		for range 60 {
			r.next(t, atp.Day)
		}
		for _, id := range r.posted {
			if r.settled[id] != 1 {
				t.Fatalf("task %s was settled %d times, want once; it is %s", id, r.settled[id], r.stage(id))
			}
		}
		for _, p := range find[*task.Paid](r.log) {
			ends[p.Path]++
		}
		for _, kind := range []string{"task", "lock", "panel", "due", "unbonding"} {
			if left := r.m.keys(kind); len(left) > 0 {
				t.Fatalf("left when all time had passed: %v", left)
			}
		}
	})
	t.Logf("ends: %v", ends)
}
