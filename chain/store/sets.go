package store

import (
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

var _ chain.Archive = (*Store)(nil)

// changesSet reports whether a block on the head changes the validators.
func (s *Store) changesSet(h chain.Header) (bool, error) {
	head, err := s.Head()
	if err != nil {
		return false, err
	}
	if head.Height > 0 {
		return h.ValidatorsHash != head.Header.ValidatorsHash, nil
	}
	first, err := s.StateAt(0)
	return h.ValidatorsHash != first.Validators().Hash(), missing(err)
}

// SetChanges returns the final heights up to one whose blocks changed the
// validators, lowest first, and limit of them at most. It implements
// [chain.Archive].
func (s *Store) SetChanges(upTo bft.Height, limit int) ([]bft.Height, error) {
	var heights []bft.Height
	err := s.each(setsPrefix, func(key string, _ []byte) (bool, error) {
		h, err := parseUp(lastPart(key))
		if err != nil || h > upTo || !s.final(h) || len(heights) == limit {
			return false, err
		}
		heights = append(heights, h)
		return true, nil
	})
	return heights, err
}
