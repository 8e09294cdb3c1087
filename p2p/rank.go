package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// tcpHeadStart is how long a peer's TCP addresses are dialled alone.
const tcpHeadStart = 250 * time.Millisecond

// rankDials orders the addresses of a peer as libp2p does, but for the direct
// ones of TCP, which come first: a byte over TCP costs a third of the work, and
// the kernel of a machine whose process has died says so at once, where QUIC is
// silent until a timeout. Where TCP is blocked, QUIC comes a moment later.
//
// Over the internet QUIC comes first, as libp2p has it: a hole is punched from the
// port at which a relay is reached, and of UDP a router forgets at once what it knew of
// an earlier connection, while that of TCP stands in the way for minutes.
func rankDials(addrs []multiaddr.Multiaddr) []network.AddrDelay {
	var first, rest []multiaddr.Multiaddr
	for _, a := range addrs {
		_, tcp := a.ValueForProtocol(multiaddr.P_TCP)
		if tcp == nil && !isCircuit(a) && !manet.IsPublicAddr(a) {
			first = append(first, a)
		} else {
			rest = append(rest, a)
		}
	}
	later := swarm.DefaultDialRanker(rest)
	if len(first) == 0 {
		return later
	}
	ranked := swarm.DefaultDialRanker(first)
	for _, a := range later {
		a.Delay += tcpHeadStart
		ranked = append(ranked, a)
	}
	return ranked
}
