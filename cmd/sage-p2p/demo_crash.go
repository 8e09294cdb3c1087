package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// victim is the platform that is killed.
func (d *demo) victim() *actor { return d.platforms[3] }

// killAnExecutor gives delta a large picture and kills it while it works.
func (d *demo) killAnExecutor(ctx context.Context) error {
	alpha, delta := d.platforms[0], d.victim()
	large, err := blankPicture(4000, 4000) // seconds of work
	if err != nil {
		return err
	}
	t := d.task(delta.name)
	t.ExecutionWindowMS = demoExecution
	if d.doomed.before, err = d.books(ctx); err != nil {
		return err
	}
	sub, err := alpha.node.PostTask(ctx, t, bytes.NewReader(d.edges), bytes.NewReader(large))
	if _, err = alpha.final(ctx, sub, err); err != nil {
		return err
	}
	d.doomed.id = sub.TaskID
	if _, err := d.reach(ctx, alpha, sub.TaskID, view.TaskAccepted); err != nil {
		return err
	}
	if err := delta.kill(); err != nil {
		return err
	}
	d.say("A third task goes to delta, who accepts it with a bond and begins: kill -9 %d. It has %d s for the work, and will be late.",
		delta.cmd.Process.Pid, demoExecution/1000)
	return nil
}

// transferWithoutIt shows that three of four decide.
func (d *demo) transferWithoutIt(ctx context.Context) error {
	beta, gamma := d.platforms[1], d.platforms[2]
	before, err := gamma.node.Account(ctx, gamma.id.String())
	if err != nil {
		return err
	}
	began := time.Now()
	sub, err := beta.node.Transfer(ctx, view.Transfer{To: gamma.name, AmountUATP: demoTransfer})
	tx, err := beta.final(ctx, sub, err)
	if err != nil {
		return err
	}
	took := time.Since(began)
	if _, err := d.agree(ctx, d.platforms[:3]); err != nil {
		return err
	}
	after, err := gamma.node.Account(ctx, gamma.id.String())
	if err != nil {
		return err
	}
	if after.AvailableUATP != before.AvailableUATP+demoTransfer {
		return fmt.Errorf("gamma had %s and has %s after a transfer of %s", before.AvailableUATP, after.AvailableUATP, demoTransfer)
	}
	d.say("Three of four are enough: beta pays gamma %s, final in block %d after %d ms with delta dead.", coins(demoTransfer), tx.Height, took.Milliseconds())
	return nil
}

// missTheDeadline waits until the state machine itself ends delta's task.
func (d *demo) missTheDeadline(ctx context.Context) error {
	alpha, delta := d.platforms[0], d.victim()
	settled, err := d.reach(ctx, alpha, d.doomed.id, view.TaskSettled)
	if err != nil {
		return err
	}
	if _, err := d.agree(ctx, d.platforms[:3]); err != nil {
		return err
	}
	after, err := d.booksOf(ctx, alpha)
	if err != nil {
		return err
	}
	charge := d.doomed.before[delta.name].money - after[delta.name].money
	if settled.Settlement != view.SettledRollback || charge == 0 || charge > d.doomed.before[delta.name].money {
		return fmt.Errorf("the task ended in %s and delta's money went from %s to %s", stateOf(settled), d.doomed.before[delta.name].money, after[delta.name].money)
	}
	if err := errors.Join(moved(d.doomed.before, after, alpha.name, 0), stood(d.doomed.before, after, delta.name, -1)); err != nil {
		return err
	}
	d.say("The deadline passes and needs nobody: ROLLBACK (%s). alpha has price and fee back; delta lost %s of its bond, and its reputation is %s.",
		clean(settled.Cause), coins(charge), share(after[delta.name].reputation))
	return nil
}

// bringItBack restarts delta on its home.
func (d *demo) bringItBack(ctx context.Context) error {
	delta := d.victim()
	if err := delta.start(ctx); err != nil {
		return err
	}
	st, err := d.agree(ctx, d.platforms)
	if err != nil {
		return err
	}
	t, err := delta.node.Task(ctx, d.doomed.id.String())
	if err != nil {
		return err
	}
	if t.Settlement != view.SettledRollback {
		return fmt.Errorf("delta says that its late task is %s", stateOf(t))
	}
	d.say("delta is started again on its home (process %d): it catches up to height %d and knows how its task ended.", delta.cmd.Process.Pid, st.Height)
	return nil
}

