package chain

import (
	"slices"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/bft/fieldtest"
)

// enough is fewer changes than there are bytes in a signature and an ID, and a
// bit of each number: a test that makes no more has found no fields.
const enough = 150

// TestOneFieldOfATransactionChanged changes each field of a transaction of each
// kind of operation, and has it judged as one that came from a peer.
func TestOneFieldOfATransactionChanged(t *testing.T) {
	w := newWorld(t, 2)
	for _, a := range everyAction(w.keys[1].id) {
		raw := w.signed(0, Transaction{Expires: epoch + 1<<40, Fee: 3}, a, &Transfer{To: w.keys[1].id, Amount: 9}).Bytes()
		accepted := func(tx Transaction) bool {
			sent, err := encode(&tx)
			if err != nil {
				return false
			}
			if tx, err = DecodeTx(sent); err != nil {
				return false
			}
			// In company and alone, as bundles come.
			good, err := DecodeTx(raw)
			must(t, err)
			_, errs := VerifyTxs(bft.ZIP215{}, newEntropy(5), w.state.Genesis(), []Transaction{good, tx})
			_, alone := VerifyTxs(bft.ZIP215{}, nil, w.state.Genesis(), []Transaction{tx})
			if errs[0] != nil || (errs[1] == nil) != (alone[0] == nil) {
				t.Errorf("%s: the good one %v, the changed one %v, alone %v", a.Kind(), errs[0], errs[1], alone[0])
			}
			return alone[0] == nil
		}
		fresh := func() any {
			tx, err := DecodeTx(raw)
			must(t, err)
			return &tx
		}
		if !accepted(*fresh().(*Transaction)) {
			t.Fatalf("%s: what is to be changed does not verify", a.Kind())
		}
		changes := 0
		fieldtest.Each(fresh, func(c fieldtest.Change) {
			changes++
			if accepted(*c.Value.(*Transaction)) {
				t.Errorf("%s: %s: %s: it verifies", a.Kind(), c.Field, c.What)
			}
		})
		if changes < enough {
			t.Errorf("%s: %d changes, want more", a.Kind(), changes)
		}
		for _, other := range everyAction(w.keys[1].id) {
			tx := *fresh().(*Transaction)
			tx.Ops[0] = Op{other}
			if other.Kind() != a.Kind() && accepted(tx) {
				t.Errorf("signed as %s, it verifies as %s", a.Kind(), other.Kind())
			}
		}
	}
}

// TestOneFieldOfAGenesisChanged changes each field of a genesis that all its
// founders have signed, their signatures among them. Nothing of it is unsigned.
func TestOneFieldOfAGenesisChanged(t *testing.T) {
	signed, _ := signedGenesis(t, 2)
	must(t, signed.Validate())
	fresh := func() any {
		g := signed
		g.Founders, g.Validators, g.Allocations = slices.Clone(g.Founders), slices.Clone(g.Validators), slices.Clone(g.Allocations)
		return &g
	}
	changes := 0
	fieldtest.Each(fresh, func(c fieldtest.Change) {
		changes++
		if c.Value.(*Genesis).Validate() == nil {
			t.Errorf("%s: %s: it founds a chain", c.Field, c.What)
		}
	})
	if changes < 10*enough {
		t.Errorf("%d changes, want more", changes)
	}
}

// TestOneFieldOfAHeaderChanged: a Proposal, a vote and a certificate name a
// block by its ID, and so cover all of its header.
func TestOneFieldOfAHeaderChanged(t *testing.T) {
	w := newWorld(t, 2)
	w.block()
	b, _, err := Assemble(w.state, w.header(1000), []VerifiedTx{w.tx(0, &Transfer{To: w.keys[1].id, Amount: 1})})
	must(t, err)
	want, err := b.Header.ID()
	must(t, err)
	raw, err := b.Header.Encode()
	must(t, err)
	fresh := func() any {
		h, err := DecodeHeader(raw)
		must(t, err)
		return &h
	}
	fieldtest.Each(fresh, func(c fieldtest.Change) {
		if id, err := c.Value.(*Header).ID(); err == nil && id == want {
			t.Errorf("%s: %s: the block keeps its name", c.Field, c.What)
		}
	})
}

// TestOneFieldOfAReceiptChanged: a header's ReceiptsRoot covers each receipt by
// its ID, and so does the certificate of the block. Detail is for people: a
// reworded sentence splits no chain. Nor is [task.Moved.After] encoded: whoever
// executes the block finds it.
func TestOneFieldOfAReceiptChanged(t *testing.T) {
	r := Receipt{Subject: atp.Sum(nil), Code: CodeAmount, Op: 2, Events: everyEvent(), Detail: "in words"}
	want, err := r.ID()
	must(t, err)
	raw, err := r.Encode()
	must(t, err)
	fresh := func() any {
		r, err := DecodeReceipt(raw)
		must(t, err)
		return &r
	}
	fieldtest.Each(fresh, func(c fieldtest.Change) {
		id, err := c.Value.(*Receipt).ID()
		unsigned := c.Field == "Detail" || strings.Contains(c.Field, "].Fact.After.")
		if same := err == nil && id == want; same != unsigned {
			t.Errorf("%s: %s: the receipt keeps its name: %v", c.Field, c.What, same)
		}
	})
}
