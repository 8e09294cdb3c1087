package replica

import (
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// decided takes the decision of the height in progress: R4. Without the block
// it is fetched, and the height ends when it is here.
func (r *Replica) decided(f *bft.Final) error {
	r.final, r.checking, r.reusing = f, bft.Check{}, bft.Build{}
	c, err := r.candidate(f.Cert.Block)
	if err != nil {
		return err
	}
	c.heldBy(r.preparers(c.id)...)
	c.heldBy(r.signers(f.Cert.Signers)...)
	return r.advance(c)
}

// finish ends the height with its block. It keeps J2 and J3: a quorum found
// the block good, so roots that differ here are our own fault (A5).
func (r *Replica) finish(c *candidate) error {
	if r.out.Persist.Final != nil {
		return fmt.Errorf("a second final block in one step")
	}
	if err := r.execute(c); err != nil {
		return err
	}
	if c.refusal != nil {
		return fmt.Errorf("final block %s: %w", c.id, c.refusal)
	}
	f := r.final
	r.without(f.Cert)
	done := &Final{Block: *c.block, Cert: *f.Cert, Result: c.result}
	r.out.Persist.Final, r.out.Publish.Final = done, done
	r.forget(f.Cert.Height)

	r.below = previous{set: r.set, core: r.core, cert: f.Cert}
	r.state = c.result.State.On(unsaved(c.result.Nodes, r.store))
	if err := r.pool.Advance(r.state, c.block.Txs); err != nil {
		return err
	}
	return r.next(f)
}

// forget withdraws what was to be said of a height that is final now.
func (r *Replica) forget(h bft.Height) {
	over := func(u bft.Unsigned) bool { return u.Height <= h }
	r.out.Sign = slices.DeleteFunc(r.out.Sign, over)
	r.listening.waiting = slices.DeleteFunc(r.listening.waiting, over)
}

// next begins the height above the one that f decided.
func (r *Replica) next(f *bft.Final) error {
	held := r.ahead.Take()
	if err := r.begin(); err != nil {
		return err
	}
	if err := r.resume(); err != nil {
		return err
	}
	for _, m := range held {
		if p := r.peers.get(m.From); p != nil {
			r.verify(p, m.Message, m.Arrived)
		}
	}
	r.spread(f)
	r.tellObservers()
	return r.chase(0)
}

// spread sends the certificate to those from whom no COMMIT came (L4), unless
// they have spoken of the height as final.
func (r *Replica) spread(f *bft.Final) {
	to := slices.DeleteFunc(slices.Clone(f.Tell), func(id bft.ID) bool {
		p := r.peers.get(id)
		return p != nil && p.claim >= f.Cert.Height
	})
	if len(to) > 0 {
		r.out.Send = append(r.out.Send, Envelope{to, f.Cert})
	}
}

// fresh is state nodes that this step's Persist holds, over those that are
// saved. The next step reads them from the store.
type fresh struct {
	nodes map[cid.Cid][]byte
	saved chain.Nodes
}

func unsaved(nodes []chain.Node, saved chain.Nodes) fresh {
	f := fresh{make(map[cid.Cid][]byte, len(nodes)), saved}
	for _, n := range nodes {
		f.nodes[n.ID] = n.Data
	}
	return f
}

// Get implements [chain.Nodes].
func (f fresh) Get(id cid.Cid) ([]byte, error) {
	if data, ok := f.nodes[id]; ok {
		return data, nil
	}
	return f.saved.Get(id)
}
