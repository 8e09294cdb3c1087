package node_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// A transaction that was taken is pending or final, and never for a moment
// unknown, as when it is just becoming the one from the other.
func TestATransactionIsNeverOutOfSight(t *testing.T) {
	t.Parallel()
	p := up(t, "alone", func(*node.Config) {})
	p.wait(t, "up", func(s view.Status) bool { return s.Genesis != "" })
	payee := apitest.ID("payee")
	for range 60 {
		sub, err := p.Transfer(t.Context(), payee, 1)
		if err != nil {
			t.Fatal(err)
		}
		var final atomic.Bool
		var g errgroup.Group
		for range 4 {
			g.Go(func() error {
				for !final.Load() {
					tx, err := p.Tx(t.Context(), sub.TxID)
					if err != nil {
						final.Store(true)
						return err
					}
					if tx.State == view.TxFinal {
						final.Store(true)
					}
				}
				return nil
			})
		}
		var no *view.Error
		if err := g.Wait(); errors.As(err, &no) {
			t.Fatalf("Tx of one that was taken = %s %v", no.Code, err)
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
