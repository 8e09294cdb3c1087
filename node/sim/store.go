package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// store is the chain on a simulated disk: a log of entries of which a crash
// keeps those that were synced, and any number of the next ones. It implements
// [replica.Chain].
type store struct {
	fuse   *fuse
	base   map[cid.Cid][]byte // nodes of the genesis, shared and never changed
	log    []entry
	synced int // entries that no crash takes away

	// What the log says.
	nodes  map[cid.Cid][]byte
	bodies map[cid.Cid]chain.Block
	finals []finalBlock // of heights 1, 2, …
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

func newStore(f *fuse, genesis map[cid.Cid][]byte) *store {
	s := &store{fuse: f, base: genesis}
	s.replay()
	return s
}

// replay reads the log from its beginning.
func (s *store) replay() {
	s.nodes, s.bodies = make(map[cid.Cid][]byte), make(map[cid.Cid]chain.Block)
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
		s.bodies[e.id] = *e.body
	case e.head != nil:
		s.finals = append(s.finals, *e.head)
	}
	for _, n := range e.nodes {
		s.nodes[n.ID] = n.Data
	}
}

func (s *store) write(e entry) error {
	s.log = append(s.log, e)
	if s.fuse.burn() {
		return errCrash
	}
	s.read(e)
	return nil
}

func (s *store) sync() error {
	if s.fuse.burn() {
		return errCrash
	}
	s.synced = len(s.log)
	return nil
}

// crash keeps what was synced, and of the rest what the disk had got to.
func (s *store) crash(r *rand.Rand) {
	s.log = s.log[:s.synced+r.IntN(len(s.log)-s.synced+1)]
	s.synced = len(s.log)
	s.replay()
}

// putLocal keeps a transaction that was submitted here.
func (s *store) putLocal(tx chain.VerifiedTx) error {
	if err := s.write(entry{local: &tx}); err != nil {
		return err
	}
	return s.sync()
}

// putBody keeps a block that is about to be spoken for.
func (s *store) putBody(b chain.Block) error {
	id, err := b.Header.ID()
	if err != nil {
		return err
	}
	if err := s.write(entry{body: &b, id: id}); err != nil {
		return err
	}
	return s.sync()
}

// commit makes a block final, in the order of reliability.md: content, then the
// head, then one sync.
func (s *store) commit(f replica.Final) error {
	id, err := f.Block.Header.ID()
	if err != nil {
		return err
	}
	if want := bft.Height(len(s.finals) + 1); f.Block.Header.Height != want {
		return fmt.Errorf("sim: block %d on a store at %d", f.Block.Header.Height, want-1)
	}
	for _, e := range []entry{{body: &f.Block, id: id}, {nodes: f.Result.Nodes}, {head: &finalBlock{id, f}}} {
		if err := s.write(e); err != nil {
			return err
		}
	}
	return s.sync()
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
	if data, ok := s.nodes[id]; ok {
		return data, nil
	}
	if data, ok := s.base[id]; ok {
		return data, nil
	}
	return nil, fmt.Errorf("sim: no node %s", id)
}

// Body implements [replica.Chain].
func (s *store) Body(id cid.Cid) (chain.Block, bool, error) {
	b, ok := s.bodies[id]
	return b, ok, nil
}

// Cert implements [replica.Chain].
func (s *store) Cert(h bft.Height) (bft.CommitCert, bool, error) {
	if h == 0 || h > s.height() {
		return bft.CommitCert{}, false, nil
	}
	return s.finals[h-1].Cert, true, nil
}
