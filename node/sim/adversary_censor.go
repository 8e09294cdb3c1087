package sim

import (
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// censor wants nothing of the others to become final: its blocks are empty but for
// its own transactions, and it votes for no block that holds another's.
type censor struct {
	honest
	made drafts
}

// Send implements [Behaviour].
func (c *censor) Send(from, _ *machine, m bft.Message) []bft.Message {
	if v, ok := m.(*bft.Vote); ok && c.made[spot(m)].made == nil && c.minds(from, v.Block) {
		c.act(from, "does not send its %s: there are transactions of others in the block", called(m))
		return nil
	}
	return c.made.speak(from, m, &c.honest, func(p *bft.Proposal) draft {
		return draft{c.purged(from, p), "without what others have sent"}
	})
}

// minds reports whether a block holds somebody else's transaction.
func (c *censor) minds(from *machine, block cid.Cid) bool {
	b, ok := from.store.bodies[block]
	return ok && slices.ContainsFunc(b.Txs, func(tx chain.VerifiedTx) bool { return bft.ID(tx.Tx().From) != from.id() })
}

// purged returns p without what others sent, nil if there is nothing.
func (c *censor) purged(from *machine, p *bft.Proposal) *bft.Proposal {
	body, ok := free(from, p)
	if !ok || !c.minds(from, p.Block) {
		return nil
	}
	own := slices.DeleteFunc(slices.Clone(body.Txs), func(tx chain.VerifiedTx) bool { return bft.ID(tx.Tx().From) != from.id() })
	block, _, err := chain.Assemble(from.replica.State(), body.Header, own)
	if err != nil {
		return nil
	}
	return repropose(from, p, block, p.TC)
}
