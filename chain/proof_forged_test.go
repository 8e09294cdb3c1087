package chain

import (
	"errors"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// forge is a chain whose validators change, with true proofs to tamper with.
type forge struct {
	*testing.T
	*shelf
	genesis Genesis
	hash    GenesisHash
	other   GenesisHash // of another chain
	keys    []key
	account Proof // of the balance of keys[4]
	paid    Proof // of a task
}

// forgery is what is done to a true proof, and what must be said of it.
type forgery struct {
	name string
	do   func(*Proof)
	want string
}

func newForge(t *testing.T) *forge {
	g, s, id := grown(t)
	other, _ := signedGenesis(t, 7, func(g *Genesis) { g.Network = "another" })
	hash, err := other.Hash()
	must(t, err)
	return &forge{t, s, g, s.world.state.Genesis(), hash, seven(), s.account(s.world.keys[4].id), s.task(id)}
}

// refuses demands that every forgery is refused, by a sentence that names the
// step.
func (f *forge) refuses(of Proof, all []forgery) {
	for _, tt := range all {
		f.Run(tt.name, func(t *testing.T) {
			p := copied(of)
			tt.do(&p)
			_, err := p.Verify(bft.ZIP215{}, newEntropy(2), f.genesis)
			if !errors.Is(err, ErrProof) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("have %v, want %q", err, tt.want)
			}
			if errors.Is(err, ErrStorage) {
				t.Errorf("it blames our own disk: %v", err)
			}
		})
	}
}

// rewrite has the block at a place changed, and certified again.
func (f *forge) rewrite(p *Proof, i int, change func(*Header), set []key) {
	b := &p.Blocks[i]
	change(&b.Header)
	id, err := b.Header.ID()
	must(f, err)
	b.Cert = certify(f.hash, b.Header.Height, id, setOf(set), set...)
}

func TestForgedForms(t *testing.T) {
	f := newForge(t)
	f.refuses(f.account, []forgery{
		{"of another chain", func(p *Proof) { p.Genesis = f.other }, "genesis: it is of the chain"},
		{"a version to come", func(p *Proof) { p.Version++ }, "its version is 2"},
		{"about nothing", func(p *Proof) { p.Account = nil }, "about a task or about an account"},
		{"about both", func(p *Proof) { p.Task = f.paid.Task }, "about a task or about an account"},
		{"without blocks", func(p *Proof) { p.Blocks = nil }, "no blocks"},
		{"blocks out of order", func(p *Proof) { p.Blocks[0], p.Blocks[1] = p.Blocks[1], p.Blocks[0] }, "block 2 comes after block 4"},
		{"a block twice", func(p *Proof) { p.Blocks = append(p.Blocks, p.Blocks[3]) }, "block 7 comes after block 7"},
	})
	other, _ := signedGenesis(t, 7, func(g *Genesis) { g.Network = "another" })
	if _, err := f.account.Verify(bft.ZIP215{}, nil, other); !errors.Is(err, ErrProof) {
		t.Errorf("with the genesis of another chain: %v", err)
	}
}

func TestForgedValidators(t *testing.T) {
	f := newForge(t)
	k := f.keys
	f.refuses(f.account, []forgery{
		{"the old set signs nothing", func(p *Proof) { p.Blocks[1].Cert = bft.CommitCert{Height: 4, Block: f.ids[4], Signers: bft.Bitmap{0}} }, "block 4: its certificate does not hold for the 5 validators"},
		{"the first change is left out", func(p *Proof) { p.Blocks = p.Blocks[1:] }, "block 4: the validators of its height are not those that the walk has come to"},
		{"a change in the middle is left out", func(p *Proof) { p.Blocks = append(p.Blocks[:1], p.Blocks[2:]...) }, "block 5: the validators of its height are not those"},
		{"all changes are left out", func(p *Proof) { p.Blocks = p.Blocks[3:] }, "block 7: the validators of its height are not those"},
		{"another set is listed", func(p *Proof) { p.Blocks[0].Next = setOf(k[1:6]).IDs() }, "block 2: the 5 validators that it lists for the next block are not those that its header names"},
		{"a larger set is listed", func(p *Proof) { p.Blocks[0].Next = setOf(k[:6]).IDs() }, "block 2: the 6 validators"},
		{"the set is listed out of order", func(p *Proof) { n := p.Blocks[0].Next; n[0], n[1] = n[1], n[0] }, "block 2: the 5 validators"},
		{"a validator is listed twice", func(p *Proof) { n := p.Blocks[0].Next; n[1] = n[0] }, "block 2: the next validators"},
		{"no set is listed", func(p *Proof) { p.Blocks[0].Next = nil }, "block 2: it changes the validators, and does not list"},
		{"a set is listed without a change", func(p *Proof) { p.Blocks[3].Next = setOf(k).IDs() }, "block 7: it lists validators for the next block, but does not change them"},
	})
}

