// Package store keeps what the platform knows of the chain: blocks with their
// certificates, receipts and events, the nodes of states, the indexes that
// people ask by, and what must survive a restart before it is final.
//
// A store may lose its newest writes, or be gone, without telling anybody: a
// flipped bit in badger's log silently drops what follows. Nothing that guards
// against signing twice lives here (see node/signer). What the store owes is
// weaker, and it owes it always:
//
//	D1  what a method calls stored is on the disk when it returns.
//	D2  the head names a block whose body, receipts, state nodes and
//	    certificate, and those of all blocks below it, are on the disk if the
//	    head is: they are written with it in one transaction or, where they are
//	    too many for one, synced before it.
//	D3  readers learn of a height only when it is on the disk. What an index
//	    says about a height above the head is not shown.
//	D4  what must be there and is not, or is not what its address says, is
//	    [ErrCorrupt], never "not found" and never a wrong answer.
//	D5  after a write whose fate is not known, nothing more is written.
//
// D1 and D2 are A7 of the design, with the caller's promise to publish a
// height only after [Store.Commit] has returned.
//
// All methods may be called concurrently. Writes take turns.
//
// # What badger does not do
//
// Found by test and by reading it (v4.9.6), and made good in disk.go and
// commit.go: its Sync leaves out the logs of memtables that wait to be flushed;
// it reads a block of a table that fails its checksum as one that holds
// nothing, so that a damaged value is "not found" or an older one; it does not
// open over a log of length zero, which a kill at the right moment leaves; a
// batch is not atomic. Damage that comes while the store is open can still turn
// what need not be there (a transaction looked up by its ID) into "not found".
package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// schema is the version of what the keys mean. A store of another is foreign.
const schema = 1

// Store is a chain on a [Datastore].
type Store struct {
	db    Datastore
	clean bool
	close func(good bool) error
	space func() error
	limit int // bytes that are written in one transaction
	syncs atomic.Uint64

	writer sync.Mutex // one write at a time; guards the fields below
	failed error
	locals map[cid.Cid]cid.Cid // journal: transaction ID to address
	bodies map[cid.Cid]body    // put before their height was final

	mu      sync.RWMutex // guards the fields below
	genesis bft.GenesisHash
	head    Head
}

// Head is the newest final block: its place, the state after it and, above
// the genesis, its header.
type Head struct {
	chain.Tip
	StateRoot cid.Cid
	Header    chain.Header
}

// Option replaces a part of a [Store].
type Option func(*Store)

// WithSpaceCheck has f asked before every write. Its error, which should wrap
// [ErrNoSpace], refuses the write: badger ends the process by SIGBUS when the
// disk is full.
func WithSpaceCheck(f func() error) Option { return func(s *Store) { s.space = f } }

// Open opens the store in dir, or makes an empty one. Damage that shows is
// [ErrCorrupt]: the caller sets the store aside and fetches the chain anew. What a
// killed process wrote may be in memory alone, so it is synced first: what is read
// is on the disk.
func Open(dir string, p Profile, options ...Option) (*Store, error) {
	d, clean, err := openDisk(dir, p)
	if err != nil {
		return nil, err
	}
	s, err := New(d, options...)
	if err != nil {
		return nil, errors.Join(err, d.close(false))
	}
	s.clean, s.close = clean, d.close
	if clean {
		return s, nil
	}
	if err := s.durably(func(context.Context) error { return nil }); err != nil {
		return nil, errors.Join(err, d.close(false))
	}
	return s, nil
}

// New opens the store that db holds. The store closes db.
func New(db Datastore, options ...Option) (*Store, error) {
	s := &Store{
		db:    db,
		clean: true,
		close: func(bool) error { return db.Close() },
		space: func() error { return nil },
		limit: oneTransactionBytes,

		locals: make(map[cid.Cid]cid.Cid),
		bodies: make(map[cid.Cid]body),
	}
	for _, o := range options {
		o(s)
	}
	if err := s.load(); err != nil {
		return nil, err
	}
	return s, nil
}

