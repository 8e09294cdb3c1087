package p2p

import (
	"math"
	"net/netip"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
)

// Inbound streams of one peer that may be open at once, waiting for hello or
// being refused included: libp2p resets those above.
const (
	helloStreams = 8 // one per connection, and one more each time something changes
	spareStreams = 4 // beyond what the peer has a right to: it frees a place before we do
)

// resourceManager makes libp2p's limits explicit: nothing depends on the size of
// the machine.
//
// libp2p counts connections, and new ones per second, for each address: 8 and
// 0.2 by default, which a LAN behind one NAT exceeds at once, and so do many
// peers on a bootstrap node after a power cut.
func resourceManager(l Limits) (network.ResourceManager, error) {
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	for p, perPeer := range map[protocol.ID]int{
		helloProtocol: helloStreams,
		frameProtocol: framesPerPeer + spareStreams,
		fetchProtocol: l.FetchesPerPeer + 2*spareStreams, // so that we can say "busy"
		taskProtocol:  l.TasksPerPeer + 2*spareStreams,
	} {
		limits.AddProtocolPeerLimit(p, streams(perPeer, 16<<20), rcmgr.BaseLimitIncrease{})
		limits.AddProtocolLimit(p, streams(perPeer*l.Connections, l.Memory), rcmgr.BaseLimitIncrease{})
	}
	most := rcmgr.LimitVal(l.Connections + l.Connections/4) // the connection manager trims to Connections first
	config := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: most, ConnsInbound: most, ConnsOutbound: most,
			Streams: most * 64, StreamsInbound: most * 32, StreamsOutbound: most * 32,
			Memory: rcmgr.LimitVal64(l.Memory), FD: rcmgr.LimitVal(l.Descriptors),
		},
		Transient: rcmgr.ResourceLimits{Conns: most / 2, ConnsInbound: most / 2, ConnsOutbound: most / 2},
	}.Build(limits.Scale(l.Memory, l.Descriptors))

	subnet := func(prefix, factor int) rcmgr.ConnLimitPerSubnet {
		return rcmgr.ConnLimitPerSubnet{PrefixLength: prefix, ConnCount: factor * l.PerAddress}
	}
	pace := func(prefix, factor int) rate.SubnetLimit {
		n := factor * l.PerAddress
		return rate.SubnetLimit{PrefixLength: prefix, Limit: rate.Limit{RPS: float64(n) / 8, Burst: 2 * n}}
	}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(config),
		rcmgr.WithMetricsDisabled(),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{subnet(32, 1)},
			[]rcmgr.ConnLimitPerSubnet{subnet(ip6Network, 1), subnet(48, 8)}),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: []rate.PrefixLimit{
				{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, // a whole federation in one machine
				{Prefix: netip.MustParsePrefix("::1/128")},
			},
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{pace(32, 1)},
				IPv6SubnetLimits: []rate.SubnetLimit{pace(ip6Network, 1), pace(48, 8)},
			},
		}))
}

func streams(n int, memory int64) rcmgr.BaseLimit {
	return rcmgr.BaseLimit{
		Streams: 2 * n, StreamsInbound: n, StreamsOutbound: n,
		Memory: min(memory, math.MaxInt64),
	}
}
