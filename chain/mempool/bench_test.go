package mempool

import (
	"errors"
	"slices"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
)

// BenchmarkAddToAFullPool offers transactions to a pool that 100 senders have
// filled, all at the same price: each takes the place of another.
func BenchmarkAddToAFullPool(b *testing.B) {
	f := newFixture(b, 100)
	var txs []chain.VerifiedTx
	for from := range 100 {
		for nonce := range uint64(MaxAhead) {
			txs = append(txs, f.tx(from, nonce, 0))
		}
	}
	p := NewSized(f.state, len(txs)/2*len(txs[0].Bytes()))
	for i := 0; b.Loop(); i++ {
		if err := p.Add(txs[i%len(txs)], epoch); err != nil && !errors.Is(err, ErrFull) && !errors.Is(err, ErrKnown) {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadyBehindGaps asks a full pool in which all senders left a gap.
func BenchmarkReadyBehindGaps(b *testing.B) {
	const senders = 999
	f := newFixture(b, 1, func(g *chain.Genesis) {
		for i := range senders {
			g.Allocations = append(g.Allocations, chain.Allocation{To: stranger(i), Amount: 1})
		}
		slices.SortFunc(g.Allocations, func(x, y chain.Allocation) int { return atp.Compare(x.To, y.To) })
	})
	p := New(f.state)
	for i := range senders {
		for nonce := range uint64(32) {
			add(b, p, f.txOf(stranger(i), 1+nonce, 0))
		}
	}
	for b.Loop() {
		if p.Ready(epoch) {
			b.Fatal("one that waits behind a gap is ready")
		}
	}
}
