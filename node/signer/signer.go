package signer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/sage-p2p/sage-p2p/bft"
)

// Key makes signatures. The real one is Ed25519 ([NewKey]); the simulator has
// one that costs nothing.
type Key interface {
	ID() bft.ID
	Sign(message []byte) bft.Signature
	ProveBeacon(below bft.Beacon, h bft.Height) bft.BeaconProof
}

// Signer signs for one platform. Its methods may be called concurrently.
type Signer struct {
	key     Key
	host    crypto.PrivKey // nil without a home
	home    string         // empty without one
	release func() error

	mu       sync.Mutex // guards the fields below; held while the record is written
	slots    *slots
	genesis  bft.GenesisHash // zero until Bind
	left     []bft.GenesisHash
	record   bft.Record // as in the file, but for a newer final height
	settled  bool       // both pairs of copies hold it
	failed   error      // K4: the first failure
	silenced string     // K7: why nothing is signed, unless empty
}

// Format makes the record of a key that has never signed, in an empty file of
// [FileSize] bytes. Only who made the key can know that.
func Format(key Key, file File) (*Signer, error) {
	s := newSigner(key, newSlots(file))
	return s, s.engrave(bft.NewRecord())
}

// cure is what an operator can do about a lost record.
const cure = "recover the record with a watermark, or move the home away and join as a new platform"

// Load opens the record of a key, writes anew what a crash may have torn, and
// any signature that came out wrong ([bft.Verifier.Seal] kept it here), and
// counts the start. It fails with [ErrNeedsRecovery] when no copy is
// whole, and with [ErrForeign] when the record is of another key (K5).
func Load(key Key, file File) (*Signer, error) {
	slots, raw, err := loadSlots(file)
	if errors.Is(err, errNoSlot) {
		return nil, fmt.Errorf("%w: what this key has signed is not known, as %w: %s", ErrNeedsRecovery, err, cure)
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	s := newSigner(key, slots)
	record, err := s.decode(raw)
	if err != nil {
		return nil, err
	}
	if err := slots.confirm(raw); err != nil {
		return nil, fmt.Errorf("%w: confirming the record: %w", ErrFailed, err)
	}
	record.BootCount++
	return s, s.engrave(record.Resign(s.genesis, key.Sign))
}

func newSigner(key Key, slots *slots) *Signer {
	return &Signer{key: key, slots: slots, release: func() error { return nil }}
}

// encode returns what a slot holds: genesis hash, key hash, chains left, record.
func (s *Signer) encode(r bft.Record) []byte {
	owner, left, record := s.owner(), encodeLeft(s.left), r.Encode()
	b := make([]byte, 0, len(s.genesis)+len(owner)+len(left)+len(record))
	b = append(b, s.genesis[:]...)
	b = append(b, owner[:]...)
	b = append(b, left...)
	return append(b, record...)
}

func (s *Signer) decode(raw []byte) (bft.Record, error) {
	owner, n := s.owner(), len(s.genesis)
	if len(raw) < n+len(owner) {
		return bft.Record{}, fmt.Errorf("%w: the record has %d bytes", ErrNeedsRecovery, len(raw))
	}
	if !bytes.Equal(raw[n:n+len(owner)], owner[:]) {
		return bft.Record{}, fmt.Errorf("%w: it is not of the key of %s: put the key and its record back together", ErrForeign, s.key.ID())
	}
	left, rest, err := decodeLeft(raw[n+len(owner):])
	if err != nil {
		return bft.Record{}, err
	}
	copy(s.genesis[:], raw)
	s.left = left
	r, err := bft.DecodeRecord(rest)
	if err != nil {
		return bft.Record{}, fmt.Errorf("%w: %w", ErrNeedsRecovery, err)
	}
	return r, nil
}

// owner is the hash that ties a record to its key.
func (s *Signer) owner() [sha256.Size]byte { return sha256.Sum256([]byte(s.key.ID().ID)) }

// write makes r the record, in two copies (K2), or nothing works any more (K4).
func (s *Signer) write(r bft.Record) error {
	r.WriteCounter = s.slots.counter + 1
	if err := s.slots.write(s.encode(r)); err != nil {
		s.failed = fmt.Errorf("%w: writing the record: %w", ErrFailed, err)
		return s.failed
	}
	s.record, s.settled = r, false
	return nil
}

// engrave makes r the record in all copies.
func (s *Signer) engrave(r bft.Record) error {
	if err := s.write(r); err != nil {
		return err
	}
	return s.settle()
}

func (s *Signer) settle() error {
	err := s.write(s.record)
	s.settled = err == nil
	return err
}

// Settle brings the pair of copies that the last update left alone up to it. It
// is to be called when nothing was signed for a moment, and does nothing if
// there is nothing to do.
func (s *Signer) Settle() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil || s.settled {
		return s.failed
	}
	return s.settle()
}

