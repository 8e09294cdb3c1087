package replica_test

import (
	"fmt"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/task"
)

// TestATaskThatWaitsForABeaconBringsBlocks proves a result of a class with
// witnesses, and then nobody sends anything, nor does a timer fire: the
// validators make blocks until one of them draws, or spares, the task, and are
// silent again.
func TestATaskThatWaitsForABeaconBringsBlocks(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	nonces := make([]uint64, 4)
	send := func(from int, a chain.Action) (signed chain.Transaction) {
		t.Helper()
		tx := chain.Transaction{Version: chain.TxVersion, From: atp.ID(f.members[from].id), Nonce: nonces[from], Ops: []chain.Op{{Action: a}}}
		nonces[from]++
		v, err := chain.SignTx(bft.InsecureSimulation{}, f.genesis.Genesis(), tx, func(message []byte) (bft.Signature, error) {
			return bft.InsecureSimulation{}.Sign(f.members[from].id, message), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		f.submit(from, v)
		f.quiet()
		return v.Tx()
	}
	for i := range 4 {
		send(i, &chain.PlatformRegister{Platform: task.Platform{
			Name: task.Name(fmt.Sprintf("member-%d", i)), Hardware: task.Hardware{Architecture: "arm64"}, Horizon: task.DefaultEconomy().DefaultTerms().Horizon,
			Offers: []task.Offer{task.DefaultOffer(task.Vision)}, Runtimes: []task.Runtime{"wasm"},
		}})
		send(i, &chain.StakeBond{Amount: 150 * atp.ATP})
	}
	terms := task.DefaultEconomy().DefaultTerms()
	terms.Type, terms.Runtime, terms.Price, terms.Class = task.Vision, "wasm", atp.ATP, task.Recompute
	terms.Program, terms.Input, terms.Executor.ID = atp.SumBlob([]byte("program")), atp.SumBlob(nil), atp.ID(f.members[1].id)
	posted := send(0, &chain.FederationTask{Terms: terms})
	id, err := chain.TaskID(f.genesis.Genesis(), posted, 0)
	if err != nil {
		t.Fatal(err)
	}
	send(1, &chain.TaskAccept{Task: id, Bond: 10 * atp.ATP})
	before := f.members[0].replica.State().Tip().Height
	send(1, &chain.FederationProof{Task: id, Proof: task.Proof{Result: atp.SumBlob([]byte("result"))}})

	for i, m := range f.members {
		state := m.replica.State()
		tk, open, err := state.Task(id)
		if err != nil || !open || tk.Stage == task.Drawing || state.AwaitsBeacon() {
			t.Errorf("member %d: the task is %s, open %v, %v: want a beacon to have looked at it", i, tk.Stage, open, err)
		}
		// The proof, the block above it, and one whose beacon may draw: the first
		// whose proposer has no part in the task.
		if blocks := state.Tip().Height - before; blocks < 3 || blocks > 5 {
			t.Errorf("member %d: %d blocks since the acceptance, want 3 to 5", i, blocks)
		}
	}
}
