package sim

import (
	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/bft"
)

// transplanter puts good signatures where they do not belong: PREPAREs into a
// decision, those of one view or block into the QC of another, the certificate of
// the height below under the block of this one.
type transplanter struct {
	honest
	votes map[prepare]map[bft.ID]bft.Signature
	done  map[prepare]bool
}

// prepare is what a PREPARE is for.
type prepare struct {
	at    bft.Position
	block cid.Cid
}

// Hear implements [Behaviour].
func (t *transplanter) Hear(at, _ *machine, m bft.Message) {
	if m.Position().Height != at.replica.Height() {
		return
	}
	switch m := m.(type) {
	case *bft.Proposal:
		t.oldCertificate(at, m)
	case *bft.Vote:
		if m.Kind == bft.KindPrepare {
			t.prepared(at, m)
		}
	}
}

// prepared makes all of a quorum of PREPAREs, its own among them.
func (t *transplanter) prepared(at *machine, v *bft.Vote) {
	b := prepare{spot(v), v.Block}
	if t.votes == nil {
		t.votes, t.done = make(map[prepare]map[bft.ID]bft.Signature), make(map[prepare]bool)
	}
	if t.votes[b] == nil {
		own := at.key.Sign(vote(bft.KindPrepare, b.at, b.block).SignedBytes(at.sim.cast.Genesis))
		t.votes[b] = map[bft.ID]bft.Signature{at.id(): own}
	}
	t.votes[b][v.Signer] = v.Signature
	set := at.replica.State().Validators()
	if len(t.votes[b]) < set.Quorum() || t.done[b] {
		return
	}
	t.done[b] = true
	qc := bft.QC{Height: v.Height, View: v.View, Block: v.Block, Signers: make(bft.Bitmap, (set.Len()+7)/8)}
	for i := range set.Len() {
		if s, ok := t.votes[b][set.ID(i)]; ok {
			qc.Signers[i/8] |= 1 << (i % 8)
			qc.Signatures = append(qc.Signatures, s)
		}
	}
	t.acted(at, 3, "shows PREPAREs of height %d, view %d as a decision, and as QCs of another view and block", v.Height, v.View)
	tip := at.replica.State().Tip()
	at.shout((*bft.CommitCert)(&qc))
	other, later := qc, qc
	other.Block = tip.ID
	later.View++
	for _, wrong := range []*bft.QC{&other, &later} {
		at.shout(&bft.Status{Height: v.Height, View: wrong.View, FinalHeight: tip.Height, FinalID: tip.ID, Clock: bft.UnixMillis(at.clock()), HighQC: wrong})
	}
}

// oldCertificate shows the decision below as one of this height: of the same block,
// and of the proposed one.
func (t *transplanter) oldCertificate(at *machine, p *bft.Proposal) {
	if h := at.store.height(); h > 0 && h+1 == p.Height {
		_, below := at.store.at(h)
		below.Height = p.Height
		again := below
		again.Block = p.Block
		t.acted(at, 2, "shows the decision of height %d as one of height %d", h, p.Height)
		at.shout(&below)
		at.shout(&again)
	}
}
