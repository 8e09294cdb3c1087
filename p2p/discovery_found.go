package p2p

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Anybody on the LAN can announce anything, thousands of times. So the peers
// found are few, those from one address fewer, their dials are paced, and whoever
// cannot be reached makes room first. Who a peer is, its handshake proves.
const (
	maxFound       = 128             // peers found at once: a larger LAN is known through those connected
	maxFoundSource = 16              // of them announced from one address
	foundDialRate  = 16              // dials a second to peers that are only found
	renewEvery     = 5 * time.Second // between dials that a new address or restart of a peer hastens
)

// sighting is an announcement heard on the LAN.
type sighting struct {
	overheard
	from netip.Addr
	via  string // interface
}

// finding is what the LAN says of a peer. It is guarded by Host.mu.
type finding struct {
	addrs    []spot // the latest heard last, at most maxAnnounced
	instance string // of the peer's process
	source   netip.Addr
	via      string
	first    time.Time
	heard    time.Time
	until    time.Time // forgotten then, unless heard again
	renewed  time.Time
}

type spot struct {
	addr  multiaddr.Multiaddr
	until time.Time
}

// listens implements neighbour. libp2p's list of resolved addresses is a minute
// old at times, and would hide a new interface.
func (h *Host) listens() []multiaddr.Multiaddr {
	return slices.DeleteFunc(h.node.Network().ListenAddresses(), isCircuit) // the relay client's has no address of its own
}

// sight takes note of an announcement: its peer is dialled, as long as it is
// heard again and again.
func (h *Host) sight(s sighting) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.wanted[s.peer.ID]
	if s.ttl == 0 {
		if w != nil && w.found != nil && w.found.instance == s.instance {
			w.found.until = now // forgotten at the next sweep
		}
		return
	}
	if len(s.peer.Addrs) == 0 {
		return
	}
	if w == nil && !h.makeRoom(s.from) {
		h.crowded++
		return
	}
	if w = h.want(peer.AddrInfo{ID: s.peer.ID}); w.found == nil {
		w.found = &finding{first: now, instance: s.instance, renewed: now}
	}
	f := w.found
	news := f.instance != s.instance
	f.instance, f.source, f.via, f.heard = s.instance, s.from, s.via, now
	f.until = now.Add(min(s.ttl, announceTTL))
	for _, a := range s.peer.Addrs {
		news = f.add(spot{a, f.until}) || news
	}
	if news && now.Sub(f.renewed) > renewEvery {
		f.renewed, w.attempts = now, 0
		w.nudge()
	}
	h.chase(w)
}

// add notes an address, and reports whether it is new.
func (f *finding) add(s spot) bool {
	i := slices.IndexFunc(f.addrs, func(o spot) bool { return o.addr.Equal(s.addr) })
	switch {
	case i >= 0:
		f.addrs = slices.Delete(f.addrs, i, i+1)
	case len(f.addrs) == maxAnnounced:
		f.addrs = f.addrs[1:]
	}
	f.addrs = append(f.addrs, s)
	return i < 0
}

// live returns the addresses heard lately.
func (f *finding) live(now time.Time) []multiaddr.Multiaddr {
	if f == nil {
		return nil
	}
	var addrs []multiaddr.Multiaddr
	for _, s := range f.addrs {
		if now.Before(s.until) {
			addrs = append(addrs, s.addr)
		}
	}
	return addrs
}

// makeRoom reports whether there is room for one more peer announced from an
// address, after turning out one that could not be reached if need be. The caller
// holds mu.
func (h *Host) makeRoom(from netip.Addr) bool {
	var all, same int
	var lost, lostSame *wanted // heard the longest ago
	older := func(a, b *wanted) *wanted {
		if a == nil || b.found.heard.Before(a.found.heard) {
			return b
		}
		return a
	}
	for _, w := range h.wanted {
		if w.found == nil || w.kept || w.bootstrap {
			continue
		}
		unreached := w.attempts > 0 && h.sessions[w.id] == nil
		if all++; unreached {
			lost = older(lost, w)
		}
		if w.found.source == from {
			if same++; unreached {
				lostSame = older(lostSame, w)
			}
		}
	}
	switch {
	case same >= maxFoundSource:
		lost = lostSame
	case all < maxFound:
		return true
	}
	if lost == nil {
		return false
	}
	h.forget(lost)
	return true
}

// forget drops what the LAN says of a peer, which is dialled no more unless there
// is another reason. The caller holds mu.
func (h *Host) forget(w *wanted) {
	w.found = nil
	h.abandon(w)
}

// forgetUnheard drops the peers that the LAN has not mentioned for long.
func (h *Host) forgetUnheard() {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.wanted {
		if w.found != nil && !now.Before(w.found.until) {
			h.forget(w)
		}
	}
}

// found lists the peers heard, and how many found no room.
func (h *Host) found() ([]Found, uint64) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	var fs []Found
	for _, w := range h.wanted {
		if f := w.found; f != nil {
			fs = append(fs, Found{
				ID: w.id, Addrs: f.live(now), Source: f.source, Interface: f.via, First: f.first, Heard: f.heard,
				Connected: h.sessions[w.id] != nil, Attempts: w.attempts, LastError: w.lastError,
			})
		}
	}
	slices.SortFunc(fs, func(a, b Found) int { return cmp.Compare(a.ID, b.ID) })
	return fs, h.crowded
}

// moved makes up for a change of this machine's addresses. Connections whose near
// end is an address that has gone are closed: they would be noticed as dead after
// half a minute only. Whoever is wanted and not connected is dialled at once: only
// this side knows of the change.
func (h *Host) moved() {
	cut := map[peer.ID]bool{} // some of whose connections are about to end
	for _, c := range h.node.Network().Conns() {
		if near, ok := nearEnd(c); ok && !isLocal(near) {
			h.log.Info("address gone", "peer", c.RemotePeer(), "addr", near)
			cut[c.RemotePeer()] = true
			c.Close()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.wanted {
		if cut[w.id] || h.sessions[w.id] == nil {
			w.attempts, w.hasty = 0, true
			w.nudge()
		}
	}
}

// nearEnd returns our IP address of a connection, if it is bound to one.
func nearEnd(c network.Conn) (netip.Addr, bool) {
	ip, err := manet.ToIP(c.LocalMultiaddr())
	if err != nil {
		return netip.Addr{}, false // relayed
	}
	a, ok := netip.AddrFromSlice(ip)
	return a.Unmap(), ok && !a.IsUnspecified()
}

// isLocal reports whether this machine has an address, as far as it can say.
func isLocal(ip netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(addrs, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && p.Addr() == ip
	})
}
