package sim

import (
	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// duplicator makes certificates of its own signature alone: named once and there as
// often as a quorum needs, or named beyond the end of the set as well. Its own blocks
// stand on such a one too.
type duplicator struct {
	honest
	done map[bft.Position]bool
	made drafts
}

// Send implements [Behaviour].
func (d *duplicator) Send(from, _ *machine, m bft.Message) []bft.Message {
	return d.made.speak(from, m, &d.honest, func(p *bft.Proposal) draft {
		return draft{d.ungrounded(from, p), "on a decision of the height below that it signed alone"}
	})
}

// ungrounded proposes the block of p with a LastCommit that it signed alone.
func (d *duplicator) ungrounded(from *machine, p *bft.Proposal) *bft.Proposal {
	body, ok := free(from, p)
	if !ok || body.Header.LastCommit == nil {
		return nil
	}
	h, last := body.Header, *body.Header.LastCommit
	for _, c := range d.certificates(from, bft.KindCommit, bft.Position{Height: last.Height, View: last.View}, last.Block) {
		h.LastCommit = (*bft.CommitCert)(c)
	}
	block, _, err := chain.Assemble(from.replica.State(), h, body.Txs)
	if err != nil {
		return nil
	}
	return repropose(from, p, block, p.TC)
}

// Hear implements [Behaviour].
func (d *duplicator) Hear(at, _ *machine, m bft.Message) {
	p, ok := m.(*bft.Proposal)
	if !ok || d.done[p.Position()] || p.Height != at.replica.Height() {
		return
	}
	if d.done == nil {
		d.done = make(map[bft.Position]bool)
	}
	d.done[p.Position()] = true
	for _, c := range d.certificates(at, bft.KindCommit, spot(p), p.Block) {
		d.act(at, "shows a decision for block %s with its own signature as often as a quorum needs", short(p.Block.KeyString()))
		at.shout((*bft.CommitCert)(c))
	}
	for _, qc := range d.certificates(at, bft.KindPrepare, spot(p), p.Block) {
		d.acted(at, 2, "shows a QC of height %d, view %d with its own signature as often as a quorum needs", p.Height, p.View)
		at.shout(at.say(timeout(p.Height, p.View, qc)))
		tip := at.replica.State().Tip()
		at.shout(&bft.Status{Height: p.Height, View: p.View, FinalHeight: tip.Height, FinalID: tip.ID, Clock: bft.UnixMillis(at.clock()), HighQC: qc})
	}
}

// certificates returns the forms of one for a block.
func (d *duplicator) certificates(at *machine, k bft.Kind, place bft.Position, block cid.Cid) []*bft.QC {
	set := at.replica.State().Validators()
	self, member := set.Index(at.id())
	if !member {
		return nil
	}
	n, q := set.Len(), set.Quorum()
	once := make(bft.Bitmap, (n+7)/8)
	once[self/8] |= 1 << (self % 8)
	beyond := append(make(bft.Bitmap, 0, len(once)), once...)
	for i := n; beyond.Count() < q; i++ {
		if i/8 == len(beyond) {
			beyond = append(beyond, 0)
		}
		beyond[i/8] |= 1 << (i % 8)
	}
	signature := at.key.Sign(vote(k, place, block).SignedBytes(at.sim.cast.Genesis))
	var list []*bft.QC
	for _, signers := range []bft.Bitmap{once, beyond} {
		qc := &bft.QC{Height: place.Height, View: place.View, Block: block, Signers: signers}
		for range q {
			qc.Signatures = append(qc.Signatures, signature)
		}
		list = append(list, qc)
	}
	return list
}
