package sim

import (
	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// Behaviour is the one decision in which an adversary departs from the correct
// machine that it embeds.
type Behaviour interface {
	// Send returns what goes to one machine in place of m.
	Send(from, to *machine, m bft.Message) []bft.Message
	// Hear is told every message that arrives, before the replica is.
	Hear(at *machine, m bft.Message)
	// Serve returns what is answered in place of answer, if anything is.
	Serve(at *machine, w replica.Want, answer replica.Fetched) (replica.Fetched, bool)
}

// honest is the part that an adversary does not override.
type honest struct{}

func (honest) Send(_, _ *machine, m bft.Message) []bft.Message { return []bft.Message{m} }
func (honest) Hear(*machine, bft.Message)                      {}

func (honest) Serve(_ *machine, _ replica.Want, answer replica.Fetched) (replica.Fetched, bool) {
	return answer, true
}

// behaviours are all adversaries.
func behaviours() []func() Behaviour {
	return []func() Behaviour{
		func() Behaviour { return silent{} },
		func() Behaviour { return &doubleVoter{} },
		func() Behaviour { return &equivocator{} },
		func() Behaviour { return &staleProposer{} },
		func() Behaviour { return &forger{} },
		func() Behaviour { return liar{} },
	}
}

// say makes a message of a statement, whatever the record says of it.
func (m *machine) say(u bft.Unsigned) bft.Message {
	return u.Message(m.id(), m.key.Sign(u.SignedBytes(m.sim.cast.Genesis)))
}

func vote(k bft.Kind, like bft.Position, block cid.Cid) bft.Unsigned {
	return bft.Unsigned{Statement: bft.Statement{Kind: k, Height: like.Height, View: like.View, Block: block, HighView: bft.NoView}}
}
