package node_test

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// A transaction is known from the moment that it was submitted, also while it
// becomes final.
func TestATransactionIsKnownAtEveryMoment(t *testing.T) {
	t.Parallel()
	p := up(t, "alone", func(*node.Config) {})
	p.wait(t, "current", func(view.Status) bool { return p.Current() })
	payee, err := peer.Decode("12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		sub, err := p.Transfer(t.Context(), payee, 1)
		if err != nil {
			t.Fatal(err)
		}
		for {
			tx, err := p.Tx(t.Context(), sub.TxID)
			if err != nil {
				t.Fatalf("transfer %d: %v", i, err)
			}
			if tx.State == view.TxFinal {
				break
			}
		}
	}
}
