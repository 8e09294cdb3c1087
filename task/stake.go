package task

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Unbonding is a stake on its way back to its owner.
//
// What witnesses have reserved stays where it is until their tasks are settled,
// so that would need no delay. But who could witness is noted when a draw is asked for,
// and its beacon comes up to two blocks for each validator later: whoever left in
// between would sit with nothing to lose. The delay is a span of time and
// not a number of blocks, since a federation at rest makes none.
type Unbonding struct {
	ID     cid.Cid
	Owner  atp.ID
	Amount atp.Amount
	Until  atp.Millis
}

// Staking is a STAKE_UNBOND, and where it stands in the chain. Its CID names
// the unbonding.
type Staking struct {
	Genesis [32]byte
	Owner   atp.ID
	Nonce   uint64 // of the transaction
	Index   uint64 // of the operation in it
	Amount  atp.Amount
}

// ID returns the name of the unbonding.
func (s Staking) ID() (cid.Cid, error) {
	data, err := atp.Encode(&s)
	if err != nil {
		return cid.Undef, fmt.Errorf("%w: %w", ErrStake, err)
	}
	return atp.Sum(data), nil
}

// Stake sets amount of a platform's aside as its stake as a witness. Everyone with a
// stake is looked at in every draw, so that there is a least one: there are never
// more than all the ATP there is can pay for.
func (b Book) Stake(by atp.ID, amount atp.Amount) ([]Event, error) {
	stake, _, err := b.stake(by)
	if err != nil {
		return nil, err
	}
	if stake.Amount, err = stake.Amount.Add(amount); err != nil {
		return nil, err
	}
	if least := b.State.Economy().LeastStake; stake.Staying() < least {
		return nil, fmt.Errorf("%w: have %s ATP with this, want at least %s ATP", ErrStake, stake.Staying(), least)
	}
	if err := b.ledger().Bond(by, amount); err != nil {
		return nil, err
	}
	stake.Seen = b.State.Block().Height
	return []Event{&StakeBonded{by, amount}}, b.setStake(by, stake)
}

// Unstake asks an amount of a stake back, of what no seat has reserved. It is
// released when the unbonding's deadline is past.
func (b Book) Unstake(s Staking, at atp.Clock) ([]Event, error) {
	stake, _, err := b.stake(s.Owner)
	if err != nil {
		return nil, err
	}
	economy := b.State.Economy()
	least := economy.LeastCharge
	switch free := stake.Free(); {
	case s.Amount == 0 || s.Amount > free:
		return nil, fmt.Errorf("%w: have %s ATP that no seat has reserved and that is not on its way back, want %s ATP of it", ErrStake, free, s.Amount)
	case s.Amount < least && s.Amount != free:
		return nil, fmt.Errorf("%w: have %s ATP, want at least %s ATP, or all of %s ATP", ErrStake, s.Amount, least, free)
	case stake.Staying()-s.Amount < economy.LeastStake && s.Amount != free:
		return nil, fmt.Errorf("%w: %s ATP would stay, with which nobody is a witness: want %s ATP to stay, or all of %s ATP back",
			ErrStake, stake.Staying()-s.Amount, economy.LeastStake, free)
	}
	id, err := s.ID()
	if err != nil {
		return nil, err
	}
	u := Unbonding{id, s.Owner, s.Amount, at.Block.Add(economy.Unbonding)}
	stake.Leaving += s.Amount // at most the amount
	if err := b.setStake(s.Owner, stake); err != nil {
		return nil, err
	}
	if err := b.State.SetUnbonding(u); err != nil {
		return nil, fmt.Errorf("task: unbonding %s: %w", id, err)
	}
	return []Event{&StakeLeaving{id, s.Owner, s.Amount, u.Until}}, b.State.SetDue(u.Until, id)
}

// Release ends an unbonding whose deadline is past, which nobody asks for.
func (b Book) Release(u Unbonding, at atp.Clock) ([]Event, error) {
	if at.InTime(u.Until) {
		return nil, fmt.Errorf("%w: the stake is released after %d, now %d", atp.ErrTooEarly, u.Until, at.Parent)
	}
	stake, _, err := b.stake(u.Owner)
	if err != nil {
		return nil, err
	}
	amount := min(u.Amount, stake.Leaving, stake.Amount-min(stake.Amount, stake.Reserved))
	stake.Leaving -= min(stake.Leaving, u.Amount)
	stake.Amount -= amount
	if amount > 0 {
		if err := b.ledger().Unbond(u.Owner, amount); err != nil {
			return nil, err
		}
	}
	if err := b.setStake(u.Owner, stake); err != nil {
		return nil, err
	}
	if err := b.State.DeleteUnbonding(u.ID); err != nil {
		return nil, fmt.Errorf("task: unbonding %s: %w", u.ID, err)
	}
	return []Event{&StakeReleased{u.ID, u.Owner, amount}}, b.State.DeleteDue(u.Until, u.ID)
}

func (b Book) stake(id atp.ID) (Stake, bool, error) {
	s, known, err := b.State.Stake(id)
	if err != nil {
		return Stake{}, false, fmt.Errorf("task: stake of %s: %w", id, err)
	}
	return s, known, nil
}

// setStake writes a stake. One of nothing has no place in the state.
func (b Book) setStake(id atp.ID, s Stake) (err error) {
	if s.Amount == 0 && s.Open == 0 {
		err = b.State.DeleteStake(id)
	} else {
		err = b.State.SetStake(id, s)
	}
	if err != nil {
		return fmt.Errorf("task: stake of %s: %w", id, err)
	}
	return nil
}

// reserve takes a seat's bond out of what its witness has, at most want.
func (b Book) reserve(id atp.ID, want atp.Amount) (Seat, error) {
	stake, _, err := b.stake(id)
	if err != nil {
		return Seat{}, err
	}
	// Also of what is on its way back: it was there when the draw was asked for.
	seat := Seat{Witness: id, Bond: min(want, stake.Amount-min(stake.Amount, stake.Reserved))}
	stake.Reserved += seat.Bond // at most the amount
	stake.Open++
	return seat, b.setStake(id, stake)
}

// free ends a seat, and takes what is slashed of its bond.
func (b Book) free(s Seat, slash atp.Amount) error {
	stake, _, err := b.stake(s.Witness)
	if err != nil {
		return err
	}
	if slash > 0 {
		if err := b.ledger().Slash(s.Witness, slash); err != nil {
			return err
		}
	}
	stake.Reserved -= s.Bond // reserved for it
	stake.Amount -= slash    // at most the bond
	stake.Leaving = min(stake.Leaving, stake.Amount)
	stake.Open--
	return b.setStake(s.Witness, stake)
}
