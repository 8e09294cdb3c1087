package chain

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// everyAction is one of each action that is executed.
func everyAction(to atp.ID) []Action {
	claim := task.PPM(900_000)
	id := atp.Sum([]byte("task"))
	return []Action{
		&Transfer{To: to, Amount: 1},
		&TransferLock{Payee: to, Amount: 2, Deadline: epoch + 60_000},
		&TransferCommit{Lock: id},
		&TransferRollback{Lock: id},
		&PlatformRegister{Platform: registration("thor")},
		&FederationTask{Terms: terms(atp.ATP)},
		&TaskAccept{Task: id, Bond: 5 * atp.ATP},
		&FederationProof{Task: id, Proof: task.Proof{Result: atp.SumBlob(nil), Claim: &claim, Record: task.Record{FinalEnergy: -7}}},
		&TaskAcknowledge{Task: id, Mark: 850_000},
		&TaskCancel{Task: id},
		&ValidatorJoin{},
		&ValidatorLeave{},
		&ValidatorVote{Platform: to, Grant: 3, Society: "north"},
		&TaskDispute{Task: id},
		&TaskAppeal{Task: id},
		&WitnessCommit{Task: id, Level: 1, Commit: task.Digest{3}},
		&WitnessReveal{Task: id, Score: task.Unavailable, Hash: task.Digest{4}, Salt: task.Digest{5}},
		&StakeBond{Amount: 6},
		&StakeUnbond{Amount: 7},
	}
}

// attestedTxs are transactions with signatures of others in them.
func (w *world) attestedTxs() []VerifiedTx {
	return []VerifiedTx{w.tx(0, w.doubleVote(w.keys[1], 2)), w.tx(0, w.hiddenCommit(w.keys[1], 2)), w.rotation(0, newKey("next"))}
}

func registration(name task.Name) task.Platform {
	return task.Platform{
		Name:     name,
		Hardware: task.Hardware{RAM: 8 << 30, Accelerators: 1024, Power: 15_000, Architecture: "arm64"},
		Horizon:  task.Horizon{Spatial: task.Local, Temporal: task.Session, Complexity: task.Agent},
		Offers:   []task.Offer{task.DefaultOffer(task.Vision)},
		Runtimes: []task.Runtime{"wasm"},
	}
}

func TestATransactionSurvivesEncoding(t *testing.T) {
	w := newWorld(t, 2)
	v := w.signed(0, Transaction{Expires: epoch + 1, Fee: 7}, everyAction(w.keys[1].id)...)
	got, err := DecodeTx(v.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v.Tx(), got, equal()); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
	if id, err := got.ID(); err != nil || id != v.ID() {
		t.Errorf("ID %v, want %v: %v", id, v.ID(), err)
	}
}

func TestSignaturesOfOthersSurviveEncoding(t *testing.T) {
	w := newWorld(t, 2)
	for _, v := range w.attestedTxs() {
		got, err := DecodeTx(v.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v.Tx(), got, equal()); diff != "" {
			t.Errorf("want -, got +\n%s", diff)
		}
		for i := range v.Bytes() { // whatever is changed, it is no transaction of the sender's any more
			raw := bytes.Clone(v.Bytes())
			raw[i] ^= 1
			if tx, err := DecodeTx(raw); err == nil {
				if _, errs := VerifyTxs(bft.ZIP215{}, nil, w.state.Genesis(), []Transaction{tx}); errs[0] == nil {
					t.Errorf("%v with another byte %d holds", tx.Ops[0].Kind(), i)
				}
			}
		}
		if out, err := json.Marshal(v.Tx().Ops[0]); err != nil || len(out) > 700 {
			t.Errorf("it is shown as %s: %v", out, err)
		}
	}
}

func TestTheSignatureIsNoPartOfTheID(t *testing.T) {
	w := newWorld(t, 1)
	tx := w.tx(0, &Transfer{To: w.keys[0].id, Amount: 1}).Tx()
	before, err := tx.ID()
	if err != nil {
		t.Fatal(err)
	}
	tx.Signature[0] ^= 1
	if after, _ := tx.ID(); after != before {
		t.Error("another signature gave another ID")
	}
	for name, change := range map[string]func(*Transaction){
		"sender":  func(tx *Transaction) { tx.From = newKey("another").id },
		"nonce":   func(tx *Transaction) { tx.Nonce++ },
		"expires": func(tx *Transaction) { tx.Expires++ },
		"fee":     func(tx *Transaction) { tx.Fee++ },
		"ops":     func(tx *Transaction) { tx.Ops = append(tx.Ops, tx.Ops[0]) },
		"amount":  func(tx *Transaction) { tx.Ops = []Op{{&Transfer{To: tx.From, Amount: 2}}} },
		"version": func(tx *Transaction) { tx.Version++ },
	} {
		changed := tx
		change(&changed)
		if after, err := changed.ID(); err != nil || after == before {
			t.Errorf("another %s gave the same ID: %v", name, err)
		}
	}
}

func TestOperationsOfLaterVersionsAreRefusedByName(t *testing.T) {
	w := newWorld(t, 1)
	raw := w.tx(0, &TaskCancel{Task: atp.Sum(nil)}).Bytes()
	head := []byte{0x81, 0x82, byte(OpTaskCancel)} // one operation: [11, …]
	if bytes.Count(raw, head) != 1 {
		t.Fatalf("no %x in %x", head, raw)
	}
	for kind := range OpKind(30) {
		if _, err := newAction(kind); err == nil {
			continue
		}
		future := bytes.Replace(raw, head, append([]byte{0x81, 0x82}, encodeUint(uint64(kind))...), 1)
		_, err := DecodeTx(future)
		if !errors.Is(err, ErrUnknownOperation) || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", kind, err)
		} else if !strings.Contains(err.Error(), kind.String()) {
			t.Errorf("the error for %s does not say so: %v", kind, err)
		}
	}
	if got, want := OpKeyRotate.String(), "KEY_ROTATE"; got != want || OpKeyRotate != 23 {
		t.Errorf("operation 23 is %s (%d), want %s", got, OpKeyRotate, want)
	}
}

