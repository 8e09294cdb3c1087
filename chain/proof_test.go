package chain

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// seven are the keys that the sets of the tests are made of.
func seven() (keys []key) {
	for _, name := range []string{"0", "1", "2", "3", "4", "5", "6"} {
		keys = append(keys, newKey(name))
	}
	return keys
}

// founded is a genesis of seven, of whom the first n validate. The world that
// plays on it has one proposer, which is all that it asks for.
func founded(t testing.TB, n int) (Genesis, *world) {
	t.Helper()
	validators := func(g *Genesis) {
		g.Validators = nil
		for _, id := range setOf(seven()[:n]).IDs() {
			g.Validators = append(g.Validators, atp.ID(id))
		}
	}
	g, _ := signedGenesis(t, 7, validators)
	return g, newWorld(t, 7, validators)
}

// paid is a task of keys[1] that keys[2] did for 50 ATP, with payments around
// it so that its receipts are not alone in their blocks.
func paid(t testing.TB, s *shelf) cid.Cid {
	t.Helper()
	w := s.world
	noise := func() VerifiedTx { return w.tx(3, &Transfer{To: w.keys[4].id, Amount: 7}) }
	s.add(atp.Second, w.tx(2, &PlatformRegister{Platform: registration("founder-2")}))
	tm := terms(50 * atp.ATP)
	tm.Executor = atp.OptionalID{ID: w.keys[2].id}
	post := w.tx(1, &Transfer{To: w.keys[5].id, Amount: 3}, &FederationTask{Terms: tm})
	s.add(atp.Second, noise(), post, noise())
	id, err := TaskID(w.state.Genesis(), post.Tx(), 1)
	must(t, err)
	s.add(atp.Second, noise(), w.tx(2, &TaskAccept{Task: id, Bond: 5 * atp.ATP}, proof(id)))
	s.add(atp.Second)
	s.add(atp.Second, w.tx(1, &TaskAcknowledge{Task: id, Mark: 850_000}), noise())
	return id
}

func verified(t testing.TB, p Proof, g Genesis) Proven {
	t.Helper()
	got, err := copied(p).Verify(bft.ZIP215{}, newEntropy(1), g)
	if err != nil {
		t.Fatalf("a true proof is refused: %v", err)
	}
	return got
}

func TestAProofShowsHowATaskWasPaid(t *testing.T) {
	g, w := founded(t, 4)
	s := newShelf(w, always(seven()[:4]...))
	id := paid(t, s)
	got := verified(t, s.task(id), g)
	if len(got.Blocks) != 3 || got.Blocks[0].Signatures != 4 || got.Blocks[0].Quorum != 3 || got.Blocks[0].Validators != 4 {
		t.Errorf("blocks: %+v, want three with four of four signatures", got.Blocks)
	}
	p := got.Task
	if p.ID != id || p.Requester != w.keys[1].id || p.Terms.Price != 50*atp.ATP || p.Result == nil || p.Result.Size != 6 || p.Mark == nil || *p.Mark != 850_000 {
		t.Errorf("the task: %+v", p)
	}
	if p.Paid.Outcome != task.Commit || p.Paid.ToExecutor != 55*atp.ATP || p.Paid.Executor.ID != w.keys[2].id {
		t.Errorf("paid: %+v, want price and bond for the executor", p.Paid)
	}
	if len(p.Steps) != 3 || p.Steps[0].Height != 2 || p.Steps[0].Position != 1 || p.Steps[2].By != w.keys[1].id || p.Steps[2].Time != epoch+5_000 {
		t.Errorf("steps: %+v", p.Steps)
	}
}

