package chain

import (
	"errors"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// said is a statement of a key, signed.
func (w *world) said(k key, s bft.Statement) bft.Signed {
	signature, _ := k.sign(s.SignedBytes(bft.GenesisHash(w.state.Genesis())))
	return bft.Signed{Statement: s, Signer: bft.ID(k.id), Signature: signature}
}

// doubleVote is two COMMITs of one view.
func (w *world) doubleVote(k key, h bft.Height) *Evidence {
	a := bft.Statement{Kind: bft.KindCommit, Height: h, View: 1, Block: atp.Sum([]byte("a")), HighView: bft.NoView}
	b := a
	b.Block = atp.Sum([]byte("b"))
	return &Evidence{bft.Evidence{First: w.said(k, a), Second: w.said(k, b)}}
}

// hiddenCommit is a COMMIT, and a Timeout that knows nothing of it.
func (w *world) hiddenCommit(k key, h bft.Height) *Evidence {
	a := bft.Statement{Kind: bft.KindCommit, Height: h, View: 2, Block: atp.Sum([]byte("a")), HighView: bft.NoView}
	b := bft.Statement{Kind: bft.KindTimeout, Height: h, View: 3, Block: cid.Undef, HighView: 1}
	return &Evidence{bft.Evidence{First: w.said(k, a), Second: w.said(k, b)}}
}

func (w *world) wantSlashed(r Receipt, who int) {
	w.t.Helper()
	if !r.OK() {
		w.t.Fatalf("refused: %s", r.Detail)
	}
	s, ok := r.Events[len(r.Events)-1].Fact.(*ValidatorSlashed)
	if !ok || s.ID != w.keys[who].id || s.Bond != bond {
		w.t.Errorf("the receipt tells %+v", r)
	}
	if got := w.bonded(who); got != 0 {
		w.t.Errorf("%s ATP of it are bonded", got)
	}
}

// Both kinds of pairs cost bond and vote, whoever shows them.
func TestEvidenceTakesBondAndVote(t *testing.T) {
	for name, pair := range map[string]func(*world, key, bft.Height) *Evidence{
		"two COMMITs": (*world).doubleVote, "a hidden COMMIT": (*world).hiddenCommit,
	} {
		t.Run(name, func(t *testing.T) {
			w := validating(t, 5)
			w.pass(2, 1_000)
			pool := w.state.Totals().Pool
			e := pair(w, w.keys[3], 2)
			if can, err := w.state.Punishes(e.Pair); !can || err != nil {
				t.Errorf("it would punish: %v, %v", can, err)
			}
			r := w.block(w.tx(1, e))
			w.wantSlashed(r.Receipts[0], 3)
			w.wantVotes(0, 1, 2, 4)
			if got := w.state.Totals().Pool - pool; got != bond {
				t.Errorf("the pool has %s ATP more", got)
			}
			if can, err := w.state.Punishes(e.Pair); can || err != nil {
				t.Errorf("it would punish again: %v, %v", can, err)
			}
			if r := w.block(w.tx(1, e)); r.Receipts[0].Code != CodeEvidence {
				t.Errorf("a second time: %v", r.Receipts[0].Code)
			}
			w.block(w.join(3, 60_000)) // with a new bond
			w.wantVotes(0, 1, 2, 3, 4)
			if w.bonded(3) != bond || w.available(3) != 800*atp.ATP {
				t.Errorf("it is back with %s ATP bonded, and %s ATP", w.bonded(3), w.available(3))
			}
			if r := w.block(w.tx(1, e)); r.Receipts[0].Code != CodeEvidence {
				t.Errorf("its new bond answers for the old lie: %v", r.Receipts[0].Code)
			}
		})
	}
}

func TestEvidenceIsRefusedWithItsReason(t *testing.T) {
	w := validating(t, 5)
	w.pass(25, 1_000)
	for name, tt := range map[string]struct {
		who  int
		at   bft.Height
		says string
	}{
		"of a height to come":          {1, w.state.Tip().Height + 9, "have height"},
		"of a height that is long ago": {1, w.state.Tip().Height - 21, "more than 20 later"},
	} {
		if r := w.block(w.tx(0, w.doubleVote(w.keys[tt.who], tt.at))).Receipts[0]; r.Code != CodeEvidence || !strings.Contains(r.Detail, tt.says) {
			t.Errorf("%s: %v, %s", name, r.Code, r.Detail)
		}
	}
	if r := w.block(w.tx(0, w.doubleVote(newKey("a stranger"), w.state.Tip().Height))).Receipts[0]; r.Code != CodeEvidence {
		t.Errorf("of a stranger: %v", r.Code)
	}
	w.wantVotes(0, 1, 2, 3, 4)
}

// What nobody signed, and what does not contradict itself, is in no transaction.
func TestForgedEvidenceIsNoTransaction(t *testing.T) {
	w := validating(t, 4)
	w.pass(2, 1_000)
	forged := w.doubleVote(w.keys[1], 2)
	forged.Pair.Second.Signature[3] ^= 1
	twice := w.doubleVote(w.keys[1], 2)
	twice.Pair.Second = twice.Pair.First
	for name, e := range map[string]*Evidence{"a forged signature": forged, "one statement twice": twice} {
		tx := Transaction{Version: TxVersion, From: w.keys[0].id, Nonce: w.nonce[w.keys[0].id], Ops: []Op{{e}}}
		if _, err := SignTx(bft.ZIP215{}, w.state.Genesis(), tx, w.keys[0].sign); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: signed: %v", name, err)
		}
		if id, err := tx.ID(); err == nil {
			tx.Signature, _ = w.keys[0].sign(SigningBytes(w.state.Genesis(), id))
		}
		good := w.tx(0, &Transfer{To: w.keys[1].id, Amount: 1})
		w.nonce[w.keys[0].id]--
		out, errs := VerifyTxs(bft.ZIP215{}, newEntropy(1), w.state.Genesis(), []Transaction{good.Tx(), tx, good.Tx()})
		if errs[0] != nil || errs[2] != nil || !errors.Is(errs[1], ErrInvalid) || !out[1].IsZero() {
			t.Errorf("%s: in a batch: %v", name, errs)
		}
	}
}

