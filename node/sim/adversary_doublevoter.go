package sim

import (
	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/bft"
)

// doubleVoter votes for every block that it hears of, in every view and both
// phases, whatever it has voted for before and however the view stands.
type doubleVoter struct {
	honest
	voted map[bft.Position]map[cid.Cid]bool
}

// Hear implements [Behaviour].
func (d *doubleVoter) Hear(at, _ *machine, m bft.Message) {
	var block cid.Cid
	switch m := m.(type) {
	case *bft.Proposal:
		block = m.Block
	case *bft.Vote:
		block = m.Block
	default:
		return
	}
	place := spot(m)
	if d.voted[place][block] {
		return
	}
	if d.voted == nil {
		d.voted = make(map[bft.Position]map[cid.Cid]bool)
	}
	if d.voted[place] == nil {
		d.voted[place] = make(map[cid.Cid]bool)
	}
	d.voted[place][block] = true
	d.act(at, "votes in both phases for block %s of height %d, view %d, whatever it has voted for", short(block.KeyString()), place.Height, place.View)
	for _, k := range []bft.Kind{bft.KindPrepare, bft.KindCommit} {
		at.shout(at.say(vote(k, place, block)))
	}
}
