package store_test

import (
	"crypto/rand"
	"path/filepath"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/chain/store/storetest"
)

// BenchmarkCommit makes final a block of 64 KiB that writes 200 nodes of the
// state, with its body put first, as a voter does.
func BenchmarkCommit(b *testing.B) {
	for _, p := range []store.Profile{store.Edge, store.Server} {
		b.Run(p.String(), func(b *testing.B) {
			s, w := openDisk(b, filepath.Join(b.TempDir(), "store"), p), storetest.NewWorld(b, "bench")
			w.Found(s)
			for b.Loop() {
				b.StopTimer()
				f := blockOf(w, 64<<10, 200)
				b.StartTimer()
				if err := s.PutBody(f.Block); err != nil {
					b.Fatal(err)
				}
				if err := s.Commit(f); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// blockOf returns the next block, of about so many bytes and nodes.
func blockOf(w *storetest.World, bytes, nodes int) store.Final {
	var txs []chain.VerifiedTx
	for size := 0; size < bytes; {
		tx := w.Transfer(1+len(txs)%2, 0, 1)
		txs, size = append(txs, tx), size+len(tx.Bytes())
	}
	f := w.Block(txs...)
	for len(f.Result.Nodes) < nodes {
		data := make([]byte, 400)
		_, _ = rand.Read(data)
		f.Result.Nodes = append(f.Result.Nodes, chain.Node{ID: atp.Sum(data), Data: data})
	}
	return f
}
