package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// PutBody keeps blocks that are about to be proposed or voted for, until their
// height is final. They are durable when it returns.
func (s *Store) PutBody(blocks ...chain.Block) error {
	var (
		ids  []cid.Cid
		list []entry
	)
	for _, b := range blocks {
		id, err := b.Header.ID()
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		block, err := blockEntries(id, b)
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		ids = append(ids, id)
		list = append(append(list, block...), entry{votedKey(b.Header.Height, id), []byte{}})
	}
	s.writer.Lock()
	defer s.writer.Unlock()
	if err := s.writable(); err != nil {
		return err
	}
	err := s.durably(func(ctx context.Context) error { return s.batch(ctx, putAll(ctx, list)) })
	if err != nil {
		return err
	}
	for i, id := range ids {
		s.bodies[id] = body{blocks[i].Header.Height, true}
	}
	return nil
}

// body is a block that was put before its height was final.
type body struct {
	height bft.Height
	ours   bool // put by this process, so that no damage can have come to it
}

// loadBodies finds what the last process left.
func (s *Store) loadBodies() error {
	return s.each(votedPrefix, func(key string, _ []byte) (bool, error) {
		height, id, _ := strings.Cut(strings.TrimPrefix(key, votedPrefix+"/"), "/")
		h, err := parseUp(height)
		if err != nil {
			return false, err
		}
		c, err := cid.Decode(id)
		if err != nil {
			return false, fmt.Errorf("%w: %s: %w", ErrCorrupt, key, err)
		}
		s.bodies[c] = body{height: h}
		return true, nil
	})
}

// prune removes the marks of bodies up to a height, and the bodies that did not
// become final. The caller is the writer.
func (s *Store) prune(ctx context.Context, upTo bft.Height) error {
	return s.batch(ctx, func(w ds.Write) error {
		for id, b := range s.bodies {
			if b.height > upTo {
				continue
			}
			if final, _, err := s.at(b.height); err != nil {
				return err
			} else if final != id {
				if err := s.deleteBlock(ctx, w, id); err != nil {
					return err
				}
			}
			if err := w.Delete(ctx, votedKey(b.height, id)); err != nil {
				return err
			}
			delete(s.bodies, id)
		}
		return nil
	})
}

func (s *Store) deleteBlock(ctx context.Context, w ds.Write, id cid.Cid) error {
	_, n, err := s.header(id)
	if errors.Is(err, ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	for i := range n {
		if err := w.Delete(ctx, blockTxKey(id, i)); err != nil {
			return err
		}
	}
	return w.Delete(ctx, blockKey(id))
}

// PutLocal keeps transactions made here until they are final or dropped. They
// are durable when it returns.
func (s *Store) PutLocal(txs ...chain.VerifiedTx) error {
	return s.write(func(ctx context.Context) error {
		var list []entry
		for _, tx := range txs {
			list = append(list, entry{localKey(tx.Address()), tx.Bytes()})
		}
		if err := s.batch(ctx, putAll(ctx, list)); err != nil {
			return err
		}
		for _, tx := range txs {
			s.locals[tx.ID()] = tx.Address()
		}
		return nil
	})
}

// DropLocal forgets transactions made here that can not become final any more.
func (s *Store) DropLocal(ids ...cid.Cid) error {
	return s.write(func(ctx context.Context) error {
		var list []entry
		for _, id := range ids {
			if address, ok := s.locals[id]; ok {
				list = append(list, entry{localKey(address), nil})
			}
		}
		if err := s.batch(ctx, putAll(ctx, list)); err != nil {
			return err
		}
		for _, id := range ids {
			delete(s.locals, id)
		}
		return nil
	})
}

// Locals returns the transactions made here that are not final, by sender and
// nonce.
func (s *Store) Locals() ([]chain.VerifiedTx, error) {
	var txs []chain.Transaction
	err := s.each(localPrefix, func(key string, value []byte) (bool, error) {
		if atp.Sum(value).String() != lastPart(key) {
			return false, fmt.Errorf("%w: %s is not what its address says", ErrCorrupt, key)
		}
		tx, err := chain.DecodeTx(value)
		if err != nil {
			return false, fmt.Errorf("%w: %s: %w", ErrCorrupt, key, err)
		}
		txs = append(txs, tx)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	verified, errs := chain.VerifyTxs(stored{}, nil, s.chainHash(), txs)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: journal: %w", ErrCorrupt, err)
	}
	slices.SortFunc(verified, func(a, b chain.VerifiedTx) int {
		x, y := a.Tx(), b.Tx()
		return cmp.Or(strings.Compare(string(x.From.ID), string(y.From.ID)), cmp.Compare(x.Nonce, y.Nonce))
	})
	return verified, nil
}

// loadLocals fills the index of the journal.
func (s *Store) loadLocals() error {
	txs, err := s.Locals()
	for _, tx := range txs {
		s.locals[tx.ID()] = tx.Address()
	}
	return err
}

// PutPeers keeps the last known addresses of peers, in place of those before.
func (s *Store) PutPeers(peers []peer.AddrInfo) error {
	raw, err := json.Marshal(peers)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return s.write(func(ctx context.Context) error { return s.db.Put(ctx, peersKey, raw) })
}

// Peers returns the last known addresses of peers: none at first.
func (s *Store) Peers() ([]peer.AddrInfo, error) {
	raw, err := s.get(peersKey)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var peers []peer.AddrInfo
	if err := json.Unmarshal(raw, &peers); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCorrupt, peersKey, err)
	}
	return peers, nil
}
