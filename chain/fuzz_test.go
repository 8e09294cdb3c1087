package chain

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// canonical fails if what was decoded from raw does not encode to raw, or if
// a refusal blames nobody.
func canonical(t *testing.T, raw []byte, encoded func() ([]byte, error), err error) {
	t.Helper()
	if err != nil {
		if !errors.Is(err, ErrInvalid) {
			t.Fatalf("refused, and blames nobody: %v", err)
		}
		return
	}
	again, err := encoded()
	if err != nil || !bytes.Equal(again, raw) {
		t.Fatalf("decoded %x, encoded %x: %v", raw, again, err)
	}
}

// seeds is a block with everything in it.
func seeds(f *testing.F) (Block, Result) {
	f.Helper()
	w := newWorld(f, 3)
	w.block()
	var txs []VerifiedTx
	for i, a := range everyAction(w.keys[1].id) {
		txs = append(txs, w.signed(i%3, Transaction{Expires: epoch + 1<<40, Fee: 3}, a))
	}
	b, r, err := Assemble(w.state, w.header(1000), txs)
	must(f, err)
	return b, r
}

func FuzzTransaction(f *testing.F) {
	b, _ := seeds(f)
	for _, tx := range append(b.Txs, newWorld(f, 2).attestedTxs()...) {
		f.Add(tx.Bytes())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		tx, err := DecodeTx(raw)
		canonical(t, raw, func() ([]byte, error) { return encode(&tx) }, err)
		if err != nil {
			return
		}
		if out, errs := VerifyTxs(bft.ZIP215{}, nil, GenesisHash{}, []Transaction{tx}); (errs[0] == nil) == out[0].IsZero() {
			t.Fatalf("verified %v: %v", !out[0].IsZero(), errs[0])
		}
	})
}

func FuzzOperation(f *testing.F) {
	for _, a := range everyAction(newKey("x").id) {
		raw, err := encode(&Op{a})
		must(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var op Op
		err := DecodeExactly(raw, MaxTxBytes, &op)
		canonical(t, raw, func() ([]byte, error) { return encode(&op) }, err)
		if err == nil {
			_ = op.check()
		}
	})
}

func FuzzHeader(f *testing.F) {
	b, _ := seeds(f)
	raw, err := b.Header.Encode()
	must(f, err)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := DecodeHeader(raw)
		canonical(t, raw, h.Encode, err)
	})
}

func FuzzBody(f *testing.F) {
	b, _ := seeds(f)
	raw, err := b.Body().Encode()
	must(f, err)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		body, err := DecodeBody(raw)
		canonical(t, raw, body.Encode, err)
	})
}

func FuzzOutline(f *testing.F) {
	b, _ := seeds(f)
	raw, err := b.Outline().Encode()
	must(f, err)
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := DecodeOutline(raw)
		canonical(t, raw, o.Encode, err)
	})
}

func FuzzReceipt(f *testing.F) {
	_, r := seeds(f)
	r.Receipts = append(r.Receipts, Receipt{Subject: atp.Sum(nil), Events: everyEvent()})
	for _, receipt := range r.Receipts {
		raw, err := receipt.Encode()
		must(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		receipt, err := DecodeReceipt(raw)
		canonical(t, raw, receipt.Encode, err)
	})
}

func FuzzGenesis(f *testing.F) {
	g, _ := signedGenesis(f, 2)
	file, err := g.JSON()
	must(f, err)
	f.Add(file)
	f.Fuzz(func(t *testing.T, file []byte) {
		g, err := ParseProposedGenesis(file)
		if err != nil {
			if !errors.Is(err, ErrGenesis) {
				t.Fatalf("another class: %v", err)
			}
			return
		}
		// What is accepted can found a state, and is written as it was read.
		s, _, err := g.State()
		if err != nil || s.Check() != nil {
			t.Fatalf("no state: %v", err)
		}
		file, err = g.JSON()
		must(t, err)
		again, err := ParseProposedGenesis(file)
		must(t, err)
		want, err := g.Hash()
		must(t, err)
		if got, err := again.Hash(); err != nil || got != want {
			t.Fatalf("hash %v, want %v: %v", got, want, err)
		}
	})
}

// FuzzProof reads and verifies. Whoever does not have the keys gets nowhere
// but for what is on file, whatever the paths hold.
func FuzzProof(f *testing.F) {
	g, s, id := grown(f)
	for _, p := range []Proof{s.task(id), s.account(s.world.keys[4].id)} {
		raw, err := p.Encode()
		must(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := DecodeProof(raw)
		canonical(t, raw, p.Encode, err)
		if err != nil {
			return
		}
		if _, err := p.Verify(bft.ZIP215{}, nil, g); err != nil && !errors.Is(err, ErrProof) {
			t.Fatalf("refused by another class: %v", err)
		}
	})
}

// FuzzPath follows two nodes, of which any may be the root of a tree.
func FuzzPath(f *testing.F) {
	_, s, id := grown(f)
	for _, path := range [][][]byte{s.task(id).Task.Entries[0].TxPath, s.account(s.world.keys[4].id).Account.Path} {
		f.Add(path[0], path[len(path)-1], uint64(1))
	}
	who := s.world.keys[4].id
	f.Fuzz(func(t *testing.T, first, second []byte, i uint64) {
		path := [][]byte{first, second}
		for ; len(path) > 0; path = path[1:] {
			root := atp.Sum(path[0])
			if err := followList(root, i, path, atp.Sum(nil)); errors.Is(err, ErrStorage) {
				t.Fatalf("our own disk is blamed: %v", err)
			}
			if _, err := followAccount(root, who, path); errors.Is(err, ErrStorage) {
				t.Fatalf("our own disk is blamed: %v", err)
			}
			// As the HAMT of accounts, without the root of a state.
			_, _, _ = newTable[atp.Account](newOverlay(&follower{path: path}), root).get(accountKey(who))
		}
	})
}
