package task

import (
	"fmt"

	"github.com/sage-p2p/sage-p2p/atp"
)

// A finding is what a task's end says about the party in a role.
type finding struct {
	role      Role
	cause     Cause
	good, bad PPM
}

// findings returns what the path says of whom. An offer that nobody took says
// nothing, nor does a late executor say anything of its requester.
func (t Task) findings(path Path, mark *PPM, w PPM) []finding {
	switch path {
	case Unaudited:
		good := atp.MulDiv(w, AcceptedQuality(t.Terms.MinQuality, t.Proof.Claim, mark), S)
		return []finding{{Executor, CausePass, good, w - good}, {Requester, CausePass, w, 0}}
	case Late:
		return []finding{{Executor, CauseLate, 0, w}}
	case Refused:
		return []finding{{Requester, CauseRefused, 0, w}}
	}
	return nil
}

// A judgement is a finding as it changes the state: reckoned, not yet written.
type judgement struct {
	total, pair entry // of the party in all, and with the other's society
	event       ReputationChanged
}

type entry struct {
	key      Key
	evidence Evidence
	existed  bool
}

// judge reckons what the path does to the reputations of the parties. It does
// nothing between parties of one society, nor on the word of one that was
// never admitted. Dust, which would be forgotten at once, weighs nothing.
func (b Book) judge(t Task, path Path, mark *PPM, day Day) ([]judgement, error) {
	w := atp.MulDiv(Weight(t.Terms.Price), b.State.Economy().Unaudited, S)
	if w < faded {
		w = 0
	}
	var judgements []judgement
	for _, f := range t.findings(path, mark, w) {
		self, other, typ := t.Requester, t.Acceptance.Executor, Type("")
		if f.role == Executor {
			self, other, typ = other, self, t.Terms.Type
		}
		if self.Society == other.Society || !other.Admitted {
			continue
		}
		j, err := b.weigh(f, Key{Who: self.ID, Role: f.role, Type: typ}, other.Society, day)
		if err != nil {
			return nil, err
		}
		j.event.Task = t.ID
		judgements = append(judgements, j)
	}
	return judgements, nil
}

// weigh adds a finding to what is known, as far as the cap on one society's
// word allows.
func (b Book) weigh(f finding, key Key, counterpart Society, day Day) (judgement, error) {
	n, err := b.State.Societies()
	if err != nil {
		return judgement{}, fmt.Errorf("task: societies: %w", err)
	}
	total, err := b.read(key, day)
	if err != nil {
		return judgement{}, err
	}
	between := key
	between.Counterpart = counterpart
	pair, err := b.read(between, day)
	if err != nil {
		return judgement{}, err
	}
	good := Capped(f.good, pair.evidence.For, n)
	bad := Capped(f.bad, pair.evidence.Against, n)
	old := total.evidence.Reputation()
	for _, e := range []*Evidence{&total.evidence, &pair.evidence} {
		e.For, e.Against = plus(e.For, good), plus(e.Against, bad)
	}
	return judgement{total, pair, ReputationChanged{
		Who: key.Who, Role: key.Role, Type: key.Type,
		Old: old, New: total.evidence.Reputation(), Cause: f.cause,
	}}, nil
}

// read returns the evidence under a key as of a day. What has decayed away is
// forgotten.
func (b Book) read(key Key, day Day) (entry, error) {
	stored, existed, err := b.State.Evidence(key)
	if err != nil {
		return entry{}, fmt.Errorf("task: evidence %s: %w", key, err)
	}
	now := stored.At(day, b.State.Economy().Decay)
	if plus(now.For, now.Against) < faded {
		now.For, now.Against = 0, 0
	}
	return entry{key, now, existed}, nil
}

// write stores both records of a judgement. One without evidence has no place
// in the state.
func (b Book) write(j judgement) error {
	for _, e := range []entry{j.total, j.pair} {
		var err error
		switch empty := e.evidence.For == 0 && e.evidence.Against == 0; {
		case !empty:
			err = b.State.SetEvidence(e.key, e.evidence)
		case e.existed:
			err = b.State.DeleteEvidence(e.key)
		}
		if err != nil {
			return fmt.Errorf("task: evidence %s: %w", e.key, err)
		}
	}
	return nil
}