func TestAProofShowsEveryEndOfATask(t *testing.T) {
	accept := func(id cid.Cid) Action { return &TaskAccept{Task: id, Bond: 5 * atp.ATP} }
	prove := func(id cid.Cid) Action { return proof(id) }
	refuse := func(id cid.Cid) Action { return &TaskAcknowledge{Task: id, Mark: 300_000} }
	withdraw := func(id cid.Cid) Action {
		none := task.PPM(0)
		return &FederationProof{Task: id, Proof: task.Proof{Result: atp.SumBlob([]byte("sorry")), Size: 5, Claim: &none}}
	}
	type step struct {
		by   int
		make func(cid.Cid) Action // nil: time passes until the task is settled
	}
	for _, tt := range []struct {
		name     string
		steps    []step
		path     task.Path
		deadline bool // the last step is nobody's
	}{
		{"silence", []step{{2, accept}, {2, prove}, {}}, task.Unaudited, true},
		{"refused", []step{{2, accept}, {2, prove}, {1, refuse}}, task.Refused, false},
		{"withdrawn", []step{{2, accept}, {2, withdraw}}, task.Late, false},
		{"late", []step{{2, accept}, {}}, task.Late, true},
		{"cancelled", []step{{1, func(id cid.Cid) Action { return &TaskCancel{Task: id} }}}, task.PostedEnds, false},
		{"accepted by nobody", []step{{}}, task.PostedEnds, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, w := founded(t, 4)
			s := newShelf(w, always(seven()[:4]...))
			s.add(atp.Second, w.tx(2, &PlatformRegister{Platform: registration("founder-2")}))
			post := w.tx(1, &FederationTask{Terms: terms(50 * atp.ATP)})
			s.add(atp.Second, post)
			id, err := TaskID(w.state.Genesis(), post.Tx(), 0)
			must(t, err)
			for _, step := range tt.steps {
				if step.make == nil {
					s.add(400 * atp.Second)
					s.add(atp.Second)
				} else {
					s.add(atp.Second, w.tx(step.by, step.make(id)))
				}
			}
			got := verified(t, s.task(id), g).Task
			last := got.Steps[len(got.Steps)-1]
			if got.Paid.Path != tt.path || last.Tx.Defined() == tt.deadline || last.By.IsZero() != tt.deadline {
				t.Errorf("ended by %s, last step %+v", got.Paid.Path, last)
			}
			s.refusesLess(g, id, tt.deadline)
		})
	}
}

// refusesLess tampers with the end of a task's proof, and leaves steps out.
func (s *shelf) refusesLess(g Genesis, id cid.Cid, deadline bool) {
	t, genesis, places := s.world.t, s.world.state.Genesis(), s.places(id)
	t.Helper()
	if deadline {
		forged := copied(s.task(id))
		e := forged.Task.Entries
		e[len(e)-1].TxPath = e[0].TxPath
		if _, err := forged.Verify(bft.ZIP215{}, nil, g); err == nil || !strings.Contains(err.Error(), "a path to a transaction, and no transaction") {
			t.Errorf("a path where there is no transaction: %v", err)
		}
	}
	for i := range places {
		short, err := ProveTask(s, genesis, id, places[:i])
		must(t, err)
		if i == 0 {
			short.Blocks = s.account(s.world.keys[0].id).Blocks
		}
		if _, err := short.Verify(bft.ZIP215{}, nil, g); !errors.Is(err, ErrProof) {
			t.Errorf("a proof of the first %d steps alone: %v", i, err)
		}
	}
}

// growing is seven validators in the end: 4 until block 2, then 5, 5, 3 others,
// and 7 from block 6.
func growing() func(bft.Height) []key {
	k := seven()
	return func(h bft.Height) []key {
		switch {
		case h <= 2:
			return k[:4]
		case h <= 4:
			return k[:5]
		case h == 5:
			return k[4:]
		}
		return k
	}
}

// grown is a chain of seven blocks on a shelf whose validators change thrice.
func grown(t testing.TB) (Genesis, *shelf, cid.Cid) {
	t.Helper()
	g, w := founded(t, 4)
	s := newShelf(w, growing())
	id := paid(t, s)
	s.add(atp.Second)
	s.add(atp.Second, w.tx(4, &Transfer{To: w.keys[5].id, Amount: 1}))
	return g, s, id
}

func TestTrustWalksAcrossValidatorsThatChange(t *testing.T) {
	g, s, id := grown(t)
	got := verified(t, s.account(s.world.keys[4].id), g)
	var heights []bft.Height
	var sizes []int
	for _, b := range got.Blocks {
		heights, sizes = append(heights, b.Height), append(sizes, b.Validators)
	}
	if len(heights) != 4 || heights[0] != 2 || heights[1] != 4 || heights[2] != 5 || heights[3] != 7 || sizes[3] != 7 {
		t.Errorf("walked over %v with sets of %v, want 2, 4, 5 and then 7", heights, sizes)
	}
	if a := got.Account; !a.Known || a.Account.Available != 1_000*atp.ATP+4*7-1 || a.Account.Nonce != 1 {
		t.Errorf("account: %+v", a)
	}
	if got := verified(t, s.task(id), g); len(got.Blocks) != 4 || got.Blocks[2].Next != 0 && got.Task == nil {
		t.Errorf("blocks of the task: %+v, want 2, 3, 4 and 5", got.Blocks)
	}
}

