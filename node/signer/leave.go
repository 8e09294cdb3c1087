package signer

import (
	"fmt"
	"slices"

	"github.com/sage-p2p/sage-p2p/bft"
)

// MaxLeft is how many chains a key may leave, so that no stranger can lead a
// platform from federation to federation for ever.
const MaxLeft = 8

// Leave unties the record from the chain that it is tied to, durably: the key can
// then be bound to another, and never again to this one (K8). Leaving it again
// does nothing. It fails with [ErrRefused] when too many were left, and with
// [ErrForeign] when the record is tied to another chain.
func (s *Signer) Leave(genesis bft.GenesisHash) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failed != nil:
		return s.failed
	case s.genesis == bft.GenesisHash{} && slices.Contains(s.left, genesis):
		return nil
	case s.genesis != genesis:
		return fmt.Errorf("%w: this key signs for the chain %v and cannot leave %v", ErrForeign, s.genesis, genesis)
	case len(s.left) == MaxLeft:
		return fmt.Errorf("%w: this key has left %d chains already", ErrRefused, MaxLeft)
	}
	s.left = append(slices.Clone(s.left), genesis)
	s.genesis = bft.GenesisHash{}
	next := bft.NewRecord()
	next.BootCount = s.record.BootCount
	return s.engrave(next)
}

// Left returns the chains that the key has left, oldest first. It is never bound
// to them again.
func (s *Signer) Left() []bft.GenesisHash {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.left)
}

// encodeLeft writes how many chains were left, in a byte, and their hashes.
func encodeLeft(left []bft.GenesisHash) []byte {
	b := []byte{byte(len(left))}
	for _, g := range left {
		b = append(b, g[:]...)
	}
	return b
}

// decodeLeft reads what encodeLeft writes, and returns what follows.
func decodeLeft(b []byte) (left []bft.GenesisHash, rest []byte, err error) {
	var g bft.GenesisHash
	if len(b) == 0 || b[0] > MaxLeft || len(b) < 1+int(b[0])*len(g) {
		return nil, nil, fmt.Errorf("%w: the chains that were left cannot be read", ErrNeedsRecovery)
	}
	n, b := int(b[0]), b[1:]
	for range n {
		copy(g[:], b)
		left, b = append(left, g), b[len(g):]
	}
	return left, b, nil
}