// load reads what every use needs: the chain, the head and the journal.
func (s *Store) load() error {
	m, err := s.meta()
	if errors.Is(err, ErrNotFound) {
		if _, err := s.get(headKey); !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("%w: there is a head, but nothing says of what chain", ErrCorrupt)
		}
		return nil
	} else if err != nil {
		return err
	}
	s.genesis = m.Genesis
	id, err := s.must(headKey)
	if err != nil {
		return err
	}
	if s.head, err = s.headAt(m, string(id)); err != nil {
		return err
	}
	return errors.Join(s.loadLocals(), s.loadBodies())
}

// headAt returns the head named id.
func (s *Store) headAt(m meta, id string) (Head, error) {
	if id == m.Tip.ID.String() {
		return Head{Tip: m.Tip, StateRoot: m.StateRoot}, nil
	}
	c, err := cid.Decode(id)
	if err == nil && c.String() != id { // the last digit has bits that no byte of the CID needs
		err = fmt.Errorf("%.80q is not how the CID %s is written", id, c)
	}
	if err != nil {
		return Head{}, fmt.Errorf("%w: %s: %w", ErrCorrupt, headKey, err)
	}
	header, _, err := s.header(c)
	if err != nil {
		return Head{}, missing(err)
	}
	return Head{Tip: chain.Tip{Height: header.Height, ID: c, Time: header.Time}, StateRoot: header.StateRoot, Header: header}, nil
}

// missing turns "not found" into corruption, for what has to be there (D4).
// The result is not ErrNotFound any more.
func missing(err error) error {
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	return err
}

// meta is what a store is of.
type meta struct {
	Schema    int
	Genesis   bft.GenesisHash
	Tip       chain.Tip // of the genesis
	StateRoot cid.Cid   // of the genesis
}

// meta reads what the store is of.
func (s *Store) meta() (meta, error) {
	raw, err := s.get(metaKey)
	if err != nil {
		return meta{}, err
	}
	var m meta
	if err := json.Unmarshal(raw, &m); err != nil {
		return meta{}, fmt.Errorf("%w: %s: %w", ErrCorrupt, metaKey, err)
	}
	if m.Schema != schema {
		return meta{}, fmt.Errorf("%w: its schema is %d, this version has %d", ErrForeign, m.Schema, schema)
	}
	return m, nil
}

// Found makes an empty store that of a chain, given the state of height 0 with
// its nodes ([chain.Genesis.State]). For a store of that chain it does nothing;
// for one of another it fails with [ErrForeign].
func (s *Store) Found(state chain.State, nodes []chain.Node) error {
	g, tip, root := state.Genesis(), state.Tip(), state.Root()
	s.writer.Lock()
	defer s.writer.Unlock()
	if have, err := s.Genesis(); err == nil && have != g {
		return fmt.Errorf("%w: the store is of %v, not of %v: use another home", ErrForeign, have, g)
	} else if err == nil {
		return nil
	}
	m := meta{schema, g, tip, root}
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := s.writable(); err != nil {
		return err
	}
	content := nodeEntries(nodes)
	head := []entry{{metaKey, raw}, {headKey, []byte(tip.ID.String())}}
	err = s.durably(func(ctx context.Context) error { return s.batch(ctx, putAll(ctx, content)) })
	if err == nil {
		err = s.durably(func(ctx context.Context) error { return s.transaction(ctx, putAll(ctx, head)) })
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.genesis, s.head = g, Head{Tip: tip, StateRoot: root}
	return nil
}

// Clean reports whether the store was closed in good order when it was last
// used. If not, [Store.Check] it before trusting it.
func (s *Store) Clean() bool { return s.clean }

// Syncs returns how often writes were made durable since the store was opened.
func (s *Store) Syncs() uint64 { return s.syncs.Load() }

// Close ends all use of the store. No other method may be running.
func (s *Store) Close() error {
	s.writer.Lock()
	defer s.writer.Unlock()
	good := s.failed == nil
	s.failed = errors.Join(s.failed, ErrClosed)
	if err := s.close(good); err != nil {
		return fmt.Errorf("store: closing: %w", err)
	}
	return nil
}

// Genesis returns the hash of the chain that the store holds. ErrNotFound
// means that it is empty.
func (s *Store) Genesis() (bft.GenesisHash, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.head.ID.Defined() {
		return bft.GenesisHash{}, fmt.Errorf("%w: the store is empty", ErrNotFound)
	}
	return s.genesis, nil
}

// Head returns the newest final block. ErrNotFound means that the store is
// empty: not even [Store.Found] was called.
func (s *Store) Head() (Head, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.head.ID.Defined() {
		return Head{}, fmt.Errorf("%w: the store is empty", ErrNotFound)
	}
	return s.head, nil
}

// final reports whether readers may know of a height (D3).
func (s *Store) final(h bft.Height) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.head.ID.Defined() && h <= s.head.Height
}

