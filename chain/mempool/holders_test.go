package mempool

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
)

// flooded returns a chain with three founders who hold 1,000 ATP each, as many
// others who do, and so many who hold next to nothing: those are the strangers from
// the number dust on.
func flooded(t testing.TB, others, flood int, limits func(*chain.Limits)) *fixture {
	t.Helper()
	return newFixture(t, 3, func(g *chain.Genesis) {
		for i := range others {
			g.Allocations = append(g.Allocations, chain.Allocation{To: stranger(dust - 1 - i), Amount: 1_000 * atp.ATP})
		}
		for i := range flood {
			g.Allocations = append(g.Allocations, chain.Allocation{To: stranger(dust + i), Amount: 1_000})
		}
		slices.SortFunc(g.Allocations, func(x, y chain.Allocation) int { return atp.Compare(x.To, y.To) })
		limits(&g.Params.Limits)
	})
}

const dust = 1_000

// A dust flood: for 1 µATP a transaction, accounts that hold next to nothing fill
// pool and blocks. Who pays nothing still gets a place, and is in the next block.
func TestADustFloodDoesNotShutOutWhoPaysNothing(t *testing.T) {
	const flood = 300
	f := flooded(t, 0, flood, func(*chain.Limits) {})
	size := len(f.tx(1, 0, 0).Bytes())
	p := NewSized(f.state, holders*holdersPart*size)
	for nonce := range uint64(MaxAhead) {
		for i := range flood {
			if err := p.Add(f.txOf(stranger(dust+i), nonce, 1), epoch); err != nil && !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
		}
	}
	if room := p.maxBytes - p.Bytes(); room > size {
		t.Fatalf("there is room for %d bytes: this is no flood", room)
	}
	poor := f.txOf(stranger(dust), 63, 0)
	mine := f.tx(1, 0, 0)
	if err := p.Add(poor, epoch); err == nil {
		t.Error("who holds nothing finds room")
	}
	if err := p.Add(mine, epoch); err != nil {
		t.Fatalf("who holds much finds no room: %v", err)
	}
	if err := p.Add(f.tx(1, 1, 0), epoch); !errors.Is(err, ErrFull) {
		t.Errorf("its second transaction: %v, want no room", err)
	}
	if err := p.Add(f.tx(2, 0, 0, padded(20)), epoch); !errors.Is(err, ErrFull) {
		t.Errorf("a large one: %v, want no room", err)
	}
	for i := range flood { // they pay more and more
		if err := p.Add(f.txOf(stranger(dust+i), 0, 50), epoch); err != nil {
			t.Fatal(err)
		}
	}
	if block := p.Select(epoch); !waits(p, mine) || !slices.ContainsFunc(block, func(tx chain.VerifiedTx) bool { return tx.ID() == mine.ID() }) {
		t.Errorf("it waits: %v; it is not among the %d of the next block", waits(p, mine), len(block))
	}
}

// full are limits of a block of which a transaction takes as much as M6 lets it.
func full(l *chain.Limits) { l.Txs, l.Ops = modest, 2*modest }

// M6: whatever others pay, and whatever holders have in store, a holder's next
// transaction is in the next block while there are no more holders than it has
// places for.
func TestEveryHolderHasItsTurn(t *testing.T) {
	f := flooded(t, 0, modest, full)
	var flood []chain.VerifiedTx
	for i := range modest {
		flood = append(flood, f.txOf(stranger(dust+i), 0, atp.Amount(1+i%90)))
	}
	rapid.Check(t, func(rt *rapid.T) {
		f, p := *f, New(f.state)
		add(t, p, flood...)
		var last []chain.VerifiedTx
		for who := range f.ids {
			for nonce := range uint64(rapid.IntRange(1, 3).Draw(rt, "in store")) {
				tx := f.tx(who, nonce, atp.Amount(rapid.IntRange(0, 50).Draw(rt, "fee")))
				add(t, p, tx)
				if nonce == 0 {
					last = append(last, tx)
				}
			}
		}
		block := p.Select(epoch)
		if len(block) != modest {
			rt.Fatalf("%d in a block of %d", len(block), modest)
		}
		next := map[atp.ID]uint64{}
		for _, tx := range block {
			if from := tx.Tx().From; tx.Tx().Nonce != next[from] {
				rt.Fatalf("nonce %d of %s, want %d", tx.Tx().Nonce, from, next[from])
			}
			next[tx.Tx().From]++
		}
		for _, tx := range last {
			if next[tx.Tx().From] == 0 {
				rt.Fatalf("the next transaction of %s, for %s ATP, is not in the block", tx.Tx().From, tx.Tx().Fee)
			}
		}
	})
}

func TestWhoHasHadItsTurnWaitsBehindTheOthers(t *testing.T) {
	const others = modest/holdersPart + 1 // a place too few, even without us
	f := flooded(t, others, modest, full)
	p := New(f.state)
	for i := range modest {
		add(t, p, f.txOf(stranger(dust+i), 0, 9), f.txOf(stranger(dust+i), 1, 9))
	}
	for i := range others {
		for nonce := range uint64(3) {
			add(t, p, f.txOf(stranger(dust-1-i), nonce, 0))
		}
	}
	mine := f.tx(1, 0, 0) // all others were there before, with three each
	add(t, p, mine)
	f.advance(t, p, p.Select(epoch))
	if !waits(p, mine) {
		t.Fatal("it was in the first block, before its turn")
	}
	f.advance(t, p, p.Select(epoch))
	if waits(p, mine) {
		t.Error("it is not in the second block")
	}
}

func TestThereAreNoMoreHoldersThanTheRulesAllowFor(t *testing.T) {
	f := newFixture(t, 3)
	p := New(f.state)
	all := f.state.Totals().Available
	for _, funds := range []atp.Amount{0, 1, all / holders, all/holders + 1, all} {
		if most := all / max(1, funds); p.holds(funds) && most > holders {
			t.Errorf("%d µATP make a holder, and there may be %d", funds, most)
		}
	}
	if !p.holds(all/3) || p.holds(0) {
		t.Error("want who holds a third to be a holder, and who holds nothing not")
	}
}