func TestForgedCertificates(t *testing.T) {
	f := newForge(t)
	k := f.keys
	f.refuses(f.account, []forgery{
		{"the header names another set, by forgers", func(p *Proof) {
			f.rewrite(p, 1, func(h *Header) { h.ValidatorsHash = setOf(k[5:]).Hash() }, k[:4])
			p.Blocks[1].Next = setOf(k[5:]).IDs()
		}, "block 4: its certificate does not hold for the 5 validators"},
		{"a quorum off by one", func(p *Proof) { p.Blocks[1].Cert = certify(f.hash, 4, f.ids[4], setOf(k[:5]), k[:3]...) }, "block 4: its certificate does not hold for the 5 validators of its height: bft: invalid: CommitCert: have 3 signers, want at least 4"},
		{"a signer who signs twice", func(p *Proof) { c := &p.Blocks[0].Cert; c.Signatures[1] = c.Signatures[0] }, "block 2: its certificate does not hold"},
		{"the certificate of another height", func(p *Proof) { p.Blocks[1].Cert = f.certs[3] }, "block 4: its certificate is for block 3"},
		{"the certificate of another height, relabelled", func(p *Proof) {
			p.Blocks[1].Cert = f.certs[3]
			p.Blocks[1].Cert.Height, p.Blocks[1].Cert.Block = 4, f.ids[4]
		}, "block 4: its certificate does not hold"},
		{"the certificate of another chain", func(p *Proof) { p.Blocks[1].Cert = certify(f.other, 4, f.ids[4], setOf(k[:5]), k[:5]...) }, "block 4: its certificate does not hold"},
		{"PREPAREs for COMMITs", func(p *Proof) {
			m := bft.Statement{Kind: bft.KindPrepare, Height: 2, Block: f.ids[2], HighView: bft.NoView}.SignedBytes(f.hash)
			for i, id := range setOf(k[:4]).IDs() {
				for _, signer := range k {
					if bft.ID(signer.id) == id {
						p.Blocks[0].Cert.Signatures[i], _ = signer.sign(m)
					}
				}
			}
		}, "block 2: its certificate does not hold"},
		{"another state root", func(p *Proof) { p.Blocks[3].Header.StateRoot = f.headers[6].StateRoot }, "block 7: its certificate is for block 7"},
		{"no header below", func(p *Proof) { p.Blocks[1].Parent = nil }, "block 4: the header below is missing"},
		{"another header below", func(p *Proof) { p.Blocks[1].Parent = &f.headers[2] }, "block 4: the header below is"},
		{"a header below that is further down", func(p *Proof) {
			f.rewrite(p, 1, func(h *Header) { h.Parent = f.ids[2] }, k[:5])
			p.Blocks[1].Parent = &f.headers[2]
		}, "block 4: the header below is of height 2"},
		{"a first block on another chain", func(p *Proof) {
			f.rewrite(p, 0, func(h *Header) { h.Height, h.LastCommit = 1, nil }, k[:4])
		}, "block 1: the first block lies on"},
		{"a header of another version", func(p *Proof) { f.rewrite(p, 3, func(h *Header) { h.Version++ }, k) }, "block 7: chain: invalid: block version"},
		{"a block too many", func(p *Proof) {
			b, err := proveBlock(f.shelf, 3, false)
			must(t, err)
			p.Blocks = append([]ProofBlock{p.Blocks[0], b}, p.Blocks[1:]...)
		}, "block 3: it changes no validators, and nothing of the subject is in it"},
	})
}

