package replica

import (
	"fmt"
	"slices"

	"github.com/sage-p2p/sage-p2p/bft"
)

// tell sends our Status, to each with the newest that we hold from it. While
// the next block waits in the backlog there is nothing to tell yet.
func (r *Replica) tell(to []bft.ID) {
	if r.backlog.has(r.height()) {
		return
	}
	for _, id := range to {
		s := r.core.Status()
		s.FinalHeight, s.FinalID = r.head().Height, r.head().ID
		s.Clock, s.Challenge = bft.UnixMillis(r.clock.now()), r.challenge()
		if p := r.peers.get(id); p != nil && r.knows() {
			s.Answer = p.challenge
		}
		if newest, ok := r.Newest(id); ok {
			s.Newest = &newest
		}
		r.send(id, s)
	}
}

// Newest returns what another platform has said last, as far as it is remembered
// here.
func (r *Replica) Newest(of bft.ID) (bft.Signed, bool) {
	i := slices.IndexFunc(r.newest, func(n bft.Signed) bool { return n.Signer == of })
	if i < 0 {
		return bft.Signed{}, false
	}
	return r.newest[i], true
}

// tellObservers tells a new height to the peers without a vote that we serve:
// no consensus message reaches them.
func (r *Replica) tellObservers() {
	if !r.set.Contains(r.self) {
		return
	}
	for _, p := range r.peers {
		if !r.set.Contains(p.id) {
			r.tell([]bft.ID{p.id})
		}
	}
}

// status takes from a Status what needs no validator set: its sender's clock,
// and whether it holds a statement of ours that we forgot.
func (r *Replica) status(p *peer, s *bft.Status) error {
	if r.set.Contains(p.id) {
		if a, ok := r.clock.compare(p.id, s.Clock); ok {
			r.alarm(a)
		}
	}
	r.reply(p, s)
	if s.Newest == nil || s.Newest.Signer != r.self || !r.forgot(*s.Newest) {
		r.told(p.id)
		return r.replied(p, s)
	}
	shown := *s
	shown.Height, shown.HighQC, shown.TC = r.height(), nil, nil // any height's Verifier judges Newest
	r.verifyWith(p, Job{From: p.id, Height: r.height(), Set: r.set, Message: &shown})
	return nil
}

// reply answers a Status with ours. It does so once for the first since its sender
// came: our greeting may have come before that could hear, and with it the word of
// what it has forgotten or lacks. And it does so at most once in a second each for
// one that challenges us, and for one from so far below that the certificate of its
// height is not enough. Else what comes from above or from our height is not
// answered, so that two of us are silent again at once (J6).
func (r *Replica) reply(p *peer, s *bft.Status) {
	second := r.now / 1_000
	first := p.came && s.FinalHeight <= r.head().Height
	challenged := s.Challenge != 0 && second != p.answering
	below := s.Height < r.head().Height && second != p.showing
	p.came, p.challenge = false, s.Challenge
	if challenged {
		p.answering = second
	}
	if below {
		p.showing = second
	}
	if first || challenged || below {
		r.tell([]bft.ID{p.id})
	}
}

// rolledBack takes a statement that our key signed, and stops signing if our
// record does not know of it (A6).
func (r *Replica) rolledBack(s bft.Signed) {
	if s.Signer != r.self || !r.forgot(s) {
		return
	}
	if r.mute {
		r.bar(s.Kind, s.Height)
		return
	}
	r.mute, r.listening = true, listening{}
	r.out.Persist.Mute = fmt.Sprintf("a peer holds our %v of height %d, view %d, which our record does not know: "+
		"the disk was restored, or the key is in use elsewhere. Nothing is signed any more", s.Kind, s.Height, s.View)
	r.alarm(Alarm{AlarmRolled, r.out.Persist.Mute})
	r.tell(r.others) // with a challenge
}

func (r *Replica) alarm(a Alarm) { r.out.Publish.Alarms = append(r.out.Publish.Alarms, a) }

// unfinished reports whether anything is going on.
func (r *Replica) unfinished() bool {
	return r.active || r.final != nil || len(r.fetches) > 0 || r.peers.claimed() >= r.height() || r.busy()
}

// timer takes a timer that has run its course.
func (r *Replica) timer(t Timer) error {
	switch t.Kind {
	case TimerStatus:
		r.ticking = false
		if !r.unfinished() {
			return nil
		}
		r.tell(r.others)
		if !r.set.Contains(r.self) {
			r.shareWork() // validators do it when their view ends
		}
		r.tick()
		return r.chase(patience)
	case TimerFetch:
		return r.look()
	case TimerDue:
		return r.work()
	case TimerListen:
		r.listened(t)
		return nil
	}
	if t.Kind == TimerRepeat && t.Height == r.height() && r.core.Untouched() && !r.busy() {
		return r.rest()
	}
	leader, silent := bft.ID{}, false
	if t.Kind == TimerView {
		leader, silent = r.doubts(t)
	}
	err := r.absorb(r.core.TimerFired(bft.Timer{Height: t.Height, View: t.View, Kind: bft.TimerKind(t.Kind), Attempt: t.Attempt}))
	if err != nil || !silent {
		return err
	}
	r.silent = append(r.silent, leader)
	return r.absorb(r.core.LeaderGone(leader))
}

// rest ends the repetition of a Timeout whose reason is gone before anything else
// was said at the height: a transaction that has expired, a deadline that was due
// by a clock set back since. It keeps J6.
func (r *Replica) rest() error {
	r.active, r.resting = false, true
	return r.work()
}

// wake begins it again, with new work or a word of another's: who has a reason
// needs our Timeout too.
func (r *Replica) wake() {
	if r.resting {
		r.resting = false
		r.active = true
		r.arm(Timer{Kind: TimerRepeat, Height: r.height(), View: r.core.View()})
	}
}
