package storetest

import (
	"context"
	"sync"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/sage-p2p/sage-p2p/chain/store"
)

// Volatile is a [store.Datastore] on a disk that loses power. What was written
// since the last Sync survives a [Volatile.Crash] only as far as the test
// wants. A transaction survives whole or not at all; a batch, which badger
// splits, loses any of its writes.
type Volatile struct {
	store.Datastore // what the process sees

	mu      sync.Mutex
	durable map[ds.Key][]byte
	pending []group
	syncs   int
	onWrite func()
}

// group is writes that survive together. A nil value deletes.
type group map[ds.Key][]byte

// NewVolatile returns an empty one.
func NewVolatile() *Volatile {
	return &Volatile{Datastore: store.NewMemory(), durable: make(map[ds.Key][]byte)}
}

// Crash returns the datastore as it is found after a power cut. keep is asked
// for each group of unsynced writes, oldest first.
func (v *Volatile) Crash(keep func(i int) bool) (*Volatile, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	ctx, after := context.Background(), NewVolatile()
	for key, value := range v.durable {
		if err := after.Put(ctx, key, value); err != nil {
			return nil, err
		}
	}
	for i, g := range v.pending {
		if !keep(i) {
			continue
		}
		if err := g.apply(ctx, after); err != nil {
			return nil, err
		}
	}
	return after, after.Sync(ctx, ds.NewKey("/"))
}

// OnWrite has f called after each write, batch or transaction.
func (v *Volatile) OnWrite(f func()) { v.onWrite = f }

// Syncs returns how many times Sync was called.
func (v *Volatile) Syncs() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.syncs
}

func (g group) apply(ctx context.Context, to ds.Write) error {
	for key, value := range g {
		var err error
		if value == nil {
			err = to.Delete(ctx, key)
		} else {
			err = to.Put(ctx, key, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// commit makes groups visible and remembers that they are not durable.
func (v *Volatile) commit(ctx context.Context, groups ...group) error {
	if v.onWrite != nil {
		defer v.onWrite() // deferred first, so that it runs without the lock
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, g := range groups {
		if err := g.apply(ctx, v.Datastore); err != nil {
			return err
		}
	}
	v.pending = append(v.pending, groups...)
	return nil
}

// Sync makes all that was written durable.
func (v *Volatile) Sync(context.Context, ds.Key) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.syncs++
	for _, g := range v.pending {
		for key, value := range g {
			if value == nil {
				delete(v.durable, key)
			} else {
				v.durable[key] = value
			}
		}
	}
	v.pending = nil
	return nil
}

// Put implements [ds.Write].
func (v *Volatile) Put(ctx context.Context, key ds.Key, value []byte) error {
	return v.commit(ctx, group{key: append([]byte{}, value...)})
}

// Delete implements [ds.Write].
func (v *Volatile) Delete(ctx context.Context, key ds.Key) error {
	return v.commit(ctx, group{key: nil})
}

// Batch implements [ds.BatchingFeature].
func (v *Volatile) Batch(context.Context) (ds.Batch, error) {
	return &writes{volatile: v}, nil
}

// NewTransaction implements [ds.TxnFeature].
func (v *Volatile) NewTransaction(context.Context, bool) (ds.Txn, error) {
	return &writes{volatile: v, together: true}, nil
}

// writes is a batch or a transaction.
type writes struct {
	volatile *Volatile
	together bool
	groups   []group
}

func (w *writes) add(key ds.Key, value []byte) {
	if w.together && len(w.groups) == 1 {
		w.groups[0][key] = value
		return
	}
	w.groups = append(w.groups, group{key: value})
}

func (w *writes) Put(_ context.Context, key ds.Key, value []byte) error {
	w.add(key, append([]byte{}, value...))
	return nil
}

func (w *writes) Delete(_ context.Context, key ds.Key) error {
	w.add(key, nil)
	return nil
}

func (w *writes) Commit(ctx context.Context) error { return w.volatile.commit(ctx, w.groups...) }
func (w *writes) Discard(context.Context)          { w.groups = nil }

func (w *writes) Get(ctx context.Context, key ds.Key) ([]byte, error) {
	return w.volatile.Get(ctx, key)
}

func (w *writes) Has(ctx context.Context, key ds.Key) (bool, error) {
	return w.volatile.Has(ctx, key)
}

func (w *writes) GetSize(ctx context.Context, key ds.Key) (int, error) {
	return w.volatile.GetSize(ctx, key)
}

func (w *writes) Query(ctx context.Context, q query.Query) (query.Results, error) {
	return w.volatile.Query(ctx, q)
}
