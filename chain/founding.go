package chain

import (
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// State returns the state of height 0, and its nodes, which are to be saved
// before the first block: no block tells them again. g must be one that
// [Genesis.Check] accepts.
//
// The whole supply begins in the pool, from which the allocations are paid.
func (g Genesis) State() (State, []Node, error) {
	supply, err := g.supply()
	if err != nil {
		return State{}, nil, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	id, err := g.ID()
	if err != nil {
		return State{}, nil, err
	}
	c := constants{Genesis: genesisHash(id), Params: g.Params}
	o := newOverlay(nil)
	root, err := emptyRoot(o, c)
	if err != nil {
		return State{}, nil, err
	}
	d := newDraft(o, &root, &c)
	d.SetTotals(atp.Totals{Supply: supply, Pool: supply})
	if err := d.found(g); err != nil {
		return State{}, nil, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	rootID, _, err := d.flush()
	if err != nil {
		return State{}, nil, err
	}
	s, err := OpenState(o.reader(), rootID, Tip{ID: id, Time: g.Time})
	return s, o.nodes(), err
}

// emptyRoot returns the root of a state without anyone in it.
func emptyRoot(o *overlay, c constants) (stateRoot, error) {
	empty, err := emptyMap(o)
	if err != nil {
		return stateRoot{}, err
	}
	root := stateRoot{Beacon: bft.GenesisBeacon(c.Genesis)}
	for _, m := range []*cid.Cid{
		&root.Accounts, &root.Agents, &root.Names, &root.Platforms, &root.Societies, &root.Reputation,
		&root.Locks, &root.Tasks, &root.Validators, &root.Candidates,
		&root.Absences, &root.Held, &root.Ballots, &root.Keys, &root.Decided,
		&root.Panels, &root.Stakes, &root.Unbondings,
	} {
		*m = empty
	}
	if root.Due, err = emptySchedule(o); err != nil {
		return stateRoot{}, err
	}
	root.Params, err = o.Put(background(), &c)
	return root, err
}

// found pays the allocations, names the founders and bonds the validators.
func (d *draft) found(g Genesis) error {
	ledger := atp.Ledger{State: d}
	for _, a := range g.Allocations {
		if err := ledger.Grant(a.To, a.Amount); err != nil {
			return err
		}
	}
	for _, f := range g.Founders {
		if err := d.foundPlatform(f, slices.Contains(g.Validators, f.ID)); err != nil {
			return err
		}
	}
	for _, id := range g.Validators {
		if g.Params.ValidatorBond > 0 {
			if err := ledger.Bond(id, g.Params.ValidatorBond); err != nil {
				return err
			}
		}
		if err := d.validators.set(accountKey(id), Validator{Bond: g.Params.ValidatorBond}); err != nil {
			return err
		}
		d.root.Census.Validators++
	}
	return nil
}

// foundPlatform names a founder. Who validates from the beginning needs no vote to
// come back.
func (d *draft) foundPlatform(f Founder, validates bool) error {
	p := platform{Name: task.Name(f.Name), Founder: true, Admitted: validates}
	if err := d.names.set(f.Name, f.ID); err != nil {
		return err
	}
	if own, ok := d.societyOf(p); ok {
		if err := d.societies.set(string(own), society{}); err != nil {
			return err
		}
	}
	return d.platforms.set(accountKey(f.ID), p)
}
