package chain

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// largestPlatform is a record that could not be any longer.
func largestPlatform() task.Platform {
	p := registration(task.Name(strings.Repeat("n", 32)))
	p.Society = task.Society(strings.Repeat("s", 32))
	p.Hardware = task.Hardware{RAM: ^task.Size(0), Accelerators: ^uint64(0), Power: ^uint64(0), Architecture: strings.Repeat("a", 32)}
	p.Horizon = task.Horizon{Spatial: task.Regional, Temporal: task.Ephemeral, Complexity: task.SocietyWide}
	p.Offers, p.Runtimes = nil, nil
	for i := range 16 {
		most := atp.MaxAmount
		name := fmt.Sprintf("%s%02d", strings.Repeat("t", 30), i)
		p.Offers = append(p.Offers, task.Offer{Type: task.Type(name), Low: most, Medium: most, High: most, Critical: most, PerSecond: most})
		p.Runtimes = append(p.Runtimes, task.Runtime(strings.Repeat("r", 32)+name))
	}
	return p
}

func TestTheLargestValuesFitTheState(t *testing.T) {
	p := largestPlatform()
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	raw, err := encode(&platform{Name: p.Name, Founder: true, Record: &p})
	if err != nil || len(raw) > MaxValueBytes {
		t.Errorf("a platform takes %d bytes of %d: %v", len(raw), MaxValueBytes, err)
	}
	most := ^uint64(0)
	id, blob, claim := newKey("x").id, atp.SumBlob(nil), task.S
	society := task.Society(id.String())
	party := task.Party{ID: id, Society: society, Admitted: true}
	tm := terms(atp.MaxAmount)
	tm.Type, tm.Runtime = task.Type(strings.Repeat("t", 32)), task.Runtime(strings.Repeat("r", 64))
	tm.Executor, tm.Checker, tm.Class = atp.OptionalID{ID: id}, &blob, task.Recompute
	tm.Horizon = p.Horizon
	tm.Memory, tm.InputSize = task.MaxMemory, task.MaxBlob
	raw, err = encode(&task.Task{
		ID: atp.Sum(nil), Requester: party, Terms: tm, Fee: atp.MaxAmount, Stage: task.Accepted,
		Deadline: atp.Millis(most), Posted: atp.Millis(most),
		Acceptance: &task.Acceptance{Executor: party, Bond: atp.MaxAmount, LateCharge: atp.MaxAmount, Time: atp.Millis(most)},
		Proof: &task.Proof{Result: blob, Size: task.MaxBlob, Claim: &claim, Record: task.Record{
			Latency: atp.Span(most), Cost: atp.MaxAmount, Tokens: most, Iterations: most, FinalEnergy: -1 << 63, Convergence: task.S,
		}},
	})
	if err != nil || len(raw) > MaxValueBytes {
		t.Errorf("a task takes %d bytes of %d: %v", len(raw), MaxValueBytes, err)
	}
}

