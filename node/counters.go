package node

import "github.com/sage-p2p/sage-p2p/p2p"

// Counters count since the start of the process, for those who measure.
type Counters struct {
	Network     p2p.Counters
	StoreSyncs  uint64 // writes of the chain that were made durable
	SignerSyncs uint64 // updates of the signer's record
}

// Counters returns the counts of this moment. It must not be called before
// [Node.Open].
func (n *Node) Counters() Counters {
	return Counters{n.host.Counters(), n.store.Syncs(), n.signer.Syncs()}
}
