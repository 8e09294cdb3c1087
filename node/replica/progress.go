package replica

import "github.com/sage-p2p/sage-p2p/bft"

// Progress is where a replica stands, for people.
type Progress struct {
	Height  bft.Height // in progress
	View    bft.View
	Pending int        // transactions in the mempool
	Bytes   int        // of those transactions
	Claimed bft.Height // the highest that a connected peer calls final: its word only; a validator's, if one is connected
	Unmet   bool       // validators are connected, and none has told yet how far it is
}

// Behind reports whether somebody says to be further, or may be about to.
func (p Progress) Behind() bool { return p.Unmet || p.Claimed >= p.Height }

// Progress returns where r stands.
func (r *Replica) Progress() Progress {
	return Progress{
		Height: r.height(), View: r.core.View(), Pending: r.pool.Len(), Bytes: r.pool.Bytes(), Claimed: r.believed(), Unmet: r.unmet(),
	}
}

// unmet reports whether, since the start, validators have been connected in vain:
// what they call final is not known.
func (r *Replica) unmet() bool {
	there := false
	for _, p := range r.peers {
		if r.set.Contains(p.id) {
			if p.told {
				return false
			}
			there = true
		}
	}
	return there && !r.met
}
