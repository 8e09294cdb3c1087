package task_test

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

func TestAStakeComesBackLater(t *testing.T) {
	c := newCourt(t, 8)
	id := c.to(task.Committing)
	w := c.seats(id)[0].Witness
	unstake := func(amount atp.Amount, nonce uint64) operation {
		return func() ([]task.Event, error) {
			return c.book.Unstake(task.Staking{Owner: w, Amount: amount, Nonce: nonce}, c.clock())
		}
	}
	c.refused(t, task.ErrStake, unstake(275*atp.ATP+1, 0)) // 25 ATP are reserved
	c.refused(t, task.ErrStake, unstake(0, 0))
	c.refused(t, task.ErrStake, unstake(atp.ATP-1, 0))
	c.refused(t, task.ErrStake, func() ([]task.Event, error) {
		return c.book.Unstake(task.Staking{Owner: carl, Amount: atp.ATP}, c.clock())
	})
	before := c.available(t, w)
	c.block(10, unstake(200*atp.ATP, 1))
	c.refused(t, task.ErrStake, unstake(75*atp.ATP+1, 2)) // what is on its way back is not asked for twice
	if s := c.stake(w); s.Leaving != 200*atp.ATP || s.Staying() != 100*atp.ATP || s.Free() != 75*atp.ATP {
		t.Errorf("the stake is %+v", s)
	}
	c.passTime(id)
	c.block(10)
	if got := c.available(t, w) - before; got != 200*atp.ATP {
		t.Errorf("%s ATP came back, want 200 ATP", got)
	}
	if s := c.stake(w); s.Leaving != 0 || s.Amount != 90*atp.ATP { // it was silent twice
		t.Errorf("the stake is %+v", s)
	}
}

// Stakes that are too small for a seat would only be looked at in every draw: none is
// made, and none is left.
func TestNoStakeIsTooSmallForASeat(t *testing.T) {
	c := newCourt(t, 8)
	stake := func(by atp.ID, amount atp.Amount) operation {
		return func() ([]task.Event, error) { return c.book.Stake(by, amount) }
	}
	c.refused(t, task.ErrStake, stake(carl, 1))
	c.refused(t, task.ErrStake, stake(carl, 100*atp.ATP-1))
	c.block(10, stake(carl, 150*atp.ATP))
	unstake := func(amount atp.Amount, nonce uint64) operation {
		return func() ([]task.Event, error) {
			return c.book.Unstake(task.Staking{Owner: carl, Amount: amount, Nonce: nonce}, c.clock())
		}
	}
	c.refused(t, task.ErrStake, unstake(50*atp.ATP+1, 0))
	c.block(10, unstake(50*atp.ATP, 1))
	c.block(10, unstake(100*atp.ATP, 2)) // all that stays
	c.refused(t, task.ErrStake, stake(carl, 1))
}

// TestWhatWasSlashedOfALeavingStakeIsNotTakenFromANewOne: what is bonded after a
// STAKE_UNBOND is not released with it.
func TestWhatWasSlashedOfALeavingStakeIsNotTakenFromANewOne(t *testing.T) {
	c := newCourt(t, 8)
	id := c.to(task.Committing)
	w := c.seats(id)[0].Witness
	c.block(10, func() ([]task.Event, error) {
		return c.book.Unstake(task.Staking{Owner: w, Amount: 275 * atp.ATP}, c.clock())
	})
	s := c.stake(w)
	s.Leaving = 200 * atp.ATP // as if its seats had been slashed of more than stays
	if err := c.m.SetStake(w, s); err != nil {
		t.Fatal(err)
	}
	before := c.available(t, w)
	u := c.m.keys("unbonding")
	if len(u) != 1 {
		t.Fatalf("%d unbondings, want 1", len(u))
	}
	c.block(2 * c.m.economy.Unbonding)
	c.block(10)
	if got := c.available(t, w) - before; got != 200*atp.ATP {
		t.Errorf("%s ATP came back, want the 200 ATP that were leaving", got)
	}
}
