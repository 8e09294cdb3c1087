package p2p

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"
)

// A public host relays between those of its federation who cannot reach each
// other. libp2p's limits for relays that serve anybody, 128 KiB and two minutes for
// a connection, would starve consensus: here there are none, and in exchange
//
//	Y1  nobody is served before hello has shown that both have one genesis;
//	Y2  of two ends, one is kept or a member: strangers who know a genesis get no
//	    free relay between themselves;
//	Y3  strangers hold at most half of the reservations, and those of one address
//	    half of that. A newcomer is one until it has registered;
//	Y4  strangers hold at most half of the circuits that one platform may have, all
//	    together, and open few at a time: whoever is called counts all that a relay
//	    brings as coming from one address.
const (
	seatFor       = time.Hour // that a reservation lasts
	maxCircuits   = 64        // relayed connections of one platform
	relayBuffer   = 16 << 10  // bytes, each way of a connection
	relayPatience = 10 * time.Second

	maxStrangeCircuits = maxCircuits / 2 // of all strangers,
	strangeCircuits    = 8               // that they may open at once,
	strangeCircuit     = time.Second     // and one more each
)

// startRelay begins to relay.
func (h *Host) startRelay() error {
	l := h.cfg.Limits
	h.door = newDoor(h.standingOf, h.connectedTo, max(1, l.Connections/2))
	r, err := relay.New(guarded{h.node, h},
		relay.WithACL(h.door),
		relay.WithReservationAddressFilter(func(multiaddr.Multiaddr) bool { return true }),
		relay.WithResources(relay.Resources{
			ReservationTTL: seatFor, MaxReservations: l.Connections, MaxCircuits: maxCircuits, BufferSize: relayBuffer,
			MaxReservationsPerIP: l.PerAddress, MaxReservationsPerASN: l.Connections,
		}))
	if err != nil {
		return fmt.Errorf("p2p: relay: %w", err)
	}
	h.relay = r
	return nil
}

// guarded is the host as a service of libp2p's sees it that must not hear of
// streams before hello has agreed (P1).
type guarded struct {
	host.Host
	h *Host
}

// SetStreamHandler implements host.Host.
func (g guarded) SetStreamHandler(p protocol.ID, handle network.StreamHandler) {
	g.Host.SetStreamHandler(p, g.h.tracked(g.h.onceAgreed(func(_ context.Context, s network.Stream) { handle(s) })))
}

// door is whom a relay serves: relay.ACLFilter.
type door struct {
	standing func(peer.ID) standing
	here     func(peer.ID) bool // it is connected
	most     int                // strangers with a reservation
	calls    *rate.Limiter      // of strangers

	mu     sync.Mutex
	guests map[peer.ID]guest // guarded by mu: strangers with a reservation
}

func newDoor(standing func(peer.ID) standing, here func(peer.ID) bool, most int) *door {
	return &door{
		standing: standing, here: here, most: most, guests: map[peer.ID]guest{},
		calls: rate.NewLimiter(rate.Every(strangeCircuit), strangeCircuits),
	}
}

// guest is a stranger with a reservation, which ends with its connection.
type guest struct {
	from  netip.Addr
	until time.Time
}

// AllowReserve implements relay.ACLFilter. It keeps Y3.
func (d *door) AllowReserve(id peer.ID, at multiaddr.Multiaddr) bool {
	as, from, now := d.standing(id), addressOf(at), time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	neighbours := 0
	for other, g := range d.guests {
		if other == id || now.After(g.until) || !d.here(other) {
			delete(d.guests, other)
		} else if g.from == from {
			neighbours++
		}
	}
	if as > asStranger {
		return true
	}
	if len(d.guests) >= d.most || neighbours >= max(1, d.most/2) {
		return false
	}
	d.guests[id] = guest{from, now.Add(seatFor)}
	return true
}

// AllowConnect implements relay.ACLFilter. It keeps Y2, and Y4.
func (d *door) AllowConnect(from peer.ID, _ multiaddr.Multiaddr, to peer.ID) bool {
	return d.standing(from) > asStranger || d.standing(to) > asStranger && d.calls.Allow()
}
