package chain

import (
	"fmt"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// BenchmarkApply1000Transfers applies a block in which 1,000 accounts of a
// state of 2,000 each pay another.
func BenchmarkApply1000Transfers(b *testing.B) {
	const accounts, payers = 2_000, 1_000
	w := newWorld(b, 1)
	for i := range accounts {
		w.keys = append(w.keys, newKey(fmt.Sprint("account ", i)))
	}
	for from := 0; from < accounts; from += 250 {
		var pay []Action
		for i := range 250 {
			pay = append(pay, &Transfer{To: w.keys[1+from+i].id, Amount: 1000})
		}
		if r := w.only(w.block(w.tx(0, pay...))); !r.OK() {
			b.Fatal(r.Detail)
		}
	}
	var txs []VerifiedTx
	for i := range payers {
		txs = append(txs, w.tx(1+i, &Transfer{To: w.keys[1+payers+i].id, Amount: 1}))
	}
	block, _, err := Assemble(w.state, w.header(atp.Second), txs)
	if err != nil || len(block.Txs) != payers {
		b.Fatalf("%d transactions: %v", len(block.Txs), err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Apply(w.state, block); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "ms/block")
}

// BenchmarkVerify1000 checks the signatures of 1,000 transactions in one batch.
func BenchmarkVerify1000(b *testing.B) {
	w := newWorld(b, 1)
	var txs []Transaction
	for range 1000 {
		txs = append(txs, w.tx(0, &Transfer{To: w.keys[0].id, Amount: 1}).Tx())
	}
	for b.Loop() {
		if _, errs := VerifyTxs(bft.ZIP215{}, newEntropy(1), w.state.Genesis(), txs); errs[999] != nil {
			b.Fatal(errs[999])
		}
	}
}
