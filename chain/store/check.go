package store

import (
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/task"
)

// CheckDepth is how many blocks are walked back after an unclean stop.
const CheckDepth = 256

// Check looks for damage after an unclean stop. It walks back depth blocks
// from the head: each is what its ID says, lies on the one below, and has its
// receipts and a certificate that verifies. It reads the whole state at the
// head, node by node, each against its address, and adds it up (A2). Anything
// amiss is [ErrCorrupt]. In an empty store there is nothing to be amiss.
func (s *Store) Check(scheme bft.Scheme, depth int) error {
	head, err := s.Head()
	if errors.Is(err, ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if err := s.checkState(head); err != nil {
		return err
	}
	above := head.ID
	for h := head.Height; h > 0 && depth > 0; h, depth = h-1, depth-1 {
		header, err := s.checkBlock(scheme, h, above)
		if err != nil {
			return err
		}
		above = header.Parent
	}
	return nil
}

// checkBlock checks the block of a height, which the one above names.
func (s *Store) checkBlock(scheme bft.Scheme, h bft.Height, want cid.Cid) (chain.Header, error) {
	id, header, err := s.HeaderAt(h)
	if err != nil {
		return header, missing(err)
	}
	if id != want {
		return header, fmt.Errorf("%w: block %d is %s, the chain above it says %s", ErrCorrupt, h, id, want)
	}
	if _, err := s.BlockAt(h); err != nil {
		return header, missing(err)
	}
	if _, err := s.Receipts(h); err != nil {
		return header, missing(err)
	}
	cert, err := s.CertAt(h)
	if err != nil {
		return header, missing(err)
	}
	set, err := s.validators(h)
	if err != nil {
		return header, err
	}
	v := bft.Verifier{Scheme: scheme, Genesis: s.chainHash(), Height: h, Set: set, Entropy: rand.Reader}
	if err := v.CommitCert(&cert); err != nil {
		return header, fmt.Errorf("%w: certificate of height %d: %w", ErrCorrupt, h, err)
	}
	return header, nil
}

// validators returns the set that agreed on a height: the one in the state of
// the block below.
func (s *Store) validators(h bft.Height) (bft.ValidatorSet, error) {
	state, err := s.StateAt(h - 1)
	if err != nil {
		return bft.ValidatorSet{}, missing(err)
	}
	return state.Validators(), nil
}

// StateAt returns the state after the final block at a height, if its nodes
// are still here.
func (s *Store) StateAt(h bft.Height) (chain.State, error) {
	tip, root, err := s.tipAt(h)
	if err != nil {
		return chain.State{}, err
	}
	state, err := chain.OpenState(s, root, tip)
	if err != nil {
		return chain.State{}, unreadable(err)
	}
	return state, nil
}

func (s *Store) tipAt(h bft.Height) (chain.Tip, cid.Cid, error) {
	if h == 0 {
		m, err := s.meta()
		return m.Tip, m.StateRoot, err
	}
	id, header, err := s.HeaderAt(h)
	return chain.Tip{Height: h, ID: id, Time: header.Time}, header.StateRoot, err
}

// checkState reads all of the state at the head.
func (s *Store) checkState(head Head) error {
	state, err := chain.OpenState(s, head.StateRoot, head.Tip)
	if err != nil {
		return unreadable(err)
	}
	err = errors.Join(
		state.Check(),
		state.EachPlatform(func(atp.ID, task.Platform) error { return nil }),
		state.EachTask(func(task.Task) error { return nil }),
		state.EachEvidence(func(task.Key, task.Evidence) error { return nil }),
	)
	return unreadable(err)
}

// unreadable marks an error of a stored state as damage, also when a node of
// it is not found.
func unreadable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %v", ErrCorrupt, err)
}
