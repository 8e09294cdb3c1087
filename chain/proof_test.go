package chain

import (
	"errors"
	"fmt"
	"io"
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
			for i := range s.places(id) {
				short, err := ProveTask(s, w.state.Genesis(), id, s.places(id)[:i])
				must(t, err)
				if i == 0 {
					short.Blocks = s.account(w.keys[0].id).Blocks
				}
				if _, err := short.Verify(bft.ZIP215{}, nil, g); !errors.Is(err, ErrProof) {
					t.Errorf("a proof of the first %d steps alone: %v", i, err)
				}
			}
		})
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
	stranger := newKey("stranger").id
	if got := verified(t, s.account(stranger), g); got.Account.Known || got.Account.ID != stranger {
		t.Errorf("a stranger: %+v", got.Account)
	}
}

// TestForgedProofs tampers with true proofs of a chain whose validators
// change. Each must be refused by a sentence that names the step.
func TestForgedProofs(t *testing.T) {
	g, s, id := grown(t)
	genesis := s.world.state.Genesis()
	account, paid := s.account(s.world.keys[4].id), s.task(id)
	k := seven()
	other, _ := signedGenesis(t, 7, func(g *Genesis) { g.Network = "another" })
	otherHash, err := other.Hash()
	must(t, err)
	// rewritten has the block at place i changed and certified again.
	rewritten := func(p *Proof, i int, change func(*Header), set []key) {
		b := &p.Blocks[i]
		change(&b.Header)
		id, err := b.Header.ID()
		must(t, err)
		b.Cert = certify(genesis, b.Header.Height, id, setOf(set), set...)
	}
	for _, tt := range []struct {
		name  string
		of    Proof
		forge func(*Proof)
		want  string
	}{
		{"of another chain", account, func(p *Proof) { p.Genesis = otherHash }, "genesis: it is of the chain"},
		{"a version to come", account, func(p *Proof) { p.Version++ }, "its version is 2"},
		{"about nothing", account, func(p *Proof) { p.Account = nil }, "about a task or about an account"},
		{"about both", account, func(p *Proof) { p.Task = paid.Task }, "about a task or about an account"},
		{"without blocks", account, func(p *Proof) { p.Blocks = nil }, "no blocks"},
		{"blocks out of order", account, func(p *Proof) { p.Blocks[0], p.Blocks[1] = p.Blocks[1], p.Blocks[0] }, "block 2 comes after block 4"},
		{"a block twice", account, func(p *Proof) { p.Blocks = append(p.Blocks, p.Blocks[3]) }, "block 7 comes after block 7"},

		{"the old set signs nothing", account, func(p *Proof) { p.Blocks[1].Cert = bft.CommitCert{Height: 4, Block: s.ids[4], Signers: bft.Bitmap{0}} }, "block 4: its certificate does not hold for the 5 validators"},
		{"the first change is left out", account, func(p *Proof) { p.Blocks = p.Blocks[1:] }, "block 4: the validators of its height are not those that the walk has come to"},
		{"a change in the middle is left out", account, func(p *Proof) { p.Blocks = append(p.Blocks[:1], p.Blocks[2:]...) }, "block 5: the validators of its height are not those"},
		{"all changes are left out", account, func(p *Proof) { p.Blocks = p.Blocks[3:] }, "block 7: the validators of its height are not those"},
		{"another set is listed", account, func(p *Proof) { p.Blocks[0].Next = setOf(k[1:6]).IDs() }, "block 2: the 5 validators that it lists for the next block are not those that its header names"},
		{"a larger set is listed", account, func(p *Proof) { p.Blocks[0].Next = setOf(k[:6]).IDs() }, "block 2: the 6 validators"},
		{"the set is listed out of order", account, func(p *Proof) { n := p.Blocks[0].Next; n[0], n[1] = n[1], n[0] }, "block 2: the 5 validators"},
		{"a validator is listed twice", account, func(p *Proof) { n := p.Blocks[0].Next; n[1] = n[0] }, "block 2: the next validators"},
		{"no set is listed", account, func(p *Proof) { p.Blocks[0].Next = nil }, "block 2: it changes the validators, and does not list"},
		{"a set is listed without a change", account, func(p *Proof) { p.Blocks[3].Next = setOf(k).IDs() }, "block 7: it lists validators for the next block, but does not change them"},
		{"the header names another set, by forgers", account, func(p *Proof) {
			rewritten(p, 1, func(h *Header) { h.ValidatorsHash = setOf(k[5:]).Hash() }, k[:4])
			p.Blocks[1].Next = setOf(k[5:]).IDs()
		}, "block 4: its certificate does not hold for the 5 validators"},
		{"a quorum off by one", account, func(p *Proof) { p.Blocks[1].Cert = certify(genesis, 4, s.ids[4], setOf(k[:5]), k[:3]...) }, "block 4: its certificate does not hold for the 5 validators of its height: bft: invalid: CommitCert: have 3 signers, want at least 4"},
		{"a signer who signs twice", account, func(p *Proof) { c := &p.Blocks[0].Cert; c.Signatures[1] = c.Signatures[0] }, "block 2: its certificate does not hold"},
		{"the certificate of another height", account, func(p *Proof) { p.Blocks[1].Cert = s.certs[3] }, "block 4: its certificate is for block 3"},
		{"the certificate of another height, relabelled", account, func(p *Proof) {
			p.Blocks[1].Cert = s.certs[3]
			p.Blocks[1].Cert.Height, p.Blocks[1].Cert.Block = 4, s.ids[4]
		}, "block 4: its certificate does not hold"},
		{"the certificate of another chain", account, func(p *Proof) { p.Blocks[1].Cert = certify(otherHash, 4, s.ids[4], setOf(k[:5]), k[:5]...) }, "block 4: its certificate does not hold"},
		{"PREPAREs for COMMITs", account, func(p *Proof) {
			m := bft.Statement{Kind: bft.KindPrepare, Height: 2, Block: s.ids[2], HighView: bft.NoView}.SignedBytes(genesis)
			for i, id := range setOf(k[:4]).IDs() {
				for _, signer := range k {
					if bft.ID(signer.id) == id {
						p.Blocks[0].Cert.Signatures[i], _ = signer.sign(m)
					}
				}
			}
		}, "block 2: its certificate does not hold"},
		{"another state root", account, func(p *Proof) { p.Blocks[3].Header.StateRoot = s.headers[6].StateRoot }, "block 7: its certificate is for block 7"},
		{"no header below", account, func(p *Proof) { p.Blocks[1].Parent = nil }, "block 4: the header below is missing"},
		{"another header below", account, func(p *Proof) { p.Blocks[1].Parent = &s.headers[2] }, "block 4: the header below is"},
		{"a first block on another chain", account, func(p *Proof) {
			rewritten(p, 0, func(h *Header) { h.Height, h.LastCommit = 1, nil }, k[:4])
		}, "block 1: the first block lies on"},
		{"a block too many", account, func(p *Proof) {
			b, err := proveBlock(s, 3, false)
			must(t, err)
			p.Blocks = append([]ProofBlock{p.Blocks[0], b}, p.Blocks[1:]...)
		}, "block 3: it changes no validators, and nothing of the subject is in it"},

		{"another balance", account, func(p *Proof) { p.Account.Account.Available++ }, "after block 7: the state has"},
		{"another nonce", account, func(p *Proof) { p.Account.Account.Nonce++ }, "after block 7: the state has"},
		{"an absence", account, func(p *Proof) { p.Account.Account = atp.Account{} }, "after block 7: the state has"},
		{"the balance of another", account, func(p *Proof) { p.Account.ID = k[5].id }, "after block 7"},
		{"the state of another block", account, func(p *Proof) { p.Account.Path = s.accountPathAt(6, k[4].id) }, "node 1 of its path is"},
		{"a node of the HAMT swapped", account, func(p *Proof) { p.Account.Path[1] = p.Account.Path[0] }, "node 2 of its path is"},
		{"a path that ends early", account, func(p *Proof) { p.Account.Path = p.Account.Path[:1] }, "its path ends after 1 nodes"},
		{"a path that goes on", account, func(p *Proof) { p.Account.Path = append(p.Account.Path, p.Account.Path[0]) }, "of which"},
		{"a block that is missing", account, func(p *Proof) { p.Account.Height = 6 }, "block 7: it changes no validators"},

		{"another task", paid, func(p *Proof) { p.Task.Task = atp.Sum(nil) }, "receipt 1 of block 2: it tells nothing about the task"},
		{"no entries", paid, func(p *Proof) { p.Task.Entries = nil }, "block 3: it changes no validators"},
		{"a step left out", paid, func(p *Proof) {
			p.Task.Entries = append(p.Task.Entries[:1], p.Task.Entries[2:]...)
			p.Blocks = without(p.Blocks, 3)
		}, "receipt 0 of block 5: the task was posted and is moved from proven: a step is missing"},
		{"steps out of order", paid, func(p *Proof) { e := p.Task.Entries; e[0], e[1] = e[1], e[0] }, "the task was not posted and is moved from posted"},
		{"a step twice", paid, func(p *Proof) { p.Task.Entries = append(p.Task.Entries, p.Task.Entries[2]) }, "receipt 0 of block 5: it comes after receipt 0 of block 5"},
		{"the receipt of another place", paid, func(p *Proof) { p.Task.Entries[0].Position = 2 }, "receipt 2 of block 2: from the receipts' root: its path leads to"},
		{"a receipt's path to another leaf", paid, func(p *Proof) { p.Task.Entries[0].ReceiptPath = s.receiptPath(5, 0) }, "receipt 1 of block 2: from the receipts' root: node 1 of its path is"},
		{"a place that is none", paid, func(p *Proof) { p.Task.Entries[0].Position = 1 << 40 }, "from the receipts' root: its path"},
		{"another amount", paid, func(p *Proof) { p.Task.Entries[2].Receipt.Events[1].Fact.(*task.Paid).ToExecutor++ }, "receipt 0 of block 5: from the receipts' root: its path leads to"},
		{"an event left out", paid, func(p *Proof) { r := &p.Task.Entries[2].Receipt; r.Events = r.Events[:1] }, "receipt 0 of block 5: from the receipts' root: its path leads to"},
		{"a sentence", paid, func(p *Proof) { p.Task.Entries[2].Receipt.Detail = "well done" }, "receipt 0 of block 5: it has a sentence, which no block covers"},
		{"no transaction", paid, func(p *Proof) { p.Task.Entries[0].Tx, p.Task.Entries[0].TxPath = nil, nil }, "receipt 1 of block 2: its transaction"},
		{"another transaction", paid, func(p *Proof) { tx := s.blocks[2].Txs[0].Tx(); p.Task.Entries[0].Tx = &tx }, "receipt 1 of block 2: its transaction, from the body's root: its path leads to"},
		{"a transaction nobody signed", paid, func(p *Proof) { p.Task.Entries[0].Tx.Signature[3] ^= 1 }, "transaction 1 of block 2"},
		{"other terms", paid, func(p *Proof) { p.Task.Entries[0].Tx.Ops[1].Action.(*FederationTask).Terms.Price++ }, "transaction 1 of block 2"},
		{"a transaction's path that ends early", paid, func(p *Proof) { p.Task.Entries[0].TxPath = nil }, "its transaction, from the body's root: its path ends after 0 nodes"},
		{"a block that is missing for a receipt", paid, func(p *Proof) { p.Blocks = without(p.Blocks, 3) }, "receipt 1 of block 3: block 3 is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := copied(tt.of)
			tt.forge(&p)
			_, err := p.Verify(bft.ZIP215{}, newEntropy(2), g)
			if !errors.Is(err, ErrProof) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("have %v, want %q", err, tt.want)
			}
			if errors.Is(err, ErrStorage) {
				t.Errorf("it blames our own disk: %v", err)
			}
		})
	}
	if _, err := account.Verify(bft.ZIP215{}, nil, other); !errors.Is(err, ErrProof) {
		t.Errorf("with the genesis of another chain: %v", err)
	}
}

