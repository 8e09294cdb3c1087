package chain

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/sage-p2p/sage-p2p/atp"
)

func TestDeadlinesFireInTheOrderOfTimeAndID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOverlay(memory{})
		root, err := emptySchedule(o)
		if err != nil {
			t.Fatal(err)
		}
		s := newSchedule(o, root)
		// Few times and few IDs, so that they collide.
		at := rapid.OneOf(rapid.Uint64Range(0, 5), rapid.Uint64Range(990, 2010), rapid.Uint64Range(1<<40, 1<<40+3), rapid.Just(^uint64(0)))
		want := make(map[deadline]bool)
		for range rapid.IntRange(0, 60).Draw(t, "changes") {
			d := deadline{atp.Millis(at.Draw(t, "at")), atp.Sum([]byte{rapid.Byte().Draw(t, "id")})}
			if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
				err = s.remove(d.at, d.id)
				delete(want, d)
			} else {
				err = s.insert(d.at, d.id)
				want[d] = true
			}
			if err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "reopen") {
				if s.root, err = s.flush(); err != nil {
					t.Fatal(err)
				}
				s = newSchedule(o, s.root)
			}
		}
		if err := s.merge(); err != nil {
			t.Fatal(err)
		}
		now := atp.Millis(at.Draw(t, "now"))
		limit := rapid.IntRange(1, 80).Draw(t, "limit")
		var sorted, expected []deadline
		for d := range want {
			sorted = append(sorted, d)
		}
		slices.SortFunc(sorted, byTimeThenID)
		for _, d := range sorted {
			if d.at < now && len(expected) < limit {
				expected = append(expected, d)
			}
		}
		got, err := s.past(now, limit)
		if err != nil || !slices.Equal(got, expected) {
			t.Fatalf("before %d, at most %d: have %v, want %v: %v", now, limit, got, expected, err)
		}
		next, ok, err := s.next()
		if err != nil || ok != (len(sorted) > 0) {
			t.Fatalf("next: %v, %v", ok, err)
		}
		if ok && sorted[0].at < 1<<63 && next != (sorted[0].at+999)/1000*1000 {
			t.Fatalf("next: have %d, want %d in whole seconds, rounded up", next, sorted[0].at)
		}
	})
}

func byTimeThenID(a, b deadline) int {
	switch {
	case a.at < b.at:
		return -1
	case a.at > b.at:
		return 1
	}
	return slices.Compare(a.id.Bytes(), b.id.Bytes())
}

// counting counts what is read.
type counting struct {
	memory
	bytes, largest int
}

func (c *counting) Get(id cid.Cid) ([]byte, error) {
	data, err := c.memory.Get(id)
	c.bytes += len(data)
	c.largest = max(c.largest, len(data))
	return data, err
}

// TestManyDeadlinesInOneMillisecond puts 100,000 deadlines into one: no node
// may grow with them, and what a block reads must not either.
func TestManyDeadlinesInOneMillisecond(t *testing.T) {
	const many, due = 100_000, 1_000
	o := newOverlay(nil)
	root, err := emptySchedule(o)
	must(t, err)
	s := newSchedule(o, root)
	for i := range many {
		must(t, s.insert(epoch+1, atp.Sum(fmt.Append(nil, i))))
	}
	root, err = s.flush()
	must(t, err)
	store := &counting{memory: memory{}}
	store.save(o.nodes())

	o = newOverlay(store)
	s = newSchedule(o, root)
	must(t, s.insert(epoch+1, atp.Sum([]byte("one more"))))
	must(t, s.merge())
	if store.largest > MaxValueBytes || store.bytes > 10*MaxValueBytes {
		t.Errorf("one insertion reads %d bytes, the largest node has %d", store.bytes, store.largest)
	}
	written := 0
	for _, n := range o.nodes() {
		written += len(n.Data)
	}
	if written > 10*MaxValueBytes {
		t.Errorf("one insertion writes %d bytes", written)
	}
	store.bytes = 0
	found, err := s.past(epoch+2, due)
	must(t, err)
	if len(found) != due || !slices.IsSortedFunc(found, byTimeThenID) {
		t.Fatalf("have %d deadlines, sorted %v", len(found), slices.IsSortedFunc(found, byTimeThenID))
	}
	if most := due * 200; store.bytes > most {
		t.Errorf("%d deadlines of %d read %d bytes, want at most %d", due, many, store.bytes, most)
	}
}

