package node

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/bft"
)

// credible reports whether the word of a peer about others is taken without a
// bound.
func (n *Node) credible(id peer.ID) bool {
	r := n.chain.Load()
	return n.isBootstrap(id) || r != nil && r.state().Validators().Contains(bft.ID{ID: id})
}

// favour tells the host who the validators are.
func (n *Node) favour(r *running) {
	var ids []peer.ID
	for _, id := range r.state().Validators().IDs() {
		ids = append(ids, id.ID)
	}
	if !slices.Equal(ids, n.contacts.favoured) {
		n.contacts.favoured = ids
		n.host.Favour(ids)
	}
}