func TestAProofAfterTheFirstBlockNeedsNoHeaderBelow(t *testing.T) {
	g, w := founded(t, 4)
	s := newShelf(w, always(seven()[:4]...))
	s.add(atp.Second)
	if got := verified(t, s.account(w.keys[0].id), g); got.Blocks[0].Height != 1 || !got.Account.Known {
		t.Errorf("%+v", got)
	}
	forged := s.account(w.keys[0].id)
	forged.Blocks[0].Parent = &s.headers[1]
	if _, err := forged.Verify(bft.ZIP215{}, nil, g); err == nil || !strings.Contains(err.Error(), "block 1: the first block lies on") {
		t.Errorf("a header below the first: %v", err)
	}
	forged = s.account(w.keys[0].id)
	b := &forged.Blocks[0]
	b.Header.Parent = s.headers[1].StateRoot
	id, err := b.Header.ID()
	must(t, err)
	b.Cert = certify(w.state.Genesis(), 1, id, setOf(seven()[:4]), seven()[:4]...)
	if _, err := forged.Verify(bft.ZIP215{}, nil, g); err == nil || !strings.Contains(err.Error(), "block 1: the first block lies on") {
		t.Errorf("a first block on something else: %v", err)
	}
	stranger := newKey("stranger").id
	if got := verified(t, s.account(stranger), g); got.Account.Known || got.Account.ID != stranger {
		t.Errorf("a stranger: %+v", got.Account)
	}
}

// TestPathsIntoLargeTrees proves places in trees of more than a node.
func TestPathsIntoLargeTrees(t *testing.T) {
	var ids []cid.Cid
	for i := range 2_000 {
		ids = append(ids, atp.Sum([]byte{byte(i), byte(i >> 8)}))
	}
	root, err := listRoot(ids)
	must(t, err)
	for _, i := range []uint64{0, 1, 31, 32, 1_023, 1_024, 1_999} {
		path, err := listPath(ids, i)
		must(t, err)
		if err := followList(root, i, path, ids[i]); err != nil || len(path) != 3 {
			t.Errorf("place %d: a path of %d nodes: %v", i, len(path), err)
		}
		for _, wrong := range []uint64{i ^ 1, i ^ 64, 2_000, 1 << 30, ^uint64(0)} {
			if err := followList(root, wrong, path, ids[i]); err == nil {
				t.Errorf("the path to place %d leads to place %d", i, wrong)
			}
		}
	}
	g, _ := signedGenesis(t, 1)
	for i := range MaxAllocations - 1 {
		g.Allocations = append(g.Allocations, Allocation{newKey(fmt.Sprint("crowd ", i)).id, atp.Amount(i + 1)})
	}
	slices.SortFunc(g.Allocations, func(a, b Allocation) int { return atp.Compare(a.To, b.To) })
	s, nodes, err := g.State()
	must(t, err)
	m := memory{}
	m.save(nodes)
	s = s.On(m)
	for i, a := range append(g.Allocations, Allocation{newKey("nobody").id, 0}, Allocation{newKey("no one").id, 0}) {
		want, path, err := s.accountPath(a.To)
		must(t, err)
		have, err := followAccount(s.Root(), a.To, path)
		if err != nil || have != want || len(path) < 3 {
			t.Fatalf("account %d: proven %+v, want %+v, by %d nodes: %v", i, have, want, len(path), err)
		}
		for n := range path {
			if _, err := followAccount(s.Root(), a.To, slices.Delete(slices.Clone(path), n, n+1)); err == nil {
				t.Fatalf("account %d without node %d of its path", i, n)
			}
		}
	}
}

// TestProofsOfRandomAccounts proves every account of random states, and what
// nobody has.
func TestProofsOfRandomAccounts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := newPlayer(t, AdmitAuto)
		g, _ := signedGenesis(t, 3, func(g *Genesis) { g.Params, g.Pool = p.state.Params(), 1_500*atp.ATP })
		s := newShelf(p.world, always(p.keys[0]))
		for range rapid.IntRange(1, 5).Draw(rt, "blocks") {
			var txs []VerifiedTx
			for range rapid.IntRange(0, 8).Draw(rt, "transactions") {
				txs = append(txs, p.transaction(rt))
			}
			s.add(atp.Second, txs...)
			p.resync()
		}
		all := map[atp.ID]atp.Account{newKey("nobody").id: {}}
		for _, k := range p.keys {
			all[k.id] = atp.Account{}
		}
		must(t, p.state.EachAccount(func(id atp.ID, a atp.Account) error { all[id] = a; return nil }))
		wrong := rapid.Uint64Range(1, ^uint64(0)).Draw(rt, "wrong")
		for id, want := range all {
			proof := s.account(id)
			got := verified(t, proof, g).Account
			if got.Account != want || got.Known != (want != atp.Account{}) {
				t.Fatalf("%s: proven %+v, want %+v", id, got, want)
			}
			for _, change := range []func(*atp.Account){
				func(a *atp.Account) { a.Available += atp.Amount(wrong) }, func(a *atp.Account) { a.Locked += atp.Amount(wrong) },
				func(a *atp.Account) { a.Bonded += atp.Amount(wrong) }, func(a *atp.Account) { a.Nonce += wrong },
			} {
				forged := copied(proof)
				change(&forged.Account.Account)
				if _, err := forged.Verify(bft.ZIP215{}, nil, g); !errors.Is(err, ErrProof) {
					t.Fatalf("%s: a proof of %+v: %v", id, forged.Account.Account, err)
				}
			}
		}
	})
}