func TestForgedAccounts(t *testing.T) {
	f := newForge(t)
	f.refuses(f.account, []forgery{
		{"another balance", func(p *Proof) { p.Account.Account.Available++ }, "after block 7: the state has"},
		{"another nonce", func(p *Proof) { p.Account.Account.Nonce++ }, "after block 7: the state has"},
		{"an absence", func(p *Proof) { p.Account.Account = atp.Account{} }, "after block 7: the state has"},
		{"the balance of another", func(p *Proof) { p.Account.ID = f.keys[5].id }, "after block 7"},
		{"the state of another block", func(p *Proof) { p.Account.Path = f.accountPathAt(6, f.keys[4].id) }, "node 1 of its path is"},
		{"a node of the HAMT swapped", func(p *Proof) { p.Account.Path[1] = p.Account.Path[0] }, "node 2 of its path is"},
		{"a path that ends early", func(p *Proof) { p.Account.Path = p.Account.Path[:1] }, "its path ends after 1 nodes"},
		{"a path that goes on", func(p *Proof) { p.Account.Path = append(p.Account.Path, p.Account.Path[0]) }, "of which"},
		{"a block that is missing", func(p *Proof) { p.Account.Height = 6 }, "block 7: it changes no validators"},
	})
}

func TestForgedTasks(t *testing.T) {
	f := newForge(t)
	f.refuses(f.paid, []forgery{
		{"another task", func(p *Proof) { p.Task.Task = atp.Sum(nil) }, "receipt 1 of block 2: it tells nothing about the task"},
		{"no entries", func(p *Proof) { p.Task.Entries = nil }, "block 3: it changes no validators"},
		{"a step left out", func(p *Proof) {
			p.Task.Entries = append(p.Task.Entries[:1], p.Task.Entries[2:]...)
			p.Blocks = without(p.Blocks, 3)
		}, "receipt 0 of block 5: the task was posted and is moved from proven: a step is missing"},
		{"steps out of order", func(p *Proof) { e := p.Task.Entries; e[0], e[1] = e[1], e[0] }, "receipt 1 of block 2 comes after receipt 1 of block 3"},
		{"a step twice", func(p *Proof) { p.Task.Entries = append(p.Task.Entries, p.Task.Entries[2]) }, "receipt 0 of block 5 comes after receipt 0 of block 5"},
		{"the receipt of another place", func(p *Proof) { p.Task.Entries[0].Position = 2 }, "receipt 2 of block 2: from the receipts' root: its path leads to"},
		{"a receipt's path to another leaf", func(p *Proof) { p.Task.Entries[0].ReceiptPath = f.receiptPath(5, 0) }, "receipt 1 of block 2: from the receipts' root: node 1 of its path is"},
		{"a place that is none", func(p *Proof) { p.Task.Entries[0].Position = 1 << 40 }, "from the receipts' root: the list has no such place"},
		{"another amount", func(p *Proof) { p.Task.Entries[2].Receipt.Events[1].Fact.(*task.Paid).ToExecutor++ }, "receipt 0 of block 5: from the receipts' root: its path leads to"},
		{"an event left out", func(p *Proof) { r := &p.Task.Entries[2].Receipt; r.Events = r.Events[:1] }, "receipt 0 of block 5: from the receipts' root: its path leads to"},
		{"a sentence", func(p *Proof) { p.Task.Entries[2].Receipt.Detail = "well done" }, "receipt 0 of block 5: it has a sentence, which no block covers"},
		{"no transaction", func(p *Proof) { p.Task.Entries[0].Tx, p.Task.Entries[0].TxPath = nil, nil }, ", is missing"},
		{"another transaction", func(p *Proof) { tx := f.blocks[2].Txs[0].Tx(); p.Task.Entries[0].Tx = &tx }, "receipt 1 of block 2: its transaction, from the body's root: its path leads to"},
		{"a transaction nobody signed", func(p *Proof) { p.Task.Entries[0].Tx.Signature[3] ^= 1 }, "transaction 1 of block 2"},
		{"other terms", func(p *Proof) { p.Task.Entries[0].Tx.Ops[1].Action.(*FederationTask).Terms.Price++ }, "transaction 1 of block 2"},
		{"a transaction's path that ends early", func(p *Proof) { p.Task.Entries[0].TxPath = nil }, "its transaction, from the body's root: its path ends after 0 nodes"},
		{"a block that is missing for a receipt", func(p *Proof) { p.Blocks = without(p.Blocks, 3) }, "receipt 1 of block 3: block 3 is missing"},
	})
}

