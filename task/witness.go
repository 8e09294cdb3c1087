package task

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Witnesses is the part of a [State] that classes with witnesses need.
type Witnesses interface {
	Panel(cid.Cid, Level) (Panel, bool, error)
	SetPanel(cid.Cid, Level, Panel) error
	DeletePanel(cid.Cid, Level) error

	Stake(atp.ID) (Stake, bool, error)
	SetStake(atp.ID, Stake) error
	DeleteStake(atp.ID) error
	Stakers() ([]atp.ID, error) // who has a stake, in the order of their IDs
	SetUnbonding(Unbonding) error
	Unbonding(cid.Cid) (Unbonding, bool, error)
	DeleteUnbonding(cid.Cid) error

	Block() Block
	Council() (Council, error)
}

// Block is what a task sees of the block that is being executed.
type Block struct {
	Genesis  [32]byte // hash of the chain's genesis
	Height   Height
	Beacon   Beacon
	Proposer atp.ID
	Young    bool // the proposer's key could have been ground for the occasion
}

// Council is who makes the blocks after this one.
type Council struct {
	Size    uint64   // validators
	Drawers []atp.ID // of those, whose keys are not young
}

// Aliveness: a witness has been seen in one of so many of the newest blocks, or
// since the task was posted if that is fewer, but not fewer than the least.
const (
	aliveBlocks      Height = 20
	leastAliveBlocks Height = 5
)

// alive reports whether who was last seen in a block counts as there, at now, for
// a task posted at a height.
func alive(seen, posted, now Height) bool {
	blocks := max(min(now-min(now, posted)+1, aliveBlocks), leastAliveBlocks)
	return seen+blocks > now
}

// enoughWitnesses is E of which there is an audit, or a dispute to be heard.
const enoughWitnesses = 2

// candidates returns one platform of each society that could witness the task
// at a level, in the order of the societies' names: the one with the fewest open
// seats, then the lowest ID.
func (b Book) candidates(t Task, level Level) ([]atp.ID, error) {
	ids, err := b.State.Stakers()
	if err != nil {
		return nil, fmt.Errorf("task: stakes: %w", err)
	}
	type candidate struct {
		id      atp.ID
		society Society
		open    uint64
	}
	best := make(map[Society]candidate)
	parties, err := b.partySocieties(t)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		stake, _, err := b.stake(id)
		if err != nil {
			return nil, err
		}
		if !b.couldSit(t, level, stake) {
			continue
		}
		m, err := b.State.Member(id)
		if err != nil {
			return nil, fmt.Errorf("task: member %s: %w", id, err)
		}
		if !m.Registered || !m.Admitted || !m.Platform.Runs(t.Terms.Runtime) || slices.Contains(parties, m.Society) {
			continue
		}
		if c, known := best[m.Society]; !known || stake.Open < c.open {
			best[m.Society] = candidate{id, m.Society, stake.Open}
		}
	}
	var all []candidate
	for _, c := range best {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b candidate) int { return cmp.Compare(a.society, b.society) })
	out := make([]atp.ID, len(all))
	for i, c := range all {
		out[i] = c.id
	}
	return out, nil
}

// couldSit reports whether a stake, and when its owner was last seen, allow a
// seat. The level of everyone ignores what is reserved.
func (b Book) couldSit(t Task, level Level, s Stake) bool {
	e := b.State.Economy()
	return s.Staying() >= e.LeastStake && alive(s.Seen, t.PostedAt, b.State.Block().Height) &&
		(level == Everyone || s.Free() >= e.seatBond(t.Terms.Price))
}

// seatBond returns what of a stake is reserved for a seat: 10·f, by default.
func (e Economy) seatBond(price atp.Amount) atp.Amount {
	return atp.MulDiv(e.Charges(price, 0).SeatFee, e.SeatBond, 1)
}

// partySocieties returns the societies that cannot witness a task: those of
// its parties, as they were when they came in and as they are now, since a vote may
// have brought a party into another. An executor that is only named is one already.
func (b Book) partySocieties(t Task) ([]Society, error) {
	list, parties := []Society{t.Requester.Society}, []atp.ID{t.Requester.ID}
	switch named := t.Terms.Executor; {
	case t.Acceptance != nil:
		list, parties = append(list, t.Acceptance.Executor.Society), append(parties, t.Acceptance.Executor.ID)
	case !named.IsZero():
		parties = append(parties, named.ID)
	}
	for _, id := range parties {
		m, err := b.State.Member(id)
		if err != nil {
			return nil, fmt.Errorf("task: member %s: %w", id, err)
		}
		list = append(list, m.Society)
	}
	return list, nil
}

// witnessed returns how many societies could witness the task, or [ErrClass]
// if they are too few.
func (b Book) witnessed(t Task) (uint64, error) {
	if t.Terms.Class == Mutual {
		return 0, nil
	}
	candidates, err := b.candidates(t, Committee)
	if err != nil {
		return 0, err
	}
	if len(candidates) < enoughWitnesses {
		return 0, fmt.Errorf("%w: %s needs %d other societies that could witness it, each with a platform that runs %s, "+
			"was seen lately and has %s ATP of a free stake: have %d; use class %s, or bond more stakes",
			ErrClass, t.Terms.Class, enoughWitnesses, t.Terms.Runtime,
			max(b.State.Economy().LeastStake, b.State.Economy().seatBond(t.Terms.Price)), len(candidates), Mutual)
	}
	return uint64(len(candidates)), nil
}

// CouldWitness returns how many societies could witness a task of those terms,
// if the requester posted it now; 0 in class mutual. Too few for the class are
// refused with [ErrClass].
func (b Book) CouldWitness(requester atp.ID, terms Terms) (uint64, error) {
	r, err := b.party(requester)
	if err != nil {
		return 0, err
	}
	return b.witnessed(Task{Requester: r, Terms: terms, PostedAt: b.State.Block().Height})
}

// ChargesTo returns what an offered task would cost whom, if the executor
// accepted it now. [ErrClass] is as for CouldWitness.
func (b Book) ChargesTo(executor atp.ID, t Task) (Charges, error) {
	party, err := b.party(executor)
	if err != nil {
		return Charges{}, err
	}
	t.Acceptance = &Acceptance{Executor: party}
	eligible, err := b.witnessed(t)
	if err != nil {
		return Charges{}, err
	}
	return b.State.Economy().Charges(t.Terms.Price, eligible), nil
}

// draws reports whether a proposer's beacon may draw for the task: it is of
// neither party's society.
func (b Book) draws(t Task, proposer atp.ID) (bool, error) {
	m, err := b.State.Member(proposer)
	if err != nil {
		return false, fmt.Errorf("task: member %s: %w", proposer, err)
	}
	parties, err := b.partySocieties(t)
	return !slices.Contains(parties, m.Society), err
}

// drawer reports whether one of the validators may draw for the task.
func (b Book) drawer(t Task, c Council) (bool, error) {
	for _, id := range c.Drawers {
		if ok, err := b.draws(t, id); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}
