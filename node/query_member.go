package node

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// Validators implements api.Network.
func (n *Node) Validators(context.Context) (view.Validators, error) {
	r, err := n.ready()
	if err != nil {
		return view.Validators{}, err
	}
	state := r.state()
	set, up := state.Validators(), n.connected()
	signed, err := n.lastSigned(state)
	if err != nil {
		return view.Validators{}, err
	}
	v := view.Validators{
		Height: view.Height(state.Tip().Height + 1), Quorum: set.Quorum(), Faults: set.F(),
		Members: []view.Validator{}, Candidates: []view.Candidate{}, Admissions: []view.Admission{},
		Admission: string(state.Params().Admission),
	}
	for _, id := range set.IDs() {
		name, _, err := state.NameOf(atp.ID(id))
		if err != nil {
			return v, err
		}
		known, _, err := state.Validator(atp.ID(id))
		if err != nil {
			return v, err
		}
		missing, err := absences(state, atp.ID(id))
		if err != nil {
			return v, err
		}
		v.Members = append(v.Members, view.Validator{
			PeerID: id.ID, Name: string(name), Connected: up[id.ID], LastSigned: view.Height(signed[id]), BondedUATP: view.Amount(known.Bond),
			Leaving: known.Leaving != 0, Missing: missing,
		})
	}
	if v.Candidates, err = viewCandidates(state, up); err != nil {
		return v, err
	}
	v.Admissions, err = n.viewAdmissions(state)
	return v, err
}

// viewCandidates returns who waits for a vote, by ID. Blocks take them off the
// list; while none is made, those whose time is over are left out here.
func viewCandidates(state chain.State, up map[peer.ID]bool) ([]view.Candidate, error) {
	list := []view.Candidate{}
	err := state.EachCandidate(func(id atp.ID, c chain.Candidate) error {
		if c.Until < atp.Millis(nowMillis()) {
			return nil
		}
		name, _, err := state.NameOf(id)
		list = append(list, view.Candidate{
			PeerID: id.ID, Name: string(name), Connected: up[id.ID], UntilMS: view.Millis(c.Until), BondedUATP: view.Amount(c.Bond),
		})
		return err
	})
	slices.SortFunc(list, func(a, b view.Candidate) int { return cmp.Compare(a.PeerID, b.PeerID) })
	return list, err
}

// onlyValidator names the platform without which nothing becomes final although
// there are others; nobody while no single one decides all.
func onlyValidator(state chain.State, self atp.ID) (string, error) {
	set := state.Validators()
	if set.Len() != 1 || set.Contains(bft.ID(self)) && state.Census().Platforms < 2 {
		return "", nil
	}
	only := atp.ID(set.ID(0))
	name, named, err := state.NameOf(only)
	if !named {
		return only.String(), err
	}
	return string(name), err
}

// certificatesSeen is how many of the newest certificates say who is alive.
const certificatesSeen = 64

// lastSigned returns the newest of the last heights that each member of the
// present set has signed: each by the set of that height.
func (n *Node) lastSigned(state chain.State) (map[bft.ID]bft.Height, error) {
	newest := map[bft.ID]bft.Height{}
	tip, present := state.Tip().Height, state.Validators()
	var set bft.ValidatorSet
	for h := tip; h > 0 && tip-h < certificatesSeen && len(newest) < present.Len(); h-- {
		cert, err := n.store.CertAt(h)
		if err == nil {
			set, err = n.setBefore(h, set)
		}
		if errors.Is(err, store.ErrNotFound) {
			break
		} else if err != nil {
			return nil, err
		}
		for i := range set.Len() {
			if id := set.ID(i); cert.Signers.Has(i) && newest[id] == 0 && present.Contains(id) {
				newest[id] = h
			}
		}
	}
	return newest, nil
}

// setBefore returns the set that agreed on a final height, which is that of the
// height above if the block below says so.
func (n *Node) setBefore(h bft.Height, above bft.ValidatorSet) (bft.ValidatorSet, error) {
	if h > 1 && above.Len() > 0 {
		_, below, err := n.store.HeaderAt(h - 1)
		if err != nil || below.ValidatorsHash == above.Hash() {
			return above, err
		}
	}
	return n.setAt(h)
}
