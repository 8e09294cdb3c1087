package replica

import "github.com/sage-p2p/sage-p2p/bft"

// Progress is where a replica stands, for people.
type Progress struct {
	Height  bft.Height // in progress
	View    bft.View
	Pending int        // transactions in the mempool
	Bytes   int        // of those transactions
	Claimed bft.Height // the highest that a connected peer calls final: its word only; a validator's, if one is connected
}

// Behind reports whether somebody says to be further.
func (p Progress) Behind() bool { return p.Claimed >= p.Height }

// Progress returns where r stands.
func (r *Replica) Progress() Progress {
	return Progress{Height: r.height(), View: r.core.View(), Pending: r.pool.Len(), Bytes: r.pool.Bytes(), Claimed: r.believed()}
}
