package sim

import (
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// forger proposes blocks whose execution does not give the state root that
// they claim, whenever it is free to choose one.
type forger struct {
	honest
	made map[bft.Position]*bft.Proposal
}

// Send implements [Behaviour].
func (f *forger) Send(from, _ *machine, m bft.Message) []bft.Message {
	p, ok := m.(*bft.Proposal)
	if !ok || p.TC != nil && p.TC.QC != nil {
		return []bft.Message{m}
	}
	if f.made[p.Position()] == nil {
		body, ok := from.store.bodies[p.Block]
		if !ok {
			return []bft.Message{m}
		}
		body.Header.StateRoot = body.Header.BodyRoot
		if f.made == nil {
			f.made = make(map[bft.Position]*bft.Proposal)
		}
		f.made[p.Position()] = repropose(from, p, chain.Block{Header: body.Header, Txs: body.Txs}, p.TC)
	}
	return []bft.Message{f.made[p.Position()]}
}
