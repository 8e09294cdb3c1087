// Package storetest holds the conformance suite that every store passes, and
// what tests of stores need: chains to store, and a disk that loses power.
package storetest

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/task"
)

// Run checks a kind of store. open returns an empty one, which the test closes.
func Run(t *testing.T, open func(*testing.T) *store.Store) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, *World, *store.Store)
	}{
		{"an empty store says so", testEmpty},
		{"a store is of one chain", testFound},
		{"a final block is found by every name", testCommit},
		{"only the next block can be final", testOrder},
		{"a body is kept until another is final", testBodies},
		{"local transactions stay until they are final", testLocals},
		{"a task has a history", testTasks},
		{"an account has a history, page by page", testAccounts},
		{"blocks are served in order", testBlocks},
		{"peers are remembered", testPeers},
		{"a store refuses to write without space", testSpace},
		{"readers see whole heights", testReaders},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			tt.test(t, NewWorld(t, "storetest"), s)
			check(t, s.Check(bft.ZIP215{}, store.CheckDepth))
			check(t, s.Close())
			if err := s.PutPeers(nil); !errors.Is(err, store.ErrClosed) {
				t.Errorf("a write after Close: have %v, want ErrClosed", err)
			}
		})
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func get[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func wantNotFound(t testing.TB, what string, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%s: have %v, want ErrNotFound", what, err)
	}
}

func testEmpty(t *testing.T, w *World, s *store.Store) {
	_, err := s.Head()
	wantNotFound(t, "head", err)
	_, err = s.Genesis()
	wantNotFound(t, "genesis", err)
	_, err = s.BlockAt(1)
	wantNotFound(t, "block", err)
	if err := s.Commit(w.Block()); !errors.Is(err, store.ErrOutOfOrder) {
		t.Errorf("a block without a chain: have %v, want ErrOutOfOrder", err)
	}
}

func testFound(t *testing.T, w *World, s *store.Store) {
	w.Found(s)
	w.Found(s)
	if got := get[bft.GenesisHash](t)(s.Genesis()); got != w.State().Genesis() {
		t.Errorf("have %v, want %v", got, w.State().Genesis())
	}
	head := get[store.Head](t)(s.Head())
	if head.Tip != w.State().Tip() || head.StateRoot != w.State().Root() {
		t.Errorf("head is %+v, want %+v", head.Tip, w.State().Tip())
	}
	other := NewWorld(t, "another")
	if err := s.Found(other.start, other.genesis); !errors.Is(err, store.ErrForeign) {
		t.Errorf("another chain: have %v, want ErrForeign", err)
	}
	state := get[chain.State](t)(s.StateAt(0))
	if got := state.Totals(); got != w.State().Totals() {
		t.Errorf("totals at height 0 are %+v, want %+v", got, w.State().Totals())
	}
}

// equal compares blocks by what they encode to.
func equal(t testing.TB, got, want chain.Block) {
	t.Helper()
	a, b := get[[]byte](t)(got.Body().Encode()), get[[]byte](t)(want.Body().Encode())
	if x, y := get[cid.Cid](t)(got.Header.ID()), get[cid.Cid](t)(want.Header.ID()); x != y || !slices.Equal(a, b) {
		t.Errorf("have block %s, want %s", x, y)
	}
}

func testCommit(t *testing.T, w *World, s *store.Store) {
	w.Found(s)
	for range 3 {
		f := w.Block(w.Transfer(1, 2, 5), w.Transfer(2, 1, 3), w.Transfer(1, 0, 1<<60))
		check(t, s.Commit(f))
		tip := w.State().Tip()
		head := get[store.Head](t)(s.Head())
		if head.Tip != tip || head.StateRoot != w.State().Root() || head.Header.Height != tip.Height {
			t.Fatalf("head is %+v, want %+v", head, tip)
		}
		equal(t, get[chain.Block](t)(s.BlockAt(tip.Height)), f.Block)
		equal(t, get[chain.Block](t)(s.Block(tip.ID)), f.Block)
		if diff := cmp.Diff(f.Cert, get[bft.CommitCert](t)(s.CertAt(tip.Height)), cmp.Comparer(cid.Cid.Equals)); diff != "" {
			t.Error(diff)
		}
		receipts := get[[]chain.Receipt](t)(s.Receipts(tip.Height))
		if len(receipts) != 3 || !receipts[0].OK() || receipts[2].Code != chain.CodeInsufficient {
			t.Errorf("receipts are %+v", receipts)
		}
		for i, tx := range f.Block.Txs {
			got := get[store.FinalTx](t)(s.Tx(tx.ID()))
			if got.Tx.Address() != tx.Address() || got.Height != tip.Height || got.Block != tip.ID || got.Position != i || got.Receipt.Subject != tx.ID() {
				t.Errorf("transaction %d is %+v", i, got)
			}
		}
		for _, n := range f.Result.Nodes {
			if !slices.Equal(get[[]byte](t)(s.Get(n.ID)), n.Data) {
				t.Errorf("node %s differs", n.ID)
			}
		}
	}
	for i := range Founders {
		state := get[chain.State](t)(s.StateAt(3))
		if got, want := get[atp.Account](t)(state.Account(w.ID(i))), get[atp.Account](t)(w.State().Account(w.ID(i))); got != want {
			t.Errorf("account %d is %+v, want %+v", i, got, want)
		}
	}
	_, err := s.BlockAt(4)
	wantNotFound(t, "a height above the head", err)
	_, err = s.BlockAt(0)
	wantNotFound(t, "a block at the genesis", err)
	_, err = s.Tx(w.State().Tip().ID)
	wantNotFound(t, "an unknown transaction", err)
	if _, ok, err := s.Cert(4); ok || err != nil {
		t.Errorf("a certificate above the head: %v, %v", ok, err)
	}
}