// forgetful is a shelf whose index lost a change.
type forgetful struct{ *shelf }

func (f forgetful) SetChanges(upTo bft.Height, limit int) ([]bft.Height, error) {
	all, err := f.shelf.SetChanges(upTo, limit)
	return slices.DeleteFunc(all, func(h bft.Height) bool { return h == 4 }), err
}

// A refusal's sentence is covered by no block.
func TestTheSentenceOfAReceiptIsNotProven(t *testing.T) {
	_, w := founded(t, 4)
	s := newShelf(w, always(seven()[:4]...))
	if r := s.add(atp.Second, w.tx(1, &TaskCancel{Task: atp.Sum(nil)}))[0]; r.OK() || r.Detail == "" {
		t.Fatalf("receipt: %+v", r)
	}
	p, err := ProveTask(s, w.state.Genesis(), atp.Sum(nil), []ReceiptPlace{{1, 0}})
	if err != nil || p.Task.Entries[0].Receipt.Detail != "" {
		t.Errorf("%v: %q", err, p.Task.Entries[0].Receipt.Detail)
	}
}

func TestNoProofIsMadeOfABrokenIndex(t *testing.T) {
	_, s, id := grown(t)
	for _, h := range []bft.Height{4, 5, 6, 7} {
		if _, err := ProveAccount(forgetful{s}, s.world.state.Genesis(), s.world.keys[0].id, h); !errors.Is(err, ErrStorage) {
			t.Errorf("at height %d have %v, want that the archive is broken", h, err)
		}
	}
	if _, err := ProveTask(s, s.world.state.Genesis(), id, []ReceiptPlace{{2, 3}}); !errors.Is(err, ErrStorage) {
		t.Errorf("a receipt that is not there: %v", err)
	}
	if _, err := ProveTask(s, s.world.state.Genesis(), id, make([]ReceiptPlace, MaxProofEntries+1)); !errors.Is(err, ErrLimit) {
		t.Errorf("too many receipts: %v", err)
	}
}

// TestTrustFollowsPlatformsThatJoinAndLeave takes the sets from the states of
// the chain itself: one validator, three, four, and three of these.
func TestTrustFollowsPlatformsThatJoinAndLeave(t *testing.T) {
	g, _ := signedGenesis(t, 4)
	w := newWorld(t, 4)
	var s *shelf
	s = newShelf(w, func(h bft.Height) (set []key) {
		decides := w.state // of the next height, while its block is added
		if int(h) <= len(s.states) {
			decides = s.states[h-1]
		}
		for _, k := range w.keys {
			if decides.Validators().Contains(bft.ID(k.id)) {
				set = append(set, k)
			}
		}
		return set
	})
	var txs []VerifiedTx
	for i := range w.keys {
		txs = append(txs, w.tx(i, &PlatformRegister{Platform: registration(task.Name(fmt.Sprintf("founder-%d", i)))}))
	}
	s.add(atp.Second, txs...)
	s.add(atp.Second, w.join(1, 60_000))
	s.add(atp.Second, w.join(2, 60_000))
	s.add(atp.Second, w.join(3, 60_000))
	s.add(atp.Second)
	s.add(atp.Second, w.leave(1))
	s.add(atp.Second)
	var sizes []int
	for _, b := range verified(t, s.account(w.keys[1].id), g).Blocks {
		sizes = append(sizes, b.Validators)
	}
	if !slices.Equal(sizes, []int{1, 3, 4, 3}) {
		t.Errorf("walked over sets of %v, want 1, 3, 4 and 3", sizes)
	}
}
