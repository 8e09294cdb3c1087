package task_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// market is a world under whatever may be asked of it.
type market struct {
	*world
	posted  []cid.Cid
	settled map[cid.Cid]int
	engaged map[cid.Cid]bool // accepted, and not yet settled
}

// try does something that may be refused, and then must have changed nothing.
func (m *market) try(t *rapid.T, do func() ([]task.Event, error)) bool {
	t.Helper()
	before := m.m.clone()
	events, err := do()
	switch {
	case err == nil:
	case !errors.Is(err, atp.ErrRefused):
		t.Fatalf("failed: %v", err)
	case len(events) > 0 || !m.m.equal(before):
		t.Fatalf("something happened, though it was refused: %v", err)
	}
	for _, e := range events {
		switch e := e.(type) {
		case *task.Engaged:
			m.engaged[e.Task] = true
		case *task.Paid:
			m.account(t, e)
		case *task.ReputationChanged:
			if e.New > task.S || e.Old == e.New {
				t.Fatalf("%+v: want another reputation, at most %d", e, task.S)
			}
		}
	}
	return err == nil
}

// account fails if a settlement does not pay out just what was held.
func (m *market) account(t *rapid.T, p *task.Paid) {
	t.Helper()
	m.settled[p.Task]++
	if held, out := p.Lock+p.Bond+p.FromPool, p.ToRequester+p.ToExecutor+p.ToSeats+p.ToPool; held != out {
		t.Fatalf("%+v: %s ATP held, %s ATP paid", p, held, out)
	}
	if (p.Path != task.PostedEnds) != m.engaged[p.Task] {
		t.Fatalf("%+v: accepted is %v", p, m.engaged[p.Task])
	}
	delete(m.engaged, p.Task)
}

// some draws a task that was posted, or that never was.
func (m *market) some(t *rapid.T) cid.Cid {
	never := atp.Sum(nil)
	return rapid.SampledFrom(append(slices.Clone(m.posted), never)).Draw(t, "task")
}

// TestMoneyIsConservedAndEveryTaskSettlesOnce is A2 and A3 for tasks: whatever
// is asked, by whom and when, what is held for a task is paid out once, and
// in the end time alone settles all that is left.
func TestMoneyIsConservedAndEveryTaskSettlesOnce(t *testing.T) {
	who := rapid.SampledFrom([]atp.ID{alice, bob, carl, dora, eve})
	ppm := rapid.Map(rapid.Uint64Max(1_000_100), func(x uint64) task.PPM { return task.PPM(x) })
	rapid.Check(t, func(t *rapid.T) {
		m := &market{newWorld(t), nil, make(map[cid.Cid]int), make(map[cid.Cid]bool)}
		t.Repeat(map[string]func(*rapid.T){
			"post": func(t *rapid.T) {
				terms := terms()
				terms.Price = atp.Amount(rapid.Uint64Max(1_100_000_000).Draw(t, "price"))
				terms.MinQuality = 500_000 + ppm.Draw(t, "more quality")/2
				if rapid.Bool().Draw(t, "named") {
					terms.Executor.ID = who.Draw(t, "executor")
				}
				p := m.posting(who.Draw(t, "by"), terms)
				if m.try(t, func() ([]task.Event, error) { return m.book.Post(p, m.clock()) }) {
					m.posted = append(m.posted, idOf(p))
				}
			},
			"accept": func(t *rapid.T) {
				id, by, bond := m.some(t), who.Draw(t, "by"), atp.Amount(rapid.Uint64Max(500_000_000).Draw(t, "bond"))
				m.try(t, func() ([]task.Event, error) { return m.book.Accept(id, by, bond, m.clock()) })
			},
			"prove": func(t *rapid.T) {
				id, by, p := m.some(t), who.Draw(t, "by"), proof(ppm.Draw(t, "claim"))
				if rapid.Bool().Draw(t, "silent") {
					p.Claim = nil
				}
				m.try(t, func() ([]task.Event, error) { return m.book.Prove(id, by, p, m.clock()) })
			},
			"acknowledge": func(t *rapid.T) {
				id, by, mark := m.some(t), who.Draw(t, "by"), ppm.Draw(t, "mark")
				m.try(t, func() ([]task.Event, error) { return m.book.Acknowledge(id, by, mark, m.clock()) })
			},
			"cancel": func(t *rapid.T) {
				id, by := m.some(t), who.Draw(t, "by")
				m.try(t, func() ([]task.Event, error) { return m.book.Cancel(id, by, m.clock()) })
			},
			"expire": func(t *rapid.T) {
				id := m.some(t)
				m.try(t, func() ([]task.Event, error) { return m.book.Expire(id, m.clock()) })
			},
			"next step": func(t *rapid.T) { m.next(t) },
			"and next":  func(t *rapid.T) { m.next(t) },
			"wait": func(t *rapid.T) {
				m.now = m.now.Add(atp.Span(rapid.SampledFrom([]uint64{1, 999, 30_000, 300_001}).Draw(t, "ms")))
			},
			"": func(t *rapid.T) { m.hold(t) },
		})
		m.now = m.now.Add(2 * atp.Day)
		for _, id := range m.posted {
			m.try(t, func() ([]task.Event, error) { return m.book.Expire(id, m.clock()) })
			if m.settled[id] != 1 {
				t.Fatalf("task %s was settled %d times, want once", id, m.settled[id])
			}
		}
		m.hold(t)
		if left := append(m.m.keys("task"), m.m.keys("lock")...); len(left) > 0 {
			t.Fatalf("left when all time had passed: %v", left)
		}
	})
}

// next has the right party do the next thing, so that long lives are common.
func (m *market) next(t *rapid.T) {
	open := m.m.keys("task")
	if len(open) == 0 {
		return
	}
	tk, err := task.DecodeTask([]byte(m.m.values[rapid.SampledFrom(open).Draw(t, "open task")]))
	if err != nil {
		t.Fatal(err)
	}
	id := tk.ID
	m.try(t, func() ([]task.Event, error) {
		switch tk.Stage {
		case task.Posted:
			by := tk.Terms.Executor.ID
			if by.IsZero() {
				by = bob
			}
			return m.book.Accept(id, by, m.m.economy.Charges(tk.Terms.Price, 0).Late, m.clock())
		case task.Accepted:
			return m.book.Prove(id, tk.Acceptance.Executor.ID, proof(), m.clock())
		default:
			mark := rapid.SampledFrom([]task.PPM{0, task.S}).Draw(t, "mark")
			return m.book.Acknowledge(id, tk.Requester.ID, mark, m.clock())
		}
	})
}

// hold fails unless the laws hold.
func (m *market) hold(t *rapid.T) {
	t.Helper()
	if err := m.m.check(); err != nil {
		t.Fatal(err)
	}
	for id, times := range m.settled {
		if times != 1 {
			t.Fatalf("task %s was settled %d times", id, times)
		}
	}
}
