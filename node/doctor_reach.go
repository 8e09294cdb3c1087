package node

import (
	"cmp"
	"slices"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/sage-p2p/sage-p2p/p2p"
)

// reach judges whether others reach this platform from the internet, and how.
func (s symptoms) reach(f *findings) {
	if s.status.Public {
		s.reachPublic(f)
		return
	}
	var failed []p2p.Seat
	held := 0
	for _, seat := range s.seats {
		if seat.Held {
			held++
		} else if seat.Reason != "" {
			failed = append(failed, seat)
		}
	}
	switch {
	case len(s.reached) > 0:
		f.ok("reach", "the internet reaches it at %s: with --public it would help others to reach each other", s.reached[0])
	case held > 0:
		f.ok("reach", "others reach it through %s", s.names(s.seats))
	case len(failed) > 0:
		f.warn("reach", cure{"tell the operator of the public platform", "sage-p2p peers --why"}, "%s does not relay for it: %s", s.name(failed[0]), failed[0].Reason)
	}
}

func (s symptoms) reachPublic(f *findings) {
	public := slices.ContainsFunc(s.addrs, func(a multiaddr.Multiaddr) bool { return manet.IsPublicAddr(a) })
	switch {
	case len(s.unreached) > 0 && len(s.reached) == 0:
		f.problem("reach", cure{"let it in at the firewall, and forward it at the router", ""}, "it is to be public, and the internet does not reach it at %s", s.unreached[0])
	case !public && !s.announced:
		f.warn("reach", cure{"say under which address others reach it", "sage-p2p up --public --announce /ip4/ADDRESS/tcp/7422"}, "it is to be public, and none of its addresses is")
	case len(s.reached) > 0:
		f.ok("reach", "public: the internet reaches it at %s", s.reached[0])
	default:
		f.ok("reach", "public, by its operator's word: nobody has tried yet")
	}
}

func (s symptoms) names(seats []p2p.Seat) string {
	var texts []string
	for _, seat := range seats {
		if seat.Held {
			texts = append(texts, s.name(seat))
		}
	}
	return brief(texts)
}

func (s symptoms) name(seat p2p.Seat) string {
	for _, p := range s.peers {
		if p.ID == seat.Relay {
			return cmp.Or(p.Name, p.ID.String())
		}
	}
	return seat.Relay.String()
}
