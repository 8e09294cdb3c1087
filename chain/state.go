package chain

import (
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// stateRoot is the node that a StateRoot names: the roots of the maps, and
// what changes with every block.
type stateRoot struct {
	Accounts   cid.Cid // peer ID → atp.Account
	Agents     cid.Cid // empty in this version
	Names      cid.Cid // name → peer ID
	Platforms  cid.Cid // peer ID → platform
	Societies  cid.Cid // name → society; under admission by vote
	Reputation cid.Cid // task.Key → task.Evidence
	Locks      cid.Cid // lock ID → atp.Lock
	Tasks      cid.Cid // task ID → task.Task
	Validators cid.Cid // peer ID → Validator
	Candidates cid.Cid // peer ID → Candidate
	Absences   cid.Cid // peer ID → Absence
	Held       cid.Cid // heldID → Held
	Ballots    cid.Cid // peer ID of a validator → Ballot
	Keys       cid.Cid // peer ID → keyRecord
	Decided    cid.Cid // Validators as it was for this block
	Panels     cid.Cid // task ID, level → task.Panel
	Stakes     cid.Cid // peer ID → task.Stake
	Unbondings cid.Cid // ID of an unbonding → task.Unbonding
	Params     cid.Cid // constants
	Totals     atp.Totals
	Census     Census
	Beacon     bft.Beacon
	Due        cid.Cid // see schedule
}

// constants is what the genesis fixed, as the state keeps it.
type constants struct {
	Genesis GenesisHash
	Params  Params
}

// Census counts members.
type Census struct {
	Platforms uint64 // registered
	Societies uint64 // admitted, with a registered platform

	Validators uint64 // of the next height

	// Of those whose part in the next sets is open.
	Candidates uint64
	Leaving    uint64 // validators
	Absent     uint64 // validators

	Keys uint64 // that were replaced, or have replaced one

	Drawing uint64 // tasks that wait for a beacon
}

// platform is what the state knows of an account as a platform.
type platform struct {
	Name    task.Name      // empty until it has one
	Founder bool           // of the genesis: its name is also that of its society
	Record  *task.Platform // nil until it registers

	// Under admission by vote.
	Admitted bool         // it may join the validators
	Society  task.Society // that it was admitted with; empty: none
}

// society is an admitted society.
type society struct {
	Platforms uint64 // registered
}

// State is everything that a chain has come to after one block. It is an
// immutable value over [Nodes], and may be read by many at once if they may.
//
// Its methods fail with [ErrStorage] alone: a node that must be there cannot
// be read.
type State struct {
	nodes      Nodes
	id         cid.Cid
	root       *stateRoot // not changed
	constants  *constants // not changed, and the same for all states of a chain
	validators bft.ValidatorSet
	decided    bft.ValidatorSet // of the block at tip; the zero set if it is not read yet
	tip        Tip
	beacons    bft.BeaconScheme // nil: ECVRF
}

// OpenState returns the state with a root, which is that after the block at tip.
func OpenState(nodes Nodes, root cid.Cid, tip Tip) (State, error) {
	s := State{nodes: nodes, id: root, root: new(stateRoot), constants: new(constants), tip: tip}
	o := newOverlay(nodes)
	if err := o.Get(background(), root, s.root); err != nil {
		return State{}, err
	}
	if err := o.Get(background(), s.root.Params, s.constants); err != nil {
		return State{}, err
	}
	var err error
	s.validators, err = loadValidators(o, s.root.Validators)
	return s, err
}

func loadValidators(o *overlay, root cid.Cid) (bft.ValidatorSet, error) {
	var ids []bft.ID
	err := each[Validator](o, root, func(key string, _ Validator) error {
		id, err := idFromKey(key)
		ids = append(ids, bft.ID(id))
		return err
	})
	if err != nil {
		return bft.ValidatorSet{}, err
	}
	set, err := bft.NewValidatorSet(ids...)
	return set, stored(err)
}

// On returns the same state, read from nodes alone: once what [Result] told to
// save is saved, nothing need be kept in memory.
func (s State) On(nodes Nodes) State {
	s.nodes = nodes
	return s
}

// JudgedBy returns the same state, on which blocks, and those above them, have
// their beacon's proofs judged by a scheme in place of [bft.ECVRF]. It is for
// simulators.
func (s State) JudgedBy(beacons bft.BeaconScheme) State {
	s.beacons = beacons
	return s
}

func (s State) beaconScheme() bft.BeaconScheme {
	if s.beacons == nil {
		return bft.ECVRF{}
	}
	return s.beacons
}

// Root returns the StateRoot that names the state.
func (s State) Root() cid.Cid { return s.id }

// Tip returns the block after which this is the state.
func (s State) Tip() Tip { return s.tip }

// Genesis returns the chain's identity.
func (s State) Genesis() GenesisHash { return s.constants.Genesis }

// Params returns what the genesis fixed.
func (s State) Params() Params { return s.constants.Params }

// Validators returns the set that agrees on the next block.
func (s State) Validators() bft.ValidatorSet { return s.validators }

// Beacon returns the randomness of the state's height.
func (s State) Beacon() bft.Beacon { return s.root.Beacon }

// Totals returns the sums of A2.
func (s State) Totals() atp.Totals { return s.root.Totals }

// Census returns how many members there are.
func (s State) Census() Census { return s.root.Census }

// Account returns an account; one that nobody has touched is all zero.
func (s State) Account(id atp.ID) (atp.Account, error) {
	a, _, err := lookup[atp.Account](s.nodes, s.root.Accounts, accountKey(id))
	return a, err
}

// Lock returns an open lock.
func (s State) Lock(id cid.Cid) (atp.Lock, bool, error) {
	return lookup[atp.Lock](s.nodes, s.root.Locks, id.KeyString())
}

// Task returns an open task.
func (s State) Task(id cid.Cid) (task.Task, bool, error) {
	return lookup[task.Task](s.nodes, s.root.Tasks, id.KeyString())
}

// Platform returns a registered platform's record.
func (s State) Platform(id atp.ID) (task.Platform, bool, error) {
	p, _, err := lookup[platform](s.nodes, s.root.Platforms, accountKey(id))
	if err != nil || p.Record == nil {
		return task.Platform{}, false, err
	}
	return *p.Record, true, nil
}

// Named returns who has a name.
func (s State) Named(name task.Name) (atp.ID, bool, error) {
	return lookup[atp.ID](s.nodes, s.root.Names, string(name))
}

// NameOf returns the name of an account, if it has one: that of a registered
// platform, or of a founder.
func (s State) NameOf(id atp.ID) (task.Name, bool, error) {
	p, _, err := lookup[platform](s.nodes, s.root.Platforms, accountKey(id))
	return p.Name, p.Name != "", err
}

// Validator returns what the state knows of a platform with a vote.
func (s State) Validator(id atp.ID) (Validator, bool, error) {
	return lookup[Validator](s.nodes, s.root.Validators, accountKey(id))
}

// Candidate returns what the state knows of a platform that waits for a vote.
// Its time may be over already: only blocks look at it.
func (s State) Candidate(id atp.ID) (Candidate, bool, error) {
	return lookup[Candidate](s.nodes, s.root.Candidates, accountKey(id))
}

// EachCandidate calls f for every candidate, like EachAccount.
func (s State) EachCandidate(f func(atp.ID, Candidate) error) error {
	if s.root.Census.Candidates == 0 {
		return nil
	}
	return each[Candidate](newOverlay(s.nodes), s.root.Candidates, func(key string, c Candidate) error {
		id, err := idFromKey(key)
		if err != nil {
			return err
		}
		return f(id, c)
	})
}

// Evidence returns what speaks for and against a platform, as it was when it
// was last touched: [task.Evidence.At] brings it up to date.
func (s State) Evidence(key task.Key) (task.Evidence, bool, error) {
	who, err := s.firstKey(key.Who)
	if err != nil {
		return task.Evidence{}, false, err
	}
	key.Who = who
	return lookup[task.Evidence](s.nodes, s.root.Reputation, key.String())
}

// NextDue returns the earliest deadline of the state, in whole seconds rounded
// up: a block with a later time lets the next one fire it.
func (s State) NextDue() (at atp.Millis, ok bool, err error) {
	return newSchedule(newOverlay(s.nodes), s.root.Due).next()
}

// EachAccount calls f for every account, in no order that means anything, and
// ends with its first error.
func (s State) EachAccount(f func(atp.ID, atp.Account) error) error {
	return each[atp.Account](newOverlay(s.nodes), s.root.Accounts, func(key string, a atp.Account) error {
		id, err := idFromKey(key)
		if err != nil {
			return err
		}
		return f(id, a)
	})
}

// EachPlatform calls f for every registered platform, like EachAccount.
func (s State) EachPlatform(f func(atp.ID, task.Platform) error) error {
	return each[platform](newOverlay(s.nodes), s.root.Platforms, func(key string, p platform) error {
		if p.Record == nil {
			return nil
		}
		id, err := idFromKey(key)
		if err != nil {
			return err
		}
		return f(id, *p.Record)
	})
}

// EachLock calls f for every open lock, like EachAccount.
func (s State) EachLock(f func(atp.Lock) error) error {
	return each[atp.Lock](newOverlay(s.nodes), s.root.Locks, func(_ string, l atp.Lock) error { return f(l) })
}

// EachTask calls f for every open task, like EachAccount.
func (s State) EachTask(f func(task.Task) error) error {
	return each[task.Task](newOverlay(s.nodes), s.root.Tasks, func(_ string, t task.Task) error { return f(t) })
}

// EachEvidence calls f for all that reputations are made of, like EachAccount.
func (s State) EachEvidence(f func(task.Key, task.Evidence) error) error {
	return each[task.Evidence](newOverlay(s.nodes), s.root.Reputation, func(key string, e task.Evidence) error {
		k, err := task.ParseKey(key)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrStorage, err)
		}
		if k.Who, err = s.Newest(k.Who); err != nil {
			return err
		}
		return f(k, e)
	})
}

