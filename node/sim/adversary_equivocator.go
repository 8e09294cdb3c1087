package sim

import (
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// equivocator makes two blocks for a view that it leads with a free choice, and
// shows each to a half of the others; to either half it votes for its block
// alone, in both phases. One machine is shown both.
type equivocator struct {
	honest
	twins map[bft.Position]*bft.Proposal
}

// Send implements [Behaviour].
func (e *equivocator) Send(from, to *machine, m bft.Message) []bft.Message {
	if to.index%2 == 0 {
		return []bft.Message{m}
	}
	place := spot(m)
	switch m := m.(type) {
	case *bft.Proposal:
		twin := e.twin(from, m)
		if twin == nil {
			break
		}
		e.act(from, "shows one half block %s, and the other block %s", short(m.Block.KeyString()), short(twin.Block.KeyString()))
		list := []bft.Message{twin, from.say(vote(bft.KindPrepare, place, twin.Block)), from.say(vote(bft.KindCommit, place, twin.Block))}
		if to.index%4 == 1 {
			list = append(list, m) // one of them sees both
		}
		return list
	case *bft.Vote:
		if twin := e.twins[place]; twin != nil {
			from.sim.lies(from, "sends one half a %v for block %s, and the other half this one", m.Kind, short(twin.Block.KeyString()))
			return []bft.Message{from.say(vote(m.Kind, place, twin.Block))}
		}
	}
	return []bft.Message{m}
}

// twin returns the other block of a proposal: the same a millisecond later.
func (e *equivocator) twin(from *machine, p *bft.Proposal) *bft.Proposal {
	if t := e.twins[spot(p)]; t != nil {
		return t
	}
	body, ok := free(from, p)
	if !ok {
		return nil
	}
	h := body.Header
	h.Time++
	block, _, err := chain.Assemble(from.replica.State(), h, body.Txs)
	if err != nil {
		return nil
	}
	t := repropose(from, p, block, p.TC)
	if e.twins == nil {
		e.twins = make(map[bft.Position]*bft.Proposal)
	}
	e.twins[spot(p)] = t
	return t
}
