package sim

import (
	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// timePusher makes blocks of another time: an hour ahead, in the next millisecond
// after the parent, or before it; and it tells everyone that its clock is far off.
type timePusher struct {
	honest
	made drafts
}

// Send implements [Behaviour].
func (t *timePusher) Send(from, _ *machine, m bft.Message) []bft.Message {
	if s, ok := m.(*bft.Status); ok {
		t.act(from, "says that its clock is an hour ahead")
		far := *s
		far.Clock += bft.UnixMillis(3600 * atp.Second)
		return []bft.Message{&far}
	}
	return t.made.speak(from, m, &t.honest, func(p *bft.Proposal) draft { return t.moved(from, p) })
}

func (t *timePusher) moved(from *machine, p *bft.Proposal) draft {
	body, ok := free(from, p)
	if !ok {
		return draft{}
	}
	h, tip := body.Header, from.replica.State().Tip()
	var how string
	switch len(t.made) % 3 {
	case 0:
		how = "an hour ahead"
		h.Time = h.Time.Add(3600 * atp.Second)
	case 1:
		how = "older than its parent"
		h.Time = tip.Time - 1
	default:
		how = "a millisecond after its parent"
		h.Time = tip.Time + 1
	}
	block, _, err := chain.Assemble(from.replica.State(), h, body.Txs)
	if err != nil { // nobody can execute it
		block = chain.Block{Header: h, Txs: body.Txs}
	}
	return draft{repropose(from, p, block, p.TC), how}
}
