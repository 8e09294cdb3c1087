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
	place := m.Position()
	place.Kind = 0
	switch m := m.(type) {
	case *bft.Proposal:
		twin := e.twin(from, m)
		if twin == nil {
			break
		}
		list := []bft.Message{twin, from.say(vote(bft.KindPrepare, place, twin.Block)), from.say(vote(bft.KindCommit, place, twin.Block))}
		if to.index%4 == 1 {
			list = append(list, m) // one of them sees both
		}
		return list
	case *bft.Vote:
		if twin := e.twins[place]; twin != nil {
			return []bft.Message{from.say(vote(m.Kind, place, twin.Block))}
		}
	}
	return []bft.Message{m}
}

// twin returns the other block of a proposal: the same a millisecond later.
func (e *equivocator) twin(from *machine, p *bft.Proposal) *bft.Proposal {
	place := p.Position()
	place.Kind = 0
	if t := e.twins[place]; t != nil || p.TC != nil && p.TC.QC != nil {
		return t
	}
	outline, err := chain.DecodeOutline(p.Payload)
	if err != nil || from.replica.Height() != p.Height {
		return nil
	}
	body, ok := from.store.bodies[p.Block]
	if !ok {
		return nil
	}
	h := outline.Header
	h.Time++
	block, _, err := chain.Assemble(from.replica.State(), h, body.Txs)
	if err != nil {
		return nil
	}
	t := repropose(from, p, block, p.TC)
	if e.twins == nil {
		e.twins = make(map[bft.Position]*bft.Proposal)
	}
	e.twins[place] = t
	return t
}

// repropose returns a proposal in the place of p for another block, with the
// block's body on the proposer's disk.
func repropose(from *machine, p *bft.Proposal, block chain.Block, tc *bft.TC) *bft.Proposal {
	id, err := block.Header.ID()
	if err != nil {
		return nil
	}
	payload, err := block.Outline().Encode()
	if err != nil {
		return nil
	}
	from.store.bodies[id] = block
	u := vote(bft.KindProposal, p.Position(), id)
	u.TC, u.Payload = tc, payload
	twin, _ := from.say(u).(*bft.Proposal)
	return twin
}
