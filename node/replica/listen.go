package replica

import (
	"slices"

	"github.com/sage-p2p/sage-p2p/bft"
)

// listening is the time after a start in which nothing is said for the first
// time: a peer may hold what an old image of our disk has forgotten (A6), and
// says so in its Status. A key that is alive elsewhere is found out meanwhile: the
// others are connected with both of its processes, and say that. It keeps J8.
type listening struct {
	on      bool
	armed   bool           // TimerListen
	waited  bool           // two timeouts have passed in which a validator was connected
	waiting []bft.Unsigned // what is said once it ends, in order
}

// maxListens bounds how often one listens again because somebody says to be
// further, or has come to one that is alone in its set: perhaps others have a vote
// by now.
const maxListens = 8

// enough is how many others must have told where they stand. Whatever a quorum
// did with our vote, q − 1 others know of it; so many of the n − 1 others have
// f + 1 in common with those, hence a correct one.
func enough(set bft.ValidatorSet) int { return set.Len() - set.Quorum() + set.F() + 1 }

// listen begins it, also for who has no vote: the image may be from before it
// had one.
func (r *Replica) listen() { r.listening.on = !r.self.IsZero() && !r.mute }

// attend goes on with the listening in a set that is new, or new here.
func (r *Replica) attend() {
	if r.listening.on && r.below.set.Hash() != r.set.Hash() {
		r.listening.armed = false // the patience was for others
	}
	switch {
	case !r.listening.on || !r.set.Contains(r.self):
	case len(r.others) > 0:
		for _, p := range r.peers {
			if r.set.Contains(p.id) {
				r.patient()
			}
		}
		r.heardEnough()
	case r.begins():
		r.speak()
	default:
		r.patient()
	}
}

// begins reports whether nobody can know what we have forgotten: our key was made by
// this process. A record that looks as new may be an image from then.
func (r *Replica) begins() bool { return r.head().Height == 0 && r.record.BootCount == 0 }

// patient gives the others two timeouts from when the first of them is
// connected. Before that, whatever we said would reach nobody who counts it.
func (r *Replica) patient() {
	if r.listening.on && !r.listening.armed && (r.set.Contains(r.self) || !r.listening.waited) {
		r.listening.armed = true
		r.out.Timers = append(r.out.Timers, Timer{Kind: TimerListen})
	}
}

// greeted has one that is alone hear each of the first peers that come before it
// says anything more: they bring old transactions along, which are work on the
// state of an old image, and perhaps before their Status.
func (r *Replica) greeted() {
	if len(r.others) > 0 || !r.set.Contains(r.self) || r.mute || r.head().Height == 0 || r.listens == maxListens {
		return
	}
	r.listens++
	r.listening.on, r.listening.armed = true, true
	r.out.Timers = append(r.out.Timers, Timer{Kind: TimerListen})
}

// told takes note that a peer's Status holds nothing of ours that we forgot.
func (r *Replica) told(id bft.ID) {
	if p := r.peers.get(id); p != nil {
		p.told, r.met = true, r.met || r.set.Contains(id)
		r.heardEnough()
	}
}

// heardEnough ends the listening once enough of the others have told, those of the
// newest height: what was said in a set that is not known yet, its members know.
func (r *Replica) heardEnough() {
	if !r.listening.on || !r.listening.waited && !r.begins() || !r.set.Contains(r.self) || r.outrun() {
		return
	}
	if len(r.others) == 0 {
		if !slices.ContainsFunc(r.peers, func(p *peer) bool { return !p.told }) {
			r.speak()
		}
		return
	}
	n := 0
	for _, p := range r.peers {
		if p.told && r.set.Contains(p.id) {
			n++
		}
	}
	if n >= enough(r.set) {
		r.speak()
	}
}

// outrun reports whether the chain may have gone on without us ever since our disk
// was copied, and with other validators: somebody who is believed says so, and
// anybody to one that is alone.
func (r *Replica) outrun() bool {
	if len(r.others) == 0 {
		return r.peers.claimed() >= r.height()
	}
	return r.believed() >= r.height()
}

// listened is the end of the patience. If somebody says to be further, that is
// found out first.
func (r *Replica) listened(t Timer) {
	there := func(id bft.ID) bool { return r.peers.get(id) != nil }
	alone := len(r.others) > 0 && !slices.ContainsFunc(r.others, there)
	r.listening.waited = r.listening.waited || !alone
	switch {
	case !r.listening.on:
	case !r.set.Contains(r.self), alone:
		r.listening.armed = false // it begins when one that could know is there
	case r.outrun() && t.Attempt < maxListens:
		r.out.Timers = append(r.out.Timers, Timer{Kind: TimerListen, Attempt: t.Attempt + 1})
	default:
		r.speak()
	}
}

// speak ends the listening: what waited for it is signed.
func (r *Replica) speak() {
	r.out.Sign = append(r.out.Sign, r.listening.waiting...)
	r.listening = listening{}
}
