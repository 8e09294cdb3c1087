package chain

import (
	"errors"
	"fmt"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// ErrEvidence reports an EVIDENCE that punishes nobody.
var ErrEvidence = fmt.Errorf("chain: %w: evidence", atp.ErrRefused)

// stake is what answers for a platform: one of the three, or nothing.
type stake struct {
	validator *Validator
	candidate *Candidate
	held      *Held
}

func (s stake) bond() (bond atp.Amount, since bft.Height) {
	switch {
	case s.validator != nil:
		return s.validator.Bond, s.validator.Since
	case s.candidate != nil:
		return s.candidate.Bond, s.candidate.Since
	case s.held != nil:
		return s.held.Bond, s.held.Since
	}
	return 0, 0
}

// accuse is EVIDENCE. That the two statements are the signer's was checked with
// the transaction ([attested]). A platform answers for a height with the bond that
// it has had since then, under whatever key; so nothing is punished twice.
func (e *execution) accuse(by atp.ID, a *Evidence) ([]Event, error) {
	at, key := a.Pair.First.Height, atp.ID(a.Pair.First.Signer)
	if err := e.punishable(key, at); err != nil {
		return nil, err
	}
	owner, err := e.newest(key)
	if err != nil {
		return nil, err
	}
	s, err := e.stakeOf(owner)
	if err != nil {
		return nil, err
	}
	bond, since := s.bond()
	if s == (stake{}) || at < since {
		return nil, fmt.Errorf("%w: nothing of %s answers for height %d", ErrEvidence, owner, at)
	}
	if err := e.slash(owner, s); err != nil {
		return nil, err
	}
	if bond > 0 {
		if err := e.ledger().Slash(owner, bond); err != nil {
			return nil, err
		}
	}
	return told(e.disown(owner), &ValidatorSlashed{owner, key, at, bond, by})
}

// punishable reports why what a key said of a height is nobody's fault: it is too
// early, or too late, to speak of that, or the key was replaced before it.
func (e *execution) punishable(key atp.ID, at bft.Height) error {
	switch span := bft.Height(e.constants.Params.Membership.EvidenceSpan); {
	case at > e.header.Height:
		return fmt.Errorf("%w: of height %d: have height %d", ErrEvidence, at, e.header.Height)
	case at+span < e.header.Height:
		return fmt.Errorf("%w: of height %d: have height %d, which is more than %d later", ErrEvidence, at, e.header.Height, span)
	}
	spoke, err := e.ring().spoke(key, at)
	if err == nil && !spoke {
		err = fmt.Errorf("%w: of height %d: the key %s was replaced before it", ErrEvidence, at, key)
	}
	return err
}

func (d *draft) stakeOf(id atp.ID) (s stake, err error) {
	v, votes, err := d.validators.get(accountKey(id))
	if err != nil || votes {
		s.validator = &v
		return s, err
	}
	c, waits, err := d.candidates.get(accountKey(id))
	if err != nil || waits {
		s.candidate = &c
		return s, err
	}
	name, err := heldID(id)
	if err != nil {
		return s, err
	}
	h, has, err := d.held.get(name.KeyString())
	if has {
		s.held = &h
	}
	return s, err
}

// slash takes a platform's vote, or what it has of one; the bond is the caller's.
// The last validator keeps its vote: no operation leaves an empty set.
func (e *execution) slash(id atp.ID, s stake) error {
	key := accountKey(id)
	switch {
	case s.validator != nil && e.root.Census.Validators == 1:
		v := *s.validator
		v.Bond, v.Since = 0, e.header.Height+1
		return e.validators.set(key, v)
	case s.validator != nil:
		return e.unseat(id, *s.validator)
	case s.candidate != nil:
		e.root.Census.Candidates--
		return e.candidates.remove(key)
	}
	return e.letGo(*s.held)
}

// disown takes back that a platform was voted for.
func (e *execution) disown(id atp.ID) error {
	p, known, err := e.platforms.get(accountKey(id))
	if err != nil || !known || !p.Admitted {
		return err
	}
	p.Admitted = false
	return e.platforms.set(accountKey(id), p)
}

// Punishes reports whether an EVIDENCE with e would take something from somebody
// in the block above the state.
func (s State) Punishes(pair bft.Evidence) (bool, error) {
	d := newDraft(newOverlay(s.nodes), s.root, s.constants)
	e := &execution{draft: d, parent: s, header: Header{Height: s.tip.Height + 1}}
	key := atp.ID(pair.First.Signer)
	if err := e.punishable(key, pair.First.Height); errors.Is(err, ErrEvidence) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	owner, err := d.newest(key)
	if err != nil {
		return false, err
	}
	stake, err := d.stakeOf(owner)
	bond, since := stake.bond()
	return bond > 0 && since <= pair.First.Height, errors.Join(err)
}
