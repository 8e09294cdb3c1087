package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// The money of the demonstration with witnesses.
const (
	auditPrice = 20 * atp.ATP // five seats of 1 ATP: all who could sit do
	liarPrice  = 8 * atp.ATP  // three seats: there is a level above
	seatStake  = 150 * atp.ATP
	liarName   = "zeta"
	auditTries = 12 // each is audited with a probability of more than three in four
)

// sevenPlatforms is the cast of `demo --witnesses`.
func sevenPlatforms() cast {
	return cast{
		names: []string{"alpha", "beta", "gamma", "delta", "epsilon", liarName, "eta"}, liars: []string{liarName}, number: "seven",
		params: func(p *chain.Params) {
			// All of them end early where everyone acts: on a busy machine they must not end before.
			p.Economy.LeastCommit, p.Economy.RevealWindow = 40*atp.Second, 30*atp.Second
			p.Economy.Silence, p.Economy.AppealWindow = 40*atp.Second, 40*atp.Second
		},
		opens: "Seven platforms on this machine, each its own process with its own key, port and home under %s. " +
			"Their genesis has short windows (seconds where the defaults are minutes). Six are honest. The seventh, zeta, is told by a " +
			"variable of its environment to lie: every result of its is wrong, when it executes and when it witnesses.",
		steps: func(d *demo) []func(context.Context) error {
			return []func(context.Context) error{d.compile, d.found, d.register, d.bondStakes, d.audit, d.catchTheLiar, d.compare}
		},
	}
}

// bondStakes waits until all have bonded the stake of a witness, by themselves.
func (d *demo) bondStakes(ctx context.Context) error {
	for _, of := range d.platforms {
		if err := d.platforms[0].until(ctx, "to see the stake of "+of.name, func() (bool, error) {
			a, err := d.platforms[0].node.Account(ctx, of.id.String())
			return err == nil && a.Stake != nil && a.Stake.AmountUATP == seatStake, err
		}); err != nil {
			return err
		}
	}
	d.say("With more than three owners there can be independent witnesses: each has bonded a stake of %s, by itself.", coins(seatStake))
	return nil
}

// audit delegates tasks to beta until the lot draws one for an audit.
func (d *demo) audit(ctx context.Context) error {
	alpha, beta := d.platforms[0], d.platforms[1]
	for range auditTries {
		before, err := d.books(ctx)
		if err != nil {
			return err
		}
		t, err := d.delegate(ctx, beta, auditPrice)
		if err != nil {
			return err
		}
		if t.Settlement != view.SettledCommit {
			return fmt.Errorf("the task ended in %s, not in COMMIT", stateOf(t))
		}
		after, err := d.books(ctx)
		if err != nil {
			return err
		}
		if err := moved(before, after, alpha.name, -int64(auditPrice+auditPrice*300/10_000)); err != nil {
			return err
		}
		if len(t.Witnesses) == 0 {
			d.say("alpha posts a vision task for beta at %s. The lot spares its result; alpha executes the task again itself, finds the same, and pays.", coins(auditPrice))
			continue
		}
		return d.tellAudit(t, before, after)
	}
	return fmt.Errorf("none of %d tasks was drawn for an audit", auditTries)
}

// tellAudit checks what an audit did to everyone, and says it.
func (d *demo) tellAudit(t view.Task, before, after map[string]entry) error {
	if len(t.Witnesses) != 5 {
		return fmt.Errorf("%d witnesses sat, not the five who could", len(t.Witnesses))
	}
	if err := errors.Join(d.seatsMoved(t, before, after), stood(before, after, "beta", 1)); err != nil {
		return err
	}
	honest := view.Amount(0)
	for _, w := range t.Witnesses {
		switch lied := w.Name == liarName; {
		case lied && (w.SlashedUATP == 0 || w.EarnedUATP > 0):
			return fmt.Errorf("zeta said %s as a witness, earned %s and lost %s", w.Answer, coins(w.EarnedUATP), coins(w.SlashedUATP))
		case !lied && (w.EarnedUATP == 0 || w.SlashedUATP > 0):
			return fmt.Errorf("%s said %s as a witness, earned %s and lost %s", w.Name, w.Answer, coins(w.EarnedUATP), coins(w.SlashedUATP))
		case !lied:
			honest = w.EarnedUATP
		}
	}
	d.say("alpha posts a vision task for beta at %s, of class recompute, by default. The beacon draws its result for an audit: the five others sit, "+
		"execute the task again, commit to an answer, reveal it. Four find what beta proved: COMMIT.", coins(auditPrice))
	printSeats(d.out, t)
	d.say("Each of the four is paid %s. zeta said that the result is worth nothing, and loses its whole bond of the seat. "+
		"beta has the price, less its part of the audit, and a reputation of %s after %s.", coins(honest), share(after["beta"].reputation), share(before["beta"].reputation))
	return nil
}

