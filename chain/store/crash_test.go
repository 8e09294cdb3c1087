package store_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/chain/store/storetest"
)

// committed commits n blocks that are the same in every world of a test.
func committed(t testing.TB, w *storetest.World, s *store.Store, n int) {
	t.Helper()
	for range n {
		if err := s.Commit(next(w)); err != nil {
			t.Fatal(err)
		}
	}
}

func next(w *storetest.World) store.Final {
	return w.Block(w.Transfer(1, 2, 7), w.Transfer(2, 0, 3), w.Post(1, w.State().Tip().ID.String()))
}

// A power cut anywhere, whatever the disk keeps of what was not synced: the
// head is one that Commit had written, nothing that Commit had returned for is
// lost, and all that the head stands on is there.
func TestPowerCutLeavesAWholeHead(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		limit := []int{0, 1 << 20}[seed%2] // as for a large block, and as for a small one
		db, w := storetest.NewVolatile(), storetest.NewWorld(t, "cut")
		s := open(t, db, store.WithTransactionLimit(limit))
		w.Found(s)
		committed(t, w, s, 1+rng.IntN(3))
		durable, err := s.Head()
		if err != nil {
			t.Fatal(err)
		}
		// The block after it is on its way when the power goes.
		var cut *storetest.Volatile
		at, writes := rng.IntN(4-int(seed%2)), 0
		db.OnWrite(func() {
			if writes == at {
				cut = crash(t, db, rng)
			}
			writes++
		})
		f := next(w)
		if err := errors.Join(s.PutBody(f.Block), s.Commit(f)); err != nil {
			t.Fatal(err)
		}
		if cut == nil {
			t.Fatalf("seed %d: only %d writes", seed, writes)
		}
		again := open(t, cut)
		head, err := again.Head()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if _, _, err := again.Body(f.Cert.Block); err != nil {
			t.Fatalf("seed %d: a body that was on its way: %v", seed, err)
		}
		if head.Height < durable.Height || head.Height > f.Cert.Height {
			t.Fatalf("seed %d: head is %d, want %d or %d", seed, head.Height, durable.Height, f.Cert.Height)
		}
		if head.Height == durable.Height {
			// The same block may now come again, and finds its own half there.
			if err := errors.Join(again.Check(bft.ZIP215{}, store.CheckDepth), again.Commit(f)); err != nil {
				t.Fatalf("seed %d, at the old head: %v", seed, err)
			}
		}
		err = again.Check(bft.ZIP215{}, store.CheckDepth)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// Whatever a power cut leaves of a body that was on its way: it is whole, or it
// is not there; it never counts as damage.
func TestTornBodyIsNotThere(t *testing.T) {
	db, w := storetest.NewVolatile(), storetest.NewWorld(t, "torn")
	s := open(t, db)
	w.Found(s)
	f := next(w)
	var cuts []*storetest.Volatile
	db.OnWrite(func() {
		for mask := range 1 << (len(f.Block.Txs) + 2) { // the transactions, the header, the mark
			cut, err := db.Crash(func(i int) bool { return mask>>i&1 == 1 })
			if err != nil {
				t.Fatal(err)
			}
			cuts = append(cuts, cut)
		}
	})
	if err := s.PutBody(f.Block); err != nil {
		t.Fatal(err)
	}
	whole := 0
	for i, cut := range cuts {
		b, ok, err := open(t, cut).Body(f.Cert.Block)
		if err != nil || ok && len(b.Txs) != len(f.Block.Txs) {
			t.Fatalf("cut %d: have %d transactions, %v, %v", i, len(b.Txs), ok, err)
		}
		if ok {
			whole++
		}
	}
	if whole != 2 { // with and without the mark
		t.Errorf("%d of %d cuts left the body whole, want 2", whole, len(cuts))
	}
}

// What was synced survives any cut, whatever else was in flight.
func TestNothingReturnedIsLost(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	db, w := storetest.NewVolatile(), storetest.NewWorld(t, "cut")
	s := open(t, db)
	w.Found(s)
	for range 20 {
		f := next(w)
		tx := w.Transfer(0, 1, 1)
		if err := errors.Join(s.PutBody(f.Block), s.PutLocal(tx)); err != nil {
			t.Fatal(err)
		}
		before := open(t, crash(t, db, rng))
		if _, ok, err := before.Body(f.Cert.Block); !ok || err != nil {
			t.Fatalf("a body that was put is lost: %v", err)
		}
		if locals, err := before.Locals(); err != nil || len(locals) == 0 || locals[len(locals)-1].ID() != tx.ID() {
			t.Fatalf("a local transaction that was put is lost: %v, %v", locals, err)
		}
		if err := s.Commit(f); err != nil {
			t.Fatal(err)
		}
		after := open(t, crash(t, db, rng))
		if head, err := after.Head(); err != nil || head.ID != f.Cert.Block {
			t.Fatalf("a head that was committed is lost: %v, %v", head.Tip, err)
		}
		if err := after.Check(bft.ZIP215{}, store.CheckDepth); err != nil {
			t.Fatal(err)
		}
	}
}

func crash(t testing.TB, db *storetest.Volatile, rng *rand.Rand) *storetest.Volatile {
	t.Helper()
	after, err := db.Crash(func(int) bool { return rng.IntN(2) == 0 })
	if err != nil {
		t.Fatal(err)
	}
	return after
}

func TestACommitTakesOneSync(t *testing.T) {
	db, w := storetest.NewVolatile(), storetest.NewWorld(t, "sync")
	s := open(t, db)
	w.Found(s)
	before := db.Syncs()
	committed(t, w, s, 10)
	if got := db.Syncs() - before; got != 10 {
		t.Errorf("10 commits took %d syncs", got)
	}
}

// The test binary is its own child process, which commits until it is killed.
const childDir = "STORE_TEST_DIR"

func TestMain(m *testing.M) {
	for name, run := range map[string]func(*testing.T, string){childDir: child, inspectDir: inspect} {
		if dir := os.Getenv(name); dir != "" {
			testing.Main(func(string, string) (bool, error) { return true, nil },
				[]testing.InternalTest{{Name: "child", F: func(t *testing.T) { run(t, dir) }}}, nil, nil)
			return
		}
	}
	os.Exit(m.Run())
}

// child opens the store, says at which height it is, catches its world up and
// commits on, saying each height once Commit has returned.
func child(t *testing.T, dir string) {
	s, w := openDisk(t, dir, store.Edge), storetest.NewWorld(t, "kill")
	w.Found(s)
	head, err := s.Head()
	if err == nil && !s.Clean() {
		err = s.Check(bft.ZIP215{}, store.CheckDepth)
	}
	if err != nil {
		t.Fatal(err)
	}
	for w.State().Tip().Height < head.Height {
		next(w)
	}
	if w.State().Tip() != head.Tip {
		t.Fatalf("the store is at %+v, want %+v", head.Tip, w.State().Tip())
	}
	fmt.Println("at", head.Height)
	for {
		f := next(w)
		if err := errors.Join(s.PutBody(f.Block), s.Commit(f)); err != nil {
			t.Fatal(err)
		}
		fmt.Println("at", f.Cert.Height)
	}
}

func TestKilledStoreLosesNothing(t *testing.T) {
	cycles := 24
	if testing.Short() {
		cycles = 4
	}
	dir, rng := filepath.Join(t.TempDir(), "store"), rand.New(rand.NewPCG(3, 3))
	var last bft.Height
	for cycle := range cycles {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, stop := bufio.NewScanner(out), 1+rng.IntN(6)
		for said := 0; lines.Scan(); {
			var h bft.Height
			if _, err := fmt.Sscanf(lines.Text(), "at %d", &h); err != nil {
				why := lines.Text()
				for lines.Scan() {
					why += "\n" + lines.Text()
				}
				t.Fatalf("cycle %d: the child says %s", cycle, why)
			}
			if h < last {
				t.Fatalf("cycle %d: the child is at %d, and was at %d", cycle, h, last)
			}
			last = h
			if said++; said == stop {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait()
	}
	if last < bft.Height(cycles) {
		t.Errorf("only %d blocks in %d cycles: the test is blind", last, cycles)
	}
	s := openDisk(t, dir, store.Edge)
	if s.Clean() {
		t.Error("a store whose process was killed counts as closed in good order")
	}
	if err := errors.Join(s.Check(bft.ZIP215{}, store.CheckDepth), s.Close()); err != nil {
		t.Error(err)
	}
	t.Logf("%d cycles, %d blocks", cycles, last)
}

var _ chain.Nodes = (*store.Store)(nil)
