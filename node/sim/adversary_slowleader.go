package sim

import (
	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// slowLeader lets its Proposals and votes drip: each goes to each of the others at
// another moment, some just before their timers run out and some just after.
type slowLeader struct{ honest }

// Send implements [Behaviour].
func (s *slowLeader) Send(from, to *machine, m bft.Message) []bft.Message {
	switch m.(type) {
	case *bft.Proposal, *bft.Vote:
	default:
		return []bft.Message{m}
	}
	s.act(from, "lets its %s drip, to each of the others at another moment", called(m))
	base := from.sim.plan.Base
	late := base/2 + atp.Span(from.sim.World.Rand.Uint64N(uint64(base)))
	from.later(late, func() { from.sim.net.pass(from, to, m) })
	return nil
}
