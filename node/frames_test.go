package node

import (
	"bytes"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/p2p"
	"github.com/sage-p2p/sage-p2p/task"
)

// long makes a transaction large: a transfer for each operation.
func long(ops int) func(*chain.Transaction) {
	return func(t *chain.Transaction) {
		for len(t.Ops) < ops {
			t.Ops = append(t.Ops, t.Ops[0])
		}
	}
}

func TestBundlesHoldTransactionsInOrder(t *testing.T) {
	for _, tt := range []struct {
		name              string
		txs, ops, bundles int
	}{
		{"none", 0, 1, 0},
		{"one", 1, 1, 1},
		{"as many as fit one", p2p.MaxBatchItems, 1, 1},
		{"one more", p2p.MaxBatchItems + 1, 1, 2},
		{"large ones", 60, 256, 5}, // some 15 KiB each
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 2)
			var txs []chain.VerifiedTx
			for i := range tt.txs {
				txs = append(txs, w.tx(0, uint64(i), long(tt.ops)))
			}
			packed := bundles(txs)
			var got []chain.Transaction
			for _, b := range packed {
				if len(b) > p2p.MaxBatchBytes {
					t.Errorf("a bundle of %d bytes, want at most %d", len(b), p2p.MaxBatchBytes)
				}
				_, part, err := unbundle(b, w.genesis.Params, newKnown())
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, part...)
			}
			if len(packed) > tt.bundles || len(got) != len(txs) {
				t.Fatalf("%d transactions in %d bundles, want %d in at most %d", len(got), len(packed), len(txs), tt.bundles)
			}
			for i := range got {
				if got[i].Nonce != uint64(i) {
					t.Fatalf("transaction %d has nonce %d", i, got[i].Nonce)
				}
			}
		})
	}
}

func TestBundlesBeyondTheOutboxWaitForTheNextTime(t *testing.T) {
	w := newWorld(t, 2)
	var txs []chain.VerifiedTx
	one := w.tx(0, 0, nil)
	for range (maxBundles + 3) * p2p.MaxBatchItems {
		txs = append(txs, one)
	}
	if got := len(bundles(txs)); got != maxBundles {
		t.Errorf("%d bundles, want %d", got, maxBundles)
	}
}

func TestABundleOfWhatNoBlockCouldHoldIsRefused(t *testing.T) {
	w := newWorld(t, 2)
	params := w.genesis.Params
	params.MinFee, params.Limits.TxBytes, params.Limits.Ops = 5, 2000, 10
	paid := func(fee atp.Amount, ops int) func(*chain.Transaction) {
		return func(t *chain.Transaction) { t.Fee = fee; long(ops)(t) }
	}
	for _, tt := range []struct {
		name   string
		change func(*chain.Transaction)
		want   error
	}{
		{"fits", paid(5, 10), nil},
		{"fee too low", paid(4, 1), chain.ErrLimit},
		{"too many operations", paid(5, 11), chain.ErrLimit},
		{"too large", paid(5, 100), chain.ErrLimit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := bundles([]chain.VerifiedTx{w.tx(0, 0, tt.change)})[0]
			if _, _, err := unbundle(b, params, newKnown()); !errors.Is(err, tt.want) {
				t.Errorf("unbundle: %v, want %v", err, tt.want)
			}
		})
	}
}

func TestOneFalseSignatureCondemnsABundle(t *testing.T) {
	w := newWorld(t, 2)
	good, bad := w.tx(0, 0, nil).Tx(), w.tx(0, 1, nil).Tx()
	bad.Signature[7]++
	if _, err := verify(w.hash, rand.Reader, []chain.Transaction{good}); err != nil {
		t.Errorf("verify of a good one: %v", err)
	}
	if _, err := verify(w.hash, rand.Reader, []chain.Transaction{good, bad}); !errors.Is(err, chain.ErrInvalid) {
		t.Errorf("verify: %v, want chain.ErrInvalid", err)
	}
	if _, err := verify([32]byte{1}, rand.Reader, []chain.Transaction{good}); !errors.Is(err, chain.ErrInvalid) {
		t.Errorf("verify for another chain: %v, want chain.ErrInvalid", err)
	}
}

func TestTheLargestQuestionFits(t *testing.T) {
	var want replica.Want
	for range 2 * maxAskTxs {
		want.Txs = append(want.Txs, someCID("tx"))
	}
	for i := range want.Txs {
		want.Txs[i] = cid.NewCidV1(cid.DagCBOR, want.Txs[i].Hash())
	}
	q := question(want)
	raw, err := atp.Encode(&q)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > wire.MaxQuestion || len(raw) > p2p.MaxRequest {
		t.Errorf("it has %d bytes, want at most %d", len(raw), wire.MaxQuestion)
	}
	if got, err := wire.DecodeQuestion(raw); err != nil || len(got.Txs) != maxAskTxs {
		t.Errorf("decoded: %d transactions, %v", len(got.Txs), err)
	}
}

func FuzzUnbundle(f *testing.F) {
	params := chain.DefaultParams(chain.AdmitAuto)
	f.Add([]byte{})
	f.Add([]byte{1, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	a := newActor("0")
	t := chain.Transaction{Version: chain.TxVersion, From: a.id(), Ops: []chain.Op{{Action: &chain.PlatformRegister{Platform: task.Platform{}}}}}
	if raw, err := atp.Encode(&t); err == nil {
		f.Add(append([]byte{byte(len(raw))}, raw...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, txs, err := unbundle(raw, params, newKnown())
		if err != nil {
			return
		}
		var packed []byte
		for _, tx := range txs {
			one, err := atp.Encode(&tx)
			if err != nil {
				t.Fatalf("a transaction that was read cannot be written: %v", err)
			}
			packed = append(packed, appendUvarint(nil, uint64(len(one)))...)
			packed = append(packed, one...)
		}
		if !bytes.Equal(packed, raw) {
			t.Errorf("%x was read, and is written as %x", raw, packed)
		}
	})
}

func appendUvarint(b []byte, n uint64) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}
