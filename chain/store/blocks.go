package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// stored is the scheme by which transactions out of the store are judged:
// they were verified before they came in. That they are the same is shown by
// their addresses, which the header's body root covers, signatures included.
type stored struct{}

func (stored) Verify(bft.Claim) bool { return true }

func (stored) VerifyBatch(_ io.Reader, batch []bft.Claim) []bool {
	good := make([]bool, len(batch))
	for i := range good {
		good[i] = true
	}
	return good
}

// blockEntries returns how a block is stored: its transactions one by one, so
// that no value is larger than one, and the header with their number.
func blockEntries(id cid.Cid, b chain.Block) ([]entry, error) {
	header, err := b.Header.Encode()
	if err != nil {
		return nil, err
	}
	list := make([]entry, 0, len(b.Txs)+1)
	for i, tx := range b.Txs {
		list = append(list, entry{blockTxKey(id, i), tx.Bytes()})
	}
	value := binary.BigEndian.AppendUint32(nil, uint32(len(b.Txs)))
	return append(list, entry{blockKey(id), append(value, header...)}), nil
}

// header reads a block's header and the number of its transactions.
func (s *Store) header(id cid.Cid) (chain.Header, int, error) {
	raw, err := s.get(blockKey(id))
	if err != nil {
		return chain.Header{}, 0, err
	}
	if len(raw) < 4 || atp.Sum(raw[4:]) != id {
		return chain.Header{}, 0, fmt.Errorf("%w: block %s is not what its ID says", ErrCorrupt, id)
	}
	h, err := chain.DecodeHeader(raw[4:])
	if err != nil {
		return chain.Header{}, 0, fmt.Errorf("%w: block %s: %w", ErrCorrupt, id, err)
	}
	n, err := count(raw)
	return h, n, err
}

// Block returns a block by its ID, final or not. One that a crash left
// incomplete before it was final is not found.
func (s *Store) Block(id cid.Cid) (chain.Block, error) {
	header, n, err := s.header(id)
	if err != nil {
		return chain.Block{}, err
	}
	b, err := s.fill(id, header, n)
	if final, _, e := s.at(header.Height); e == nil && final == id {
		err = missing(err)
	}
	return b, err
}

// fill reads the n transactions of a block.
func (s *Store) fill(id cid.Cid, header chain.Header, n int) (chain.Block, error) {
	if n > chain.MaxBodyTxs {
		return chain.Block{}, fmt.Errorf("%w: block %s with %d transactions", ErrCorrupt, id, n)
	}
	body := chain.Body{Txs: make([]chain.Transaction, n)}
	for i := range body.Txs {
		raw, err := s.get(blockTxKey(id, i))
		if err != nil {
			return chain.Block{}, err
		}
		if body.Txs[i], err = chain.DecodeTx(raw); err != nil {
			return chain.Block{}, fmt.Errorf("%w: block %s, transaction %d: %w", ErrCorrupt, id, i, err)
		}
	}
	block, err := body.Verify(stored{}, nil, s.chainHash(), header)
	if err != nil {
		return chain.Block{}, fmt.Errorf("%w: block %s: %w", ErrCorrupt, id, err)
	}
	return block, nil
}

// Body returns a block by its ID, final or not, and whether it is there.
func (s *Store) Body(id cid.Cid) (chain.Block, bool, error) { return present(s.Block(id)) }

// present turns "not found" into false.
func present[T any](v T, err error) (T, bool, error) {
	if errors.Is(err, ErrNotFound) {
		return v, false, nil
	}
	return v, err == nil, err
}

// at returns the ID of the final block at a height above the genesis, and how
// many receipts it has.
func (s *Store) at(h bft.Height) (id cid.Cid, receipts int, err error) {
	if h == 0 || !s.final(h) {
		return cid.Undef, 0, fmt.Errorf("%w: no final block at height %d", ErrNotFound, h)
	}
	raw, err := s.must(heightKey(h))
	if err != nil {
		return cid.Undef, 0, err
	}
	if receipts, err = count(raw); err != nil {
		return cid.Undef, 0, fmt.Errorf("height %d: %w", h, err)
	}
	id, err = cid.Cast(raw[4:])
	if err != nil {
		return cid.Undef, 0, fmt.Errorf("%w: ID of block %d: %w", ErrCorrupt, h, err)
	}
	return id, receipts, nil
}

// count reads how many there are of what keys number, from the first 4 bytes of
// a record. A key has four digits for it: a damaged record costs no more memory
// than they allow.
func count(raw []byte) (int, error) {
	if len(raw) < 4 {
		return 0, fmt.Errorf("%w: a count in %d bytes", ErrCorrupt, len(raw))
	}
	n := binary.BigEndian.Uint32(raw)
	if n > 1<<16 {
		return 0, fmt.Errorf("%w: a count of %d", ErrCorrupt, n)
	}
	return int(n), nil
}

// HeaderAt returns the ID and the header of the final block at a height.
func (s *Store) HeaderAt(h bft.Height) (cid.Cid, chain.Header, error) {
	id, _, err := s.at(h)
	if err != nil {
		return cid.Undef, chain.Header{}, err
	}
	header, _, err := s.header(id)
	if err == nil && header.Height != h {
		err = fmt.Errorf("%w: block %s is of height %d, not %d", ErrCorrupt, id, header.Height, h)
	}
	return id, header, missing(err)
}

// BlockAt returns the final block at a height.
func (s *Store) BlockAt(h bft.Height) (chain.Block, error) {
	id, _, err := s.HeaderAt(h)
	if err != nil {
		return chain.Block{}, err
	}
	b, err := s.Block(id)
	return b, missing(err)
}

// Cert returns the certificate of a final height, and whether it is there.
func (s *Store) Cert(h bft.Height) (bft.CommitCert, bool, error) { return present(s.CertAt(h)) }

// CertAt returns the certificate of a final height.
func (s *Store) CertAt(h bft.Height) (bft.CommitCert, error) {
	id, _, err := s.at(h)
	if err != nil {
		return bft.CommitCert{}, err
	}
	raw, err := s.must(certKey(h))
	if err != nil {
		return bft.CommitCert{}, err
	}
	var c bft.CommitCert
	if err := chain.DecodeExactly(raw, bft.MaxMessage, &c); err != nil {
		return bft.CommitCert{}, fmt.Errorf("%w: certificate of height %d: %w", ErrCorrupt, h, err)
	}
	if c.Height != h || c.Block != id {
		return bft.CommitCert{}, fmt.Errorf("%w: certificate of height %d is for %s at %d", ErrCorrupt, h, c.Block, c.Height)
	}
	return c, nil
}

// FinalBlock is a final block with its proof.
type FinalBlock struct {
	Block chain.Block
	Cert  bft.CommitCert
}

// Blocks yields the final blocks from a height to the head, lowest first, for
// serving those that catch up. It ends at the first error.
func (s *Store) Blocks(from bft.Height) iter.Seq2[FinalBlock, error] {
	return func(yield func(FinalBlock, error) bool) {
		for h := max(from, 1); s.final(h); h++ {
			b, err := s.BlockAt(h)
			if err != nil {
				yield(FinalBlock{}, err)
				return
			}
			c, err := s.CertAt(h)
			if !yield(FinalBlock{b, c}, err) || err != nil {
				return
			}
		}
	}
}
