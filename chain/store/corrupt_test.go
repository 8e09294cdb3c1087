package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/chain/store/storetest"
)

// question is one about height 2 of 3.
type question string

const (
	opening  question = "opening" // the store does not even open
	block    question = "BlockAt"
	body     question = "Body"
	cert     question = "Cert"
	receipts question = "Receipts"
	tx       question = "Tx"
	state    question = "StateAt"
	node     question = "Get"
)

// What must be there and is gone, or is not what it says, is damage: to the
// one who asks for it, and to Check; never "not found".
func TestDamageIsNeverNotFound(t *testing.T) {
	const height = "0000000000000002"
	gone := func([]byte) []byte { return nil }
	garbled := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	for _, tt := range []struct {
		name   string
		prefix string // of the keys that are damaged; ID stands for the block's
		damage func([]byte) []byte
		asked  []question
	}{
		{"head gone", "/head", gone, []question{opening}},
		{"head garbled", "/head", garbled, []question{opening}},
		{"meta gone", "/meta", gone, []question{opening}},
		{"meta garbled", "/meta", garbled, []question{opening}},
		{"height gone", "/height/" + height, gone, []question{block, cert, receipts, tx}},
		{"height garbled", "/height/" + height, garbled, []question{block, cert, tx}},
		{"block gone", "/block/ID", gone, []question{block, tx}},
		{"block garbled", "/block/ID", garbled, []question{block, body, tx}},
		{"a transaction gone", "/block/ID/0001", gone, []question{block, body, tx}},
		{"a transaction garbled", "/block/ID/0001", garbled, []question{block, body, tx}},
		{"certificate gone", "/cert/" + height, gone, []question{cert}},
		{"a signature garbled", "/cert/" + height, garbled, nil}, // Check alone looks at it
		{"receipts gone", "/receipt/" + height, gone, []question{receipts, tx}},
		{"nodes gone", "/node", gone, []question{state}},
		{"nodes garbled", "/node", garbled, []question{state, node}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, w := store.NewMemory(), storetest.NewWorld(t, "damage")
			s := open(t, db)
			w.Found(s)
			committed(t, w, s, 1)
			f := next(w)
			if err := s.Commit(f); err != nil {
				t.Fatal(err)
			}
			committed(t, w, s, 1)
			if n := spoil(t, db, strings.ReplaceAll(tt.prefix, "ID", f.Cert.Block.String()), tt.damage); n == 0 {
				t.Fatal("there was nothing to damage")
			}
			for _, q := range tt.asked {
				wantDamage(t, string(q), ask(s, db, f, q))
			}
			if !slices.Contains(tt.asked, opening) {
				wantDamage(t, "Check", s.Check(bft.ZIP215{}, store.CheckDepth))
			}
		})
	}
}

func wantDamage(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrNotFound) {
		t.Errorf("%s: have %v, want ErrCorrupt alone", what, err)
	}
}

func ask(s *store.Store, db store.Datastore, f store.Final, q question) (err error) {
	switch q {
	case opening:
		_, err = store.New(db)
	case block:
		_, err = s.BlockAt(2)
	case body:
		_, _, err = s.Body(f.Cert.Block)
	case cert:
		_, _, err = s.Cert(2)
	case receipts:
		_, err = s.Receipts(2)
	case tx:
		_, err = s.Tx(f.Block.Txs[1].ID())
	case state:
		_, err = s.StateAt(2)
	case node:
		_, err = s.Get(f.Result.Nodes[0].ID)
	}
	return err
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
