package chain

import (
	"fmt"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
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

// BenchmarkApplyFullBlock applies blocks with as many operations as the default
// limits allow, on a state in which as many deadlines are due: locks that give
// back, or tasks whose requesters were silent, which pay and move reputations.
func BenchmarkApplyFullBlock(b *testing.B) {
	b.Run("locks", func(b *testing.B) {
		w := newWorld(b, 41)
		lock := func(_, to int) Action {
			return &TransferLock{Payee: w.keys[to].id, Amount: 1_000, Deadline: w.state.Tip().Time + 1_001}
		}
		w.block(fullBlock(w, 1, lock)...)
		w.block() // whose time is past their deadlines
		applyFull(b, w, fullBlock(w, 1, lock))
	})
	b.Run("tasks", func(b *testing.B) {
		w := newWorld(b, 41)
		var register []VerifiedTx
		for i := 21; i <= 40; i++ {
			register = append(register, w.tx(i, &PlatformRegister{Platform: registration(task.Name(fmt.Sprint("founder-", i)))}))
		}
		w.block(register...)
		w.block(w.tx(0, &Transfer{To: w.keys[1].id, Amount: atp.ATP}))
		post := func(_, to int) Action {
			tm := terms(atp.ATP)
			tm.Executor = atp.OptionalID{ID: w.keys[to].id}
			return &FederationTask{Terms: tm}
		}
		posts := fullBlock(w, 1, post)
		w.block(posts...)
		ids := make(map[int][]cid.Cid) // by executor
		for i, v := range posts {
			for op := range v.Tx().Ops {
				id, err := TaskID(w.state.Genesis(), v.Tx(), op)
				must(b, err)
				ids[21+(i+op)%20] = append(ids[21+(i+op)%20], id)
			}
		}
		next := func(by int) cid.Cid { id := ids[by][0]; ids[by] = append(ids[by][1:], id); return id }
		w.block(fullBlock(w, 21, func(by, _ int) Action { return &TaskAccept{Task: next(by), Bond: atp.ATP} })...)
		w.block(fullBlock(w, 21, func(by, _ int) Action { return proof(next(by)) })...)
		w.blockAfter(121 * atp.Second)
		applyFull(b, w, fullBlock(w, 1, post))
	})
}

// fullBlock has twenty actors, from the first on, do two hundred things each.
func fullBlock(w *world, first int, do func(by, to int) Action) (txs []VerifiedTx) {
	for i := range 20 {
		var actions []Action
		for op := range 200 {
			actions = append(actions, do(first+i, 21+(i+op)%20))
		}
		txs = append(txs, w.tx(first+i, actions...))
	}
	return txs
}

func applyFull(b *testing.B, w *world, txs []VerifiedTx) {
	b.Helper()
	block, r, err := Assemble(w.state, w.header(atp.Second), txs)
	if err != nil || len(block.Txs) != len(txs) || len(r.Receipts) != len(txs)+4_000 {
		b.Fatalf("%d transactions, %d receipts: %v", len(block.Txs), len(r.Receipts), err)
	}
	for _, receipt := range r.Receipts {
		if !receipt.OK() {
			b.Fatal(receipt.Detail)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Apply(w.state, block); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "ms/block")
	written := 0
	for _, n := range r.Nodes {
		written += len(n.Data)
	}
	b.ReportMetric(float64(written)/1e6, "MB/block")
}
