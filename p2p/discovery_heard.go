package p2p

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// Platforms announce facts about themselves besides their addresses: key=value
// strings of their TXT record (RFC 6763, 6.3). They are for people who look around
// on the LAN, and nothing is decided by them: they are anybody's word. So those of
// other networks are noted too, but never dialled.
const (
	maxFacts    = 4   // of one platform
	maxFactKey  = 9   // bytes; RFC 6763, 6.4
	maxFact     = 80  // bytes of key=value
	factBytes   = 200 // of all facts of a platform: they share a frame with its addresses
	maxHeard    = 256
	metaService = "_services._dns-sd._udp.local." // asks which services there are (RFC 6763, 9)
)

// Heard is what a platform of any network says of itself on the LAN. All of it is
// its own word, but for Source, Interface and the times.
type Heard struct {
	Network   string            // a name that is no DNS label is x- and a hash
	ID        peer.ID           //
	Facts     map[string]string // as given to Host.Announce; not to be changed
	Source    netip.Addr        // where its last announcement came from
	Interface string            // where it was heard
	First     time.Time
	Last      time.Time
}

// heard is guarded by discovery.mu.
type heard struct {
	Heard
	until time.Time
}

// Announce replaces the facts that the host tells on the LAN: at most 4, of 200
// bytes together, each key of a-z and at most 9 bytes, each value printable and
// with its key at most 80 bytes. Without mDNS it does nothing.
func (h *Host) Announce(facts map[string]string) error {
	texts, size := make([]string, 0, len(facts)), 0
	for key, value := range facts {
		text := key + "=" + value
		if _, _, ok := factOf(text); !ok {
			return fmt.Errorf("p2p: announce: fact %q: want a key of a-z and a printable value, %d bytes at most", text, maxFact)
		}
		texts, size = append(texts, text), size+len(text)
	}
	if len(texts) > maxFacts || size > factBytes {
		return fmt.Errorf("p2p: announce: have %d facts of %d bytes, want at most %d of %d", len(texts), size, maxFacts, factBytes)
	}
	slices.Sort(texts)
	if h.lan != nil {
		h.lan.announce(texts)
	}
	return nil
}

// Neighbours returns the platforms of all networks heard on the LAN lately, by
// network and ID.
func (h *Host) Neighbours() []Heard {
	if h.lan == nil {
		return nil
	}
	return h.lan.everyone()
}

// Overhear listens on the LAN until ctx ends, without being a platform, and
// returns which platforms of all networks it has heard, and how it listened.
func Overhear(ctx context.Context, log *slog.Logger) ([]Heard, Discovery, error) {
	d := newDiscovery(Config{}, "", nobody{}, log)
	d.silent = true
	if err := d.run(ctx); err != nil {
		return nil, Discovery{}, err
	}
	return d.everyone(), d.ended, nil
}

// nobody is the neighbour of a discovery that only listens.
type nobody struct{}

func (nobody) listens() []multiaddr.Multiaddr { return nil }
func (nobody) sight(sighting)                 {}
func (nobody) forgetUnheard()                 {}
func (nobody) moved()                         {}

// announce makes texts what the lanes tell, at once.
func (d *discovery) announce(texts []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Equal(d.facts, texts) {
		return
	}
	d.facts = texts
	for _, l := range d.lanes {
		l.wake()
	}
}

// factOf reads one string of a TXT record.
func factOf(text string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(text, "=")
	ok = ok && len(text) <= maxFact && key != "" && len(key) <= maxFactKey && strings.Trim(key, "abcdefghijklmnopqrstuvwxyz") == "" &&
		key+"=" != dnsaddrPrefix && printable(value)
	return key, value, ok
}

// overhear takes what a platform of any network tells. There is room for few, and for
// fewer from one address, as with those that are dialled.
func (d *discovery) overhear(o overheard, from netip.Addr, via string) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	key := o.network + " " + string(o.peer.ID)
	h := d.heard[key]
	switch {
	case o.ttl == 0:
		delete(d.heard, key)
		return
	case h == nil && !d.makeRoom(from, now):
		return
	case h == nil:
		h = &heard{Heard: Heard{Network: o.network, ID: o.peer.ID, First: now}}
		d.heard[key] = h
	}
	h.Facts, h.Source, h.Interface, h.Last = o.facts, from, via, now
	h.until = now.Add(min(o.ttl, announceTTL))
}

// makeRoom reports whether one more platform can be noted. The caller holds mu.
func (d *discovery) makeRoom(from netip.Addr, now time.Time) bool {
	same := 0
	for key, h := range d.heard {
		if !now.Before(h.until) {
			delete(d.heard, key)
		} else if h.Source == from {
			same++
		}
	}
	return len(d.heard) < maxHeard && same < maxFoundSource
}

func (d *discovery) everyone() []Heard {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]Heard, 0, len(d.heard))
	for _, h := range d.heard {
		if now.Before(h.until) {
			list = append(list, h.Heard)
			list[len(list)-1].Facts = maps.Clone(h.Facts)
		}
	}
	slices.SortFunc(list, func(a, b Heard) int {
		return cmp.Or(cmp.Compare(a.Network, b.Network), cmp.Compare(a.ID, b.ID))
	})
	return list
}
