package replica

import (
	"slices"

	"github.com/sage-p2p/sage-p2p/bft"
)

// listening is the time after a start in which nothing is said for the first
// time: a peer may hold what an old image of our disk has forgotten (A6), and
// says so in its Status. It keeps J8.
type listening struct {
	on      bool
	armed   bool           // TimerListen
	told    []bft.ID       // validators whose Status came and knows nothing worse; each once
	waiting []bft.Unsigned // what is said once it ends, in order
}

// enough is how many others must have told where they stand. Whatever a quorum
// did with our vote, q − 1 others know of it; so many of the n − 1 others have
// f + 1 in common with those, hence a correct one.
func enough(set bft.ValidatorSet) int { return set.Len() - set.Quorum() + set.F() + 1 }

// listen begins it, unless nobody else votes, who could know better.
func (r *Replica) listen() {
	r.listening.on = r.set.Contains(r.self) && len(r.others) > 0 && !r.mute
}

// patient gives the others two timeouts from when the first of them is
// connected. Before that, whatever we said would reach nobody who counts it.
func (r *Replica) patient() {
	if r.listening.on && !r.listening.armed {
		r.listening.armed = true
		r.out.Timers = append(r.out.Timers, Timer{Kind: TimerListen})
	}
}

// told takes note that a peer's Status holds nothing of ours that we forgot.
func (r *Replica) told(id bft.ID) {
	l := &r.listening
	if !l.on || slices.Contains(l.told, id) {
		return
	}
	l.told = slices.DeleteFunc(append(l.told, id), func(id bft.ID) bool { return !r.set.Contains(id) })
	if len(l.told) >= enough(r.set) {
		r.speak()
	}
}

// speak ends the listening: what waited for it is signed.
func (r *Replica) speak() {
	r.out.Sign = append(r.out.Sign, r.listening.waiting...)
	r.listening = listening{}
}
