package sim

import (
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// both is one machine that misbehaves in two ways: what the first makes of a
// message, the second makes something of again. Neither undoes the other. Where
// each could, they come first in turns, at one height the one and at the next the
// other; and one that says nothing, or nothing that means anything, does so in
// place of what the replica says, not of what the other made of it.
type both struct {
	first, second Behaviour
	replies       int
}

// newBoth has whoever says other things come before whoever decides if, to whom
// and when they leave.
func newBoth(a, b Behaviour) *both {
	if hold(a) > hold(b) {
		a, b = b, a
	}
	return &both{first: a, second: b}
}

// hold is how far a behaviour holds back what is to be said.
func hold(b Behaviour) int {
	switch b.(type) {
	case *silent, *noise:
		return mute
	case *slowLeader: // it sends by itself, what nobody sees any more
		return 2
	case *selective, *withholder, *keyTwin:
		return 1
	}
	return 0
}

// mute is the hold of those that let nothing out.
const mute = 3

// Send implements [Behaviour].
func (b *both) Send(from, to *machine, m bft.Message) (list []bft.Message) {
	first, second := b.first, b.second
	if hold(first) == hold(second) && m.Position().Height%2 == 1 {
		first, second = second, first
	}
	for _, said := range first.Send(from, to, m) {
		if said != m && hold(second) == mute {
			list = append(list, said)
			continue
		}
		list = append(list, second.Send(from, to, said)...)
	}
	return list
}

// Hear implements [Behaviour].
func (b *both) Hear(at, from *machine, m bft.Message) {
	b.first.Hear(at, from, m)
	b.second.Hear(at, from, m)
}

// Serve implements [Behaviour].
func (b *both) Serve(at *machine, w replica.Want, answer replica.Fetched) (replica.Fetched, bool) {
	before := b.first.Acts()
	got, answered := b.first.Serve(at, w, answer)
	if lied := b.first.Acts() > before; !answered || lied && hold(b.second) == mute {
		return got, answered
	}
	return b.second.Serve(at, w, got)
}

// Reply implements [garbler]. Two that have a hand in answers take turns at them.
func (b *both) Reply(at *machine, w replica.Want, r wire.Reply) []byte {
	var hands []garbler
	for _, one := range []Behaviour{b.first, b.second} {
		if g, ok := one.(garbler); ok {
			hands = append(hands, g)
		}
	}
	if len(hands) == 0 {
		return encoded(r)
	}
	b.replies++
	return hands[b.replies%len(hands)].Reply(at, w, r)
}

// Acts implements [Behaviour].
func (b *both) Acts() int { return b.first.Acts() + b.second.Acts() }

// parts are the behaviours of one machine.
func parts(b Behaviour) []Behaviour {
	switch b := b.(type) {
	case nil:
		return nil
	case *both:
		return []Behaviour{b.first, b.second}
	}
	return []Behaviour{b}
}
