package task

import (
	"fmt"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
)

// A finding is what a task's end says about one who had a part in it.
type finding struct {
	key         Key
	cause       Cause
	good, bad   PPM
	counterpart Society
}

// findings returns what the end says of whom. An offer that nobody took says
// nothing, nor does an executor that failed say anything of its requester; a
// task that no verdict ended, or one beyond the limits that its requester chose,
// says nothing of anyone.
func (t Task) findings(end ending, seats []leaver, e Economy) []finding {
	v := Weight(t.Terms.Price)
	unseen := atp.MulDiv(v, e.Unaudited, S)
	switch end.path {
	case PostedEnds:
		return nil
	case Unaudited:
		return t.ofParties(CausePass, unseen, end.quality, CausePass, unseen)
	case Late:
		return t.ofParties(CauseLate, unseen, nil, "", 0)
	case Refused:
		return t.ofParties("", 0, nil, CauseRefused, unseen)
	}
	var list []finding
	switch {
	case end.verdict == Pass && t.Review.Disputed:
		list = t.ofParties(CausePass, v, end.quality, CauseFail, 3*v)
	case end.verdict == Pass:
		list = t.ofParties(CausePass, v, end.quality, CausePass, v)
	case end.verdict == Fail:
		list = t.ofParties(CauseFail, 3*v, nil, "", 0)
	default:
		return nil
	}
	return append(list, t.ofWitnesses(seats)...)
}

// ofParties returns findings of the executor and the requester, each for a cause
// if there is one. Only a pass speaks for whom it is about, as far as the quality
// goes. Parties of one society say nothing of each other, nor does one that was
// never admitted. Dust, which would be forgotten at once, weighs nothing.
func (t Task) ofParties(executor Cause, w PPM, q *PPM, requester Cause, ofRequester PPM) (list []finding) {
	add := func(key Key, cause Cause, w PPM, q PPM, other Party) {
		if w < faded {
			w = 0
		}
		if cause == "" || t.Requester.Society == t.Acceptance.Executor.Society || !other.Admitted {
			return
		}
		good := PPM(0)
		if cause == CausePass {
			good = atp.MulDiv(w, q, S)
		}
		list = append(list, finding{key, cause, good, w - good, other.Society})
	}
	quality := S
	if q != nil {
		quality = *q
	}
	add(Key{Who: t.Acceptance.Executor.ID, Role: Executor, Type: t.Terms.Type}, executor, w, quality, t.Requester)
	add(Key{Who: t.Requester.ID, Role: Requester}, requester, ofRequester, S, t.Acceptance.Executor)
	return list
}

// perSeat is the weight of what a seat says of its witness.
const perSeat = S / 5

// ofWitnesses returns one finding for each witness, of all its seats. The
// counterpart is the requester's society, which brought the task.
func (t Task) ofWitnesses(seats []leaver) (list []finding) {
	if !t.Requester.Admitted {
		return nil
	}
	for _, s := range seats {
		i := slices.IndexFunc(list, func(f finding) bool { return f.key.Who == s.Witness })
		if i < 0 {
			i = len(list)
			list = append(list, finding{Key{Who: s.Witness, Role: Witness}, CauseAbsent, 0, 0, t.Requester.Society})
		}
		good := PPM(0)
		if s.Revealed {
			good, list[i].cause = atp.MulDiv(perSeat, s.Rating, S), CauseWitness
		}
		list[i].good, list[i].bad = list[i].good+good, list[i].bad+perSeat-good
	}
	return list
}

// A judgement is a finding as it changes the state: reckoned, not yet written.
type judgement struct {
	entries []entry // of the party in all, and with the other's society
	event   ReputationChanged
}

type entry struct {
	key      Key
	evidence Evidence
	existed  bool
}

// judge reckons what a task's end does to the records of all who had a part in
// it.
func (b Book) judge(t Task, end ending, seats []leaver, day Day) ([]judgement, error) {
	if row, _ := rowOf(end.path); row.outcome == Void {
		return b.countVoid(t, day)
	}
	var judgements []judgement
	for _, f := range t.findings(end, seats, b.State.Economy()) {
		j, err := b.weigh(f, day)
		if err != nil {
			return nil, err
		}
		j.event.Task = t.ID
		judgements = append(judgements, j)
	}
	return judgements, nil
}

// countVoid counts a task without a verdict, for both parties. It moves no
// reputation.
func (b Book) countVoid(t Task, day Day) ([]judgement, error) {
	var judgements []judgement
	for _, key := range []Key{
		{Who: t.Acceptance.Executor.ID, Role: Executor, Type: t.Terms.Type}, {Who: t.Requester.ID, Role: Requester},
	} {
		total, err := b.read(key, day)
		if err != nil {
			return nil, err
		}
		total.evidence.Voids++
		judgements = append(judgements, judgement{entries: []entry{total}})
	}
	return judgements, nil
}

// weigh adds a finding to what is known, as far as the cap on one society's
// word allows.
func (b Book) weigh(f finding, day Day) (judgement, error) {
	key := f.key
	n, err := b.State.Societies()
	if err != nil {
		return judgement{}, fmt.Errorf("task: societies: %w", err)
	}
	total, err := b.read(key, day)
	if err != nil {
		return judgement{}, err
	}
	between := key
	between.Counterpart = f.counterpart
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
	return judgement{[]entry{total, pair}, ReputationChanged{
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

// write stores the records of a judgement. One without evidence has no place
// in the state.
func (b Book) write(j judgement) error {
	for _, e := range j.entries {
		var err error
		switch empty := e.evidence.For == 0 && e.evidence.Against == 0 && e.evidence.Voids == 0; {
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