func without(blocks []ProofBlock, h bft.Height) (left []ProofBlock) {
	for _, b := range blocks {
		if b.Header.Height != h {
			left = append(left, b)
		}
	}
	return left
}

func (s *shelf) accountPathAt(h bft.Height, id atp.ID) [][]byte {
	_, path, err := s.states[h].accountPath(id)
	must(s.world.t, err)
	return path
}

func (s *shelf) receiptPath(h bft.Height, i uint64) [][]byte {
	ids, err := receiptIDs(s.receipts[h])
	must(s.world.t, err)
	path, err := listPath(ids, i)
	must(s.world.t, err)
	return path
}

// TestASkippedChangeIsSeenThoughOldSignersWouldDo: four of five leave together
// with a quorum that is one of the old set too. The header below tells.
func TestASkippedChangeIsSeenThoughOldSignersWouldDo(t *testing.T) {
	k := seven()
	g, w := founded(t, 5)
	s := newShelf(w, func(h bft.Height) []key { return map[bool][]key{true: k[:5], false: k[:4]}[h <= 1] })
	s.add(atp.Second)
	s.add(atp.Second)
	p := s.account(k[0].id)
	verified(t, p, g)
	p.Blocks = p.Blocks[1:]
	p.Blocks[0].Cert = certify(w.state.Genesis(), 2, s.ids[2], setOf(k[:5]), k[:4]...)
	if _, err := p.Verify(bft.ZIP215{}, nil, g); err == nil || !strings.Contains(err.Error(), "block 2: the validators of its height are not those") {
		t.Errorf("have %v", err)
	}
}