// Check adds up all accounts and locks and compares them with the totals: A2
// in full. It fails with [ErrBroken], or [ErrStorage].
func (s State) Check() error {
	have := atp.Totals{Supply: s.root.Totals.Supply, Pool: s.root.Totals.Pool, Discharged: s.root.Totals.Discharged}
	var inLocks atp.Amount
	err := s.EachAccount(func(_ atp.ID, a atp.Account) error {
		return errors.Join(addTo(&have.Available, a.Available), addTo(&have.Locked, a.Locked), addTo(&have.Bonded, a.Bonded))
	})
	if err != nil {
		return err
	}
	if err := s.EachLock(func(l atp.Lock) error { return addTo(&inLocks, l.Amount) }); err != nil {
		return err
	}
	if have != s.root.Totals || inLocks != have.Locked {
		return fmt.Errorf("%w: height %d: have %+v and %s ATP in locks, want %+v", ErrBroken, s.tip.Height, have, inLocks, s.root.Totals)
	}
	if err := have.Check(); err != nil {
		return fmt.Errorf("%w: height %d: %w", ErrBroken, s.tip.Height, err)
	}
	if err := s.checkMembers(); err != nil {
		return err
	}
	return s.checkStakes()
}

func addTo(sum *atp.Amount, a atp.Amount) (err error) {
	if *sum, err = sum.Add(a); err != nil {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return nil
}

// lookup reads one value of a saved map.
func lookup[V any, P value[V]](nodes Nodes, root cid.Cid, key string) (V, bool, error) {
	var none, v V
	tree, err := loadMap(newOverlay(nodes), root, hashed)
	if err != nil {
		return none, false, err
	}
	found, err := tree.Find(background(), key, P(&v))
	if err != nil {
		return none, false, stored(err)
	}
	return v, found, nil
}

func accountKey(id atp.ID) string { return string(id.ID) }

func idFromKey(key string) (atp.ID, error) {
	id, err := atp.IDFromPeer(peer.ID(key))
	if err != nil {
		return atp.ID{}, fmt.Errorf("%w: key of a map: %w", ErrStorage, err)
	}
	return id, nil
}