func encodeUint(n uint64) []byte {
	if n < 24 {
		return []byte{byte(n)}
	}
	return []byte{24, byte(n)}
}

func TestABadTransactionDoesNotSpoilItsBatch(t *testing.T) {
	w := newWorld(t, 4)
	var txs []Transaction
	for i := range 8 {
		txs = append(txs, w.tx(i%4, &Transfer{To: w.keys[0].id, Amount: 1}).Tx())
	}
	txs[1].Signature[5] ^= 1       // of nobody
	txs[2].From = w.keys[0].id     // of another
	txs[4].Ops = nil               // malformed
	txs[6].Signature = [64]byte{}  // missing
	txs[7].Version = TxVersion + 1 // of another time
	bad := map[int]error{1: ErrSignature, 2: ErrSignature, 4: ErrInvalid, 6: ErrSignature, 7: ErrInvalid}

	verified, errs := VerifyTxs(bft.ZIP215{}, newEntropy(0), w.state.Genesis(), txs)
	for i := range txs {
		if !errors.Is(errs[i], bad[i]) || verified[i].IsZero() != (errs[i] != nil) {
			t.Errorf("transaction %d: %v, verified %v", i, errs[i], !verified[i].IsZero())
		}
		alone, single := VerifyTxs(bft.ZIP215{}, nil, w.state.Genesis(), txs[i:i+1])
		if (single[0] == nil) != (errs[i] == nil) || alone[0].ID() != verified[i].ID() {
			t.Errorf("transaction %d: alone %v, in the batch %v", i, single[0], errs[i])
		}
	}
}

func TestASignatureCountsOnOneChainOnly(t *testing.T) {
	w := newWorld(t, 1)
	v := w.tx(0, &Transfer{To: w.keys[0].id, Amount: 1})
	other := newWorld(t, 1, func(g *Genesis) { g.Network = "another" })
	_, errs := VerifyTxs(bft.ZIP215{}, newEntropy(0), other.state.Genesis(), []Transaction{v.Tx()})
	if !errors.Is(errs[0], ErrSignature) {
		t.Errorf("verified on another chain: %v", errs[0])
	}
	if b, _, err := Assemble(other.state, other.header(1000), []VerifiedTx{v, {}}); err != nil || len(b.Txs) > 0 {
		t.Errorf("executed on another chain: %d, %v", len(b.Txs), err)
	}
}

func TestSigningChecksWhatTheSignerReturned(t *testing.T) {
	w := newWorld(t, 2)
	tx := Transaction{Version: TxVersion, From: w.keys[0].id, Ops: []Op{{&Transfer{To: w.keys[1].id, Amount: 1}}}}
	if _, err := SignTx(bft.ZIP215{}, w.state.Genesis(), tx, w.keys[1].sign); !errors.Is(err, ErrSignature) {
		t.Errorf("signed by another: %v", err)
	}
	broken := errors.New("the key is on fire")
	_, err := SignTx(bft.ZIP215{}, w.state.Genesis(), tx, func([]byte) (bft.Signature, error) { return bft.Signature{}, broken })
	if !errors.Is(err, broken) {
		t.Errorf("the signer's error is lost: %v", err)
	}
}

func TestATransactionHasBounds(t *testing.T) {
	w := newWorld(t, 1)
	genesis, to := w.state.Genesis(), w.keys[0].id
	base := Transaction{Version: TxVersion, From: to}
	many := func(n int, a Action) (ops []Op) {
		for range n {
			ops = append(ops, Op{a})
		}
		return ops
	}
	for _, tt := range []struct {
		name string
		ops  []Op
		want error
	}{
		{"as many operations as may be", many(MaxTxOps, &Transfer{To: to, Amount: 1}), nil},
		{"one more", many(MaxTxOps+1, &Transfer{To: to, Amount: 1}), ErrLimit},
		{"none", nil, ErrInvalid},
		{"an operation without an action", []Op{{}}, ErrInvalid},
		{"over 64 KiB", many(40, &PlatformRegister{Platform: largestPlatform()}), ErrLimit},
		{"a lock that is no address", many(1, &TransferCommit{}), ErrInvalid},
		{"a task named by a blob", many(1, &TaskCancel{Task: atp.SumBlob(nil)}), ErrInvalid},
		{"a platform without a name", many(1, &PlatformRegister{}), ErrInvalid},
		{"terms that nothing could fulfil", many(1, &FederationTask{}), ErrInvalid},
		{"a claim above the whole", many(1, &FederationProof{Task: atp.Sum(nil), Proof: task.Proof{
			Result: atp.SumBlob(nil), Record: task.Record{Convergence: task.S + 1}}}), ErrInvalid},
		{"nobody to pay", many(1, &Transfer{Amount: 1}), ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tx := base
			tx.Ops = tt.ops
			_, err := SignTx(bft.ZIP215{}, genesis, tx, w.keys[0].sign)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestOperationsAreShownByName(t *testing.T) {
	to := newKey("x").id
	for _, a := range everyAction(to) {
		out, err := json.Marshal(Op{a})
		if err != nil {
			t.Fatal(err)
		}
		if want := `{"kind":"` + a.Kind().String() + `","data":{`; !strings.HasPrefix(string(out), want) {
			t.Errorf("have %s, want %s…", out, want)
		}
	}
}
