package chain

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/filecoin-project/go-amt-ipld/v4"
	"github.com/filecoin-project/go-hamt-ipld/v3"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/sage-p2p/sage-p2p/atp"
)

// The Due index holds every deadline of the state, so that the next one is its
// first entry: an AMT from the second of the deadline, rounded up, to a HAMT
// of what is due in it.
//
// That HAMT is keyed by (millisecond within the second, digest of the ID) and
// uses the key itself where others use a hash, so its own order is the order
// of deadlines, then of IDs. An attacker may put any number of deadlines into
// one second: no node grows beyond 32 small entries, each block reads only
// those it fires and each change writes one path.

// deadline is one entry of the Due index: of the lock or task named.
type deadline struct {
	at atp.Millis
	id cid.Cid
}

// millisPerSecond is the resolution of the outer index.
const millisPerSecond = 1000

// dueKey is a deadline as a string that sorts by time, then by ID: second,
// rounded up (8 bytes); millisecond within it (2); digest of the ID (32).
type dueKey string

func newDueKey(at atp.Millis, id cid.Cid) (dueKey, error) {
	if err := atp.CheckCID(id, cid.DagCBOR); err != nil {
		return "", err
	}
	var second, offset uint64 // deadlines of (second-1, second], offset 0…999
	if at > 0 {
		second, offset = (uint64(at)-1)/millisPerSecond+1, (uint64(at)-1)%millisPerSecond
	}
	key := binary.BigEndian.AppendUint64(nil, second)
	// Shifted to the left, so that the tree's first two levels tell
	// milliseconds apart.
	key = binary.BigEndian.AppendUint16(key, uint16(offset<<6))
	return dueKey(append(key, id.Bytes()[cidLength-sha256Size:]...)), nil
}

const sha256Size = 32

func (k dueKey) second() uint64 { return binary.BigEndian.Uint64([]byte(k[:8])) }
func (k dueKey) within() string { return string(k[8:]) }

// newDeadline reads the key of an entry in the HAMT of one second.
func newDeadline(second uint64, within string) (deadline, error) {
	if len(within) != 2+sha256Size {
		return deadline{}, fmt.Errorf("%w: due key of %d bytes", ErrStorage, len(within))
	}
	digest, err := multihash.Encode([]byte(within[2:]), multihash.SHA2_256)
	if err != nil {
		return deadline{}, fmt.Errorf("%w: %w", ErrStorage, err)
	}
	d := deadline{id: cid.NewCidV1(cid.DagCBOR, digest)}
	if second > 0 {
		offset := uint64(binary.BigEndian.Uint16([]byte(within[:2])) >> 6)
		d.at = atp.Millis((second-1)*millisPerSecond + offset + 1)
	}
	return d, nil
}

// schedule is the Due index while a block is executed.
type schedule struct {
	over    *overlay
	root    cid.Cid
	tree    *amt.Root       // loaded on first use
	pending map[dueKey]bool // whether it is there; not yet in the tree; nil until something changes
	undo    []dueUndo
}

type dueUndo struct {
	key        dueKey
	old, known bool
}

func newSchedule(o *overlay, root cid.Cid) *schedule {
	return &schedule{over: o, root: root}
}

// emptySchedule returns the root of a Due index without entries.
func emptySchedule(o *overlay) (cid.Cid, error) {
	tree, err := amt.NewAMT(o, amt.UseTreeBitWidth(treeBitWidth))
	if err != nil {
		return cid.Undef, stored(err)
	}
	root, err := tree.Flush(background())
	return root, stored(err)
}

func (s *schedule) insert(at atp.Millis, id cid.Cid) error { return s.change(at, id, true) }

func (s *schedule) remove(at atp.Millis, id cid.Cid) error { return s.change(at, id, false) }

func (s *schedule) change(at atp.Millis, id cid.Cid, present bool) error {
	key, err := newDueKey(at, id)
	if err != nil {
		return err
	}
	old, known := s.pending[key]
	s.undo = append(s.undo, dueUndo{key, old, known})
	if s.pending == nil {
		s.pending = make(map[dueKey]bool)
	}
	s.pending[key] = present
	return nil
}

