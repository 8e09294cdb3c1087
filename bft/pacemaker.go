package bft

import "github.com/ipfs/go-cid"

// The pacemaker moves a core from view to view: R5 and R6. It decides which
// timers run, and never for how long.

// arm starts the timer of the height, on its first work, Proposal, vote or QC.
func (c *Core) arm(out *Output) {
	if c.armed || !c.voting {
		return
	}
	c.armed = true
	c.startTimers(out)
	c.skipGone(out)
}

// startTimers starts the timers of the current view: to give it up, or, if it
// is given up already, to say so again.
func (c *Core) startTimers(out *Output) {
	kinds := []TimerKind{TimerView, TimerHalf}
	if !c.marks.mayTimeOut(c.view) {
		kinds = []TimerKind{TimerRepeat}
	}
	for _, k := range kinds {
		out.Timers = append(out.Timers, Timer{Height: c.cfg.Height, View: c.view, Kind: k})
	}
}

// enter goes to a higher view, with its timer, its Proposal if that is here,
// and its leader's part.
func (c *Core) enter(v View, out *Output) {
	c.view = v
	if !c.voting {
		return
	}
	c.armed = true
	c.startTimers(out)
	c.consider(out)
	c.propose(out)
	c.skipGone(out)
}

// TimerFired tells that a timer has run its course. One of another height or
// view is ignored.
func (c *Core) TimerFired(t Timer) Output {
	var out Output
	if c.final != nil || !c.voting || t.Height != c.cfg.Height || t.View != c.view {
		return out
	}
	switch t.Kind {
	case TimerView:
		if c.armed && c.marks.mayTimeOut(c.view) {
			out.ShareWork = true
			c.giveUp(&out)
		}
	case TimerHalf:
		out.Status = true
	case TimerRepeat:
		c.repeatTimeout(t.Attempt, &out)
	}
	return out
}

// giveUp is R5's Timeout of the current view, declaring highQC. It keeps S6.
func (c *Core) giveUp(out *Output) {
	s := c.statement(KindTimeout, c.view, cid.Undef)
	s.HighView = viewOf(c.marks.HighQC)
	c.say(Unsigned{Statement: s, QC: c.marks.HighQC}, out)
	c.armed = true
	c.startTimers(out)
}

// repeatTimeout sends the newest Timeout again, the same bytes, as long as it
// is of the current view: then the height is stuck (L6).
func (c *Core) repeatTimeout(attempt int, out *Output) {
	mine := c.held.timeouts[c.self]
	if c.marks.mayTimeOut(c.view) {
		return
	}
	if mine != nil && mine.View == c.view {
		out.Send = append(out.Send, Envelope{Message: mine})
	}
	out.ShareWork = true
	out.Timers = append(out.Timers, Timer{c.cfg.Height, c.view, TimerRepeat, attempt + 1})
}

// Untouched reports whether nothing is known of the height but Timeouts of its
// first view, by validators too few to leave it: if the work for which they gave
// it up is gone, nothing is lost when nobody speaks of it any more.
func (c *Core) Untouched() bool {
	m := c.marks
	return c.view == 0 && c.tc == nil && m.HighQC == nil &&
		m.Proposed == NoView && m.Prepared == NoView && m.Committed == NoView &&
		c.held.proposals.empty() && c.held.prepares.empty() && c.held.commits.empty()
}

// timeout takes a Timeout of any view: its highQC counts at once (L5), then it
// may make us join (R5), then complete a TC (R6).
func (c *Core) timeout(t *Timeout, out *Output) {
	i, ok := c.set.Index(t.Signer)
	if !ok {
		return
	}
	c.accuse(i, t.Signed(), out)
	c.certificates(t.HighQC, nil, out)
	if !c.held.timeouts.keep(i, t) {
		return
	}
	if w := c.held.joinView(); c.voting && joins(w, c.view, c.marks) {
		c.view = w
		c.giveUp(out)
	}
	if v := c.held.tcView(); v > viewOfTC(c.tc) {
		c.nextView(c.held.tc(v), out)
	}
}

// nextView is R6: keep the newest TC, whatever our view, and enter the view
// after it unless we are there.
func (c *Core) nextView(tc *TC, out *Output) {
	if tc.View <= viewOfTC(c.tc) {
		return
	}
	c.tc = tc
	c.repeatProposal(out)
	if entersAfter(tc, c.view) {
		c.enter(tc.View+1, out)
	} else if tc.View == c.view-1 {
		c.propose(out)
	}
}

// LeaderGone tells that the transport has lost a validator.
func (c *Core) LeaderGone(id ID) Output {
	var out Output
	if i, ok := c.set.Index(id); ok && c.final == nil {
		c.gone.set(i)
		c.skipGone(&out)
	}
	return out
}

// LeaderBack tells that a validator lost before is connected again.
func (c *Core) LeaderBack(id ID) {
	if i, ok := c.set.Index(id); ok {
		c.gone[i/8] &^= 1 << (i % 8)
	}
}

// skipGone gives the view up at once if its leader is known to be gone and has
// left no Proposal, with which the others can go on (L7).
func (c *Core) skipGone(out *Output) {
	i, ok := c.set.Index(c.leader())
	if !ok || !c.voting || !c.armed || !c.gone.Has(i) || i == c.self {
		return
	}
	p := c.held.proposals[i]
	if left := p != nil && p.View == c.view; !left && maySkip(c.view, c.set.F()) && c.marks.mayTimeOut(c.view) {
		c.giveUp(out)
	}
}
