package chain

import (
	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// witnessing is what a draft knows of the block that is executed, for tasks with
// witnesses.
type witnessing struct {
	block task.Block
	asked []cid.Cid // tasks that asked for a draw in this block; some twice, some that do so no more

	stakers      []atp.ID // see Stakers
	stakersKnown bool
}

// panelKey is where a panel is kept.
func panelKey(id cid.Cid, level task.Level) string { return id.KeyString() + string(rune(level)) }

// Panel implements [task.State].
func (d *draft) Panel(id cid.Cid, level task.Level) (task.Panel, bool, error) {
	return d.panels.get(panelKey(id, level))
}

// SetPanel implements [task.State].
func (d *draft) SetPanel(id cid.Cid, level task.Level, p task.Panel) error {
	return d.panels.set(panelKey(id, level), p)
}

// DeletePanel implements [task.State].
func (d *draft) DeletePanel(id cid.Cid, level task.Level) error {
	return d.panels.remove(panelKey(id, level))
}

// Stake implements [task.State].
func (d *draft) Stake(id atp.ID) (task.Stake, bool, error) { return d.stakes.get(accountKey(id)) }

// SetStake implements [task.State].
func (d *draft) SetStake(id atp.ID, s task.Stake) error {
	_, known, err := d.stakes.get(accountKey(id))
	if err != nil {
		return err
	}
	d.stakersKnown = d.stakersKnown && known
	return d.stakes.set(accountKey(id), s)
}

// DeleteStake implements [task.State].
func (d *draft) DeleteStake(id atp.ID) error {
	d.stakersKnown = false
	return d.stakes.remove(accountKey(id))
}

// Stakers implements [task.State].
func (d *draft) Stakers() ([]atp.ID, error) {
	if d.stakersKnown {
		return d.stakers, nil
	}
	keys, err := d.stakes.keys()
	if err != nil {
		return nil, err
	}
	d.stakers = make([]atp.ID, len(keys))
	for i, key := range keys {
		if d.stakers[i], err = idFromKey(key); err != nil {
			return nil, err
		}
	}
	d.stakersKnown = true
	return d.stakers, nil
}

// Unbonding implements [task.State].
func (d *draft) Unbonding(id cid.Cid) (task.Unbonding, bool, error) {
	return d.unbondings.get(id.KeyString())
}

// SetUnbonding implements [task.State].
func (d *draft) SetUnbonding(u task.Unbonding) error {
	return d.unbondings.set(u.ID.KeyString(), u)
}

// DeleteUnbonding implements [task.State].
func (d *draft) DeleteUnbonding(id cid.Cid) error { return d.unbondings.remove(id.KeyString()) }

// Block implements [task.State].
func (d *draft) Block() task.Block { return d.block }

// Council implements [task.State].
func (d *draft) Council() (task.Council, error) {
	keys, err := d.validators.keys()
	if err != nil {
		return task.Council{}, err
	}
	c := task.Council{Size: uint64(len(keys))}
	first := bft.Height(d.block.Height) + 2 // the first block whose beacon may draw
	for _, key := range keys {
		v, _, err := d.validators.get(key)
		if err != nil {
			return task.Council{}, err
		}
		id, err := idFromKey(key)
		if err != nil {
			return task.Council{}, err
		}
		if !bft.Young(v.Joined, first) {
			c.Drawers = append(c.Drawers, id)
		}
	}
	return c, nil
}

// countDraws keeps the number of tasks that wait for a beacon, and notes those
// that begin to. After is nil for a task that leaves the state.
func (d *draft) countDraws(id cid.Cid, after *task.Task) error {
	before, _, err := d.Task(id)
	if err != nil {
		return err
	}
	if before.Stage == task.Drawing {
		d.root.Census.Drawing--
	}
	if after != nil && after.Stage == task.Drawing {
		d.root.Census.Drawing++
		d.asked = append(d.asked, id)
	}
	return nil
}

// see notes that a platform with a stake is there.
func (d *draft) see(id atp.ID) error {
	s, known, err := d.Stake(id)
	if err != nil || !known || s.Seen >= d.block.Height {
		return err
	}
	s.Seen = d.block.Height
	return d.SetStake(id, s)
}

// seeSigners notes who has signed the block below.
func (e *execution) seeSigners() error {
	return e.eachDecider(func(id atp.ID, signed bool) error {
		if !signed {
			return nil
		}
		return e.see(id)
	})
}

// summon notes, now that all else is done, who could witness the tasks that
// have asked for a draw in this block. Its receipts are of those tasks.
func (e *execution) summon() error {
	for _, id := range e.asked {
		events, err := wrap(e.book().Summon(id, e.clock))
		if err != nil {
			return internal(err)
		}
		if len(events) > 0 {
			e.receipts = append(e.receipts, Receipt{Subject: id, Events: events})
		}
	}
	return nil
}
