package p2p

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A host that is not public holds reservations at public ones of its federation, so
// that others reach it through them. libp2p's AutoRelay is not used: it waits for
// AutoNAT's verdict, which takes a quarter of a minute and, in a federation with
// fewer than four public platforms, never comes. A reservation costs the relay a
// line in a table, so one is made whether it will be needed or not. Anybody may say
// that it relays: those of higher standing come first, and take the place of others.
const (
	maxSeats     = 2                // reservations that are held at once
	maxRelays    = 8                // relays that are considered, kept peers first
	seatRefresh  = 15 * time.Minute // after which a reservation is renewed
	seatRetryMin = time.Second      // after a refusal; doubled each time
	seatRetryMax = time.Minute
	maxSeatAddrs = 3 // addresses told of one relay
	maxDetours   = 4 // relays through which a peer is tried that has none of its own
)

// seat is a reservation, or the wish for one.
type seat struct {
	held   bool
	tried  int       // in vain, since it was last held
	next   time.Time // when it is to be made or renewed
	reason string    // of the last failure
}

// Seat is where this host has a reservation, or wants one.
type Seat struct {
	Relay  peer.ID
	Held   bool
	Reason string // of the last failure, empty after a success
}

// Seats returns the reservations of this host, by relay.
func (h *Host) Seats() []Seat {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]Seat, 0, len(h.seats))
	for id, s := range h.seats {
		list = append(list, Seat{id, s.held, s.reason})
	}
	slices.SortFunc(list, func(a, b Seat) int { return cmp.Compare(a.Relay, b.Relay) })
	return list
}

// keepSeats makes and renews reservations until ctx ends.
func (h *Host) keepSeats(ctx context.Context) error {
	for {
		due, wait := h.dueSeats(time.Now())
		for _, id := range due {
			h.takeSeat(ctx, id)
		}
		if len(due) > 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-h.relaysChanged:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// dueSeats returns the relays at which a reservation is to be made or renewed now
// and, if there is none, how long that will be so.
func (h *Host) dueSeats(now time.Time) (due []peer.ID, wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	relays := h.relays()
	for id := range h.seats {
		if !slices.Contains(relays, id) {
			delete(h.seats, id) // it went with the connection
		}
	}
	var held tally // those that are due, too
	for _, id := range relays {
		if s := h.seats[id]; s == nil {
			h.seats[id] = &seat{next: now}
		} else if s.held {
			held[h.standing(id)]++
		}
	}
	wait = seatRefresh
	h.leaveSeats(relays)
	for _, id := range relays {
		s, as := h.seats[id], h.standing(id)
		switch {
		case !s.held && held.above(as) >= maxSeats: // not needed
		case s.next.After(now):
			wait = min(wait, s.next.Sub(now))
		default:
			due = append(due, id)
			if !s.held {
				held[as]++
			}
		}
	}
	return due, wait
}

// leaveSeats gives up what is held beyond maxSeats, the least of the relays first:
// what strangers offer takes no member's place. The caller holds mu.
func (h *Host) leaveSeats(relays []peer.ID) {
	held := 0
	for _, id := range relays {
		if s := h.seats[id]; s.held {
			if held++; held > maxSeats {
				*s = seat{next: time.Now()}
			}
		}
	}
}

// relays returns connected peers that relay for us: those that are kept first, and
// of each kind those that have been there longest. The caller holds mu.
func (h *Host) relays() []peer.ID {
	var all []*session
	for _, s := range h.sessions {
		if best := s.best(); s.them.Relays && !relayed(best.conn) && best.settled {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *session) int {
		return cmp.Or(cmp.Compare(h.standing(b.id), h.standing(a.id)), a.since.Compare(b.since), cmp.Compare(a.id, b.id))
	})
	var ids []peer.ID
	for _, s := range all[:min(len(all), maxRelays)] {
		ids = append(ids, s.id)
	}
	return ids
}

// takeSeat asks a relay for a reservation.
func (h *Host) takeSeat(ctx context.Context, id peer.ID) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "only peers with a finished hello"), relayPatience)
	defer cancel()
	_, err := client.Reserve(ctx, h.node, peer.AddrInfo{ID: id})
	h.mu.Lock()
	s := h.seats[id]
	if s == nil {
		h.mu.Unlock()
		return
	}
	news := s.held != (err == nil)
	if s.held = err == nil; s.held {
		s.tried, s.reason, s.next = 0, "", time.Now().Add(seatRefresh)
	} else {
		s.tried++
		s.reason = err.Error()
		s.next = time.Now().Add(backoff(s.tried, seatRetryMin, seatRetryMax))
	}
	h.mu.Unlock()
	if news {
		h.log.Info("reservation at a relay", "relay", id, "held", err == nil, "err", err)
	}
}

// RelayAddrs are the addresses of this host through its relays, without its ID. Only
// who has its genesis is let through.
func (h *Host) RelayAddrs() (list []multiaddr.Multiaddr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range h.relays() {
		if s := h.seats[id]; s == nil || !s.held {
			continue
		}
		for _, a := range h.whereIs(id) {
			if through, err := circuit(a, id); err == nil {
				list = append(list, through)
			}
		}
	}
	return list
}

// whereIs returns where others, too, can reach a connected peer. The caller holds
// mu.
func (h *Host) whereIs(id peer.ID) []multiaddr.Multiaddr {
	var all []multiaddr.Multiaddr
	if c := h.sessions[id].best().conn; c.Stat().Direction == network.DirOutbound {
		all = append(all, c.RemoteMultiaddr())
	}
	if w := h.wanted[id]; w != nil {
		all = append(all, w.addrs...)
	}
	all = multiaddr.Unique(slices.DeleteFunc(all, isCircuit))
	if slices.ContainsFunc(all, manet.IsPublicAddr) {
		all = slices.DeleteFunc(all, func(a multiaddr.Multiaddr) bool { return !manet.IsPublicAddr(a) })
	}
	return all[:min(len(all), maxSeatAddrs)]
}

// detours are ways to a peer through relays that this host is connected with: the
// peer may have a reservation there.
func (h *Host) detours(to peer.ID) (list []multiaddr.Multiaddr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range h.relays() {
		if through, err := circuit(nil, id); err == nil && id != to && len(list) < maxDetours {
			list = append(list, through)
		}
	}
	return list
}

// circuit is the address of whoever has a reservation at a relay.
func circuit(at multiaddr.Multiaddr, relay peer.ID) (multiaddr.Multiaddr, error) {
	through, err := multiaddr.NewMultiaddr("/p2p/" + relay.String() + "/p2p-circuit")
	if err != nil || at == nil {
		return through, err
	}
	return at.Encapsulate(through), nil
}

// isCircuit reports whether an address leads through a relay.
func isCircuit(a multiaddr.Multiaddr) bool {
	_, err := a.ValueForProtocol(multiaddr.P_CIRCUIT)
	return err == nil
}
