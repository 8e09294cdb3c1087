package chain

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// draft is a state while a block is executed: what package atp and package
// task run over. Every change can be taken back to a savepoint; nothing is
// written before flush.
type draft struct {
	over      *overlay
	root      stateRoot // as it was, but for totals, census and beacon
	constants *constants

	accounts   *table[atp.Account, *atp.Account]
	names      *table[atp.ID, *atp.ID]
	platforms  *table[platform, *platform]
	societies  *table[society, *society]
	evidence   *table[task.Evidence, *task.Evidence]
	locks      *table[atp.Lock, *atp.Lock]
	tasks      *table[task.Task, *task.Task]
	validators *table[Validator, *Validator]
	candidates *table[Candidate, *Candidate]
	absences   *table[Absence, *Absence]
	held       *table[Held, *Held]
	ballots    *table[Ballot, *Ballot]
	keys       *table[keyRecord, *keyRecord]
	panels     *table[task.Panel, *task.Panel]
	stakes     *table[task.Stake, *task.Stake]
	unbondings *table[task.Unbonding, *task.Unbonding]
	due        *schedule

	witnessing
}

var _ task.State = (*draft)(nil)

func newDraft(o *overlay, root *stateRoot, c *constants) *draft {
	return &draft{
		over: o, root: *root, constants: c,
		accounts:   newTable[atp.Account](o, root.Accounts),
		names:      newTable[atp.ID](o, root.Names),
		platforms:  newTable[platform](o, root.Platforms),
		societies:  newTable[society](o, root.Societies),
		evidence:   newTable[task.Evidence](o, root.Reputation),
		locks:      newTable[atp.Lock](o, root.Locks),
		tasks:      newTable[task.Task](o, root.Tasks),
		validators: newTable[Validator](o, root.Validators),
		candidates: newTable[Candidate](o, root.Candidates),
		absences:   newTable[Absence](o, root.Absences),
		held:       newTable[Held](o, root.Held),
		ballots:    newTable[Ballot](o, root.Ballots),
		keys:       newTable[keyRecord](o, root.Keys),
		panels:     newTable[task.Panel](o, root.Panels),
		stakes:     newTable[task.Stake](o, root.Stakes),
		unbondings: newTable[task.Unbonding](o, root.Unbondings),
		due:        newSchedule(o, root.Due),
	}
}

// savepoint is how far a draft had come.
type savepoint struct {
	accounts, names, platforms, societies, evidence, locks, tasks, validators, candidates, due int
	absences, held, ballots, keys                                                              int
	panels, stakes, unbondings, asked                                                          int

	totals atp.Totals
	census Census
}

func (d *draft) save() savepoint {
	return savepoint{
		len(d.accounts.undo), len(d.names.undo), len(d.platforms.undo), len(d.societies.undo), len(d.evidence.undo),
		len(d.locks.undo), len(d.tasks.undo), len(d.validators.undo), len(d.candidates.undo), len(d.due.undo),
		len(d.absences.undo), len(d.held.undo), len(d.ballots.undo), len(d.keys.undo),
		len(d.panels.undo), len(d.stakes.undo), len(d.unbondings.undo), len(d.asked),
		d.root.Totals, d.root.Census,
	}
}

// rollback takes back everything since s.
func (d *draft) rollback(s savepoint) {
	d.accounts.rollback(s.accounts)
	d.names.rollback(s.names)
	d.platforms.rollback(s.platforms)
	d.societies.rollback(s.societies)
	d.evidence.rollback(s.evidence)
	d.locks.rollback(s.locks)
	d.tasks.rollback(s.tasks)
	d.validators.rollback(s.validators)
	d.candidates.rollback(s.candidates)
	d.absences.rollback(s.absences)
	d.held.rollback(s.held)
	d.ballots.rollback(s.ballots)
	d.keys.rollback(s.keys)
	d.panels.rollback(s.panels)
	d.stakersKnown = d.stakersKnown && len(d.stakes.undo) == s.stakes
	d.stakes.rollback(s.stakes)
	d.unbondings.rollback(s.unbondings)
	d.asked = d.asked[:s.asked]
	d.due.rollback(s.due)
	d.root.Totals, d.root.Census = s.totals, s.census
}

