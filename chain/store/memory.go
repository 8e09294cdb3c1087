package store

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// Datastore is what a store is built on: go-datastore with transactions.
type Datastore interface {
	ds.Batching
	ds.TxnFeature
}

// memory is a Datastore without a disk. A transaction's writes take effect
// together, at its Commit; its reads see what was committed before.
type memory struct {
	mu     sync.RWMutex
	values map[ds.Key][]byte
}

// NewMemory returns an empty [Datastore] that lives as long as the process.
func NewMemory() Datastore { return &memory{values: make(map[ds.Key][]byte)} }

func (m *memory) Get(_ context.Context, key ds.Key) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	value, ok := m.values[key]
	if !ok {
		return nil, ds.ErrNotFound
	}
	return slices.Clone(value), nil
}

func (m *memory) Has(_ context.Context, key ds.Key) (bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, ok := m.values[key]
	return ok, nil
}

func (m *memory) GetSize(_ context.Context, key ds.Key) (int, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	value, ok := m.values[key]
	if !ok {
		return -1, ds.ErrNotFound
	}
	return len(value), nil
}

// Query answers in the order of keys, as badger does.
func (m *memory) Query(_ context.Context, q query.Query) (query.Results, error) {
	prefix := strings.TrimSuffix(ds.NewKey(q.Prefix).String(), "/") + "/"
	m.mu.RLock()
	defer m.mu.RUnlock()
	var entries []query.Entry
	for key, value := range m.values {
		if strings.HasPrefix(key.String(), prefix) {
			entries = append(entries, query.Entry{Key: key.String(), Value: slices.Clone(value), Size: len(value)})
		}
	}
	slices.SortFunc(entries, func(a, b query.Entry) int { return strings.Compare(a.Key, b.Key) })
	return query.NaiveQueryApply(q, query.ResultsWithEntries(q, entries)), nil
}

func (m *memory) Put(_ context.Context, key ds.Key, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[key] = slices.Clone(value)
	return nil
}

func (m *memory) Delete(_ context.Context, key ds.Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.values, key)
	return nil
}

func (m *memory) Sync(context.Context, ds.Key) error { return nil }

func (m *memory) Close() error { return nil }

func (m *memory) Batch(context.Context) (ds.Batch, error) { return m.begin(), nil }

func (m *memory) NewTransaction(context.Context, bool) (ds.Txn, error) { return m.begin(), nil }

func (m *memory) begin() *memoryTxn {
	return &memoryTxn{Read: m, memory: m, writes: make(map[ds.Key][]byte)}
}

// memoryTxn collects writes; a nil value deletes.
type memoryTxn struct {
	ds.Read
	memory *memory
	writes map[ds.Key][]byte
}

func (t *memoryTxn) Put(_ context.Context, key ds.Key, value []byte) error {
	t.writes[key] = append([]byte{}, value...)
	return nil
}

func (t *memoryTxn) Delete(_ context.Context, key ds.Key) error {
	t.writes[key] = nil
	return nil
}

func (t *memoryTxn) Commit(context.Context) error {
	t.memory.mu.Lock()
	defer t.memory.mu.Unlock()
	maps.Copy(t.memory.values, t.writes)
	for key, value := range t.writes {
		if value == nil {
			delete(t.memory.values, key)
		}
	}
	t.writes = nil
	return nil
}

func (t *memoryTxn) Discard(context.Context) { t.writes = nil }