func TestWhatIsDueBeyondTheLimitIsCarriedOver(t *testing.T) {
	w := newWorld(t, 3, func(g *Genesis) {
		g.Params.Limits.Ops, g.Params.Limits.Due = 10, 10
	})
	for _, n := range []int{10, 10, 5} { // in three blocks, all for the same moment
		var locks []Action
		for range n {
			locks = append(locks, &TransferLock{Payee: w.keys[1].id, Amount: atp.ATP, Deadline: epoch + 5_000})
		}
		w.blockAfter(1, w.tx(2, locks...))
	}
	early := TransferLock{Payee: w.keys[1].id, Amount: atp.ATP, Deadline: epoch + 3_000}
	w.block(w.tx(2, &early))
	if at, ok, err := w.state.NextDue(); err != nil || !ok || at != epoch+3_000 {
		t.Fatalf("next due: %d, %v, %v", at, ok, err)
	}
	w.blockAfter(10_000) // carries the time past both deadlines
	for i, want := range []int{10, 10, 6, 0} {
		r := w.block()
		if got := len(r.Receipts); got != want {
			t.Fatalf("block %d after the deadline: %d fired, want %d", i, got, want)
		}
		for _, receipt := range r.Receipts {
			back, ok := receipt.Events[0].Fact.(*LockRolledBack)
			if !ok || !back.By.IsZero() || back.Lock != receipt.Subject || back.Amount != atp.ATP {
				t.Errorf("receipt %+v", receipt.Events[0])
			}
		}
		if i == 0 {
			id, err := LockID(w.state.Genesis(), Transaction{From: w.keys[2].id, Nonce: 3, Ops: []Op{{&early}}}, 0)
			must(t, err)
			if r.Receipts[0].Subject != id {
				t.Error("the oldest deadline did not fire first")
			}
		}
	}
	if got := w.available(2); got != 1_000*atp.ATP {
		t.Errorf("the payer has %s ATP back, want 1000", got)
	}
	if _, ok, err := w.state.NextDue(); ok || err != nil {
		t.Errorf("something is still due: %v", err)
	}
}

// TestALockComesBackWhileOthersAreMadeAsFastAsBlocksHold has one account open
// as many locks as blocks hold, each as short as it may be: what another has
// locked for longer still comes back at its time.
func TestALockComesBackWhileOthersAreMadeAsFastAsBlocksHold(t *testing.T) {
	w := newWorld(t, 3, func(g *Genesis) {
		g.Params.Limits = Limits{BodyBytes: 1 << 20, TxBytes: 64 << 10, Txs: 100, Ops: 100, Due: 100}
	})
	honest := w.tx(1, &TransferLock{Payee: w.keys[2].id, Amount: atp.ATP, Deadline: w.state.Tip().Time + 10_000})
	id, err := LockID(w.state.Genesis(), honest.Tx(), 0)
	must(t, err)
	w.block(honest)
	for block := 1; block <= 12; block++ {
		var short []Action
		for range 100 {
			short = append(short, &TransferLock{Payee: w.keys[2].id, Amount: w.state.Params().MinLock, Deadline: w.state.Tip().Time + 1_001})
		}
		if r := w.block(w.tx(0, short...)).Receipts[0]; !r.OK() {
			t.Fatal(r.Detail)
		}
	}
	if _, open, err := w.state.Lock(id); err != nil || open {
		t.Errorf("the lock is still open %d ms after its deadline: %v", w.state.Tip().Time-epoch-10_000, err)
	}
}

// TestAnOperationMakesAtMostOneDeadline is what lets Due = Ops keep up.
func TestAnOperationMakesAtMostOneDeadline(t *testing.T) {
	w, id := hired(t)
	one := func(by int, a Action, want int) {
		t.Helper()
		h := w.header(atp.Second)
		h.Height, h.Parent = w.state.Tip().Height+1, w.state.Tip().ID
		e, err := begin(w.state, h)
		must(t, err)
		must(t, e.include(w.tx(by, a)))
		w.nonce[w.keys[by].id]--
		if r := e.receipts[0]; !r.OK() {
			t.Fatalf("%s: %s", a.Kind(), r.Detail)
		}
		made := 0
		for _, present := range e.due.pending {
			if present {
				made++
			}
		}
		if made != want {
			t.Errorf("%s makes %d deadlines, want %d", a.Kind(), made, want)
		}
		w.does(by, a)
	}
	lock := w.tx(1, &TransferLock{Payee: w.keys[2].id, Amount: atp.ATP, Deadline: w.state.Tip().Time + 60_000})
	w.nonce[w.keys[1].id]--
	lockID, err := LockID(w.state.Genesis(), lock.Tx(), 0)
	must(t, err)
	one(1, lock.Tx().Ops[0].Action, 1)
	one(2, &TransferRollback{Lock: lockID}, 0)
	one(0, &FederationTask{Terms: terms(atp.ATP)}, 1)
	one(0, &Transfer{To: w.keys[1].id, Amount: 1}, 0)
	one(3, &PlatformRegister{Platform: registration("founder-3")}, 0)
	one(2, &TaskAccept{Task: id, Bond: 5 * atp.ATP}, 1)
	one(2, proof(id), 1)
	one(1, &TaskAcknowledge{Task: id, Mark: 1_000_000}, 0)
}

func TestADeadlineFiresInTheFirstBlockWhoseParentIsPastIt(t *testing.T) {
	w := newWorld(t, 3)
	w.block(w.tx(2, &TransferLock{Payee: w.keys[1].id, Amount: 1_000, Deadline: epoch + 2_345}))
	for _, step := range []struct {
		after atp.Span
		fired int
	}{
		{1_345, 0}, // the block's time is the deadline
		{1, 0},     // the parent's time is the deadline; the block's is past it
		{1, 1},     // the parent's time is past it
		{1, 0},
	} {
		if got := len(w.blockAfter(step.after).Receipts); got != step.fired {
			t.Errorf("at %d: %d fired, want %d", w.state.Tip().Time-epoch, got, step.fired)
		}
	}
}
