package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// Final is a decided block with what executing it gave.
type Final struct {
	Block  chain.Block
	Cert   bft.CommitCert
	Result chain.Result
}

// Commit makes a block final: the new head. When it returns, the block, its
// certificate, receipts, state and indexes are on the disk (D2, D3). It fails
// with [ErrOutOfOrder] for any but the block above the head.
func (s *Store) Commit(f Final) error {
	id, err := f.Block.Header.ID()
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	e, err := encodeFinal(id, f)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	s.writer.Lock()
	defer s.writer.Unlock()
	if err := s.writable(); err != nil {
		return err
	}
	if err := s.follows(id, f); err != nil {
		return err
	}
	err = s.durably(func(ctx context.Context) error {
		if err := s.batch(ctx, func(w ds.Write) error { return s.putContent(ctx, w, e) }); err != nil {
			return err
		}
		return s.transaction(ctx, func(w ds.Write) error { return s.putHead(ctx, w, e) })
	})
	if err != nil {
		return err
	}
	s.advance(id, f)
	// What is left of other bodies may be lost, and found again by the next.
	if err := s.prune(context.Background(), f.Block.Header.Height); err != nil {
		s.failed = err
		return fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return nil
}

// follows checks that a block is the next. The caller is the writer.
func (s *Store) follows(id cid.Cid, f Final) error {
	head, err := s.Head()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOutOfOrder, err)
	}
	h := f.Block.Header
	switch {
	case h.Height != head.Height+1 || h.Parent != head.ID:
		return fmt.Errorf("%w: have block %d on %s, want %d on %s", ErrOutOfOrder, h.Height, h.Parent, head.Height+1, head.ID)
	case f.Cert.Height != h.Height || f.Cert.Block != id:
		return fmt.Errorf("%w: block %d is %s, its certificate is for %s at %d", ErrOutOfOrder, h.Height, id, f.Cert.Block, f.Cert.Height)
	}
	return nil
}

// advance lets readers see the new head.
func (s *Store) advance(id cid.Cid, f Final) {
	for _, tx := range f.Block.Txs {
		delete(s.locals, tx.ID())
	}
	h := f.Block.Header
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head = Head{Tip: chain.Tip{Height: h.Height, ID: id, Time: h.Time}, StateRoot: h.StateRoot, Header: h}
}

// encoded is what a Final writes, encoded before anything is written.
type encoded struct {
	id       cid.Cid
	height   bft.Height
	block    chain.Block
	cert     []byte
	receipts [][]byte
	nodes    []chain.Node
	index    []entry
}

// entry is a key with its value.
type entry struct {
	key   ds.Key
	value []byte
}

func encodeFinal(id cid.Cid, f Final) (e encoded, err error) {
	e = encoded{id: id, height: f.Block.Header.Height, block: f.Block, nodes: f.Result.Nodes}
	if e.cert, err = atp.Encode(&f.Cert); err != nil {
		return e, err
	}
	for _, r := range f.Result.Receipts {
		raw, err := r.Encode()
		if err != nil {
			return e, err
		}
		e.receipts = append(e.receipts, raw)
	}
	e.index, err = indexOf(e.height, f.Result.Receipts)
	return e, err
}

// putContent writes what is harmless without the head: what is named by its
// content, and what is only shown up to the head (D3). Should the same height
// be written again after a crash, it is the same again (A1).
func (s *Store) putContent(ctx context.Context, w ds.Write, e encoded) error {
	if err := putNodes(ctx, w, e.nodes); err != nil {
		return err
	}
	if !s.bodies[e.id] {
		if err := putBlock(ctx, w, e.id, e.block); err != nil {
			return err
		}
	}
	for i, raw := range e.receipts {
		if err := w.Put(ctx, receiptKey(e.height, i), raw); err != nil {
			return err
		}
	}
	for _, x := range e.index {
		if err := w.Put(ctx, x.key, x.value); err != nil {
			return err
		}
	}
	return nil
}

// putHead writes certificate, indexes and head. Its size is bounded by the
// number of a block's transactions, and fits the smallest profile.
func (s *Store) putHead(ctx context.Context, w ds.Write, e encoded) error {
	for i, tx := range e.block.Txs {
		if err := w.Put(ctx, txKey(tx.ID()), place{e.height, i}.encode()); err != nil {
			return err
		}
		if address, ok := s.locals[tx.ID()]; ok {
			if err := w.Delete(ctx, localKey(address)); err != nil {
				return err
			}
		}
	}
	receipts := binary.BigEndian.AppendUint32(nil, uint32(len(e.receipts)))
	for _, x := range []entry{
		{heightKey(e.height), slices.Concat(receipts, e.id.Bytes())},
		{certKey(e.height), e.cert},
		{headKey, []byte(e.id.String())},
	} {
		if err := w.Put(ctx, x.key, x.value); err != nil {
			return err
		}
	}
	return nil
}

// place is where a transaction is: at a position of the block of a height.
type place struct {
	height   bft.Height
	position int
}

func (p place) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(p.height))
	return binary.BigEndian.AppendUint32(b, uint32(p.position))
}

func decodePlace(b []byte) (place, error) {
	if len(b) != 12 {
		return place{}, fmt.Errorf("%w: place of a transaction: %d bytes", ErrCorrupt, len(b))
	}
	return place{bft.Height(binary.BigEndian.Uint64(b)), int(binary.BigEndian.Uint32(b[8:]))}, nil
}
