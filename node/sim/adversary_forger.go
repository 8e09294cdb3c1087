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
	return f.made.speak(from, m, &f.acts, func(p *bft.Proposal) *bft.Proposal {
		body, ok := free(from, p)
		if !ok {
			return nil
		}
		h := body.Header
		h.StateRoot = h.BodyRoot
		return repropose(from, p, chain.Block{Header: h, Txs: body.Txs}, p.TC)
	})
}
