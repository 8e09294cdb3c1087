package chain

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// bench is a world in which keys[1] asks keys[2] for work, and keys[3] to keys[6]
// have stakes. keys[0] validates and has no part in anything.
type bench struct {
	*world
	add func(after atp.Span, txs ...VerifiedTx) []Receipt // makes a block
	id  cid.Cid
	log []Event // of the task
}

var witnesses = []int{3, 4, 5, 6}

func newBench(t *testing.T) *bench {
	t.Helper()
	w := newWorld(t, 7)
	b := &bench{world: w, add: func(after atp.Span, txs ...VerifiedTx) []Receipt { return w.blockAfter(after, txs...).Receipts }}
	return b
}

// staked registers all and bonds the stakes.
func (b *bench) staked() *bench {
	b.t.Helper()
	var txs []VerifiedTx
	for i := 1; i < len(b.keys); i++ {
		txs = append(txs, b.tx(i, &PlatformRegister{Platform: registration(task.Name(fmt.Sprintf("founder-%d", i)))}))
	}
	for _, i := range witnesses {
		txs = append(txs, b.tx(i, &StakeBond{Amount: 300 * atp.ATP}))
	}
	b.block(txs...)
	return b
}

// block makes a block in which all goes well.
func (b *bench) block(txs ...VerifiedTx) []Receipt { return b.blockAfter(atp.Second, txs...) }

func (b *bench) blockAfter(after atp.Span, txs ...VerifiedTx) []Receipt {
	b.t.Helper()
	receipts := b.add(after, txs...)
	for i, r := range receipts {
		if !r.OK() {
			b.t.Fatalf("block %d: receipt %d: %s: %s", b.state.Tip().Height, i, r.Code, r.Detail)
		}
		for _, e := range r.Events {
			if b.id.Defined() && e.Task() == b.id {
				b.log = append(b.log, e)
			}
		}
	}
	return receipts
}

// proven posts a task of that price and brings it to its proof.
func (b *bench) proven(price, bond atp.Amount) *bench {
	b.t.Helper()
	tm := terms(price)
	tm.Class, tm.Executor = task.Recompute, atp.OptionalID{ID: b.keys[2].id}
	post := b.tx(1, &FederationTask{Terms: tm})
	b.block(post)
	var err error
	b.id, err = TaskID(b.state.Genesis(), post.Tx(), 0)
	must(b.t, err)
	b.block(b.tx(2, &TaskAccept{Task: b.id, Bond: bond}))
	b.block(b.tx(2, proof(b.id)))
	return b
}

// disputes has the requester dispute a result that the lot spared, when the
// witnesses have been seen again: they do not validate.
func (b *bench) disputes() {
	b.t.Helper()
	if b.waits(); b.stage() == task.Proven {
		b.block(append(b.seen(), b.tx(1, &TaskDispute{Task: b.id}))...)
		b.waits()
	}
}

// seen has every witness send something that changes nothing.
func (b *bench) seen() (txs []VerifiedTx) {
	for _, i := range witnesses {
		txs = append(txs, b.tx(i, &PlatformRegister{Platform: registration(task.Name(fmt.Sprintf("founder-%d", i)))}))
	}
	return txs
}

func (b *bench) task() task.Task {
	b.t.Helper()
	tk, ok, err := b.state.Task(b.id)
	must(b.t, err)
	if !ok {
		b.t.Fatal("the task is settled")
	}
	return tk
}

func (b *bench) stage() task.Stage {
	b.t.Helper()
	tk, ok, err := b.state.Task(b.id)
	must(b.t, err)
	if !ok {
		return task.Settled
	}
	return tk.Stage
}

// waits makes blocks until the task waits for no beacon.
func (b *bench) waits() int {
	b.t.Helper()
	for n := range 10 {
		if b.stage() != task.Drawing {
			return n
		}
		if !b.state.AwaitsBeacon() {
			b.t.Fatal("a task waits for a beacon, and the state does not say so")
		}
		b.block()
	}
	b.t.Fatal("no beacon draws")
	return 0
}

// of returns the number of a witness.
func (b *bench) of(id atp.ID) int {
	for i, k := range b.keys {
		if k.id == id {
			return i
		}
	}
	b.t.Fatalf("%s is nobody here", id)
	return 0
}

