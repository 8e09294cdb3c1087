package chain

import (
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// shelf is an archive of a world's blocks, agreed on by whatever sets a test
// wants: what the headers say of parents and validators is written anew.
type shelf struct {
	world    *world
	sets     func(bft.Height) []key // that agree on a height
	ids      []cid.Cid              // by height, that of the genesis first
	headers  []Header
	blocks   []Block
	certs    []bft.CommitCert
	receipts [][]Receipt
	states   []State
}

// newShelf puts nothing on a shelf but the genesis.
func newShelf(w *world, sets func(bft.Height) []key) *shelf {
	return &shelf{
		world: w, sets: sets, ids: []cid.Cid{w.state.Tip().ID},
		headers: make([]Header, 1), blocks: make([]Block, 1), certs: make([]bft.CommitCert, 1), receipts: make([][]Receipt, 1),
		states: []State{w.state},
	}
}

// always is the same set at every height.
func always(set ...key) func(bft.Height) []key {
	return func(bft.Height) []key { return set }
}

func setOf(keys []key) bft.ValidatorSet {
	var ids []bft.ID
	for _, k := range keys {
		ids = append(ids, bft.ID(k.id))
	}
	set, err := bft.NewValidatorSet(ids...)
	if err != nil {
		panic(err)
	}
	return set
}

// certify signs a block with those keys of a set.
func certify(genesis GenesisHash, h bft.Height, id cid.Cid, set bft.ValidatorSet, keys ...key) bft.CommitCert {
	c := bft.CommitCert{Height: h, Block: id, Signers: make(bft.Bitmap, (set.Len()+7)/8)}
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b key) int { return atp.Compare(a.id, b.id) })
	message := bft.Statement{Kind: bft.KindCommit, Height: h, Block: id, HighView: bft.NoView}.SignedBytes(genesis)
	for _, k := range keys {
		i, ok := set.Index(bft.ID(k.id))
		if !ok {
			panic("a signer of another set")
		}
		s, _ := k.sign(message)
		c.Signers[i/8] |= 1 << (i % 8)
		c.Signatures = append(c.Signatures, s)
	}
	return c
}

// add makes the world's next block and puts it on the shelf.
func (s *shelf) add(after atp.Span, txs ...VerifiedTx) []Receipt {
	w := s.world
	w.t.Helper()
	b, _, err := Assemble(w.state, w.header(after), txs)
	must(w.t, err)
	r := w.blockAfter(after, txs...)
	h := b.Header
	h.Parent = s.ids[h.Height-1]
	h.ValidatorsHash = setOf(s.sets(h.Height + 1)).Hash()
	if h.Height > 1 {
		h.LastCommit = &s.certs[h.Height-1]
	}
	id, err := h.ID()
	must(w.t, err)
	set := s.sets(h.Height)
	s.ids, s.headers, s.blocks = append(s.ids, id), append(s.headers, h), append(s.blocks, b)
	s.certs = append(s.certs, certify(w.state.Genesis(), h.Height, id, setOf(set), set...))
	s.receipts, s.states = append(s.receipts, r.Receipts), append(s.states, r.State.On(w.nodes))
	return r.Receipts
}

func (s *shelf) top() bft.Height { return bft.Height(len(s.ids) - 1) }

func (s *shelf) HeaderAt(h bft.Height) (cid.Cid, Header, error) { return s.ids[h], s.headers[h], nil }
func (s *shelf) CertAt(h bft.Height) (bft.CommitCert, error)    { return s.certs[h], nil }
func (s *shelf) BlockAt(h bft.Height) (Block, error)            { return s.blocks[h], nil }
func (s *shelf) Receipts(h bft.Height) ([]Receipt, error)       { return s.receipts[h], nil }

func (s *shelf) StateAt(h bft.Height) (State, error) {
	state := s.states[h]
	state.validators = setOf(s.sets(h + 1))
	return state, nil
}

func (s *shelf) SetChanges(upTo bft.Height, limit int) (all []bft.Height, err error) {
	for h := bft.Height(1); h <= upTo && len(all) < limit; h++ {
		if setOf(s.sets(h)).Hash() != setOf(s.sets(h+1)).Hash() {
			all = append(all, h)
		}
	}
	return all, nil
}

// places finds the receipts that tell about a task.
func (s *shelf) places(id cid.Cid) (all []ReceiptPlace) {
	for h, receipts := range s.receipts {
		for i, r := range receipts {
			if slices.ContainsFunc(r.Events, func(e Event) bool { return e.Task() == id }) {
				all = append(all, ReceiptPlace{bft.Height(h), i})
			}
		}
	}
	return all
}

// task proves what became of a task.
func (s *shelf) task(id cid.Cid) Proof {
	s.world.t.Helper()
	p, err := ProveTask(s, s.world.state.Genesis(), id, s.places(id))
	must(s.world.t, err)
	return p
}

// account proves what an account holds at the top.
func (s *shelf) account(id atp.ID) Proof {
	s.world.t.Helper()
	p, err := ProveAccount(s, s.world.state.Genesis(), id, s.top())
	must(s.world.t, err)
	return p
}

// copied returns a proof that shares nothing with p, to be tampered with.
func copied(p Proof) Proof {
	raw, err := p.Encode()
	if err != nil {
		panic(err)
	}
	c, err := DecodeProof(raw)
	if err != nil {
		panic(fmt.Sprintf("a proof that was made is not read: %v", err))
	}
	return c
}