// Bind ties the record to a chain, durably. It must come before anything of
// the chain is stored. Binding to the same chain again does nothing; to
// another it fails with [ErrForeign].
func (s *Signer) Bind(genesis bft.GenesisHash) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failed != nil:
		return s.failed
	case genesis == bft.GenesisHash{}:
		return fmt.Errorf("%w: no chain has the genesis hash zero", ErrRefused)
	case s.genesis == genesis:
		return nil
	case slices.Contains(s.left, genesis):
		return fmt.Errorf("%w: this key has left the chain %v, and what it signed there is not known any more (K8)", ErrForeign, genesis)
	case s.genesis != bft.GenesisHash{}:
		return fmt.Errorf("%w: this key signs for the chain %v, not for %v: use another home", ErrForeign, s.genesis, genesis)
	}
	s.genesis = genesis
	return s.engrave(s.record)
}

// Genesis returns the chain that the record is tied to; zero if none yet.
func (s *Signer) Genesis() bft.GenesisHash {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.genesis
}

// ID returns the platform's identity.
func (s *Signer) ID() bft.ID { return s.key.ID() }

// Record returns what was signed last.
func (s *Signer) Record() bft.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record
}

// Syncs returns how often the record was made durable since it was opened: once
// for each update.
func (s *Signer) Syncs() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slots.syncs
}

// Sign returns a signature for each statement, in order, after one update has
// made all of them durable. A statement that was signed before gets the same
// signature. If any of them may not be signed, the error wraps
// [bft.ErrContradiction] or [ErrRefused], none is, and nothing has changed.
func (s *Signer) Sign(statements ...bft.Unsigned) ([]bft.Signature, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return nil, s.failed
	}
	switch {
	case s.genesis == (bft.GenesisHash{}):
		return nil, fmt.Errorf("%w: the record is not tied to a chain yet", ErrRefused)
	case s.silenced != "":
		return nil, fmt.Errorf("%w: the key is silenced: %s", ErrRefused, s.silenced)
	}
	next, fresh := s.record, false
	signatures := make([]bft.Signature, 0, len(statements))
	for _, u := range statements {
		said, err := next.Admit(u)
		if err != nil {
			return nil, fmt.Errorf("signer: %w", err)
		}
		if said != nil {
			signatures = append(signatures, said.Signature)
			continue
		}
		signature := s.key.Sign(u.SignedBytes(s.genesis))
		next, fresh = next.Keep(u, s.key.ID(), signature), true
		signatures = append(signatures, signature)
	}
	if fresh {
		if err := s.write(next); err != nil {
			return nil, err
		}
	}
	return signatures, nil
}

// Finalize notes a final block. It becomes durable with the next update, or with
// Close: see the package comment.
func (s *Signer) Finalize(h bft.Height, id cid.Cid) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record = s.record.Finalize(h, id)
}

// domainPrefix begins everything of ours that is signed.
const domainPrefix = "sage/"

// consensusDomains begin what only [Signer.Sign] signs.
var consensusDomains = [...]string{"sage/proposal/", "sage/prepare/", "sage/commit/", "sage/timeout/"}

// SignBytes signs a message that is not of consensus and begins with its
// domain, such as sage/tx/1. It fails with [ErrRefused] for any other.
func (s *Signer) SignBytes(message []byte) (bft.Signature, error) {
	s.mu.Lock()
	failed := s.failed
	s.mu.Unlock()
	if failed != nil {
		return bft.Signature{}, failed
	}
	text := string(message)
	if !strings.HasPrefix(text, domainPrefix) {
		return bft.Signature{}, fmt.Errorf("%w: the message begins with no domain of ours", ErrRefused)
	}
	for _, d := range consensusDomains {
		if strings.HasPrefix(text, d) {
			return bft.Signature{}, fmt.Errorf("%w: %s is of consensus, and goes through the record", ErrRefused, d)
		}
	}
	return s.key.Sign(message), nil
}

// ProveBeacon returns our proof for a block of height h over the beacon below.
// The same input always gives the same proof, so that no record is needed.
func (s *Signer) ProveBeacon(below bft.Beacon, h bft.Height) bft.BeaconProof {
	return s.key.ProveBeacon(below, h)
}

// HostKey returns the key as a libp2p host needs it: it makes handshakes and
// signs nothing of ours. It is nil for a signer without a home.
func (s *Signer) HostKey() crypto.PrivKey { return s.host }

// Close writes the final height and lets go of the key. The signer signs
// nothing afterwards.
func (s *Signer) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.failed == nil {
		err = s.engrave(s.record)
		s.failed = fmt.Errorf("%w: the signer is closed", ErrRefused)
	}
	return errors.Join(err, s.release())
}
