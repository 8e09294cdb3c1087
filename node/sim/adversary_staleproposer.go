package sim

import (
	"slices"

	"github.com/sage-p2p/sage-p2p/bft"
)

// staleProposer leads views above 0 with the oldest excuse it can find: of all
// Timeouts it has heard, and one of its own that declares none, it makes the TC
// that declares the lowest QC, and if that leaves it a free choice it proposes a
// block of its own, whatever others are locked on.
type staleProposer struct {
	honest
	timeouts map[bft.ID][]*bft.Timeout
	made     drafts
}

// Hear implements [Behaviour].
func (a *staleProposer) Hear(_, _ *machine, m bft.Message) {
	if t, ok := m.(*bft.Timeout); ok {
		if a.timeouts == nil {
			a.timeouts = make(map[bft.ID][]*bft.Timeout)
		}
		a.timeouts[t.Signer] = append(a.timeouts[t.Signer], t)
	}
}

// Send implements [Behaviour].
func (a *staleProposer) Send(from, _ *machine, m bft.Message) []bft.Message {
	return a.made.speak(from, m, &a.honest, func(p *bft.Proposal) draft {
		return draft{a.stale(from, p), "on old Timeouts that know of no QC"}
	})
}

// stale returns the worst proposal that can be justified in the place of p, nil if
// that is p.
func (a *staleProposer) stale(from *machine, p *bft.Proposal) *bft.Proposal {
	if p.View == 0 {
		return nil
	}
	if own, ok := from.say(timeout(p.Height, p.View-1, nil)).(*bft.Timeout); ok {
		a.Hear(from, from, own)
	}
	tc := a.lowest(from.replica.State().Validators(), p.Height, p.View-1)
	if tc == nil || tc.QC != nil {
		return nil
	}
	return ownBlock(from, p, tc)
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
