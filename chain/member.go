package chain

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// The validators of a height are those in the state after the block below.
// Operations only say who wants to come and who wants to go; the set changes at
// the end of a block, for the next height, and only here (C4):
//
//   - no set is empty, or larger than [bft.MaxValidators];
//   - no admission, no leaving and no absence makes a set of two, which is weaker
//     than one: both must be there, and either stops the other. Evidence may.
//
// An operation that takes a vote away at once (EVIDENCE), or gives it another key
// (KEY_ROTATE), writes the next set itself.

// MaxCandidacy is how far after the time of its block a VALIDATOR_JOIN may
// expire: only who is there joins.
const MaxCandidacy = 60 * atp.Second

// Validator is what the state knows of a platform with a vote.
type Validator struct {
	Joined  bft.Height // the first with its vote, and under its key; 0: of the genesis
	Bond    atp.Amount
	Since   bft.Height // the first that the bond answers for
	Leaving bft.Height // of the block with its VALIDATOR_LEAVE, which waits; 0: it stays
}

// Candidate is a platform that waits to become a validator.
type Candidate struct {
	Until atp.Millis // it is one in blocks up to this time
	Bond  atp.Amount // of what it has bonded
	Since bft.Height // the first that the bond answers for
	Voted bool       // the bond answers for a vote that it had
}

// Refusals of those who would join or leave.
var (
	// ErrAdmission reports a platform that cannot become a validator.
	ErrAdmission = fmt.Errorf("chain: %w: not admitted", atp.ErrRefused)
	// ErrMember reports one that has nothing to leave, or that must stay.
	ErrMember = fmt.Errorf("chain: %w: membership", atp.ErrRefused)
)

// join makes the sender a candidate, or one for longer. A validator stays one.
func (e *execution) join(tx Transaction) ([]Event, error) {
	if latest := e.header.Time.Add(MaxCandidacy); tx.Expires == 0 || tx.Expires > latest {
		return nil, fmt.Errorf("%w: expires: have %d, want at most %d, a minute after the block", ErrAdmission, tx.Expires, latest)
	}
	key := accountKey(tx.From)
	v, member, err := e.validators.get(key)
	if err != nil {
		return nil, err
	}
	if member {
		return told(errors.Join(e.stay(key, v), e.present(key)), &ValidatorStays{tx.From})
	}
	c, again, err := e.candidates.get(key)
	switch {
	case err != nil:
		return nil, err
	case !again:
		return e.candidate(tx)
	}
	c.Until = max(c.Until, tx.Expires)
	return told(e.candidates.set(key, c), &ValidatorCandidate{ID: tx.From, Until: c.Until})
}

// stay takes back a VALIDATOR_LEAVE that waits.
func (e *execution) stay(key string, v Validator) error {
	if v.Leaving == 0 {
		return nil
	}
	v.Leaving = 0
	e.root.Census.Leaving--
	return e.validators.set(key, v)
}

// candidate bonds a new candidate. There are never so many that the next set
// would be too large.
func (e *execution) candidate(tx Transaction) ([]Event, error) {
	if waiting := e.root.Census.Validators + e.root.Census.Candidates; waiting >= bft.MaxValidators {
		return nil, fmt.Errorf("%w: there are %d validators and candidates, and room for no more", ErrAdmission, waiting)
	}
	p, _, err := e.platforms.get(accountKey(tx.From))
	if err != nil {
		return nil, err
	}
	switch {
	case p.Record == nil:
		return nil, fmt.Errorf("%w: %s has not registered as a platform", ErrAdmission, tx.From)
	case e.constants.Params.Admission == AdmitVote && !p.Admitted:
		return nil, fmt.Errorf("%w: it takes the votes of %d of the %d validators: each votes by itself", ErrAdmission, e.parent.validators.Quorum(), e.parent.validators.Len())
	}
	c, bonded, err := e.pledge(tx.From)
	if err != nil {
		return nil, err
	}
	c.Until = tx.Expires
	e.root.Census.Candidates++
	return told(e.candidates.set(accountKey(tx.From), c), &ValidatorCandidate{tx.From, c.Until, bonded})
}

