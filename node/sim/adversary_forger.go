package sim

import (
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// forger proposes blocks whose execution does not give the state root that
// they claim, whenever it is free to choose one.
type forger struct {
	honest
	made drafts
}

// Send implements [Behaviour].
func (f *forger) Send(from, _ *machine, m bft.Message) []bft.Message {
	return f.made.speak(from, m, &f.honest, func(p *bft.Proposal) draft {
		body, ok := free(from, p)
		if !ok {
			return draft{}
		}
		h := body.Header
		h.StateRoot = h.BodyRoot
		return draft{repropose(from, p, chain.Block{Header: h, Txs: body.Txs}, p.TC), "with a wrong state root"}
	})
}
