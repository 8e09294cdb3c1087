package task_test

import (
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

func TestVectorsOfSettlement(t *testing.T) {
	v, e := readVectors(t), task.DefaultEconomy()
	for _, c := range v.Settlement {
		seats := uint64(c.U / e.Charges(c.Price, 9).SeatFee)
		charges := e.Charges(c.Price, seats)
		if charges.Pay != c.U {
			t.Fatalf("%+v: the seats' pay is %d, want %d", c, charges.Pay, c.U)
		}
		legs, err := task.Stakes{
			Price: c.Price, Fee: charges.Fee, Bond: c.Bond, Late: charges.Late, Dispute: charges.Dispute, Appeal: charges.Appeal,
			Earned: c.Earned, PoolShare: e.PoolShare(c.Earned, c.AuditP, c.PoolBefore),
		}.Legs(c.Path)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		equal(t, "settlement", c, [3]atp.Amount{legs.Requester, legs.Executor, legs.Seats}, [3]atp.Amount{c.Requester, c.Executor, c.Seats})
		equal(t, "settlement: pool", c, int64(legs.ToPool)-int64(legs.FromPool), c.Pool)
	}
	if len(v.Settlement) == 0 {
		t.Error("no vectors of settlement")
	}
}

// TestVectorsOfSettlementOnARealBook plays every vector that class mutual can
// reach, on a ledger with the pool of the vector, and reads the accounts.
func TestVectorsOfSettlementOnARealBook(t *testing.T) {
	played := make(map[task.Path]int)
	for _, c := range readVectors(t).Settlement {
		switch c.Path {
		case task.PostedEnds, task.Unaudited, task.Late:
			played[c.Path]++
			playVector(t, c)
		}
	}
	if diff := cmp.Diff(map[task.Path]int{task.PostedEnds: 21, task.Unaudited: 21, task.Late: 21}, played); diff != "" {
		t.Errorf("vectors played (-want +got):\n%s", diff)
	}
}

func playVector(t *testing.T, c settlementVector) {
	t.Helper()
	w := newWorld(t)
	fee := w.m.economy.Charges(c.Price, 0).Fee
	w.m.totals.Supply = math.MaxInt64
	w.m.totals.Pool = w.m.totals.Supply - w.m.totals.Available
	ledger := atp.Ledger{State: w.m}
	if err := errors.Join(
		ledger.Grant(alice, c.Price+fee), ledger.Grant(bob, c.Bond),
		// What is left in the pool is the vector's, but for the fee to come.
		ledger.Grant(eve, w.m.totals.Pool-c.PoolBefore),
	); err != nil {
		t.Fatal(err)
	}
	terms := terms()
	terms.Price = c.Price
	p := w.posting(alice, terms)
	id, err := p.ID()
	if err != nil {
		t.Fatal(err)
	}
	must(t)(w.book.Post(p, w.clock()))
	if c.Path != task.PostedEnds {
		must(t)(w.book.Accept(id, bob, c.Bond, w.clock()))
	}
	if c.Path == task.Unaudited {
		must(t)(w.book.Prove(id, bob, proof(), w.clock()))
	}
	before := [3]atp.Amount{w.available(t, alice), w.available(t, bob), w.m.totals.Pool}
	must(t)(w.book.Expire(id, w.after(atp.Day)))
	equal(t, "requester", c, w.available(t, alice)-before[0], c.Requester)
	equal(t, "executor", c, w.available(t, bob)-before[1], c.Executor)
	equal(t, "pool", c, int64(w.m.totals.Pool)-int64(before[2]), c.Pool)
	if err := w.m.check(); err != nil {
		t.Error(err)
	}
}

func (w *world) available(t *testing.T, id atp.ID) atp.Amount {
	t.Helper()
	a, err := w.m.Account(id)
	if err != nil {
		t.Fatal(err)
	}
	return a.Available
}

// TestHowATaskOfFiftyATPEnds tells, for each way to the end, what the parties
// have then, in µATP more or less than before it was posted.
func TestHowATaskOfFiftyATPEnds(t *testing.T) {
	const price, fee, late = 50_000_000, 1_500_000, 5_000_000
	theta := terms().MinQuality
	for _, tt := range []struct {
		name             string
		stage            task.Stage
		end              func(*world, task.Posting) ([]task.Event, error)
		path             task.Path
		outcome          task.Outcome
		alice, bob, pool int64
		discharged       atp.Amount
	}{
		{"cancelled", task.Posted, func(w *world, p task.Posting) ([]task.Event, error) {
			return w.book.Cancel(idOf(p), alice, w.clock())
		}, task.PostedEnds, task.Rollback, 0, 0, 0, 0},
		{"nobody accepts", task.Posted, expire, task.PostedEnds, task.Rollback, 0, 0, 0, 0},
		{"no proof comes", task.Accepted, expire, task.Late, task.Rollback, 0, -late, late - fee/3, fee / 3},
		{"a claim below what was asked for withdraws", task.Accepted, func(w *world, p task.Posting) ([]task.Event, error) {
			return w.book.Prove(idOf(p), bob, proof(theta-1), w.clock())
		}, task.Late, task.Rollback, 0, -late, late - fee/3, fee / 3},
		{"acknowledged with just what was asked for", task.Proven, func(w *world, p task.Posting) ([]task.Event, error) {
			return w.book.Acknowledge(idOf(p), alice, theta, w.clock())
		}, task.Unaudited, task.Commit, -price - fee, price, fee - fee/3, fee / 3},
		{"silence", task.Proven, expire, task.Unaudited, task.Commit, -price - fee, price, fee - fee/3, fee / 3},
		{"refused by a mark just below", task.Proven, func(w *world, p task.Posting) ([]task.Event, error) {
			return w.book.Acknowledge(idOf(p), alice, theta-1, w.clock())
		}, task.Refused, task.Rollback, -fee, 0, fee - fee/3, fee / 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			before := [3]atp.Amount{w.available(t, alice), w.available(t, bob), w.m.totals.Pool}
			w.to(t, tt.stage, terms())
			w.nonce-- // the same posting again, for its ID
			p := w.posting(alice, terms())
			events := must(t)(tt.end(w, p))

			got := [3]int64{
				int64(w.available(t, alice)) - int64(before[0]), int64(w.available(t, bob)) - int64(before[1]),
				int64(w.m.totals.Pool) - int64(before[2]),
			}
			if want := [3]int64{tt.alice, tt.bob, tt.pool}; got != want {
				t.Errorf("requester, executor, pool: have %d µATP, want %d µATP", got, want)
			}
			if w.m.totals.Discharged != tt.discharged {
				t.Errorf("discharged: have %d, want %d", w.m.totals.Discharged, tt.discharged)
			}
			if p := paid(events); p == nil || p.Path != tt.path || p.Outcome != tt.outcome {
				t.Errorf("settled as %+v, want %s by %s", p, tt.outcome, tt.path)
			}
			if got := len(w.m.keys("task")) + len(w.m.keys("lock")) + len(w.m.keys("due")); got != 0 {
				t.Errorf("%d records are left of the task, want none", got)
			}
			if err := w.m.check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func expire(w *world, p task.Posting) ([]task.Event, error) {
	return w.book.Expire(idOf(p), w.after(atp.Day))
}