// compare ends with one table of what must be equal.
func (d *demo) compare(ctx context.Context) error {
	if _, err := d.agree(ctx, d.platforms); err != nil {
		return err
	}
	d.say("What all %s have come to:", d.number)
	all := make([]view.Status, len(d.platforms))
	for i, a := range d.platforms {
		var err error
		if all[i], err = a.node.Status(ctx); err != nil {
			return err
		}
		d.final.Platforms = append(d.final.Platforms, demoResultPlatform{a.name, a.home, a.node.URL(), a.cmd.Process.Pid})
	}
	table(d.out, "PLATFORM|HEIGHT|BLOCK|STATE ROOT|SUPPLY", func(row func(...any)) {
		for _, st := range all {
			row(st.Name, st.Height, short(st.Block.String()), short(st.StateRoot.String()), coins(st.Totals.SupplyUATP))
		}
	})
	first, t := all[0], all[0].Totals
	d.final.Height, d.final.Block, d.final.StateRoot, d.final.Totals = first.Height, first.Block, first.StateRoot, t
	for _, st := range all[1:] {
		if st.Height != first.Height || st.Block != first.Block || st.StateRoot != first.StateRoot || st.Totals != t {
			return fmt.Errorf("%s and %s differ", first.Name, st.Name)
		}
	}
	if sum := t.AvailableUATP + t.LockedUATP + t.BondedUATP + t.PoolUATP + t.DischargedUATP; sum != t.SupplyUATP {
		return fmt.Errorf("the supply is %s, its parts are %s", t.SupplyUATP, sum)
	}
	d.say("Equal, and not a µATP made or lost.")
	return nil
}

// entry is what a platform has, and how it stands.
type entry struct {
	money      view.Amount // available, locked and bonded
	reputation view.PPM
}

// books is everyone's standing as all agree on it.
func (d *demo) books(ctx context.Context) (map[string]entry, error) {
	if _, err := d.agree(ctx, d.platforms); err != nil {
		return nil, err
	}
	first, err := d.booksOf(ctx, d.platforms[0])
	if err != nil {
		return nil, err
	}
	for _, a := range d.platforms[1:] {
		other, err := d.booksOf(ctx, a)
		if err != nil {
			return nil, err
		}
		for name, e := range first {
			if other[name] != e {
				return nil, fmt.Errorf("of %s, alpha says %v and %s says %v", name, e, a.name, other[name])
			}
		}
	}
	return first, nil
}

// booksOf is everyone's standing as one platform sees it.
func (d *demo) booksOf(ctx context.Context, a *actor) (map[string]entry, error) {
	books := make(map[string]entry)
	for _, of := range d.platforms {
		acc, err := a.node.Account(ctx, of.id.String())
		if err != nil {
			return nil, err
		}
		rep, err := a.reputation(ctx, of.id)
		if err != nil {
			return nil, err
		}
		books[of.name] = entry{acc.AvailableUATP + acc.LockedUATP + acc.BondedUATP, rep}
	}
	return books, nil
}

// printLedger prints what each platform has.
func (d *demo) printLedger(ctx context.Context) error {
	books, err := d.books(ctx)
	if err != nil {
		return err
	}
	table(d.out, "PLATFORM|HAS|REPUTATION (VISION)", func(row func(...any)) {
		for _, a := range d.platforms {
			row(a.name, coins(books[a.name].money), share(books[a.name].reputation))
		}
	})
	return nil
}

// moved checks by how much a platform's money changed.
func moved(before, after map[string]entry, name string, want int64) error {
	if got := int64(after[name].money) - int64(before[name].money); got != want {
		return fmt.Errorf("%s had %s and has %s: that is a change of %d µATP, not %d", name, before[name].money, after[name].money, got, want)
	}
	return nil
}

// stood checks whether a reputation rose (1), fell (-1) or stayed (0).
func stood(before, after map[string]entry, name string, want int) error {
	b, a := before[name].reputation, after[name].reputation
	if (a > b) != (want > 0) || (a < b) != (want < 0) {
		return fmt.Errorf("the reputation of %s went from %s to %s", name, share(b), share(a))
	}
	return nil
}

// named finds a platform by its ID.
func (d *demo) named(id peer.ID) *actor {
	for _, a := range d.platforms {
		if a.id == id {
			return a
		}
	}
	return nil
}
