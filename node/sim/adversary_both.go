package sim

import (
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// both is one machine that misbehaves in two ways: what the first makes of a
// message, the second makes something of again.
type both struct{ first, second Behaviour }

// Send implements [Behaviour].
func (b *both) Send(from, to *machine, m bft.Message) (list []bft.Message) {
	for _, m := range b.first.Send(from, to, m) {
		list = append(list, b.second.Send(from, to, m)...)
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
	if got, answered := b.first.Serve(at, w, answer); answered {
		return b.second.Serve(at, w, got)
	}
	return replica.Fetched{}, false
}

// Reply implements [garbler].
func (b *both) Reply(at *machine, w replica.Want, r wire.Reply) []byte {
	for _, one := range []Behaviour{b.first, b.second} {
		if g, ok := one.(garbler); ok {
			return g.Reply(at, w, r)
		}
	}
	return encoded(r)
}

// Acts implements [Behaviour].
func (b *both) Acts() int { return b.first.Acts() + b.second.Acts() }
