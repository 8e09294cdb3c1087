package chain

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/filecoin-project/go-amt-ipld/v4"
	"github.com/filecoin-project/go-hamt-ipld/v3"
	"github.com/ipfs/go-cid"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Nodes holds what a state is made of, by address. It must allow concurrent
// use if states over it are read concurrently.
type Nodes interface {
	// Get returns the bytes of a node. They are not changed afterwards.
	Get(cid.Cid) ([]byte, error)
}

// Node is a piece of a state, or the whole of a small one.
type Node struct {
	ID   cid.Cid
	Data []byte
}

// overlay is nodes that are not saved yet, over those that are. It is the
// only place that knows of contexts: the HAMT and the AMT ask for one.
type overlay struct {
	saved Nodes
	fresh map[cid.Cid][]byte // nil until there are some
}

func newOverlay(saved Nodes) *overlay { return &overlay{saved: saved} }

// background is handed to the HAMT and the AMT, which ask for a context that
// nothing here could cancel.
func background() context.Context { return context.Background() }

// raw returns the bytes of a node. What comes from outside is checked against
// its address, so that a damaged disk never yields a wrong balance.
func (o *overlay) raw(id cid.Cid) ([]byte, error) {
	if data, ok := o.fresh[id]; ok {
		return data, nil
	}
	data, err := layered{saved: o.saved}.Get(id)
	if err != nil {
		return nil, fmt.Errorf("%w: node %s: %w", ErrStorage, id, err)
	}
	if !atp.Names(id, data) {
		return nil, fmt.Errorf("%w: node %s holds the bytes of %s", ErrStorage, id, atp.Sum(data))
	}
	return data, nil
}

// Get implements the store that the HAMT and the AMT ask for.
func (o *overlay) Get(_ context.Context, id cid.Cid, out any) error {
	data, err := o.raw(id)
	if err != nil {
		return err
	}
	switch v := out.(type) {
	case *hamt.Node:
		err = readMapNode(data, v)
	case cbg.CBORUnmarshaler:
		err = v.UnmarshalCBOR(bytes.NewReader(data))
	default:
		err = fmt.Errorf("no way to decode into %T", out)
	}
	if err != nil {
		return fmt.Errorf("%w: node %s: %w", ErrStorage, id, err)
	}
	return nil
}

// Put implements the store that the HAMT and the AMT ask for.
func (o *overlay) Put(_ context.Context, v any) (cid.Cid, error) {
	m, ok := v.(cbg.CBORMarshaler)
	if !ok {
		return cid.Undef, fmt.Errorf("%w: no way to encode %T", ErrBroken, v)
	}
	id, data, err := address(m)
	if err != nil {
		return cid.Undef, fmt.Errorf("%w: %v", ErrBroken, err) // %v: it is nobody else's fault
	}
	if o.fresh == nil {
		o.fresh = make(map[cid.Cid][]byte)
	}
	o.fresh[id] = data
	return id, nil
}

// nodes returns the unsaved nodes, by address.
func (o *overlay) nodes() []Node {
	out := make([]Node, 0, len(o.fresh))
	for id, data := range o.fresh {
		out = append(out, Node{id, data})
	}
	slices.SortFunc(out, func(a, b Node) int { return cmp.Compare(a.ID.KeyString(), b.ID.KeyString()) })
	return out
}

// reader returns the nodes as a state reads them before they are saved.
func (o *overlay) reader() Nodes { return layered{o.fresh, o.saved} }

// layered reads unsaved nodes before saved ones.
type layered struct {
	fresh map[cid.Cid][]byte // not changed any more
	saved Nodes
}

// Get implements [Nodes].
func (l layered) Get(id cid.Cid) ([]byte, error) {
	if data, ok := l.fresh[id]; ok {
		return data, nil
	}
	if l.saved == nil {
		return nil, errors.New("no such node")
	}
	return l.saved.Get(id)
}

// treeBitWidth is that of all trees of the state: 32 children to a node write
// less than half the bytes of the default 256.
const treeBitWidth = 5

// MaxValueBytes bounds a value of the state's maps, encoded.
const MaxValueBytes = 4 << 10

// hashKey spreads keys that a user may choose over a map.
func hashKey(key []byte) []byte {
	h := sha256.Sum256(key)
	return h[:]
}

// plainKey leaves keys as they are, and thereby in order: for those that end
// in a digest.
func plainKey(key []byte) []byte { return key }

// spread is a map's way to place its keys.
type spread []hamt.Option

var (
	hashed = spread{hamt.UseTreeBitWidth(treeBitWidth), hamt.UseHashFunction(hashKey)}
	plain  = spread{hamt.UseTreeBitWidth(treeBitWidth), hamt.UseHashFunction(plainKey)}
)

func newMap(o *overlay, s spread) (*hamt.Node, error) {
	n, err := hamt.NewNode(o, s...)
	return n, stored(err)
}

func loadMap(o *overlay, root cid.Cid, s spread) (*hamt.Node, error) {
	n, err := hamt.LoadNode(background(), o, root, s...)
	return n, stored(err)
}

// stored marks an error of the trees as one of our own disk: they only fail
// for what they read.
func stored(err error) error {
	if err == nil || errors.Is(err, ErrStorage) || errors.Is(err, ErrBroken) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrStorage, err)
}

// emptyMap returns the root of a map without entries, putting it in o.
func emptyMap(o *overlay) (cid.Cid, error) {
	n, err := newMap(o, hashed)
	if err != nil {
		return cid.Undef, err
	}
	root, err := n.Write(background())
	return root, stored(err)
}

// value is a pointer to what a table holds.
type value[V any] interface {
	*V
	atp.Value
}