// flush writes everything and returns the new root.
func (d *draft) flush() (cid.Cid, stateRoot, error) {
	root := d.root
	for _, part := range []struct {
		to    *cid.Cid
		flush func() (cid.Cid, error)
	}{
		{&root.Accounts, d.accounts.flush},
		{&root.Names, d.names.flush},
		{&root.Platforms, d.platforms.flush},
		{&root.Societies, d.societies.flush},
		{&root.Reputation, d.evidence.flush},
		{&root.Locks, d.locks.flush},
		{&root.Tasks, d.tasks.flush},
		{&root.Validators, d.validators.flush},
		{&root.Candidates, d.candidates.flush},
		{&root.Absences, d.absences.flush},
		{&root.Held, d.held.flush},
		{&root.Ballots, d.ballots.flush},
		{&root.Keys, d.keys.flush},
		{&root.Panels, d.panels.flush},
		{&root.Stakes, d.stakes.flush},
		{&root.Unbondings, d.unbondings.flush},
		{&root.Due, d.due.flush},
	} {
		var err error
		if *part.to, err = part.flush(); err != nil {
			return cid.Undef, stateRoot{}, err
		}
	}
	id, err := d.over.Put(background(), &root)
	return id, root, err
}

// Account implements [atp.State].
func (d *draft) Account(id atp.ID) (atp.Account, error) {
	a, _, err := d.accounts.get(accountKey(id))
	return a, err
}

// SetAccount implements [atp.State]. An account that holds nothing and never
// sent anything is not kept.
func (d *draft) SetAccount(id atp.ID, a atp.Account) error {
	if a == (atp.Account{}) {
		return d.accounts.remove(accountKey(id))
	}
	return d.accounts.set(accountKey(id), a)
}

// Lock implements [atp.State].
func (d *draft) Lock(id cid.Cid) (atp.Lock, bool, error) { return d.locks.get(id.KeyString()) }

// SetLock implements [atp.State].
func (d *draft) SetLock(l atp.Lock) error { return d.locks.set(l.ID.KeyString(), l) }

// DeleteLock implements [atp.State].
func (d *draft) DeleteLock(id cid.Cid) error { return d.locks.remove(id.KeyString()) }

// Totals implements [atp.State].
func (d *draft) Totals() atp.Totals { return d.root.Totals }

// SetTotals implements [atp.State].
func (d *draft) SetTotals(t atp.Totals) { d.root.Totals = t }

// SetDue implements [atp.State].
func (d *draft) SetDue(at atp.Millis, id cid.Cid) error { return d.due.insert(at, id) }

// DeleteDue implements [atp.State].
func (d *draft) DeleteDue(at atp.Millis, id cid.Cid) error { return d.due.remove(at, id) }

// Task implements [task.State].
func (d *draft) Task(id cid.Cid) (task.Task, bool, error) { return d.tasks.get(id.KeyString()) }

// SetTask implements [task.State].
func (d *draft) SetTask(t task.Task) error {
	if err := d.countDraws(t.ID, &t); err != nil {
		return err
	}
	return d.tasks.set(t.ID.KeyString(), t)
}

// DeleteTask implements [task.State].
func (d *draft) DeleteTask(id cid.Cid) error {
	if err := d.countDraws(id, nil); err != nil {
		return err
	}
	return d.tasks.remove(id.KeyString())
}

// Evidence implements [task.State].
func (d *draft) Evidence(k task.Key) (task.Evidence, bool, error) {
	who, err := d.first(k.Who)
	if err != nil {
		return task.Evidence{}, false, err
	}
	k.Who = who
	return d.evidence.get(k.String())
}

// SetEvidence implements [task.State].
func (d *draft) SetEvidence(k task.Key, e task.Evidence) (err error) {
	if k.Who, err = d.first(k.Who); err != nil {
		return err
	}
	return d.evidence.set(k.String(), e)
}

