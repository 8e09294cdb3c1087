package node

import (
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// ownAddrs is where this platform is reached, through relays last, without its ID.
func (n *Node) ownAddrs() []multiaddr.Multiaddr {
	var addrs []multiaddr.Multiaddr
	for _, a := range n.host.Addrs() {
		if transport, _ := peer.SplitAddr(a); transport != nil {
			addrs = append(addrs, transport)
		}
	}
	relays := n.host.RelayAddrs() // few
	return append(addrs[:min(len(addrs), maxContactAddrs-len(relays))], relays...)
}

// relays are the peer IDs of those through which others reach this platform.
func (n *Node) relays() []peer.ID {
	var ids []peer.ID
	for _, s := range n.host.Seats() {
		if s.Held {
			ids = append(ids, s.Relay)
		}
	}
	return ids
}

// meetingPoints are where the bearer of an invite finds this platform, which has to
// take it, and others of the federation that are public.
func (n *Node) meetingPoints() (list []wire.Contact, reach view.Reach) {
	own, relays := n.ownAddrs(), n.host.RelayAddrs()
	public := slices.DeleteFunc(slices.Clone(own), func(a multiaddr.Multiaddr) bool { return !manet.IsPublicAddr(a) })
	local := slices.DeleteFunc(slices.Clone(own), func(a multiaddr.Multiaddr) bool { return manet.IsIPLoopback(a) })
	announced, err := parseAll("announced", n.cfg.Announce)
	if err != nil {
		announced = nil // New has read them
	}
	choice := own
	switch {
	case n.cfg.Public && len(announced)+len(public) > 0:
		reach, choice = view.ReachPublic, multiaddr.Unique(append(announced, public...))
	case len(relays) > 0:
		reach, choice = view.ReachRelayed, multiaddr.Unique(slices.Concat(relays, public))
	case len(local) > 0:
		reach, choice = view.ReachLocal, local
	default:
		reach = view.ReachLocal
	}
	if len(choice) == 0 {
		return nil, reach
	}
	list = []wire.Contact{inviteContact(n.id().ID, choice)}
	for _, p := range n.host.Peers() {
		at := n.ownWord(p.ID)
		if len(list) <= inviteFellows && p.Relays && len(at) > 0 {
			list = append(list, inviteContact(p.ID, at))
		}
	}
	return list, reach
}

func inviteContact(id peer.ID, addrs []multiaddr.Multiaddr) wire.Contact {
	c := wire.Contact{ID: bft.ID{ID: id}}
	for _, a := range addrs[:min(len(addrs), inviteAddrs)] {
		c.Addrs = append(c.Addrs, a.String())
	}
	return c
}

// ownWord is where a platform says that it is reached from the internet.
func (n *Node) ownWord(id peer.ID) []multiaddr.Multiaddr {
	for _, info := range n.contacts.list(theirOwn) {
		if info.ID == id {
			return slices.DeleteFunc(info.Addrs, func(a multiaddr.Multiaddr) bool { return !manet.IsPublicAddr(a) })
		}
	}
	return nil
}
