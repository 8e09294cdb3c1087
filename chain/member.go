package chain

import (
	"cmp"
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
//   - no admission and no leaving makes a set of two, which is weaker than one:
//     both must be there, and either stops the other.

// MaxCandidacy is how far after the time of its block a VALIDATOR_JOIN may
// expire: only who is there joins.
const MaxCandidacy = 60 * atp.Second

// Validator is what the state knows of a platform with a vote.
type Validator struct {
	Joined  bft.Height // the first with its vote; 0: of the genesis
	Bond    atp.Amount
	Leaving bft.Height // of the block with its VALIDATOR_LEAVE, which waits; 0: it stays
}

// Candidate is a platform that waits to become a validator.
type Candidate struct {
	Until atp.Millis // it is one in blocks up to this time
	Bond  atp.Amount // of what it has bonded
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
	if how := e.constants.Params.Admission; how != AdmitAuto {
		return nil, fmt.Errorf("%w: this federation admits by %s, and this version counts no votes", ErrAdmission, how)
	}
	if latest := e.header.Time.Add(MaxCandidacy); tx.Expires == 0 || tx.Expires > latest {
		return nil, fmt.Errorf("%w: expires: have %d, want at most %d, a minute after the block", ErrAdmission, tx.Expires, latest)
	}
	key := accountKey(tx.From)
	v, member, err := e.validators.get(key)
	if err != nil {
		return nil, err
	}
	if member {
		return told(e.stay(key, v), &ValidatorStays{tx.From})
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
	if waiting := e.parent.validators.Len() + int(e.root.Census.Candidates); waiting >= bft.MaxValidators {
		return nil, fmt.Errorf("%w: there are %d validators and candidates, and room for no more", ErrAdmission, waiting)
	}
	p, _, err := e.platforms.get(accountKey(tx.From))
	if err != nil {
		return nil, err
	}
	if p.Record == nil {
		return nil, fmt.Errorf("%w: %s has not registered as a platform", ErrAdmission, tx.From)
	}
	c := Candidate{Until: tx.Expires, Bond: e.constants.Params.ValidatorBond}
	if c.Bond > 0 {
		if err := e.ledger().Bond(tx.From, c.Bond); err != nil {
			return nil, err
		}
	}
	e.root.Census.Candidates++
	return told(e.candidates.set(accountKey(tx.From), c), &ValidatorCandidate{tx.From, c.Until, c.Bond})
}

// leave ends a candidacy at once, or has a validator leave as soon as it may.
func (e *execution) leave(from atp.ID) ([]Event, error) {
	key := accountKey(from)
	if c, waits, err := e.candidates.get(key); err != nil || waits {
		if err == nil {
			err = e.dismiss(from, c)
		}
		return told(err, &CandidateLeft{from, c.Bond})
	}
	v, member, err := e.validators.get(key)
	switch {
	case err != nil:
		return nil, err
	case !member:
		return nil, fmt.Errorf("%w: %s is neither a validator nor a candidate", ErrMember, from)
	case v.Leaving != 0:
		return told(nil, &ValidatorLeaving{from})
	case e.parent.validators.Len() <= int(e.root.Census.Leaving)+1:
		return nil, fmt.Errorf("%w: %s is the last validator that stays: nothing would become final without it", ErrMember, from)
	}
	v.Leaving = e.header.Height
	e.root.Census.Leaving++
	return told(e.validators.set(key, v), &ValidatorLeaving{from})
}

// dismiss gives a candidate its bond back.
func (e *execution) dismiss(id atp.ID, c Candidate) error {
	if err := e.unbond(id, c.Bond); err != nil {
		return err
	}
	e.root.Census.Candidates--
	return e.candidates.remove(accountKey(id))
}

func (e *execution) unbond(id atp.ID, bond atp.Amount) error {
	if bond == 0 {
		return nil
	}
	return e.ledger().Unbond(id, bond)
}

// renew changes the validators for the next height, and tells of it in one
// receipt of the block itself. Nobody pays for it, so nothing can refuse it.
func (e *execution) renew() error {
	if e.root.Census.Candidates == 0 && e.root.Census.Leaving == 0 {
		return nil
	}
	events, candidates, err := e.expireCandidates()
	if err != nil {
		return internal(err)
	}
	leaving, err := e.leaving()
	if err != nil {
		return internal(err)
	}
	if n, ok := departures(e.parent.validators.Len(), len(leaving), len(candidates)); ok {
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
		if err := e.dismiss(id, c); err != nil {
			return nil, nil, err
		}
		events = append(events, Event{&CandidateLeft{id, c.Bond}})
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
		if err := e.unbond(l.id, l.Bond); err != nil {
			return nil, err
		}
		if err := e.validators.remove(accountKey(l.id)); err != nil {
			return nil, err
		}
		e.root.Census.Leaving--
		events = append(events, Event{&ValidatorLeft{l.id, next, l.Bond}})
	}
	for _, id := range enter {
		c, _, err := e.candidates.get(accountKey(id))
		if err != nil {
			return nil, err
		}
		if err := e.candidates.remove(accountKey(id)); err != nil {
			return nil, err
		}
		if err := e.validators.set(accountKey(id), Validator{Joined: next, Bond: c.Bond}); err != nil {
			return nil, err
		}
		e.root.Census.Candidates--
		events = append(events, Event{&ValidatorJoined{id, next}})
	}
	return events, nil
}

// checkMembers compares the census with the tables, and their bonds with what
// is bonded in all.
func (s State) checkMembers() error {
	var have Census
	bonds := atp.Amount(0)
	err := s.EachCandidate(func(_ atp.ID, c Candidate) error {
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
	if have.Candidates != want.Candidates || have.Leaving != want.Leaving || bonds > s.root.Totals.Bonded {
		return fmt.Errorf("%w: height %d: have %d candidates, %d leaving, bonds of %s ATP, want %d, %d and at most %s ATP",
			ErrBroken, s.tip.Height, have.Candidates, have.Leaving, bonds, want.Candidates, want.Leaving, s.root.Totals.Bonded)
	}
	return nil
}
