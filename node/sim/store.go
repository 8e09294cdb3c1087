package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// store is the chain on a simulated disk: a log of entries of which a crash
// keeps those that were synced, and any number of the next ones. It implements
// [replica.Chain].
type store struct {
	disk   *disk
	base   map[cid.Cid][]byte // nodes of the genesis, shared and never changed
	log    []entry
	synced int // entries that no crash takes away

	spoilt  map[cid.Cid]bool // bodies, not final, in which a bit has turned
	damaged bool             // a bit of anything else has: the next start sets all of it aside

	// What the log says. It shares what it points to, and changes nothing there.
	nodes  map[cid.Cid][]byte
	bodies map[cid.Cid]*chain.Block
	finals []*finalBlock // of heights 1, 2, …
	local  []chain.VerifiedTx
}

// finalBlock is a final height as the store keeps it.
type finalBlock struct {
	id cid.Cid
	replica.Final
}

// entry is one write: one of local, body, nodes and head is set.
type entry struct {
	local *chain.VerifiedTx
	body  *chain.Block
	id    cid.Cid // of body
	nodes []chain.Node
	head  *finalBlock
}

func newStore(d *disk, genesis map[cid.Cid][]byte) *store {
	s := &store{disk: d, base: genesis}
	s.replay()
	return s
}

// replay reads the log from its beginning.
func (s *store) replay() {
	s.nodes, s.bodies = make(map[cid.Cid][]byte), make(map[cid.Cid]*chain.Block)
	s.finals, s.local = nil, nil
	for _, e := range s.log {
		s.read(e)
	}
}

func (s *store) read(e entry) {
	switch {
	case e.local != nil:
		s.local = append(s.local, *e.local)
	case e.body != nil:
		s.bodies[e.id] = e.body
	case e.head != nil:
		s.finals = append(s.finals, e.head)
	}
	for _, n := range e.nodes {
		s.nodes[n.ID] = n.Data
	}
}

func (s *store) write(at place, e entry) error {
	if s.damaged {
		return errSpoilt
	}
	err := s.disk.fuse.burn(at)
	if err == nil || errors.Is(err, errCrash) {
		s.log = append(s.log, e)
	}
	if err == nil {
		s.read(e)
		if e.body != nil {
			delete(s.spoilt, e.id) // it is written anew
		}
	}
	return err
}

func (s *store) sync(at place) error {
	if err := s.disk.sync(at); err != nil {
		return err
	}
	s.synced = len(s.log)
	return nil
}

// set puts an older image of the store in its place.
func (s *store) set(image []entry) {
	s.log, s.synced, s.damaged, s.spoilt = slices.Clone(image), len(image), false, nil
	s.replay()
}

// image is what a copy of the disk made now holds.
func (s *store) image() []entry { return slices.Clone(s.log[:s.synced]) }

// flip turns a bit in one entry. It reports whether the store is damaged for good,
// else a body that is not final is.
func (s *store) flip(r *rand.Rand) (damaged bool) {
	e := s.log[r.IntN(len(s.log))]
	if e.body != nil && !slices.ContainsFunc(s.finals, func(f *finalBlock) bool { return f.id == e.id }) {
		if s.spoilt == nil {
			s.spoilt = make(map[cid.Cid]bool)
		}
		s.spoilt[e.id] = true
		return false
	}
	s.damaged = true
	return true
}

// crash keeps what was synced, and of the rest what the disk had got to.
func (s *store) crash(r *rand.Rand) {
	s.log = s.log[:s.synced+r.IntN(len(s.log)-s.synced+1)]
	s.synced = len(s.log)
	s.replay()
}

// putLocal keeps a transaction that was submitted here.
func (s *store) putLocal(tx chain.VerifiedTx) error {
	if err := s.write(atLocal, entry{local: &tx}); err != nil {
		return err
	}
	return s.sync(atLocalSync)
}

// putBody keeps a block that is about to be spoken for.
func (s *store) putBody(b chain.Block) error {
	id, err := b.Header.ID()
	if err != nil {
		return err
	}
	if err := s.write(atBody, entry{body: &b, id: id}); err != nil {
		return err
	}
	return s.sync(atBodySync)
}

// commit makes a block final, in the order of reliability.md: content, then the
// head, then one sync.
func (s *store) commit(f replica.Final) error {
	id := f.Cert.Block // the judge looks whether it is
	if want := bft.Height(len(s.finals) + 1); f.Block.Header.Height != want {
		return fmt.Errorf("sim: block %d on a store at %d", f.Block.Header.Height, want-1)
	}
	if err := s.write(atFinalBody, entry{body: &f.Block, id: id}); err != nil {
		return err
	}
	if err := s.write(atFinalNodes, entry{nodes: f.Result.Nodes}); err != nil {
		return err
	}
	if err := s.write(atFinalHead, entry{head: &finalBlock{id, f}}); err != nil {
		return err
	}
	return s.sync(atFinalSync)
}

// height is that of the head.
func (s *store) height() bft.Height { return bft.Height(len(s.finals)) }

// at returns the final block of a height, 1 ≤ h ≤ height.
func (s *store) at(h bft.Height) (chain.Block, bft.CommitCert) {
	f := s.finals[h-1]
	return f.Block, f.Cert
}

// Get implements [replica.Chain].
func (s *store) Get(id cid.Cid) ([]byte, error) {
	if data, ok := s.nodes[id]; ok && !s.damaged {
		return data, nil
	}
	if data, ok := s.base[id]; ok {
		return data, nil
	}
	if s.damaged {
		return nil, errSpoilt
	}
	return nil, fmt.Errorf("sim: no node %s", id)
}

// Body implements [replica.Chain].
func (s *store) Body(id cid.Cid) (chain.Block, bool, error) {
	if s.spoilt[id] {
		return chain.Block{}, false, errSpoilt
	}
	b, ok := s.bodies[id]
	if !ok {
		return chain.Block{}, false, nil
	}
	return *b, true, nil
}

// Cert implements [replica.Chain].
func (s *store) Cert(h bft.Height) (bft.CommitCert, bool, error) {
	if h == 0 || h > s.height() {
		return bft.CommitCert{}, false, nil
	}
	return s.finals[h-1].Cert, true, nil
}
