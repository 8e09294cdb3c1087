package p2p

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/multiformats/go-multiaddr"
)

// A public host relays between those of its federation who cannot reach each
// other. libp2p's limits for relays that serve anybody, 128 KiB and two minutes for
// a connection, would starve consensus: here there are none, and in exchange
//
//	Y1  nobody is served before hello has shown that both have one genesis;
//	Y2  of two ends, one is kept or a member: strangers who know a genesis get no
//	    free relay between themselves;
//	Y3  strangers hold at most half of the reservations. A newcomer is one until
//	    it has registered;
//	Y4  strangers hold at most half of the circuits that one platform may have, all
//	    together.
const (
	seatFor       = time.Hour // that a reservation lasts
	maxCircuits   = 64        // relayed connections of one platform
	relayBuffer   = 16 << 10  // bytes, each way of a connection
	relayPatience = 10 * time.Second

	maxStrangeCircuits = maxCircuits / 2 // of all strangers
)

// startRelay begins to relay.
func (h *Host) startRelay() error {
	l := h.cfg.Limits
	h.door = &door{standing: h.standingOf, most: max(1, l.Connections/2), guests: map[peer.ID]time.Time{}}
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
	most     int // strangers with a reservation

	mu     sync.Mutex
	guests map[peer.ID]time.Time // guarded by mu: strangers with a reservation, and until when
}

// AllowReserve implements relay.ACLFilter. It keeps Y3.
func (d *door) AllowReserve(id peer.ID, _ multiaddr.Multiaddr) bool {
	as, now := d.standing(id), time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for guest, until := range d.guests {
		if now.After(until) {
			delete(d.guests, guest)
		}
	}
	delete(d.guests, id)
	if as > asStranger {
		return true
	}
	if len(d.guests) >= d.most {
		return false
	}
	d.guests[id] = now.Add(seatFor)
	return true
}

// AllowConnect implements relay.ACLFilter. It keeps Y2.
func (d *door) AllowConnect(from peer.ID, _ multiaddr.Multiaddr, to peer.ID) bool {
	return d.standing(from) > asStranger || d.standing(to) > asStranger
}
