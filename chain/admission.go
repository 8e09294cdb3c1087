package chain

import (
	"fmt"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// Under [AdmitVote] a platform joins the validators, and brings a society along,
// once a quorum of today's validators has voted for it. A vote names a platform by
// its ID, which need not have an account yet: what is granted with the admission
// is what it then pays its registration, its bond and its fees from. Each
// validator's votes are a part of its own seat, at most [MaxBallot] at a time:
// they go with it, and the state stays bounded.

// MaxBallot is how many platforms a validator may have votes for at a time.
const MaxBallot = 8

// ErrVote reports a VALIDATOR_VOTE that cannot be cast.
var ErrVote = fmt.Errorf("chain: %w: vote", atp.ErrRefused)

// Ballot is the votes of one validator that count still.
type Ballot struct {
	Votes []Vote `cborgen:"maxlen=8"` // in the order in which they were cast
}

// Vote is one of them.
type Vote struct {
	Platform atp.ID
	Grant    atp.Amount
	Society  string     `cborgen:"maxlen=64"`
	Until    atp.Millis // it counts in blocks up to this time
}

// same reports whether two votes are for the same, on the same terms.
func (v Vote) same(o Vote) bool {
	return v.Platform == o.Platform && v.Grant == o.Grant && v.Society == o.Society
}

// Ballot returns the votes of a validator, also those whose time is over.
func (s State) Ballot(voter atp.ID) (Ballot, error) {
	b, _, err := lookup[Ballot](s.nodes, s.root.Ballots, accountKey(voter))
	return b, err
}

// Admitted reports whether a platform may join the validators, and is of which
// society that was admitted.
func (s State) Admitted(id atp.ID) (may bool, of task.Society, err error) {
	d := newDraft(newOverlay(s.nodes), s.root, s.constants)
	p, _, err := d.platforms.get(accountKey(id))
	of, _ = d.societyOf(p)
	return s.constants.Params.Admission == AdmitAuto || p.Admitted, of, err
}

// SocietyExists reports whether a society was admitted, by the genesis or a vote.
func (s State) SocietyExists(of task.Society) (bool, error) {
	_, there, err := lookup[society](s.nodes, s.root.Societies, string(of))
	return there, err
}

// vote is VALIDATOR_VOTE.
func (e *execution) vote(from atp.ID, a *ValidatorVote) ([]Event, error) {
	if err := e.mayVote(from, a.Platform); err != nil {
		return nil, err
	}
	ballot, err := e.ballotOf(from)
	if err != nil {
		return nil, err
	}
	before := len(ballot.Votes)
	ballot.Votes = slices.DeleteFunc(ballot.Votes, func(v Vote) bool { return v.Platform == a.Platform })
	switch {
	case a.Against && len(ballot.Votes) == before:
		return nil, fmt.Errorf("%w: %s has no vote for %s", ErrVote, from, a.Platform)
	case a.Against:
		return told(e.cast(from, ballot), &VoteWithdrawn{from, a.Platform})
	case len(ballot.Votes) == MaxBallot:
		return nil, fmt.Errorf("%w: %s has votes for %d platforms already", ErrVote, from, MaxBallot)
	}
	vote := Vote{a.Platform, a.Grant, a.Society, e.header.Time.Add(e.constants.Params.Membership.AdmissionSpan)}
	ballot.Votes = append(ballot.Votes, vote)
	if err := e.cast(from, ballot); err != nil {
		return nil, err
	}
	votes, theirs, err := e.count(vote)
	if err != nil {
		return nil, err
	}
	needed := uint64(e.parent.validators.Quorum())
	events := []Event{{&VoteCast{from, a.Platform, a.Grant, a.Society, votes, needed}}}
	if votes < needed || !theirs {
		return events, nil
	}
	admitted, err := e.admitPlatform(vote)
	return append(events, admitted...), err
}

// mayVote refuses who has no say, and what is settled.
func (e *execution) mayVote(from, on atp.ID) error {
	if e.constants.Params.Admission != AdmitVote {
		return fmt.Errorf("%w: this federation admits everybody who is registered", ErrVote)
	}
	_, votes, err := e.validators.get(accountKey(from))
	if err != nil {
		return err
	}
	if !votes || !e.parent.validators.Contains(bft.ID(from)) {
		return fmt.Errorf("%w: %s is no validator", ErrVote, from)
	}
	if err := e.payable(on); err != nil {
		return err
	}
	p, _, err := e.platforms.get(accountKey(on))
	if err == nil && p.Admitted {
		err = fmt.Errorf("%w: %s is admitted already", ErrVote, on)
	}
	return err
}

// electorate is those whose votes count: today's validators, each by the key that
// it has now, with which its votes are.
func (e *execution) electorate() ([]atp.ID, error) {
	ids := make([]atp.ID, 0, e.parent.validators.Len())
	for _, id := range e.parent.validators.IDs() {
		now, err := e.newest(atp.ID(id))
		if err != nil {
			return nil, err
		}
		ids = append(ids, now)
	}
	return ids, nil
}

// ballotOf returns the votes of a validator that count still. The slice is its own.
func (e *execution) ballotOf(voter atp.ID) (Ballot, error) {
	b, _, err := e.ballots.get(accountKey(voter))
	b.Votes = slices.DeleteFunc(slices.Clone(b.Votes), func(v Vote) bool { return v.Until < e.header.Time })
	return b, err
}

// cast writes a validator's votes.
func (e *execution) cast(voter atp.ID, b Ballot) error {
	if len(b.Votes) == 0 {
		return e.ballots.remove(accountKey(voter))
	}
	return e.ballots.set(accountKey(voter), b)
}

// count returns how many of today's validators vote like v; and whether it can
// count: a society that there is already takes a vote of one of its own.
func (e *execution) count(v Vote) (votes uint64, theirs bool, err error) {
	_, there, err := e.societies.get(v.Society)
	if err != nil {
		return 0, false, err
	}
	theirs = v.Society == "" || !there
	voters, err := e.electorate()
	if err != nil {
		return 0, false, err
	}
	for _, voter := range voters {
		b, err := e.ballotOf(voter)
		if err != nil {
			return 0, false, err
		}
		if !slices.ContainsFunc(b.Votes, v.same) {
			continue
		}
		votes++
		p, _, err := e.platforms.get(accountKey(voter))
		if err != nil {
			return 0, false, err
		}
		own, _ := e.societyOf(p)
		theirs = theirs || string(own) == v.Society
	}
	return votes, theirs, nil
}

// admitPlatform does what a quorum has voted for, and forgets all votes about it.
func (e *execution) admitPlatform(v Vote) ([]Event, error) {
	key := accountKey(v.Platform)
	p, _, err := e.platforms.get(key)
	if err != nil {
		return nil, err
	}
	events := []Event{{&PlatformAdmitted{v.Platform, v.Society}}}
	if v.Grant > 0 {
		if err := e.ledger().Grant(v.Platform, v.Grant); err != nil {
			return nil, err
		}
		events = append(events, Event{&Granted{v.Platform, v.Grant}})
	}
	p.Admitted = true
	if v.Society != "" {
		if err := e.bring(&p, task.Society(v.Society)); err != nil {
			return nil, err
		}
	}
	if err := e.platforms.set(key, p); err != nil {
		return nil, err
	}
	return events, e.settled(v.Platform)
}

// settled forgets all votes about a platform.
func (e *execution) settled(on atp.ID) error {
	voters, err := e.electorate()
	if err != nil {
		return err
	}
	for _, voter := range voters {
		b, err := e.ballotOf(voter)
		if err != nil {
			return err
		}
		n := len(b.Votes)
		b.Votes = slices.DeleteFunc(b.Votes, func(o Vote) bool { return o.Platform == on })
		if len(b.Votes) == n {
			continue
		}
		if err := e.cast(voter, b); err != nil {
			return err
		}
	}
	return nil
}

// bring makes a platform one of a society, which is admitted with it if there was
// none of that name.
func (e *execution) bring(p *platform, to task.Society) error {
	old, of := e.societyOf(*p)
	if of && old == to {
		return nil
	}
	p.Society = to
	if _, there, err := e.societies.get(string(to)); err != nil {
		return err
	} else if !there {
		if err := e.societies.set(string(to), society{}); err != nil {
			return err
		}
	}
	if p.Record == nil {
		return nil
	}
	if of {
		if err := e.desert(old); err != nil {
			return err
		}
	}
	return e.settle(to)
}

// desert counts one registered platform less of a society.
func (e *execution) desert(from task.Society) error {
	s, _, err := e.societies.get(string(from))
	if err != nil {
		return err
	}
	s.Platforms--
	if s.Platforms == 0 {
		e.root.Census.Societies--
	}
	return e.societies.set(string(from), s)
}
