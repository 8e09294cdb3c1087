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
	if e.newSet, err = s.changesSet(f.Block.Header); err != nil {
		return err
	}
	if err := s.putFinal(e); err != nil {
		return err
	}
	s.advance(id, f)
	// The removal of other bodies may be lost, and is made up for after a restart.
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

// oneTransaction bounds what is written in one transaction, in bytes and in
// entries. It is well below what badger takes under the smallest profile.
const (
	oneTransactionBytes   = 1 << 20
	oneTransactionEntries = 8_000
)

// putFinal writes content and head (D2). As a rule both fit one transaction,
// which survives a power cut whole or not at all. A large block's content is
// written and synced first: half of it is harmless without the head. Should
// its height be written again after a crash, it is the same again (A1).
func (s *Store) putFinal(e encoded) error {
	content, head := s.contentOf(e), s.headOf(e)
	if s.fits(content) {
		return s.durably(func(ctx context.Context) error { return s.transaction(ctx, putAll(ctx, content, head)) })
	}
	err := s.durably(func(ctx context.Context) error { return s.batch(ctx, putAll(ctx, content)) })
	if err != nil {
		return err
	}
	return s.durably(func(ctx context.Context) error { return s.transaction(ctx, putAll(ctx, head)) })
}

func (s *Store) fits(list []entry) bool {
	size := 0
	for _, x := range list {
		size += len(x.key.String()) + len(x.value)
	}
	return size <= s.limit && len(list) <= oneTransactionEntries
}

// entry is a key with its value. Without a value it is removed.
type entry struct {
	key   ds.Key
	value []byte
}

func putAll(ctx context.Context, lists ...[]entry) func(ds.Write) error {
	return func(w ds.Write) error {
		for _, x := range slices.Concat(lists...) {
			var err error
			if x.value == nil {
				err = w.Delete(ctx, x.key)
			} else {
				err = w.Put(ctx, x.key, x.value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// encoded is what a Final writes, encoded before anything is written.
type encoded struct {
	id       cid.Cid
	height   bft.Height
	txs      []chain.VerifiedTx
	cert     []byte
	block    []entry
	receipts [][]byte
	nodes    []chain.Node
	index    []entry
	newSet   bool // it changes the validators
}

func encodeFinal(id cid.Cid, f Final) (e encoded, err error) {
	e = encoded{id: id, height: f.Block.Header.Height, txs: f.Block.Txs, nodes: f.Result.Nodes}
	if e.block, err = blockEntries(id, f.Block); err != nil {
		return e, err
	}
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

// contentOf returns what the head stands on: what is named by its content, and
// what is only shown up to the head (D3).
func (s *Store) contentOf(e encoded) []entry {
	content := nodeEntries(e.nodes)
	if !s.bodies[e.id].ours {
		content = append(content, e.block...)
	}
	for i, raw := range e.receipts {
		content = append(content, entry{receiptKey(e.height, i), raw})
	}
	return append(content, e.index...)
}

func nodeEntries(nodes []chain.Node) []entry {
	list := make([]entry, len(nodes))
	for i, n := range nodes {
		list[i] = entry{nodeKey(n.ID), n.Data}
	}
	return list
}

// headOf returns certificate, indexes and head. Their number is bounded by
// that of a block's transactions.
func (s *Store) headOf(e encoded) []entry {
	var head []entry
	for i, tx := range e.txs {
		head = append(head, entry{txKey(tx.ID()), place{e.height, i}.encode()})
		if address, ok := s.locals[tx.ID()]; ok {
			head = append(head, entry{localKey(address), nil})
		}
	}
	if e.newSet {
		head = append(head, entry{setsKey(e.height), []byte{}})
	}
	receipts := binary.BigEndian.AppendUint32(nil, uint32(len(e.receipts)))
	return append(head,
		entry{heightKey(e.height), slices.Concat(receipts, e.id.Bytes())},
		entry{certKey(e.height), e.cert},
		entry{headKey, []byte(e.id.String())},
	)
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
	position, err := count(b[8:])
	return place{bft.Height(binary.BigEndian.Uint64(b)), position}, err
}