// Who lies and leaves in one block loses its bond all the same, until it returns.
func TestLeavingDoesNotSaveTheBond(t *testing.T) {
	w := validating(t, 5)
	w.pass(2, 1_000)
	h := w.state.Tip().Height + 1
	w.block(w.leave(3))
	w.wantVotes(0, 1, 2, 4)
	r := w.block(w.tx(0, w.doubleVote(w.keys[3], h)))
	w.wantSlashed(r.Receipts[0], 3)
	if _, due, _ := w.state.NextDue(); due {
		t.Error("a bond that is gone is still due")
	}

	w.block(w.leave(4)) // of four: three are left
	w.blockAfter(31 * atp.Second)
	w.block()
	if r := w.block(w.tx(0, w.doubleVote(w.keys[4], h))); r.Receipts[0].Code != CodeEvidence {
		t.Errorf("after its bond is back: %v", r.Receipts[0].Code)
	}
}

// Neither does being absent, or waiting to come back.
func TestAbsenceDoesNotSaveTheBond(t *testing.T) {
	for _, back := range []bool{false, true} {
		w := validating(t, 5)
		w.pass(2, 1_000)
		h := w.state.Tip().Height
		w.pass(6, 10_000, 3)
		w.wantVotes(0, 1, 2, 4)
		if back {
			w.block(w.join(3, 60_000))
			w.wantVotes(0, 1, 2, 3, 4)
		}
		r := w.block(w.tx(0, w.hiddenCommit(w.keys[3], h)))
		w.wantSlashed(r.Receipts[0], 3)
		w.wantVotes(0, 1, 2, 4)
	}
}

// No operation leaves an empty set, and one for evidence may leave two.
func TestEvidenceLeavesOneAtLeast(t *testing.T) {
	w := validating(t, 3)
	w.pass(2, 1_000)
	w.block(w.tx(0, w.doubleVote(w.keys[1], 2)))
	w.wantVotes(0, 2)
	w.block()
	w.wantVotes(0, 2) // until the next candidate
	r := w.block(w.tx(0, w.doubleVote(w.keys[2], 2), w.doubleVote(w.keys[0], 2)))
	w.wantVotes(0)
	if r.Receipts[0].Code != CodeOK || w.bonded(0) != 0 {
		t.Errorf("the last one keeps its vote, and %s ATP bonded: %s", w.bonded(0), r.Receipts[0].Detail)
	}
	w.block(w.join(1, 60_000), w.join(2, 60_000))
	w.wantVotes(0, 1, 2)
}