func testOrder(t *testing.T, w *World, s *store.Store) {
	w.Found(s)
	first, second := w.Block(), w.Block()
	for _, tt := range []struct {
		name string
		f    store.Final
	}{
		{"one that skips a height", second},
		{"one with another's certificate", store.Final{Block: first.Block, Cert: second.Cert, Result: first.Result}},
	} {
		if err := s.Commit(tt.f); !errors.Is(err, store.ErrOutOfOrder) {
			t.Errorf("%s: have %v, want ErrOutOfOrder", tt.name, err)
		}
	}
	check(t, s.Commit(first))
	if err := s.Commit(first); !errors.Is(err, store.ErrOutOfOrder) {
		t.Errorf("the same again: have %v, want ErrOutOfOrder", err)
	}
	check(t, s.Commit(second))
}

func testBodies(t *testing.T, w *World, s *store.Store) {
	w.Found(s)
	loser, _ := w.Draft(7*atp.Second, w.Transfer(1, 2, 1))
	w.nonces[1]--
	winner := w.Block(w.Transfer(1, 2, 2))
	check(t, s.PutBody(loser, winner.Block))
	id := get[cid.Cid](t)(loser.Header.ID())
	got, ok, err := s.Body(id)
	check(t, err)
	if !ok {
		t.Fatal("a body that was put is not there")
	}
	equal(t, got, loser)
	_, err = s.BlockAt(1)
	wantNotFound(t, "a height with bodies only", err)

	check(t, s.Commit(winner))
	if _, ok, err := s.Body(id); ok || err != nil {
		t.Errorf("after another became final, the body is there: %v, %v", ok, err)
	}
	equal(t, get[chain.Block](t)(s.BlockAt(1)), winner.Block)
	_, err = s.Tx(loser.Txs[0].ID())
	wantNotFound(t, "a transaction of the body that lost", err)
}

func testLocals(t *testing.T, w *World, s *store.Store) {
	w.Found(s)
	a, b, c := w.Transfer(1, 2, 1), w.Transfer(1, 2, 2), w.Transfer(1, 2, 3)
	check(t, s.PutLocal(c, a))
	check(t, s.PutLocal(b))
	want := func(what string, want ...chain.VerifiedTx) {
		t.Helper()
		got := get[[]chain.VerifiedTx](t)(s.Locals())
		if !slices.EqualFunc(got, want, func(x, y chain.VerifiedTx) bool { return x.Address() == y.Address() }) {
			t.Errorf("%s: have %d transactions, want %d", what, len(got), len(want))
		}
	}
	want("all, by nonce", a, b, c)
	check(t, s.Commit(w.Block(a)))
	want("after one is final", b, c)
	check(t, s.DropLocal(c.ID(), a.ID()))
	want("after one was dropped", b)
}

func testTasks(t *testing.T, w *World, s *store.Store) {
	w.Found(s)
	check(t, s.Commit(w.Block(w.Post(1, "first"))))
	check(t, s.Commit(w.Block(w.Post(1, "second"), w.Post(2, "third"))))
	page := get[[]store.TaskRef](t)(s.Tasks("", 10))
	if len(page) != 3 {
		t.Fatalf("have %d tasks, want 3", len(page))
	}
	first := page[2].ID
	if got := get[task.Task](t)(s.Task(first)); got.Stage != task.Posted || got.Terms.Input != atp.SumBlob([]byte("first")) {
		t.Errorf("the oldest task is %+v", got)
	}
	check(t, s.Commit(w.Block(w.Tx(1, &chain.TaskCancel{Task: first}))))
	if got := get[task.Task](t)(s.Task(first)); got.Stage != task.Settled {
		t.Errorf("a cancelled task is %s", got.Stage)
	}
	if _, open, err := w.State().Task(first); open || err != nil {
		t.Fatalf("the state still has the task: %v", err)
	}
	var steps []string
	for _, x := range get[[]store.Happening](t)(s.TaskHistory(first)) {
		steps = append(steps, x.Event.Name())
		if x.Time == 0 || !x.Subject.Defined() {
			t.Errorf("%s has time %d, subject %v", x.Event.Name(), x.Time, x.Subject)
		}
	}
	if len(steps) < 4 || steps[len(steps)-1] == steps[0] || !slices.Contains(steps, "ATP_TRANSFER_LOCK") || !slices.Contains(steps, "ATP_TRANSFER_ROLLBACK") {
		t.Errorf("history is %v", steps)
	}
	var paged []cid.Cid
	for cursor := ""; ; {
		one := get[[]store.TaskRef](t)(s.Tasks(cursor, 1))
		if len(one) == 0 {
			break
		}
		paged, cursor = append(paged, one[0].ID), one[0].Cursor
	}
	if want := []cid.Cid{page[0].ID, page[1].ID, page[2].ID}; !slices.Equal(paged, want) {
		t.Errorf("one by one: %v, want %v", paged, want)
	}
	_, err := s.Task(w.State().Tip().ID)
	wantNotFound(t, "an unknown task", err)
	_, err = s.TaskHistory(w.State().Tip().ID)
	wantNotFound(t, "history of an unknown task", err)
}

