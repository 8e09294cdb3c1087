package chain

import (
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// Held is the bond of a platform that had a vote, and neither has one nor waits
// for one. It still answers for what the platform said: who gives a vote back the
// moment it has lied would otherwise lose nothing. A platform that has one joins
// with it.
type Held struct {
	ID    atp.ID
	Bond  atp.Amount
	Since bft.Height // the first that it answers for
	Until atp.Millis // when it returns; 0: when its owner asks for it, as it was only absent
}

// heldID names a bond among the deadlines.
func heldID(id atp.ID) (cid.Cid, error) {
	name, _, err := address(&Held{ID: id})
	return name, err
}

// Held returns the bond of a platform that had a vote and has none, if it is held.
func (s State) Held(id atp.ID) (Held, bool, error) {
	name, err := heldID(id)
	if err != nil {
		return Held{}, false, err
	}
	return lookup[Held](s.nodes, s.root.Held, name.KeyString())
}

func (s State) eachHeld(f func(Held) error) error {
	return each[Held](newOverlay(s.nodes), s.root.Held, func(_ string, h Held) error { return f(h) })
}

// bondEnds is when a bond returns whose owner gives its vote back now.
func (e *execution) bondEnds() atp.Millis {
	return e.header.Time.Add(e.constants.Params.Membership.BondHold)
}

func (e *execution) heldBy(id atp.ID) (Held, bool, error) {
	name, err := heldID(id)
	if err != nil {
		return Held{}, false, err
	}
	return e.held.get(name.KeyString())
}

// hold keeps a bond. There is none of its owner's yet.
func (e *execution) hold(h Held) error {
	if h.Bond == 0 {
		return nil
	}
	name, err := heldID(h.ID)
	if err != nil {
		return err
	}
	if h.Until > 0 {
		if err := e.SetDue(h.Until, name); err != nil {
			return err
		}
	}
	return e.held.set(name.KeyString(), h)
}

// letGo holds a bond no longer; whose it is then, the caller says.
func (e *execution) letGo(h Held) error {
	name, err := heldID(h.ID)
	if err != nil {
		return err
	}
	if h.Until > 0 {
		if err := e.DeleteDue(h.Until, name); err != nil {
			return err
		}
	}
	return e.held.remove(name.KeyString())
}

// giveBack ends the holding of a bond: its owner has it again.
func (e *execution) giveBack(h Held) ([]Event, error) {
	return told(errors.Join(e.letGo(h), e.unbond(h.ID, h.Bond)), &BondReturned{h.ID, h.Bond})
}

func (e *execution) unbond(id atp.ID, bond atp.Amount) error {
	if bond == 0 {
		return nil
	}
	return e.ledger().Unbond(id, bond)
}

// pledge returns the bond of a new candidate: the one that is held for it, or one
// of what it has, of which it tells how much.
func (e *execution) pledge(id atp.ID) (c Candidate, taken atp.Amount, err error) {
	h, has, err := e.heldBy(id)
	if err != nil {
		return c, 0, err
	}
	if has {
		return Candidate{Bond: h.Bond, Since: h.Since, Voted: true}, 0, e.letGo(h)
	}
	c = Candidate{Bond: e.constants.Params.ValidatorBond, Since: e.header.Height + 1}
	if c.Bond > 0 {
		err = e.ledger().Bond(id, c.Bond)
	}
	return c, c.Bond, err
}

// reclaim is the VALIDATOR_LEAVE of a platform that lost its vote by its absence:
// its bond returns in time.
func (e *execution) reclaim(from atp.ID) ([]Event, error) {
	h, has, err := e.heldBy(from)
	switch {
	case err != nil:
		return nil, err
	case !has:
		return nil, fmt.Errorf("%w: %s is neither a validator nor a candidate", ErrMember, from)
	case h.Until != 0:
		return nil, fmt.Errorf("%w: %s has left; its bond returns at %d", ErrMember, from, h.Until)
	}
	if err := e.letGo(h); err != nil {
		return nil, err
	}
	h.Until = e.bondEnds()
	return told(e.hold(h), &ValidatorLeft{from, e.header.Height, h.Bond, h.Until})
}
