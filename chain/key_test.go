package chain

import (
	"errors"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// rotation signs the KEY_ROTATE of a key to another.
func (w *world) rotation(from int, to key) VerifiedTx {
	w.t.Helper()
	s, _ := to.sign(RotationBytes(w.state.Genesis(), w.keys[from].id, to.id))
	return w.tx(from, &KeyRotate{To: to.id, Signature: FounderSignature(s)})
}

// rotate has a key replaced; from then on the actor has the new one.
func (w *world) rotate(from int, name string) (old key) {
	w.t.Helper()
	to := newKey(name)
	if r := w.block(w.rotation(from, to)).Receipts[0]; !r.OK() {
		w.t.Fatal(r.Detail)
	}
	old, w.keys[from] = w.keys[from], to
	return old
}

func TestANewKeyHasAllThatWasTheOldOnes(t *testing.T) {
	w := validating(t, 4)
	w.pass(2, 1_000)
	money, census := w.available(2), w.state.Census()
	h := w.state.Tip().Height + 1
	old := w.rotate(2, "new 2")
	w.wantVotes(0, 1, 2, 3)
	if w.state.Validators().Contains(bft.ID(old.id)) {
		t.Error("the old key has a vote")
	}
	if w.available(2) != money || w.bonded(2) != bond {
		t.Errorf("the new key has %s ATP, and %s ATP bonded", w.available(2), w.bonded(2))
	}
	if id, ok, _ := w.state.Named("founder-2"); !ok || id != w.keys[2].id {
		t.Errorf("its name is that of %s", id)
	}
	if name, ok, _ := w.state.NameOf(w.keys[2].id); !ok || name != "founder-2" {
		t.Errorf("it is named %q", name)
	}
	v, _, _ := w.state.Validator(w.keys[2].id)
	if v.Joined != h+1 || v.Since != 0 || !bft.Young(v.Joined, h+32) || bft.Young(v.Joined, h+33) {
		t.Errorf("its seat is %+v: its key is young for 32 heights", v)
	}
	census.Keys = 2
	got := w.state.Census()
	got.Absent = census.Absent // w.block signs for one alone
	if got != census {
		t.Errorf("census %+v, want %+v", got, census)
	}
	w.block(w.tx(2, &Transfer{To: w.keys[0].id, Amount: 5})) // with a nonce of its own
	if now, err := w.state.Newest(old.id); err != nil || now != w.keys[2].id {
		t.Errorf("the old key's owner has %s: %v", now, err)
	}
}

// A key that was replaced does nothing any more, not even again what it did.
func TestAnOldKeyIsSpent(t *testing.T) {
	w := validating(t, 4)
	first := w.tx(2, &Transfer{To: w.keys[0].id, Amount: 5})
	w.block(first)
	nonce := w.nonce[w.keys[2].id]
	old := w.rotate(2, "new 2")
	header := w.header(1_000)
	for name, tx := range map[string]Transaction{
		"its next transaction": {Nonce: nonce + 1}, "its first one": {Nonce: 0}, "one with the last nonce": {Nonce: spentNonce - 1},
	} {
		tx.Version, tx.From, tx.Ops = TxVersion, old.id, []Op{{&Transfer{To: w.keys[0].id, Amount: 1}}}
		v, err := SignTx(bft.ZIP215{}, w.state.Genesis(), tx, old.sign)
		must(t, err)
		b, _, err := Assemble(w.state, header, []VerifiedTx{v, first})
		if err != nil || len(b.Txs) > 0 {
			t.Errorf("%s is in a block: %v", name, err)
		}
	}
	last := Transaction{Version: TxVersion, From: old.id, Nonce: spentNonce, Ops: []Op{{&Transfer{To: w.keys[0].id, Amount: 1}}}}
	if _, err := SignTx(bft.ZIP215{}, w.state.Genesis(), last, old.sign); !errors.Is(err, ErrInvalid) {
		t.Errorf("a transaction with the nonce of a spent key: %v", err)
	}
	for name, a := range map[string]Action{
		"a transfer to it": &Transfer{To: old.id, Amount: 1}, "a lock for it": &TransferLock{Payee: old.id, Amount: 5_000, Deadline: w.state.Tip().Time + 9_000},
	} {
		if r := w.block(w.tx(0, a)).Receipts[0]; r.Code != CodeKey || !strings.Contains(r.Detail, w.keys[2].id.String()) {
			t.Errorf("%s: %v, %s", name, r.Code, r.Detail)
		}
	}
	if r := w.block(w.rotation(2, old)).Receipts[0]; r.Code != CodeKey {
		t.Errorf("back to the old key: %v", r.Code)
	}
}

func TestWhatForbidsANewKey(t *testing.T) {
	w := validating(t, 4)
	w.keys = append(w.keys, newKey("worker"))
	to := newKey("to")
	refused := func(name, says string, tx VerifiedTx) {
		t.Helper()
		if r := w.block(tx).Receipts[0]; r.Code != CodeKey || !strings.Contains(r.Detail, says) {
			t.Errorf("%s: %v, %s", name, r.Code, r.Detail)
		}
	}
	refused("another's key", "in use", w.rotation(0, w.keys[1]))
	lock := w.tx(0, &TransferLock{Payee: w.keys[1].id, Amount: 5_000, Deadline: w.state.Tip().Time + 9_000})
	w.block(lock)
	refused("an open lock", "in open locks", w.rotation(0, to))
	id, err := LockID(w.state.Genesis(), lock.Tx(), 0)
	must(t, err)
	w.block(w.tx(0, &TransferCommit{Lock: id}))
	post := w.tx(0, &FederationTask{Terms: terms(atp.ATP)})
	w.block(post)
	refused("a task that it posted", "in open locks and tasks", w.rotation(0, to))
	of, err := TaskID(w.state.Genesis(), post.Tx(), 0)
	must(t, err)
	if r := w.block(w.tx(1, &TaskAccept{Task: of, Bond: 5 * atp.ATP})).Receipts[0]; !r.OK() {
		t.Fatal(r.Detail)
	}
	refused("a task that it works on", "set aside for tasks", w.rotation(1, to))

	bare := Transaction{Version: TxVersion, From: w.keys[2].id, Nonce: w.nonce[w.keys[2].id], Ops: []Op{{&KeyRotate{To: to.id}}}}
	if _, err := SignTx(bft.ZIP215{}, w.state.Genesis(), bare, w.keys[2].sign); !errors.Is(err, ErrSignature) {
		t.Errorf("without the new key's signature: %v", err)
	}
	more := w.rotation(2, to).Tx()
	more.Ops = append(more.Ops, Op{&Transfer{To: to.id, Amount: 1}})
	if err := more.check(); !errors.Is(err, ErrInvalid) {
		t.Errorf("with another operation: %v", err)
	}
}

// A lock whose payee has another key pays that.
func TestALockPaysTheNewestKey(t *testing.T) {
	w := validating(t, 4)
	lock := w.tx(0, &TransferLock{Payee: w.keys[1].id, Amount: 5_000, Deadline: w.state.Tip().Time + 90_000})
	w.block(lock)
	w.rotate(1, "new 1")
	w.rotate(1, "newer 1")
	before := w.available(1)
	id, err := LockID(w.state.Genesis(), lock.Tx(), 0)
	must(t, err)
	if r := w.block(w.tx(0, &TransferCommit{Lock: id})).Receipts[0]; !r.OK() {
		t.Fatal(r.Detail)
	}
	if got := w.available(1) - before; got != 5_000 {
		t.Errorf("its payee has %d µATP more", got)
	}
}

// Evidence against an old key takes the new owner's bond and vote.
func TestEvidenceFollowsTheKey(t *testing.T) {
	for name, times := range map[string]int{"replaced once": 1, "replaced twice": 2} {
		w := validating(t, 5)
		w.pass(2, 1_000)
		liar, h := w.keys[3], w.state.Tip().Height
		for i := range times {
			w.rotate(3, name+string(rune('a'+i)))
		}
		w.wantVotes(0, 1, 2, 3, 4)
		r := w.block(w.tx(0, w.doubleVote(liar, h)))
		w.wantSlashed(r.Receipts[0], 3)
		w.wantVotes(0, 1, 2, 4)
	}
}

// A key that was stolen is of no use once it was replaced: what it says of heights
// after that is nobody's word. It still answers for those before.
func TestAnOldKeyAnswersForNothingAfterIt(t *testing.T) {
	w := validating(t, 5)
	w.pass(2, 1_000)
	stolen := w.rotate(3, "new 3")
	last := w.state.Tip().Height
	w.pass(3, 1_000)
	between := w.rotate(3, "newer 3")
	w.pass(3, 1_000)
	for name, e := range map[string]*Evidence{
		"at the next height": w.doubleVote(stolen, last+1), "later": w.hiddenCommit(stolen, last+5),
		"of the second key": w.doubleVote(between, last+5),
	} {
		if can, err := w.state.Punishes(e.Pair); can || err != nil {
			t.Errorf("%s: it would punish: %v, %v", name, can, err)
		}
		if r := w.block(w.tx(0, e)).Receipts[0]; r.Code != CodeEvidence || !strings.Contains(r.Detail, "was replaced") {
			t.Errorf("%s: %v, %s", name, r.Code, r.Detail)
		}
	}
	w.wantVotes(0, 1, 2, 3, 4)
	w.wantSlashed(w.block(w.tx(0, w.doubleVote(stolen, last))).Receipts[0], 3)
}

// Reputation is the platform's, not the key's; and a new key gives nobody a new
// counterpart.
func TestReputationFollowsTheKey(t *testing.T) {
	w := validating(t, 4)
	post := w.tx(0, &FederationTask{Terms: terms(50 * atp.ATP)})
	w.block(post)
	id, err := TaskID(w.state.Genesis(), post.Tx(), 0)
	must(t, err)
	w.block(w.tx(1, &TaskAccept{Task: id, Bond: 5 * atp.ATP}))
	w.block(w.tx(1, proof(id)))
	if r := w.block(w.tx(0, &TaskAcknowledge{Task: id, Mark: 850_000})).Receipts[0]; !r.OK() {
		t.Fatal(r.Detail)
	}
	earned := func(who atp.ID) task.Evidence {
		e, _, err := w.state.Evidence(task.Key{Who: who, Role: task.Executor, Type: task.Vision})
		must(t, err)
		return e
	}
	before := earned(w.keys[1].id)
	if before.For == 0 {
		t.Fatal("it has earned nothing")
	}
	old := w.rotate(1, "new 1")
	w.rotate(1, "newer 1")
	if got := earned(w.keys[1].id); got != before {
		t.Errorf("the new key has earned %+v, want %+v", got, before)
	}
	found := false
	must(t, w.state.EachEvidence(func(k task.Key, _ task.Evidence) error {
		found = found || k.Who == w.keys[1].id
		if k.Who == old.id {
			t.Error("a reputation is listed under an old key")
		}
		return nil
	}))
	d := newDraft(newOverlay(w.nodes), w.state.root, w.state.constants)
	one, err := d.Member(w.keys[1].id)
	must(t, err)
	if !found || string(one.Society) != old.id.String() {
		t.Errorf("listed under its new key: %v; it is of the society %s", found, one.Society)
	}
}

// Whoever asks about an old key is told of its owner, also in the block in which it
// is replaced: who made that block is of the same society afterwards.
func TestAnOldKeyIsOfItsOwnersSociety(t *testing.T) {
	w, _ := voting(t, 4)
	d := newDraft(newOverlay(w.nodes), w.state.root, w.state.constants)
	want, err := d.Member(w.keys[1].id)
	must(t, err)
	if want.Society != "founder-1" || !want.Admitted || !want.Registered {
		t.Fatalf("it is %+v", want)
	}
	old := w.rotate(1, "new 1")
	w.rotate(1, "newer 1")
	d = newDraft(newOverlay(w.nodes), w.state.root, w.state.constants)
	for name, id := range map[string]atp.ID{"its first key": old.id, "its newest": w.keys[1].id} {
		if got, err := d.Member(id); err != nil || got.Society != want.Society || !got.Admitted || !got.Registered {
			t.Errorf("by %s it is %+v: %v", name, got, err)
		}
	}
}