func (s *Store) chainHash() bft.GenesisHash {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.genesis
}

// get returns the value of a key that need not be there.
func (s *Store) get(key ds.Key) (_ []byte, err error) {
	defer func() {
		// Badger asserts on some damage in the tables.
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: reading %s: %v", ErrCorrupt, key, r)
		}
	}()
	value, err := s.db.Get(context.Background(), key)
	switch {
	case errors.Is(err, ds.ErrNotFound):
		return nil, fmt.Errorf("%w: %s", ErrNotFound, key)
	case err != nil:
		return nil, fmt.Errorf("%w: reading %s: %w", ErrCorrupt, key, err)
	}
	return value, nil
}

// must returns the value of a key that has to be there (D4).
func (s *Store) must(key ds.Key) ([]byte, error) {
	value, err := s.get(key)
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("%w: %s is missing", ErrCorrupt, key)
	}
	return value, err
}

// write runs f as the only writer and makes what it wrote durable (D1). Any
// error of the datastore is the last thing that the store does (D5).
func (s *Store) write(f func(context.Context) error) error {
	s.writer.Lock()
	defer s.writer.Unlock()
	if err := s.writable(); err != nil {
		return err
	}
	return s.durably(f)
}

// writable reports why nothing may be written now. The caller is the writer.
func (s *Store) writable() error {
	if s.failed != nil {
		return fmt.Errorf("%w: %w", ErrFailed, s.failed)
	}
	return s.space()
}

func (s *Store) durably(f func(context.Context) error) error {
	ctx := context.Background()
	err := f(ctx)
	if err == nil {
		s.syncs.Add(1)
		err = s.db.Sync(ctx, ds.NewKey("/"))
	}
	if err != nil {
		s.failed = err
		return fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return nil
}

// batch writes without regard to order or atomicity.
func (s *Store) batch(ctx context.Context, f func(ds.Write) error) error {
	b, err := s.db.Batch(ctx)
	if err != nil {
		return err
	}
	if err := f(b); err != nil {
		return err
	}
	return b.Commit(ctx)
}

// transaction writes all or nothing.
func (s *Store) transaction(ctx context.Context, f func(ds.Write) error) error {
	txn, err := s.db.NewTransaction(ctx, false)
	if err != nil {
		return err
	}
	defer txn.Discard(ctx)
	if err := f(txn); err != nil {
		return err
	}
	return txn.Commit(ctx)
}

// Get returns a node of a state. It implements [chain.Nodes].
func (s *Store) Get(id cid.Cid) ([]byte, error) {
	data, err := s.get(nodeKey(id))
	if err != nil {
		return nil, err
	}
	if got := atp.Sum(data); got != id {
		return nil, fmt.Errorf("%w: node %s holds the bytes of %s", ErrCorrupt, id, got)
	}
	return data, nil
}