// flipped gives f the file with every n-th bit flipped, one at a time.
func flipped(raw []byte, n int, f func(bit int, raw []byte)) {
	for bit := 0; bit < 8*len(raw); bit += n {
		raw[bit/8] ^= 1 << (bit % 8)
		f(bit, raw)
		raw[bit/8] ^= 1 << (bit % 8)
	}
}

// remembering judges by ZIP-215, and the same signature once.
type remembering map[string]bool

func (r remembering) Verify(c bft.Claim) bool {
	key := string(c.Signer.ID) + string(c.Signature[:]) + string(c.Message)
	good, known := r[key]
	if !known {
		good = bft.ZIP215{}.Verify(c)
		r[key] = good
	}
	return good
}

func (r remembering) VerifyBatch(_ io.Reader, batch []bft.Claim) []bool {
	good := make([]bool, len(batch))
	for i, c := range batch {
		good[i] = r.Verify(c)
	}
	return good
}

func TestNoBitOfAProofCanBeFlipped(t *testing.T) {
	g, w := founded(t, 1)
	k := seven()
	s := newShelf(w, func(h bft.Height) []key { return map[bool][]key{true: k[:1], false: k[4:7]}[h <= 2] })
	id := paid(t, s)
	for name, of := range map[string]struct {
		Proof
		every int // all bits of the smaller one, and one of each byte, always another, of the other
	}{"account": {s.account(w.keys[4].id), 1}, "task": {s.task(id), 9}} {
		t.Run(name, func(t *testing.T) {
			raw, err := of.Encode()
			must(t, err)
			scheme := remembering{}
			flipped(raw, of.every, func(bit int, raw []byte) {
				p, err := DecodeProof(raw)
				if err == nil {
					_, err = p.Verify(scheme, nil, g)
				}
				if !errors.Is(err, ErrInvalid) {
					t.Fatalf("bit %d of byte %d: %v", bit%8, bit/8, err)
				}
			})
			t.Logf("every bit of %d in %d bytes", of.every, len(raw))
		})
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

func TestNoProofIsMadeOfABrokenIndex(t *testing.T) {
	_, s, id := grown(t)
	if _, err := ProveAccount(forgetful{s}, s.world.state.Genesis(), s.world.keys[0].id, 7); !errors.Is(err, ErrStorage) {
		t.Errorf("have %v, want that the archive is broken", err)
	}
	if _, err := ProveTask(s, s.world.state.Genesis(), id, []ReceiptPlace{{2, 3}}); !errors.Is(err, ErrStorage) {
		t.Errorf("a receipt that is not there: %v", err)
	}
	if _, err := ProveTask(s, s.world.state.Genesis(), id, make([]ReceiptPlace, MaxProofEntries+1)); !errors.Is(err, ErrLimit) {
		t.Errorf("too many receipts: %v", err)
	}
}