// leave ends a candidacy at once, or has a validator leave as soon as it may.
func (e *execution) leave(from atp.ID) ([]Event, error) {
	key := accountKey(from)
	if c, waits, err := e.candidates.get(key); err != nil || waits {
		if err != nil {
			return nil, err
		}
		left, err := e.dismiss(from, c, e.bondEnds())
		return []Event{left}, err
	}
	v, member, err := e.validators.get(key)
	switch {
	case err != nil:
		return nil, err
	case !member:
		return e.reclaim(from)
	case v.Leaving != 0:
		return told(nil, &ValidatorLeaving{from})
	case e.root.Census.Validators <= e.root.Census.Leaving+1:
		return nil, fmt.Errorf("%w: %s is the last validator that stays: nothing would become final without it", ErrMember, from)
	}
	v.Leaving = e.header.Height
	e.root.Census.Leaving++
	return told(e.validators.set(key, v), &ValidatorLeaving{from})
}

// dismiss ends a candidacy. A bond that answers for a vote of before is held until
// a time, 0 for as long as its owner likes; any other returns.
func (e *execution) dismiss(id atp.ID, c Candidate, until atp.Millis) (Event, error) {
	back := c.Bond
	err := error(nil)
	if c.Voted {
		back, err = 0, e.hold(Held{ID: id, Bond: c.Bond, Since: c.Since, Until: until})
	} else {
		err = e.unbond(id, c.Bond)
	}
	if err != nil {
		return Event{}, err
	}
	e.root.Census.Candidates--
	return Event{&CandidateLeft{id, back}}, e.candidates.remove(accountKey(id))
}

// renew changes the validators for the next height, and tells of it in one
// receipt of the block itself. Nobody pays for it, so nothing can refuse it.
func (e *execution) renew() error {
	if err := e.attend(); err != nil {
		return internal(err)
	}
	events, err := e.excuse()
	if err != nil {
		return internal(err)
	}
	expired, candidates, err := e.expireCandidates()
	if err != nil {
		return internal(err)
	}
	events = append(events, expired...)
	leaving, err := e.leaving()
	if err != nil {
		return internal(err)
	}
	if n, ok := departures(int(e.root.Census.Validators), len(leaving), len(candidates)); ok {
		changed, err := e.change(leaving[:n], candidates)
		if err != nil {
			return internal(err)
		}
		events = append(events, changed...)
	}
	if len(events) > 0 {
		e.receipts = append(e.receipts, Receipt{Subject: e.header.Parent, Events: events})
	}
	return nil
}

// departures returns how many of those who want to leave n validators do, the
// first ones, while so many candidates enter; or that nobody moves. As many
// leave as may: the next set is neither empty nor of two.
func departures(n, leaving, candidates int) (leave int, move bool) {
	for leave = leaving; leave >= 0; leave-- {
		if n-leave >= 1 && n-leave+candidates != 2 {
			return leave, true
		}
	}
	return 0, false
}

// expireCandidates dismisses the candidates whose time is over by that of the
// block, and returns the others in the order of their IDs.
func (e *execution) expireCandidates() (events []Event, live []atp.ID, err error) {
	if e.root.Census.Candidates == 0 {
		return nil, nil, nil
	}
	keys, err := e.candidates.keys()
	if err != nil {
		return nil, nil, err
	}
	for _, key := range keys {
		id, err := idFromKey(key)
		if err != nil {
			return nil, nil, err
		}
		c, _, err := e.candidates.get(key)
		if err != nil {
			return nil, nil, err
		}
		if c.Until >= e.header.Time {
			live = append(live, id)
			continue
		}
		left, err := e.dismiss(id, c, 0)
		if err != nil {
			return nil, nil, err
		}
		events = append(events, left)
	}
	return events, live, nil
}

