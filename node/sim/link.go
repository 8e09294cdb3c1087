package sim

import (
	"github.com/sage-p2p/sage-p2p/atp"
)

// Access is how a machine is connected. The worse of its two ends makes a link.
type Access uint8

// From good to bad.
const (
	LAN  Access = iota
	WiFi        // with bursts in which little passes, and late
	WAN         // 400 ms away
)

var accessNames = [...]string{"LAN", "Wi-Fi", "WAN"}

func (a Access) String() string { return accessNames[a] }

// span is how long a message takes, between two bounds.
type span struct{ least, most atp.Span }

// spans of links outside and inside of a burst.
var (
	spans  = [...]span{LAN: {1, 5}, WiFi: {2, 40}, WAN: {380, 440}}
	bursts = span{40, 800}
)

// Of a burst on Wi-Fi.
const (
	burstChance = 2  // of a message to begin one, in a thousand
	burstLoss   = 40 // percent
	shortest    = atp.Span(30)
	longest     = atp.Span(700)
)

// access is the worse end of a link.
func (n *network) access(a, b *machine) Access {
	list := n.sim.plan.Access
	if len(list) == 0 {
		return LAN
	}
	return max(list[a.index], list[b.index])
}

// delay draws how long a message takes, and whether it arrives.
func (n *network) delay(from, to *machine) (d atp.Span, lost bool) {
	p, a := n.sim.plan, n.access(from, to)
	s := spans[a]
	if p.MaxDelay > 0 && a == LAN {
		s = span{1, p.MaxDelay}
	}
	if !n.calm && n.chance(p.Loss) {
		return 0, true
	}
	if !n.calm && n.chance(p.Spikes) {
		return n.between(s.most, 20*s.most), false
	}
	if a == WiFi && !n.calm {
		if n.rand.IntN(1000) < burstChance {
			n.sim.judge.count(sawBurst)
			n.burst[from.index] = n.sim.World.Now().Add(n.between(shortest, longest))
		}
		if now := n.sim.World.Now(); now < n.burst[from.index] || now < n.burst[to.index] {
			return n.between(bursts.least, bursts.most), n.chance(burstLoss)
		}
	}
	return n.between(s.least, s.most), false
}

func (n *network) chance(percent int) bool { return n.rand.IntN(100) < percent }

func (n *network) between(lo, hi atp.Span) atp.Span {
	return lo + atp.Span(n.rand.Uint64N(uint64(hi-lo)+1))
}