// TestTheRootDoesNotDependOnTheOrderOfWrites grows two states from the same
// values in different orders, with entries that come and go on the way.
func TestTheRootDoesNotDependOnTheOrderOfWrites(t *testing.T) {
	w := newWorld(t, 1)
	accounts := make(map[atp.ID]atp.Account)
	due := make(map[cid.Cid]atp.Millis)
	for i := range 500 {
		accounts[newKey(fmt.Sprint(i)).id] = atp.Account{Available: atp.Amount(i + 1), Nonce: uint64(i)}
		due[atp.Sum(fmt.Append(nil, i))] = epoch + atp.Millis(i*i%7000)
	}
	passing := make(map[cid.Cid]atp.Millis)
	for i := range 200 {
		passing[atp.Sum(fmt.Append(nil, "passing", i))] = epoch + atp.Millis(i*31)
	}
	var want cid.Cid
	for round := range 5 {
		d := newDraft(newOverlay(w.nodes), w.state.root, w.state.constants)
		ghost := newKey("ghost").id
		must(t, d.SetAccount(ghost, atp.Account{Available: 1}))
		for id, at := range passing { // in Go's random order, as are those below
			must(t, d.SetDue(at, id))
		}
		for id, a := range accounts {
			must(t, d.SetAccount(id, a))
		}
		if round%2 == 0 { // written in two steps, or in one
			must(t, d.due.merge())
		}
		for id, at := range due {
			must(t, d.SetDue(at, id))
		}
		for id, at := range passing {
			must(t, d.DeleteDue(at, id))
		}
		must(t, d.SetAccount(ghost, atp.Account{}))
		got, _, err := d.flush()
		must(t, err)
		if round == 0 {
			want = got
		}
		if got != want {
			t.Fatalf("round %d: root %s, want %s", round, got, want)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestARollbackRestoresEverything(t *testing.T) {
	w := newWorld(t, 2, func(g *Genesis) { g.Params = DefaultParams(AdmitVote) })
	rng := rand.New(rand.NewPCG(1, 2))
	d := newDraft(newOverlay(w.nodes), w.state.root, w.state.constants)
	// churn writes every part of a state.
	churn := func() {
		for range 20 {
			n := rng.Uint64N(10)
			id, link := newKey(fmt.Sprint(n)).id, atp.Sum([]byte{byte(n)})
			must(t, d.SetAccount(id, atp.Account{Available: atp.Amount(n)}))
			must(t, d.SetLock(atp.Lock{ID: link, Payer: id, Amount: atp.Amount(n), Task: true}))
			must(t, d.DeleteLock(atp.Sum([]byte{byte(rng.Uint64N(10))})))
			must(t, d.SetDue(epoch+atp.Millis(n), link))
			must(t, d.DeleteDue(epoch+atp.Millis(rng.Uint64N(10)), link))
			must(t, d.SetEvidence(task.Key{Who: id, Role: task.Witness}, task.Evidence{For: task.PPM(n)}))
			must(t, d.SetTask(task.Task{ID: link, Requester: task.Party{ID: id}, Terms: terms(1)}))
			must(t, d.DeleteTask(atp.Sum([]byte{byte(rng.Uint64N(10))})))
			_, err := d.register(id, registration(task.Name(fmt.Sprintf("platform-%d", n))))
			if err != nil && !errors.Is(err, atp.ErrRefused) {
				t.Fatal(err)
			}
			must(t, d.count("founder-0", true))
			must(t, d.validators.set(accountKey(id), Validator{Joined: bft.Height(n)}))
			d.SetTotals(atp.Totals{Supply: atp.Amount(n)})
		}
	}
	for range 20 {
		churn()
		want := flushCopy(t, d)
		start := d.save()
		churn()
		if flushCopy(t, d) == want {
			t.Fatal("the churn changed nothing")
		}
		d.rollback(start)
		if got := flushCopy(t, d); got != want {
			t.Fatalf("after the rollback %s, want %s", got, want)
		}
	}
}

// flushCopy returns the root that d would have now, and leaves d alone.
func flushCopy(t *testing.T, d *draft) cid.Cid {
	t.Helper()
	c := newDraft(newOverlay(d.over.saved), &d.root, d.constants)
	c.accounts.entries = maps.Clone(d.accounts.entries)
	c.names.entries = maps.Clone(d.names.entries)
	c.platforms.entries = maps.Clone(d.platforms.entries)
	c.societies.entries = maps.Clone(d.societies.entries)
	c.evidence.entries = maps.Clone(d.evidence.entries)
	c.locks.entries = maps.Clone(d.locks.entries)
	c.tasks.entries = maps.Clone(d.tasks.entries)
	c.validators.entries = maps.Clone(d.validators.entries)
	c.due.pending = maps.Clone(d.due.pending)
	root, _, err := c.flush()
	must(t, err)
	return root
}

// TestADamagedDiskIsNotTheSendersFault removes or damages each node in turn:
// whoever needs it must say so, and never compute something else.
func TestADamagedDiskIsNotTheSendersFault(t *testing.T) {
	w := newWorld(t, 4)
	var locks []Action
	for i := range 40 {
		locks = append(locks, &TransferLock{Payee: w.keys[1].id, Amount: 1, Deadline: epoch + atp.Millis(2000+i*700)})
	}
	for i := range 60 {
		locks = append(locks, &Transfer{To: newKey(fmt.Sprint("payee ", i)).id, Amount: 1})
	}
	w.block(w.tx(2, locks...), w.tx(1, &PlatformRegister{Platform: registration("founder-1")}))
	block, want, err := Assemble(w.state, w.header(30_000), []VerifiedTx{w.tx(3, locks...)})
	must(t, err)
	must(t, w.state.Check())
	needed := 0
	for _, id := range slices.Collect(maps.Keys(w.nodes)) {
		good := w.nodes[id]
		for name, bad := range map[string][]byte{"missing": nil, "damaged": append([]byte{good[0] ^ 1}, good[1:]...)} {
			delete(w.nodes, id)
			if bad != nil {
				w.nodes[id] = bad
			}
			got, err := Apply(w.state, block)
			switch {
			case err == nil && got.State.Root() != want.State.Root():
				t.Fatalf("with %s %s another state was computed", id, name)
			case err != nil && (!errors.Is(err, ErrStorage) || errors.Is(err, ErrInvalid)):
				t.Fatalf("with %s %s: %v", id, name, err)
			case err != nil:
				needed++
			}
			if err := w.state.Check(); err != nil && !errors.Is(err, ErrStorage) {
				t.Fatalf("with %s %s: %v", id, name, err)
			}
		}
		w.nodes[id] = good
	}
	if needed == 0 {
		t.Error("no node was needed")
	}
	if _, err := OpenState(memory{}, w.state.Root(), w.state.Tip()); !errors.Is(err, ErrStorage) {
		t.Errorf("opened without nodes: %v", err)
	}
}

func TestAStateIsOpenedByItsRoot(t *testing.T) {
	w := newWorld(t, 3)
	r := w.block(w.tx(1, &Transfer{To: w.keys[2].id, Amount: 1}))
	if _, err := r.State.Account(w.keys[2].id); err != nil {
		t.Fatal(err)
	}
	again, err := OpenState(w.nodes, r.State.Root(), r.State.Tip())
	must(t, err)
	must(t, again.Check())
	if again.Validators().Hash() != w.state.Validators().Hash() || again.Genesis() != w.state.Genesis() ||
		again.Beacon() != r.State.Beacon() || again.Totals() != r.State.Totals() || again.Params() != w.state.Params() {
		t.Error("a state that was opened differs from the one that was computed")
	}
}

func TestCheckFindsWhatTheTotalsHide(t *testing.T) {
	w := newWorld(t, 2)
	d := newDraft(newOverlay(w.nodes), w.state.root, w.state.constants)
	must(t, d.SetAccount(w.keys[1].id, atp.Account{Available: 1_000*atp.ATP + 1}))
	root, _, err := d.flush()
	must(t, err)
	s, err := OpenState(d.over.reader(), root, w.state.Tip())
	must(t, err)
	if err := s.Check(); !errors.Is(err, ErrBroken) {
		t.Errorf("a µATP out of nothing: %v", err)
	}
}