// answer has all who sit say the same, in one block each for commitments and
// revelations.
func (b *bench) answer(a task.Answer) {
	b.t.Helper()
	tk := b.task()
	seats, err := b.state.Seats(tk)
	must(b.t, err)
	var commits, reveals []VerifiedTx
	for _, s := range seats {
		if s.Of != tk.Review.Level {
			continue
		}
		if !s.Due() {
			b.t.Errorf("%s sits and has nothing to do", s.Seat.Witness)
		}
		by := b.of(s.Seat.Witness)
		o := task.Opening{
			Genesis: b.state.Genesis(), Task: b.id, Level: s.Of, Result: tk.Proof.Result,
			Witness: s.Seat.Witness, Answer: a, Hash: task.Digest{1}, Salt: task.Digest{byte(by)},
		}
		commits = append(commits, b.tx(by, &WitnessCommit{Task: b.id, Level: uint8(s.Of), Commit: o.Seal()}))
		reveals = append(reveals, b.tx(by, &WitnessReveal{Task: b.id, Level: uint8(s.Of), Score: a, Hash: o.Hash, Salt: o.Salt}))
	}
	b.block(commits...)
	if got := b.stage(); got != task.Revealing {
		b.t.Fatalf("all have committed, and the task is %s", got)
	}
	b.block(reveals...)
}

