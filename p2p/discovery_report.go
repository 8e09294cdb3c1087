package p2p

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// Discovery is what has been sent, heard and found on the LAN so far.
type Discovery struct {
	On      bool   // Config.MDNS
	Service string // the DNS name asked for
	Lanes   []Lane // by interface and version of IP: those in use
	Skipped []SkippedInterface
	Found   []Found   // those heard lately, by ID
	Crowded uint64    // announcements for which there was no room
	Changes int       // times that the usable interfaces or addresses have changed
	Changed time.Time // the last of them
	Silence string    // the likely cause that nobody is heard; empty when somebody is
}

// Lane is what has happened on one interface with one version of IP.
type Lane struct {
	Interface string
	Family    string                // "ip4" or "ip6"
	Announced []multiaddr.Multiaddr // not to be changed
	Open      time.Time             // since when; zero while it cannot be opened
	Sent      Tally                 // messages
	Echoed    Tally                 // of those, come back to us, as they should
	Heard     Tally                 // from platforms of this network's name
	Others    Tally                 // from other services and networks
	Malformed Tally
	Dropped   Tally      // from elsewhere than this LAN, or too many
	Failed    Tally      // attempts to open or to send
	Error     string     // of the last failure
	Twin      netip.Addr // who announces our own peer ID: a cloned disk, or a liar
	TwinAt    time.Time
	Silence   string // the likely cause that nobody is heard here; empty when somebody is
}

// Tally counts something that happens now and then.
type Tally struct {
	Count uint64
	Last  time.Time // zero if never
}

func (t *Tally) add() {
	t.Count++
	t.Last = time.Now()
}

// SkippedInterface is an interface that is left alone, but for loopback.
type SkippedInterface struct {
	Name   string
	Reason string
}

// Found is a peer heard on the LAN. Its ID is its own word until it is connected.
type Found struct {
	ID        peer.ID
	Addrs     []multiaddr.Multiaddr
	Source    netip.Addr // where its last announcement came from
	Interface string     // where it was heard
	First     time.Time
	Heard     time.Time
	Connected bool
	Attempts  int    // to dial it since it was last connected
	LastError string // of the last attempt, empty after a success
}

// Discovery returns what is known of the LAN at this moment.
func (h *Host) Discovery() Discovery {
	if h.lan == nil {
		return Discovery{Silence: "mDNS is off"}
	}
	r := h.lan.report()
	r.Found, r.Crowded = h.found()
	return r
}

func (d *discovery) report() Discovery {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	r := Discovery{On: true, Service: strings.TrimSuffix(d.service, "."), Skipped: slices.Clone(d.skipped), Changes: d.changes, Changed: d.changed}
	heard := false
	for _, l := range d.lanes {
		known := l.record
		known.Silence = known.silence(now)
		r.Lanes = append(r.Lanes, known)
		heard = heard || known.Silence == ""
	}
	slices.SortFunc(r.Lanes, func(a, b Lane) int {
		return cmp.Or(cmp.Compare(a.Interface, b.Interface), cmp.Compare(a.Family, b.Family))
	})
	switch {
	case heard:
	case d.failure != "":
		r.Silence = "the system does not list its network interfaces: " + d.failure
	case len(r.Lanes) > 0:
		r.Silence = r.Lanes[0].Silence
	default:
		r.Silence = "no usable network interface"
		for _, s := range d.skipped {
			r.Silence += fmt.Sprintf("; %s: %s", s.Name, s.Reason)
		}
	}
	return r
}

// silence is the likely cause that nobody is heard: the first link of the chain
// that is broken.
func (l *Lane) silence(now time.Time) string {
	switch {
	case l.Heard.Count > 0 && now.Sub(l.Heard.Last) < announceTTL:
		return ""
	case l.Open.IsZero() && l.Error != "":
		return "UDP port 5353 cannot be opened: " + l.Error
	case l.Open.IsZero():
		return "just starting"
	case l.Failed.Last.After(l.Sent.Last):
		return "sending fails (a firewall on this machine, or no address yet): " + l.Error
	case l.Echoed.Last.Before(l.Open) && now.Sub(l.Open) > 2*time.Second:
		return "what is sent does not come back: a firewall on this machine drops UDP port 5353"
	case l.Others.Last.After(l.Open):
		return "mDNS of others is heard, but no platform of this network name: none runs here, or it uses another --network"
	}
	return "nobody speaks mDNS here: no other machine is on this LAN, or its switch or access point holds multicast back (IGMP snooping, client isolation)"
}