// leaver is a validator that wants to leave.
type leaver struct {
	id atp.ID
	Validator
}

// leaving returns those who want to leave, who asked first first, then by ID.
func (e *execution) leaving() ([]leaver, error) {
	if e.root.Census.Leaving == 0 {
		return nil, nil
	}
	var list []leaver
	for _, member := range e.parent.validators.IDs() {
		v, _, err := e.validators.get(accountKey(atp.ID(member)))
		if err != nil {
			return nil, err
		}
		if v.Leaving != 0 {
			list = append(list, leaver{atp.ID(member), v})
		}
	}
	slices.SortStableFunc(list, func(a, b leaver) int { return cmp.Compare(a.Leaving, b.Leaving) })
	return list, nil
}

// change lets validators leave, and candidates enter.
func (e *execution) change(leave []leaver, enter []atp.ID) (events []Event, err error) {
	next := e.header.Height + 1
	for _, l := range leave {
		until := e.bondEnds()
		if err := e.unseat(l.id, l.Validator); err != nil {
			return nil, err
		}
		if err := e.hold(Held{ID: l.id, Bond: l.Bond, Since: l.Since, Until: until}); err != nil {
			return nil, err
		}
		events = append(events, Event{&ValidatorLeft{l.id, next, l.Bond, until}})
	}
	for _, id := range enter {
		c, _, err := e.candidates.get(accountKey(id))
		if err != nil {
			return nil, err
		}
		if err := e.candidates.remove(accountKey(id)); err != nil {
			return nil, err
		}
		if err := e.validators.set(accountKey(id), Validator{Joined: next, Bond: c.Bond, Since: c.Since}); err != nil {
			return nil, err
		}
		e.root.Census.Candidates--
		e.root.Census.Validators++
		events = append(events, Event{&ValidatorJoined{id, next}})
	}
	return events, nil
}

// unseat takes a vote away from the next height on, with all that hangs on it but
// the bond.
func (e *execution) unseat(id atp.ID, v Validator) error {
	key := accountKey(id)
	if v.Leaving != 0 {
		e.root.Census.Leaving--
	}
	e.root.Census.Validators--
	return errors.Join(e.validators.remove(key), e.present(key), e.ballots.remove(key))
}

// checkMembers compares the census with the tables, and their bonds with what
// is bonded in all.
func (s State) checkMembers() error {
	have := Census{Validators: uint64(s.validators.Len())}
	bonds := atp.Amount(0)
	err := s.eachHeld(func(h Held) error { return addTo(&bonds, h.Bond) })
	if err != nil {
		return err
	}
	err = s.eachAbsence(func(id atp.ID, _ Absence) error {
		have.Absent++
		if !s.validators.Contains(bft.ID(id)) {
			return fmt.Errorf("%w: height %d: %s is absent, and has no vote", ErrBroken, s.tip.Height, id)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = s.EachCandidate(func(_ atp.ID, c Candidate) error {
		have.Candidates++
		return addTo(&bonds, c.Bond)
	})
	if err != nil {
		return err
	}
	for _, id := range s.validators.IDs() {
		v, _, err := s.Validator(atp.ID(id))
		if err != nil {
			return err
		}
		if v.Leaving != 0 {
			have.Leaving++
		}
		if err := addTo(&bonds, v.Bond); err != nil {
			return err
		}
	}
	want := s.root.Census
	want.Platforms, want.Societies, want.Keys, want.Drawing = 0, 0, 0, 0
	if have != want || bonds > s.root.Totals.Bonded {
		return fmt.Errorf("%w: height %d: have members %+v, with bonds of %s ATP, want %+v and at most %s ATP",
			ErrBroken, s.tip.Height, have, bonds, want, s.root.Totals.Bonded)
	}
	return nil
}