// catchTheLiar delegates a task to zeta.
func (d *demo) catchTheLiar(ctx context.Context) error {
	alpha, zeta := d.platforms[0], d.platforms[5]
	sub, err := zeta.node.Register(ctx, view.Registration{Offers: []view.Offer{{
		Type: demoType, LowUATP: liarPrice, MediumUATP: liarPrice, HighUATP: liarPrice, CriticalUATP: liarPrice,
	}}})
	if _, err := zeta.final(ctx, sub, err); err != nil {
		return err
	}
	before, err := d.books(ctx)
	if err != nil {
		return err
	}
	t, err := d.delegate(ctx, zeta, liarPrice)
	if err != nil {
		return err
	}
	after, err := d.books(ctx)
	if err != nil {
		return err
	}
	did := map[string]int{}
	for _, step := range t.History {
		did[step.Event]++
	}
	if t.Settlement != view.SettledRollback || did["appeal"] != 1 {
		return fmt.Errorf("the task ended in %s after %v, not in ROLLBACK after an appeal", stateOf(t), did)
	}
	lost := int64(before[liarName].money) - int64(after[liarName].money)
	if lost < int64(t.BondUATP) {
		return fmt.Errorf("zeta lost %d µATP, less than its bond of %s", lost, coins(t.BondUATP))
	}
	if err := errors.Join(moved(before, after, alpha.name, 0), d.seatsMoved(t, before, after), stood(before, after, liarName, -1)); err != nil {
		return err
	}
	how := "alpha executes the task again by itself, finds another result, and disputes: a committee of three is drawn"
	if did["dispute"] == 0 {
		how = "the beacon draws it for an audit: a committee of three sits"
	}
	d.say("zeta undercuts everyone, and alpha gives it a task at %s. zeta bonds %s and proves a result; %s. It finds the result wrong. "+
		"zeta, whose own run says otherwise, appeals to everyone, and five find the same: ROLLBACK.", coins(liarPrice), coins(t.BondUATP), how)
	printSeats(d.out, t)
	d.say("alpha has back all that it had locked, price, fee and bond. zeta has lost %s, its bond and that of the appeal; its reputation went from %s to %s, on all seven:",
		coins(view.Amount(lost)), share(before[liarName].reputation), share(after[liarName].reputation))
	return d.printLedger(ctx)
}

// delegate has alpha give a task to a platform, and waits for its end. Nothing is
// said about how its result is verified: that is to be recompute by default.
func (d *demo) delegate(ctx context.Context, to *actor, price view.Amount) (view.Task, error) {
	alpha := d.platforms[0]
	task := d.task(to.name)
	task.PriceUATP, task.Verify = price, ""
	sub, err := alpha.node.PostTask(ctx, task, bytes.NewReader(d.edges), bytes.NewReader(d.picture))
	if _, err = alpha.final(ctx, sub, err); err != nil {
		return view.Task{}, err
	}
	if sub.Verify != "recompute" {
		return view.Task{}, fmt.Errorf("the task is of class %s, since %s", sub.Verify, sub.Because)
	}
	return d.reach(ctx, alpha, sub.TaskID, view.TaskSettled)
}

// seatsMoved checks that each witness has what its seats earned and lost.
func (d *demo) seatsMoved(t view.Task, before, after map[string]entry) error {
	change := map[string]int64{}
	for _, w := range t.Witnesses {
		change[w.Name] += int64(w.EarnedUATP) - int64(w.SlashedUATP)
	}
	var errs []error
	for name, want := range change {
		errs = append(errs, moved(before, after, name, want))
	}
	return errors.Join(errs...)
}
