package chain

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// move returns what somebody may do next for the task, or what nobody may.
func (b *bench) move(t *rapid.T) (txs []VerifiedTx) {
	tk := b.task()
	some := func(what string) bool { return rapid.IntRange(0, 4).Draw(t, what) > 0 }
	switch tk.Stage {
	case task.Proven:
		return []VerifiedTx{b.tx(1, &TaskDispute{Task: b.id})}
	case task.Decided:
		by := rapid.IntRange(1, 2).Draw(t, "appellant")
		return []VerifiedTx{b.tx(by, &TaskAppeal{Task: b.id})}
	case task.Drawing:
		return b.seen()
	}
	seats, err := b.state.Seats(tk)
	must(b.t, err)
	for _, s := range seats {
		if !s.Due() || !some("acts") {
			continue
		}
		by := b.of(s.Seat.Witness)
		o := task.Opening{Genesis: b.state.Genesis(), Task: b.id, Level: s.Of, Result: tk.Proof.Result, Witness: s.Seat.Witness, Salt: task.Digest{byte(by)}}
		if by%2 == 0 {
			o.Answer = task.Answer(task.S)
		}
		if tk.Stage == task.Committing {
			txs = append(txs, b.tx(by, &WitnessCommit{Task: b.id, Level: uint8(s.Of), Commit: o.Seal()}))
		} else {
			txs = append(txs, b.tx(by, &WitnessReveal{Task: b.id, Level: uint8(s.Of), Score: o.Answer, Hash: o.Hash, Salt: o.Salt}))
		}
	}
	return txs
}

// TestRandomTrials plays tasks with witnesses on a chain, on which what is asked
// may be refused. After each block [world.blockAfter] checks that it applies to the
// same root, A2, and that stakes and seats agree. In the end time alone settles
// every task, and all that was bonded for it is free.
func TestRandomTrials(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t).staked()
		b.proven(atp.Amount(rapid.Uint64Range(1_000_000, 60_000_000).Draw(rt, "price")), atp.Amount(rapid.Uint64Range(20, 400).Draw(rt, "bond"))*atp.ATP)
		for range rapid.IntRange(0, 12).Draw(rt, "blocks") {
			if b.stage() == task.Settled {
				break
			}
			var txs []VerifiedTx
			if rapid.IntRange(0, 5).Draw(rt, "idle") > 0 {
				txs = b.move(rt)
			}
			if i := rapid.SampledFrom(witnesses).Draw(rt, "who"); rapid.IntRange(0, 3).Draw(rt, "unbonds") == 0 {
				txs = append(txs, b.tx(i, &StakeUnbond{Amount: 250 * atp.ATP}))
			}
			b.add(atp.Span(rapid.SampledFrom([]uint64{1, 1_000, 1_000, 61_000, 4_000_000}).Draw(rt, "after")), txs...)
		}
		for range 60 {
			b.add(atp.Day)
		}
		if got := b.stage(); got != task.Settled {
			rt.Fatalf("the task is %s when all time has passed", got)
		}
		if at, ok, err := b.state.NextDue(); err != nil || ok || b.state.AwaitsBeacon() {
			rt.Fatalf("something is still due at %d: %v", at, err)
		}
		staked := atp.Amount(0)
		must(t, b.state.EachStake(func(_ atp.ID, s task.Stake) error {
			if s.Reserved != 0 || s.Open != 0 || s.Leaving != 0 {
				rt.Fatalf("a stake is still %+v", s)
			}
			staked += s.Amount
			return nil
		}))
		if have := b.state.Totals().Bonded; have != staked+b.state.Params().ValidatorBond {
			rt.Fatalf("%s ATP are bonded, the stakes and one validator have %s ATP and %s ATP", have, staked, b.state.Params().ValidatorBond)
		}
	})
}