// DeleteEvidence implements [task.State].
func (d *draft) DeleteEvidence(k task.Key) (err error) {
	if k.Who, err = d.first(k.Who); err != nil {
		return err
	}
	return d.evidence.remove(k.String())
}

// Economy implements [task.State].
func (d *draft) Economy() task.Economy { return d.constants.Params.Economy }

// Societies implements [task.State].
func (d *draft) Societies() (uint64, error) { return d.root.Census.Societies, nil }

// Member implements [task.State]. A key that was replaced is its owner's: so is the
// proposer of a block, in which its own key is replaced.
func (d *draft) Member(id atp.ID) (task.Member, error) {
	now, err := d.newest(id)
	if err != nil {
		return task.Member{}, err
	}
	p, _, err := d.platforms.get(accountKey(now))
	if err != nil {
		return task.Member{}, err
	}
	// Whoever is of no admitted society is one of its own.
	// It stays so whatever key it has.
	first, err := d.first(id)
	if err != nil {
		return task.Member{}, err
	}
	m := task.Member{Society: task.Society(first.String()), Admitted: d.constants.Params.Admission == AdmitAuto}
	if own, ok := d.societyOf(p); ok {
		m.Society, m.Admitted = own, true
	}
	if p.Record != nil {
		m.Registered, m.Platform = true, *p.Record
	}
	return m, nil
}

// societyOf returns the admitted society of a platform, where societies are
// admitted by vote: a founder's own, or that which it was admitted with.
func (d *draft) societyOf(p platform) (task.Society, bool) {
	switch {
	case d.constants.Params.Admission != AdmitVote:
		return "", false
	case p.Society != "":
		return p.Society, true
	}
	return task.Society(p.Name), p.Founder
}

// register writes a platform's record, and returns what a newcomer is granted.
func (d *draft) register(id atp.ID, record task.Platform) (atp.Amount, error) {
	old, _, err := d.platforms.get(accountKey(id)) // it may be admitted, and nameless
	if err != nil {
		return 0, err
	}
	known := old.Name != ""
	if known && old.Name != record.Name {
		return 0, fmt.Errorf("%w: have %q, want %q: a platform keeps its first name, so that a payment to it reaches nobody else", ErrName, record.Name, old.Name)
	}
	own, of := d.societyOf(old)
	if d.constants.Params.Admission == AdmitVote && record.Society != "" && record.Society != own {
		return 0, fmt.Errorf("%w: %q", ErrSociety, record.Society)
	}
	if err := d.claimName(id, record.Name, known); err != nil {
		return 0, err
	}
	if old.Record == nil {
		if err := d.count(own, of); err != nil {
			return 0, err
		}
	}
	now := old
	now.Name, now.Record = record.Name, &record
	if err := d.platforms.set(accountKey(id), now); err != nil || known {
		return 0, err
	}
	grant := d.constants.Params.Grant(d.root.Totals.Pool)
	if grant == 0 {
		return 0, nil
	}
	return grant, atp.Ledger{State: d}.Grant(id, grant)
}

func (d *draft) claimName(id atp.ID, name task.Name, known bool) error {
	if known {
		return nil // it is this one
	}
	_, taken, err := d.names.get(string(name))
	if err != nil {
		return err
	}
	if taken {
		return fmt.Errorf("%w: %q is taken", ErrName, name)
	}
	return d.names.set(string(name), id)
}

// count adds a platform that has just registered to the census.
func (d *draft) count(own task.Society, of bool) error {
	d.root.Census.Platforms++
	if d.constants.Params.Admission == AdmitAuto {
		d.root.Census.Societies++ // its own
		return nil
	}
	if !of {
		return nil
	}
	return d.settle(own)
}

// settle counts one registered platform more of an admitted society.
func (d *draft) settle(own task.Society) error {
	s, _, err := d.societies.get(string(own))
	if err != nil {
		return err
	}
	if s.Platforms == 0 {
		d.root.Census.Societies++
	}
	return d.societies.set(string(own), society{s.Platforms + 1})
}
