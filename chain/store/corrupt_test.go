package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/chain/store/storetest"
)

// What must be there and is gone, or is not what it says, is damage: to the
// one who asks for it, or to Check; never "not found".
func TestDamageIsNeverNotFound(t *testing.T) {
	tail := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	gone := func([]byte) []byte { return nil }
	// asked are the questions about height 2 of 3 that a damaged key must make
	// fail; open means that the store does not even open.
	type question int
	const (
		open question = iota
		block
		cert
		receipts
		tx
		state
		checkOnly
	)
	for _, tt := range []struct {
		name   string
		key    func(store.Final) string // a prefix of keys, all of which are damaged
		damage func([]byte) []byte
		asked  []question
	}{
		{"head gone", func(store.Final) string { return "/head" }, gone, []question{open}},
		{"head garbled", func(store.Final) string { return "/head" }, tail, []question{open}},
		{"meta gone", func(store.Final) string { return "/meta" }, gone, []question{open}},
		{"meta garbled", func(store.Final) string { return "/meta" }, tail, []question{open}},
		{"height gone", func(store.Final) string { return "/height/0000000000000002" }, gone, []question{block, cert, receipts, tx}},
		{"height garbled", func(store.Final) string { return "/height/0000000000000002" }, tail, []question{block, cert, tx}},
		{"header and body gone", func(f store.Final) string { return "/block/" + f.Cert.Block.String() }, gone, []question{block, tx}},
		{"header and body garbled", func(f store.Final) string { return "/block/" + f.Cert.Block.String() }, tail, []question{block, tx}},
		{"a transaction gone", func(f store.Final) string { return "/block/" + f.Cert.Block.String() + "/0001" }, gone, []question{block, tx}},
		{"a transaction garbled", func(f store.Final) string { return "/block/" + f.Cert.Block.String() + "/0001" }, tail, []question{block, tx}},
		{"certificate gone", func(store.Final) string { return "/cert/0000000000000002" }, gone, []question{cert}},
		{"certificate garbled", func(store.Final) string { return "/cert/0000000000000002" }, tail, []question{checkOnly}},
		{"receipts gone", func(store.Final) string { return "/receipt/0000000000000002/" }, gone, []question{receipts, tx}},
		{"nodes gone", func(store.Final) string { return "/node/" }, gone, []question{state}},
		{"nodes garbled", func(store.Final) string { return "/node/" }, tail, []question{state}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, w := store.NewMemory(), storetest.NewWorld(t, "damage")
			s, err := store.New(db)
			if err != nil {
				t.Fatal(err)
			}
			w.Found(s)
			finals := []store.Final{next(w), next(w), next(w)}
			for _, f := range finals {
				if err := s.Commit(f); err != nil {
					t.Fatal(err)
				}
			}
			f := finals[1]
			if n := spoil(t, db, tt.key(f), tt.damage); n == 0 {
				t.Fatal("there was nothing to damage")
			}
			wantDamage := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrNotFound) {
					t.Errorf("%s: have %v, want ErrCorrupt alone", what, err)
				}
			}
			for _, q := range tt.asked {
				switch q {
				case open:
					_, err := store.New(db)
					wantDamage("opening", err)
					return
				case block:
					_, err := s.BlockAt(2)
					wantDamage("BlockAt", err)
					if _, _, err := s.Body(f.Cert.Block); strings.Contains(tt.name, "transaction") {
						wantDamage("Body", err)
					}
				case cert:
					_, _, err := s.Cert(2)
					wantDamage("Cert", err)
				case receipts:
					_, err := s.Receipts(2)
					wantDamage("Receipts", err)
				case tx:
					_, err := s.Tx(f.Block.Txs[1].ID())
					wantDamage("Tx", err)
				case state:
					_, err := s.StateAt(2)
					wantDamage("StateAt", err)
					if _, err := s.Get(f.Result.Nodes[0].ID); strings.Contains(tt.name, "garbled") {
						wantDamage("Get", err)
					}
				}
			}
			wantDamage("Check", s.Check(bft.ZIP215{}, store.CheckDepth))
		})
	}
}

// spoil damages all keys with a prefix, and returns how many there were.
func spoil(t *testing.T, db store.Datastore, prefix string, damage func([]byte) []byte) (n int) {
	t.Helper()
	ctx := context.Background()
	for e, err := range ds.QueryIter(ctx, db, query.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(e.Key, prefix) {
			continue
		}
		n++
		if value := damage(e.Value); value == nil {
			err = db.Delete(ctx, ds.RawKey(e.Key))
		} else {
			err = db.Put(ctx, ds.RawKey(e.Key), value)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}