// A quorum of liars can certify receipts that are no one's. What a reader sees
// must still fit together.
func TestReceiptsThatDoNotFitTheirTransactions(t *testing.T) {
	f := newForge(t)
	p := copied(f.paid)
	e := &p.Task.Entries[0]
	e.Receipt.Subject = atp.Sum(nil)
	f.rewrite(&p, 0, func(h *Header) {
		var err error
		h.ReceiptsRoot, err = receiptsRoot([]Receipt{e.Receipt, e.Receipt})
		must(t, err)
	}, f.keys[:4])
	id, err := e.Receipt.ID()
	must(t, err)
	e.ReceiptPath, err = listPath([]cid.Cid{id, id}, 1)
	must(t, err)
	for i := 1; i < len(p.Blocks); i++ {
		below := p.Blocks[i-1].Header
		p.Blocks[i].Parent = &below
		f.rewrite(&p, i, func(h *Header) { h.Parent, err = below.ID(); must(t, err) }, f.sets(below.Height+1))
	}
	if _, err := p.Verify(bft.ZIP215{}, nil, f.genesis); err == nil || !strings.Contains(err.Error(), "it is that of "+atp.Sum(nil).String()) {
		t.Errorf("have %v", err)
	}
}

func TestStoriesThatDoNotHold(t *testing.T) {
	id := atp.Sum(nil)
	moved := func(from, to task.Stage, op task.Op) Event {
		return Event{&task.Moved{Task: id, From: from, To: to, Step: op}}
	}
	expired := moved("", task.Settled, task.OpExpire)
	paid := Event{&task.Paid{Task: id}}
	for name, tt := range map[string]struct {
		steps [][]Event
		want  string // empty: it holds
	}{
		"it holds":                 {[][]Event{{expired, paid}}, ""},
		"nothing is told":          {nil, "ends when the task is not posted"},
		"a step tells nothing":     {[][]Event{{expired, paid}, {}}, "tells nothing about the task"},
		"nothing is paid":          {[][]Event{{expired}}, "nothing says how it was paid out"},
		"it is paid twice":         {[][]Event{{expired, paid}, {paid}}, "pays out the task again"},
		"it goes on after its end": {[][]Event{{expired, paid, moved(task.Settled, task.Posted, task.OpExpire)}}, "was settled and is moved from settled"},
		"nobody posted it":         {[][]Event{{moved("", task.Posted, task.OpPost)}}, "its transaction does not post the task"},
		"nobody proved it":         {[][]Event{{moved("", task.Proven, task.OpProve)}}, "its transaction does not prove the task"},
		"nobody refused it":        {[][]Event{{moved("", task.Settled, task.OpRefuse)}}, "its transaction does not refuse the task"},
	} {
		s := story{task: ProvenTask{ID: id}}
		var err error
		for _, events := range tt.steps {
			if err == nil {
				err = s.tell(ProvenStep{Events: events}, VerifiedTx{})
			}
		}
		if err == nil {
			err = s.end()
		}
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: have %v, want %q", name, err, tt.want)
		}
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
