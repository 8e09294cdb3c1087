package sim

import (
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// oversizer makes blocks that are too large: of more transactions, each of them
// good, than the genesis allows; or a Proposal of more bytes than a message has.
type oversizer struct {
	stuffer
	made drafts
}

// Send implements [Behaviour].
func (o *oversizer) Send(from, _ *machine, m bft.Message) []bft.Message {
	return o.made.speak(from, m, &o.honest, func(p *bft.Proposal) draft {
		return draft{o.large(from, p), "too large"}
	})
}

func (o *oversizer) large(from *machine, p *bft.Proposal) *bft.Proposal {
	body, ok := free(from, p)
	if !ok {
		return nil
	}
	if len(o.made)%2 == 1 {
		fat := *p
		fat.Payload = append(append([]byte{}, p.Payload...), make([]byte, bft.MaxPayload)...)
		return &fat
	}
	nonce := nextNonce(from, from, body)
	var more []chain.Transaction
	for uint64(len(body.Txs)+len(more)) <= from.replica.State().Params().Limits.Txs {
		more = append(more, signed(from, transfer(from, nonce)))
		nonce++
	}
	return o.stuff(from, p, body, more)
}