// table is a map of the state while a block is executed: decoded values over
// a HAMT that is read on demand and written once, at the end. Values are
// replaced, never changed in place.
type table[V any, P value[V]] struct {
	over    *overlay
	root    cid.Cid
	tree    *hamt.Node           // loaded on first use
	entries map[string]*entry[V] // nil until one is known
	undo    []undo[V]
}

// entry is not changed any more: it gives way to another.
type entry[V any] struct {
	value   V
	present bool
	dirty   bool // not yet in the tree
}

// undo is what an entry was before it changed.
type undo[V any] struct {
	key string
	old *entry[V]
}

func newTable[V any, P value[V]](o *overlay, root cid.Cid) *table[V, P] {
	return &table[V, P]{over: o, root: root}
}

func (t *table[V, P]) load() error {
	if t.tree != nil {
		return nil
	}
	var err error
	t.tree, err = loadMap(t.over, t.root, hashed)
	return err
}

// lookup returns the entry of key, reading it if it is not known yet.
func (t *table[V, P]) lookup(key string) (*entry[V], error) {
	if e, ok := t.entries[key]; ok {
		return e, nil
	}
	if err := t.load(); err != nil {
		return nil, err
	}
	e := new(entry[V])
	found, err := t.tree.Find(background(), key, P(&e.value))
	if err != nil {
		return nil, stored(err)
	}
	e.present = found
	if t.entries == nil {
		t.entries = make(map[string]*entry[V])
	}
	t.entries[key] = e
	return e, nil
}

func (t *table[V, P]) get(key string) (v V, present bool, err error) {
	e, err := t.lookup(key)
	if err != nil {
		return v, false, err
	}
	return e.value, e.present, nil
}

func (t *table[V, P]) set(key string, v V) error {
	return t.replace(key, &entry[V]{value: v, present: true, dirty: true})
}

func (t *table[V, P]) remove(key string) error {
	return t.replace(key, &entry[V]{dirty: true})
}

func (t *table[V, P]) replace(key string, e *entry[V]) error {
	old, err := t.lookup(key)
	if err != nil {
		return err
	}
	t.undo = append(t.undo, undo[V]{key, old})
	t.entries[key] = e
	return nil
}

// rollback takes back all changes since the undo log had n records.
func (t *table[V, P]) rollback(n int) {
	for ; len(t.undo) > n; t.undo = t.undo[:len(t.undo)-1] {
		last := t.undo[len(t.undo)-1]
		t.entries[last.key] = last.old
	}
}

// flush writes what changed and returns the new root.
func (t *table[V, P]) flush() (cid.Cid, error) {
	var changed []string
	for key, e := range t.entries {
		if e.dirty {
			changed = append(changed, key)
		}
	}
	if len(changed) == 0 {
		return t.root, nil
	}
	slices.Sort(changed)
	if err := t.load(); err != nil {
		return cid.Undef, err
	}
	for _, key := range changed {
		if err := t.write(key, t.entries[key]); err != nil {
			return cid.Undef, err
		}
	}
	root, err := t.tree.Write(background())
	return root, stored(err)
}

// keys returns the keys of all entries in their order, also of those that are
// not in the tree yet. It is for small tables.
func (t *table[V, P]) keys() ([]string, error) {
	if err := t.load(); err != nil {
		return nil, err
	}
	present := make(map[string]bool)
	err := t.tree.ForEach(background(), func(key string, _ *cbg.Deferred) error {
		present[key] = true
		return nil
	})
	for key, e := range t.entries {
		present[key] = e.present
	}
	maps.DeleteFunc(present, func(_ string, there bool) bool { return !there })
	return slices.Sorted(maps.Keys(present)), stored(err)
}

func (t *table[V, P]) write(key string, e *entry[V]) error {
	if !e.present {
		_, err := t.tree.Delete(background(), key)
		return stored(err)
	}
	raw, err := encode(P(&e.value))
	if err != nil {
		return fmt.Errorf("%w: %v", ErrBroken, err) // %v: it is nobody else's fault
	}
	if len(raw) > MaxValueBytes {
		return fmt.Errorf("%w: %T of %d bytes in the state, want at most %d", ErrBroken, e.value, len(raw), MaxValueBytes)
	}
	return stored(t.tree.SetRaw(background(), key, raw))
}

// each calls f for every entry of the map at root, in the order of the tree.
func each[V any, P value[V]](o *overlay, root cid.Cid, f func(key string, v V) error) error {
	tree, err := loadMap(o, root, hashed)
	if err != nil {
		return err
	}
	var stop error
	err = tree.ForEach(background(), func(key string, raw *cbg.Deferred) error {
		var v V
		if err := P(&v).UnmarshalCBOR(bytes.NewReader(raw.Raw)); err != nil {
			return fmt.Errorf("%w: %w", ErrStorage, err)
		}
		stop = f(key, v)
		return stop
	})
	if stop != nil {
		return stop
	}
	return stored(err)
}

// listRoot returns the root of a list of addresses as an AMT. Its nodes are
// not kept: whoever has the list can make them again.
func listRoot(ids []cid.Cid) (cid.Cid, error) { return writeList(newOverlay(nil), ids) }

// writeList puts the AMT of a list of addresses into o and returns its root.
func writeList(o *overlay, ids []cid.Cid) (cid.Cid, error) {
	list, err := amt.NewAMT(o, amt.UseTreeBitWidth(treeBitWidth))
	if err != nil {
		return cid.Undef, stored(err)
	}
	for i, id := range ids {
		link := cbg.CborCid(id)
		if err := list.Set(background(), uint64(i), &link); err != nil {
			return cid.Undef, stored(err)
		}
	}
	root, err := list.Flush(background())
	return root, stored(err)
}
