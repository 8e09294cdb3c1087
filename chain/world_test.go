package chain

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/ipfs/go-cid"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// epoch is the time of test geneses.
const epoch atp.Millis = 1_700_000_000_000

// key is an actor of the tests.
type key struct {
	private ed25519.PrivateKey
	id      atp.ID
}

func newKey(name string) key {
	seed := sha256.Sum256([]byte("chain test " + name))
	private := ed25519.NewKeyFromSeed(seed[:])
	return key{private, atp.IDFromKey([32]byte(private[32:]))}
}

func (k key) sign(message []byte) (s bft.Signature, err error) {
	copy(s[:], ed25519.Sign(k.private, message))
	return s, nil
}

// world is a chain of one validator, with accounts to play with.
type world struct {
	t     testing.TB
	keys  []key // keys[0] validates; all are founders
	state State
	nodes memory
	nonce map[atp.ID]uint64
}

// memory is a store of nodes.
type memory map[cid.Cid][]byte

func (m memory) Get(id cid.Cid) ([]byte, error) {
	if data, ok := m[id]; ok {
		return data, nil
	}
	return nil, fmt.Errorf("memory has no %s", id)
}

func (m memory) save(nodes []Node) {
	for _, n := range nodes {
		m[n.ID] = n.Data
	}
}

// signedGenesis is a genesis of n founders, of whom the first key validates.
func signedGenesis(t testing.TB, n int, change ...func(*Genesis)) (Genesis, []key) {
	t.Helper()
	var keys []key
	var founders []Founder
	for i := range n {
		k := newKey(fmt.Sprint(i))
		keys = append(keys, k)
		founders = append(founders, Founder{ID: k.id, Name: fmt.Sprintf("founder-%d", i)})
	}
	g := NewGenesis("testing", epoch, DefaultParams(AdmitAuto), founders...)
	g.Validators = []atp.ID{keys[0].id}
	for _, f := range change {
		f(&g)
	}
	message, err := g.SigningBytes()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		s, _ := k.sign(message)
		if g, err = g.WithSignature(k.id, s); err != nil {
			t.Fatal(err)
		}
	}
	return g, keys
}

func newWorld(t testing.TB, n int, change ...func(*Genesis)) *world {
	t.Helper()
	g, keys := signedGenesis(t, n, change...)
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	s, nodes, err := g.State()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, keys: keys, nodes: memory{}, nonce: map[atp.ID]uint64{}}
	w.nodes.save(nodes)
	w.state = s.On(w.nodes)
	return w
}

// tx signs a transaction of keys[from] with its next nonce.
func (w *world) tx(from int, actions ...Action) VerifiedTx {
	w.t.Helper()
	return w.signed(from, Transaction{}, actions...)
}

func (w *world) signed(from int, tx Transaction, actions ...Action) VerifiedTx {
	w.t.Helper()
	k := w.keys[from]
	tx.Version, tx.From, tx.Nonce = TxVersion, k.id, w.nonce[k.id]
	for _, a := range actions {
		tx.Ops = append(tx.Ops, Op{a})
	}
	v, err := SignTx(bft.ZIP215{}, w.state.Genesis(), tx, k.sign)
	if err != nil {
		w.t.Fatal(err)
	}
	w.nonce[k.id]++
	return v
}

// header is what a proposer gives Assemble, so long after the tip.
func (w *world) header(after atp.Span) Header {
	w.t.Helper()
	return headerOn(w.state, w.proposer(w.state), after)
}

// proposer is the first of the keys with a vote.
func (w *world) proposer(s State) key {
	w.t.Helper()
	for _, k := range w.keys {
		if s.Validators().Contains(bft.ID(k.id)) {
			return k
		}
	}
	w.t.Fatal("nobody here has a vote")
	return key{}
}

func headerOn(s State, proposer key, after atp.Span) Header {
	tip := s.Tip()
	h := Header{
		Time:        tip.Time.Add(after),
		Proposer:    bft.ID(proposer.id),
		BeaconProof: bft.ProveBeacon(proposer.private, s.Beacon(), tip.Height+1),
	}
	if tip.Height > 0 {
		h.LastCommit = &bft.CommitCert{Height: tip.Height, Block: tip.ID, Signers: bft.Bitmap{1}, Signatures: []bft.Signature{{}}}
	}
	return h
}

// block makes and applies a block one second after the tip, and checks that
// every rule of the suite holds for it.
func (w *world) block(txs ...VerifiedTx) Result {
	w.t.Helper()
	return w.blockAfter(atp.Second, txs...)
}

func (w *world) blockAfter(after atp.Span, txs ...VerifiedTx) Result {
	w.t.Helper()
	return w.blockOf(w.header(after), txs...)
}

// blockOf is block for a header.
func (w *world) blockOf(h Header, txs ...VerifiedTx) Result {
	w.t.Helper()
	b, assembled, err := Assemble(w.state, h, txs)
	if err != nil {
		w.t.Fatal(err)
	}
	applied, err := Apply(w.state, b)
	if err != nil {
		w.t.Fatalf("an assembled block does not apply: %v", err)
	}
	if applied.State.Root() != assembled.State.Root() || applied.State.Tip() != assembled.State.Tip() {
		w.t.Fatalf("Apply and Assemble differ: %v, %v", applied.State.Tip(), assembled.State.Tip())
	}
	if err := applied.State.Check(); err != nil {
		w.t.Fatal(err)
	}
	w.nodes.save(applied.Nodes)
	w.state = applied.State.On(w.nodes)
	return applied
}

// only returns the receipt of a block with one.
func (w *world) only(r Result) Receipt {
	w.t.Helper()
	if len(r.Receipts) != 1 {
		w.t.Fatalf("have %d receipts, want 1", len(r.Receipts))
	}
	return r.Receipts[0]
}

func (w *world) available(i int) atp.Amount {
	w.t.Helper()
	a, err := w.state.Account(w.keys[i].id)
	if err != nil {
		w.t.Fatal(err)
	}
	return a.Available
}

// terms of a task that asks for little.
func terms(price atp.Amount) task.Terms {
	t := task.DefaultEconomy().DefaultTerms()
	t.Type, t.Runtime, t.Price = task.Vision, "wasm", price
	t.Program, t.Input = atp.SumBlob([]byte("program")), atp.SumBlob([]byte("input"))
	return t
}

// entropy is a predictable stand-in for a source of randomness.
type entropy struct{ block [32]byte }

func newEntropy(seed byte) *entropy { return &entropy{block: [32]byte{seed}} }

func (e *entropy) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		e.block = sha256.Sum256(e.block[:])
		n += copy(p[n:], e.block[:])
	}
	return len(p), nil
}

// equal lets cmp compare what it cannot look into.
func equal() cmp.Option {
	return cmp.Options{cmpopts.EquateComparable(cid.Cid{}, atp.ID{}, atp.OptionalID{})}
}