func testAccounts(t *testing.T, w *World, s *store.Store) {
	w.Found(s)
	var want []atp.Amount
	for i := range 12 {
		amount := atp.Amount(2*i + 1)
		check(t, s.Commit(w.Block(w.Transfer(1, 2, amount), w.Transfer(2, 1, amount+1), w.Transfer(0, 1, 1))))
		want = append(want, amount, amount+1)
	}
	slices.Reverse(want)
	for _, limit := range []int{1, 2, 5, 100} {
		var got []atp.Amount
		for before := (store.Position{}); ; {
			page := get[[]store.Happening](t)(s.AccountHistory(w.ID(2), before, limit))
			if len(page) > limit {
				t.Fatalf("a page of %d, want at most %d", len(page), limit)
			}
			for _, x := range page {
				got = append(got, x.Event.Fact.(*chain.Transferred).Amount)
				before = x.Position
			}
			if len(page) == 0 {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v, want %v", limit, got, want)
		}
	}
	if page := get[[]store.Happening](t)(s.AccountHistory(w.ID(2), store.Position{}, 0)); len(page) != 0 {
		t.Errorf("a page of none has %d", len(page))
	}
}

func testBlocks(t *testing.T, w *World, s *store.Store) {
	w.Found(s)
	var want []store.Final
	for range 5 {
		f := w.Block(w.Transfer(1, 2, 1))
		check(t, s.Commit(f))
		want = append(want, f)
	}
	h := bft.Height(2)
	for b, err := range s.Blocks(h) {
		check(t, err)
		equal(t, b.Block, want[h-1].Block)
		if b.Cert.Block != want[h-1].Cert.Block {
			t.Errorf("height %d: certificate of %s", h, b.Cert.Block)
		}
		h++
	}
	if h != 6 {
		t.Errorf("the last block served is %d, want 5", h-1)
	}
}

func testPeers(t *testing.T, w *World, s *store.Store) {
	if got := get[[]peer.AddrInfo](t)(s.Peers()); len(got) != 0 {
		t.Errorf("at first there are %v", got)
	}
	want := []peer.AddrInfo{{ID: w.ID(0).ID, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/4001")}}}
	check(t, s.PutPeers(want))
	if got := get[[]peer.AddrInfo](t)(s.Peers()); len(got) != 1 || got[0].String() != want[0].String() {
		t.Errorf("have %v, want %v", got, want)
	}
}

func testSpace(t *testing.T, w *World, s *store.Store) {
	w.Found(s)
	store.WithSpaceCheck(func() error { return store.ErrNoSpace })(s)
	f := w.Block()
	if err := s.Commit(f); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("have %v, want ErrNoSpace", err)
	}
	store.WithSpaceCheck(func() error { return nil })(s)
	check(t, s.Commit(f))
}

// testReaders holds what concurrent readers see against A7: a height that the
// head names is there, whole.
func testReaders(t *testing.T, w *World, s *store.Store) {
	w.Found(s)
	var finals []store.Final
	for range 10 {
		finals = append(finals, w.Block(w.Transfer(1, 2, 1), w.Post(2, "x")))
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				if err := readHead(s, w.ID(2)); err != nil {
					t.Error(err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for _, f := range finals {
		check(t, s.PutBody(f.Block))
		check(t, s.Commit(f))
	}
	close(done)
	readers.Wait()
}

func readHead(s *store.Store, id atp.ID) error {
	head, err := s.Head()
	if err != nil || head.Height == 0 {
		return err
	}
	state, err := s.StateAt(head.Height)
	if err != nil {
		return err
	}
	_, account := state.Account(id)
	_, block := s.BlockAt(head.Height)
	_, cert := s.CertAt(head.Height)
	_, receipts := s.Receipts(head.Height)
	page, history := s.AccountHistory(id, store.Position{}, 1)
	if history == nil && (len(page) == 0 || page[0].Height < head.Height) {
		history = errors.New("the newest block is not in the history")
	}
	return errors.Join(account, block, cert, receipts, history)
}
