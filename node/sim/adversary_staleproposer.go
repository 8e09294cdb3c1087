package sim

import (
	"slices"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// staleProposer leads views above 0 with the oldest excuse it can find: of all
// Timeouts it has heard it makes the TC that declares the lowest QC, and if
// that leaves it a free choice it proposes a block of its own, whatever others
// are locked on.
type staleProposer struct {
	honest
	timeouts map[bft.ID][]*bft.Timeout
	made     map[bft.Position]*bft.Proposal
}

// Hear implements [Behaviour].
func (a *staleProposer) Hear(_ *machine, m bft.Message) {
	if t, ok := m.(*bft.Timeout); ok {
		if a.timeouts == nil {
			a.timeouts = make(map[bft.ID][]*bft.Timeout)
		}
		a.timeouts[t.Signer] = append(a.timeouts[t.Signer], t)
	}
}

// Send implements [Behaviour].
func (a *staleProposer) Send(from, _ *machine, m bft.Message) []bft.Message {
	p, ok := m.(*bft.Proposal)
	if !ok || p.View == 0 {
		return []bft.Message{m}
	}
	if a.made[p.Position()] == nil {
		if a.made == nil {
			a.made = make(map[bft.Position]*bft.Proposal)
		}
		a.made[p.Position()] = a.stale(from, p)
	}
	return []bft.Message{a.made[p.Position()]}
}

// stale returns the worst proposal that can be justified in the place of p.
func (a *staleProposer) stale(from *machine, p *bft.Proposal) *bft.Proposal {
	set := from.replica.State().Validators()
	tc := a.lowest(set, p.Height, p.View-1)
	if tc == nil || tc.QC != nil || from.replica.Height() != p.Height {
		return p
	}
	old, ok := from.store.bodies[p.Block]
	if !ok {
		return p
	}
	h := old.Header
	h.Proposer, h.Time = from.id(), from.clock()
	proof := from.key.ProveBeacon(from.replica.State().Beacon(), p.Height)
	h.BeaconProof = proof
	block, _, err := chain.Assemble(from.replica.State(), h, old.Txs)
	if err != nil {
		return p
	}
	return repropose(from, p, block, tc)
}

// lowest returns the TC of a view with the lowest QC that what was heard allows.
func (a *staleProposer) lowest(set bft.ValidatorSet, h bft.Height, v bft.View) *bft.TC {
	var chosen []*bft.Timeout
	for i := range set.Len() {
		var best *bft.Timeout
		for _, t := range a.timeouts[set.ID(i)] {
			if t.Height == h && t.View >= v && (best == nil || t.HighView() < best.HighView()) {
				best = t
			}
		}
		if best != nil {
			chosen = append(chosen, best)
		}
	}
	if len(chosen) < set.Quorum() {
		return nil
	}
	slices.SortStableFunc(chosen, func(x, y *bft.Timeout) int { return int(x.HighView() - y.HighView()) })
	chosen = chosen[:set.Quorum()]
	slices.SortFunc(chosen, func(x, y *bft.Timeout) int { return x.Signer.Compare(y.Signer) })
	tc := &bft.TC{Height: h, View: v, Signers: make(bft.Bitmap, (set.Len()+7)/8)}
	for _, t := range chosen {
		i, _ := set.Index(t.Signer)
		tc.Signers[i/8] |= 1 << (i % 8)
		tc.Timeouts = append(tc.Timeouts, bft.TimeoutMark{View: t.View, HighView: t.HighView(), Signature: t.Signature})
		if tc.QC == nil || t.HighView() > tc.QC.View {
			tc.QC = t.HighQC
		}
	}
	return tc
}
