package mempool

import (
	"errors"
	"testing"

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