// rollback takes back all changes since the undo log had n records.
func (s *schedule) rollback(n int) {
	for ; len(s.undo) > n; s.undo = s.undo[:len(s.undo)-1] {
		last := s.undo[len(s.undo)-1]
		if last.known {
			s.pending[last.key] = last.old
		} else {
			delete(s.pending, last.key)
		}
	}
}

func (s *schedule) load() error {
	if s.tree != nil {
		return nil
	}
	var err error
	s.tree, err = amt.LoadAMT(background(), s.over, s.root, amt.UseTreeBitWidth(treeBitWidth))
	return stored(err)
}

// merge moves what is pending into the tree; rollback cannot undo it.
func (s *schedule) merge() error {
	if len(s.pending) == 0 {
		return nil
	}
	if err := s.load(); err != nil {
		return err
	}
	keys := slices.Sorted(maps.Keys(s.pending))
	for len(keys) > 0 {
		second := keys[0].second()
		n := 1
		for n < len(keys) && keys[n].second() == second {
			n++
		}
		if err := s.mergeSecond(second, keys[:n]); err != nil {
			return err
		}
		keys = keys[n:]
	}
	clear(s.pending)
	s.undo = nil
	return nil
}

func (s *schedule) mergeSecond(second uint64, keys []dueKey) error {
	entries, err := s.openSecond(second)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if s.pending[key] {
			err = entries.SetRaw(background(), key.within(), cbg.CborBoolTrue)
		} else {
			_, err = entries.Delete(background(), key.within())
		}
		if err != nil {
			return stored(err)
		}
	}
	if len(entries.Pointers) == 0 {
		_, err := s.tree.Delete(background(), second)
		return stored(err)
	}
	root, err := entries.Write(background())
	if err != nil {
		return stored(err)
	}
	link := cbg.CborCid(root)
	return stored(s.tree.Set(background(), second, &link))
}

func (s *schedule) openSecond(second uint64) (*hamt.Node, error) {
	var link cbg.CborCid
	found, err := s.tree.Get(background(), second, &link)
	if err != nil {
		return nil, stored(err)
	}
	if !found {
		return newMap(s.over, plain)
	}
	return loadMap(s.over, cid.Cid(link), plain)
}

// errEnough ends a walk that has found what it was for.
var errEnough = errors.New("enough")

// past returns up to limit deadlines before now, the oldest first and then by
// ID. It sees what was merged, not what is pending.
func (s *schedule) past(now atp.Millis, limit int) ([]deadline, error) {
	if err := s.load(); err != nil {
		return nil, err
	}
	var found []deadline
	err := s.tree.ForEach(background(), func(second uint64, link *cbg.Deferred) error {
		entries, err := s.openSecond(second)
		if err != nil {
			return err
		}
		return entries.ForEach(background(), func(within string, _ *cbg.Deferred) error {
			d, err := newDeadline(second, within)
			if err != nil {
				return err
			}
			if d.at >= now || len(found) == limit {
				return errEnough
			}
			found = append(found, d)
			return nil
		})
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, stored(err)
	}
	return found, nil
}

// next returns the earliest deadline, in whole seconds rounded up.
func (s *schedule) next() (at atp.Millis, ok bool, err error) {
	if err := s.load(); err != nil {
		return 0, false, err
	}
	if s.tree.Len() == 0 {
		return 0, false, nil
	}
	second, err := s.tree.FirstSetIndex(background())
	if err != nil {
		return 0, false, stored(err)
	}
	return atp.Millis(min(second, math.MaxUint64/millisPerSecond) * millisPerSecond), true, nil
}

// flush writes what changed and returns the new root.
func (s *schedule) flush() (cid.Cid, error) {
	if err := s.merge(); err != nil {
		return cid.Undef, err
	}
	if s.tree == nil {
		return s.root, nil
	}
	root, err := s.tree.Flush(background())
	return root, stored(err)
}