// fact returns the only event of a kind in the task's life.
func fact[F Fact](t *testing.T, log []Event) F {
	t.Helper()
	var found []F
	for _, e := range log {
		if f, ok := e.Fact.(F); ok {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		t.Fatalf("have %d %T, want one", len(found), *new(F))
	}
	return found[0]
}

// TestWitnessesFindALiarOnTheChain disputes the result of a task, and follows it
// from its posting to the settlement: nothing but what was sent and time moves it.
func TestWitnessesFindALiarOnTheChain(t *testing.T) {
	b := newBench(t).staked().proven(5*atp.ATP, 100*atp.ATP)
	if blocks := b.waits(); blocks != 2 {
		t.Errorf("the beacon came after %d blocks, want that of the first block above the next", blocks)
	}
	b.disputes()
	seats, err := b.state.Seats(b.task())
	must(t, err)
	if len(seats) != 3 {
		t.Fatalf("%d sit, want 3 of the 4", len(seats))
	}
	for _, s := range seats {
		mine, err := b.state.SeatsOf(s.Seat.Witness)
		must(t, err)
		stake, _, err := b.state.Stake(s.Seat.Witness)
		must(t, err)
		if len(mine) != 1 || !mine[0].Due() || stake.Reserved != 2_500_000 || stake.Open != 1 {
			t.Errorf("a witness has %d seats, and a stake of %+v", len(mine), stake)
		}
	}
	b.answer(0)
	if got := b.stage(); got != task.Decided {
		t.Fatalf("the committee has found, and the task is %s", got)
	}
	b.blockAfter(301 * atp.Second)
	b.block()
	paid := fact[*task.Paid](t, b.log)
	if paid.Outcome != task.Rollback || paid.ToSeats != 750_000 || paid.ToExecutor != 0 || paid.Bond != 100*atp.ATP {
		t.Errorf("settled as %+v", paid)
	}
	if v := fact[*task.Judged](t, b.log); v.Verdict != task.Fail || v.Seats != 3 || v.Scores != 3 {
		t.Errorf("judged as %+v", v)
	}
	for _, s := range seats {
		if a, err := b.state.Account(s.Seat.Witness); err != nil || a.Available != 700_250_000 || a.Bonded != 300*atp.ATP {
			t.Errorf("a witness has %+v, %v", a, err)
		}
		e, ok, err := b.state.Evidence(task.Key{Who: s.Seat.Witness, Role: task.Witness})
		if err != nil || !ok || e.For != 200_000 {
			t.Errorf("a witness has a record of %+v, %v, %v", e, ok, err)
		}
	}
	if at, ok, err := b.state.NextDue(); err != nil || ok {
		t.Errorf("something is still due at %d: %v", at, err)
	}
}

// TestAProofTellsATasksLifeWithWitnesses appeals a committee's word, and has a
// light client follow every step of it.
func TestAProofTellsATasksLifeWithWitnesses(t *testing.T) {
	b := newBench(t)
	s := newShelf(b.world, always(b.keys[0]))
	b.add = s.add
	b.staked().proven(5*atp.ATP, 6*atp.ATP)
	b.disputes()
	b.answer(task.Answer(task.S))
	b.block(append(b.seen(), b.tx(1, &TaskAppeal{Task: b.id}))...)
	b.waits()
	if got := b.task().Review; got.Level != task.Everyone || got.Everyone != 4 {
		t.Fatalf("the level of everyone is %+v", got)
	}
	b.answer(task.Answer(task.S))
	if got := b.stage(); got != task.Settled {
		t.Fatalf("everyone has found, and the task is %s", got)
	}
	p := copied(s.task(b.id))
	g, _ := signedGenesis(t, 7)
	proven, err := p.Verify(bft.ZIP215{}, nil, g)
	must(t, err)
	if proven.Task == nil || proven.Task.Paid.Outcome != task.Commit || proven.Task.Paid.Appeal != atp.ATP {
		t.Fatalf("proven: %+v", proven.Task)
	}
	steps := 0
	for _, step := range proven.Task.Steps {
		for _, e := range step.Events {
			if m, ok := e.Fact.(*task.Moved); ok && (m.Step == task.OpCommit || m.Step == task.OpReveal) {
				steps++
			}
		}
	}
	if steps != 2*(3+4) {
		t.Errorf("the proof tells of %d commitments and revelations, want %d", steps, 2*(3+4))
	}
	for i, e := range p.Task.Entries {
		if e.Tx == nil {
			continue
		}
		for _, op := range e.Tx.Ops {
			if _, ok := op.Action.(*WitnessReveal); !ok {
				continue
			}
			bad := copied(p)
			bad.Task.Entries = append(bad.Task.Entries[:i:i], bad.Task.Entries[i+1:]...)
			if _, err := bad.Verify(bft.ZIP215{}, nil, g); err == nil {
				t.Error("a proof without one of the revelations holds")
			}
		}
	}
}

// TestAProofLeavesNoLevelOut takes whole rounds out of a true proof, from where the
// task waited for a draw to where it did so again.
func TestAProofLeavesNoLevelOut(t *testing.T) {
	b := newBench(t)
	s := newShelf(b.world, always(b.keys[0]))
	b.add = s.add
	b.staked().proven(5*atp.ATP, 100*atp.ATP)
	b.waits()
	b.disputes()
	b.answer(task.Answer(task.S))
	b.block(append(b.seen(), b.tx(1, &TaskAppeal{Task: b.id}))...)
	b.waits()
	b.answer(task.Answer(task.S))
	p := copied(s.task(b.id))
	g, _ := signedGenesis(t, 7)
	_, err := p.Verify(bft.ZIP215{}, nil, g)
	must(t, err)
	var waits []int // entries after which the task waits for a draw
	for i, e := range p.Task.Entries {
		var stage task.Stage
		for _, event := range e.Receipt.Events {
			if m, ok := event.Fact.(*task.Moved); ok && m.Task == b.id {
				stage = m.To
			}
		}
		if stage == task.Drawing {
			waits = append(waits, i)
		}
	}
	if len(waits) != 3 {
		t.Fatalf("the task waited for a draw %d times, want 3: after its proof, the dispute and the appeal", len(waits))
	}
	for _, cut := range [][2]int{{0, 1}, {1, 2}, {0, 2}} {
		from, to := waits[cut[0]], waits[cut[1]]
		bad := copied(p)
		bad.Task.Entries = append(bad.Task.Entries[:from+1:from+1], bad.Task.Entries[to+1:]...)
		told := make(map[bft.Height]bool)
		for _, e := range bad.Task.Entries {
			told[e.Height] = true
		}
		var left []ProofBlock
		for _, block := range bad.Blocks {
			if told[block.Header.Height] {
				left = append(left, block)
			}
		}
		bad.Blocks = left
		if _, err := bad.Verify(bft.ZIP215{}, nil, g); err == nil || !strings.Contains(err.Error(), "a step is missing") {
			t.Errorf("without what came between wait %d and wait %d: %v", cut[0], cut[1], err)
		}
	}
}

func TestAWitnessedClassIsRefusedWhileNobodyCouldWitness(t *testing.T) {
	w := newWorld(t, 4)
	tm := terms(50 * atp.ATP)
	tm.Class = task.Recompute
	if n, err := w.state.CouldWitness(w.keys[1].id, tm); n != 0 || !errors.Is(err, task.ErrClass) {
		t.Errorf("%d could witness, %v", n, err)
	}
	if r := w.does(1, &FederationTask{Terms: tm}); r.Code != CodeClass {
		t.Errorf("%v: %s", r.Code, r.Detail)
	}
}

// TestTheStateTellsWhatATaskWouldCost asks before it posts, and before it accepts.
func TestTheStateTellsWhatATaskWouldCost(t *testing.T) {
	b := newBench(t).staked()
	tm := terms(50 * atp.ATP)
	tm.Class = task.Recompute
	for by, want := range map[int]uint64{1: 4, 3: 3} { // keys[3] could witness, but for its own task
		if n, err := b.state.CouldWitness(b.keys[by].id, tm); err != nil || n != want {
			t.Errorf("for %d: %d could witness, %v, want %d", by, n, err, want)
		}
	}
	post := b.tx(1, &FederationTask{Terms: tm})
	b.block(post)
	id, err := TaskID(b.state.Genesis(), post.Tx(), 0)
	must(t, err)
	tk, _, err := b.state.Task(id)
	must(t, err)
	for by, want := range map[int]uint64{2: 4, 4: 3} {
		if c, err := b.state.ChargesTo(b.keys[by].id, tk); err != nil || c.Seats != want || c.Pay != 2_500_000*atp.Amount(want) {
			t.Errorf("accepted by %d: %+v, %v, want %d seats", by, c, err, want)
		}
	}
	tm.Class = task.Mutual
	if n, err := b.state.CouldWitness(b.keys[1].id, tm); n != 0 || err != nil {
		t.Errorf("class mutual: %d, %v", n, err)
	}
}
