package bft

import (
	"crypto/sha256"
	"slices"
)

// MaxValidators bounds a validator set. Certificates, records and slots are
// sized for it.
const MaxValidators = 100

// SetHash identifies a validator set.
type SetHash [32]byte

// ValidatorSet is the platforms that have a vote at one height, ordered by
// the bytes of their IDs. It is immutable. The zero set has no members and
// decides nothing.
type ValidatorSet struct{ list *members }

// members are those of a set that has some; nothing of them changes.
type members struct {
	ids  []ID
	hash SetHash // of ids
}

func (s ValidatorSet) ids() []ID {
	if s.list == nil {
		return nil
	}
	return s.list.ids
}

// NewValidatorSet orders ids into a set. It fails with [ErrInvalid] unless
// there are 1 to [MaxValidators], all different.
func NewValidatorSet(ids ...ID) (ValidatorSet, error) {
	if len(ids) == 0 || len(ids) > MaxValidators {
		return ValidatorSet{}, invalidf("validator set: have %d members, want 1 to %d", len(ids), MaxValidators)
	}
	sorted := slices.SortedFunc(slices.Values(ids), ID.Compare)
	for i, id := range sorted {
		if _, err := idFromBytes([]byte(id.ID)); err != nil {
			return ValidatorSet{}, err
		}
		if i > 0 && sorted[i-1] == id {
			return ValidatorSet{}, invalidf("validator set: %s twice", id)
		}
	}
	return ValidatorSet{&members{sorted, hashOf(sorted)}}, nil
}

// Len returns n, the number of validators.
func (s ValidatorSet) Len() int { return len(s.ids()) }

// F returns f, how many byzantine validators the set bears.
func (s ValidatorSet) F() int { return faults(len(s.ids())) }

// Quorum returns q, how many signatures make a certificate.
func (s ValidatorSet) Quorum() int { return quorum(len(s.ids())) }

// Faults returns f of a set of n ≥ 0 validators.
func Faults(n int) int { return faults(n) }

// faults returns ⌊(n−1)/3⌋. It keeps S2.
func faults(n int) int { return max(n-1, 0) / 3 }

// quorum returns ⌈(n+f+1)/2⌉. It keeps S2: two quorums share 2q−n ≥ f+1
// validators, and q ≤ n−f. (2f+1 is too few unless n = 3f+1.)
func quorum(n int) int { return (n + faults(n) + 2) / 2 }

// ID returns the validator at index i, 0 ≤ i < Len.
func (s ValidatorSet) ID(i int) ID { return s.ids()[i] }

// IDs returns the members in order. The caller may keep and change the slice.
func (s ValidatorSet) IDs() []ID { return slices.Clone(s.ids()) }

// Index returns the place of id in the set, or false if it has no vote.
func (s ValidatorSet) Index(id ID) (int, bool) {
	return slices.BinarySearchFunc(s.ids(), id, ID.Compare)
}

// Contains reports whether id has a vote.
func (s ValidatorSet) Contains(id ID) bool {
	_, ok := s.Index(id)
	return ok
}

// Leader returns validators[(h+v) mod n], who may propose in view v ≥ 0 of
// height h. The zero set is led by nobody.
func (s ValidatorSet) Leader(h Height, v View) ID {
	ids := s.ids()
	if len(ids) == 0 || v < 0 {
		return ID{}
	}
	n := uint64(len(ids))
	// Reduced one by one, so that the sum does not overflow.
	return ids[(uint64(h)%n+uint64(v)%n)%n]
}

// Hash identifies the set.
func (s ValidatorSet) Hash() SetHash {
	if s.list == nil {
		return hashOf(nil)
	}
	return s.list.hash
}

func hashOf(ids []ID) SetHash {
	h := sha256.New()
	h.Write([]byte("sage/validators/1"))
	for _, id := range ids {
		h.Write([]byte(id.ID)) // every ID has the same length
	}
	return SetHash(h.Sum(nil))
}
