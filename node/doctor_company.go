package node

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// discovery judges what mDNS has sent, heard and found.
func (s symptoms) discovery(f *findings) {
	if !s.lan.On {
		f.warn("mDNS", cure{"name platforms yourself", "sage-p2p up --bootstrap ADDR"}, "it is off: platforms of this LAN are not found by themselves")
		return
	}
	for _, l := range s.lan.Lanes {
		about := fmt.Sprintf("sent %d, heard %d of platforms and %d of others", l.Sent.Count, l.Heard.Count, l.Others.Count)
		switch {
		case l.Twin.IsValid():
			f.problem("interface", cure{"stop one of the two: a copied home has a copied key", ""},
				"%s %s: %s announces this platform's own ID", l.Interface, l.Family, l.Twin)
		case l.Open.IsZero() && l.Error != "":
			f.warn("interface", cure{"let this program use UDP port 5353", "ss -lunp sport = :5353"}, "%s %s: %s", l.Interface, l.Family, l.Error)
		default:
			f.ok("interface", "%s %s: mDNS %s", l.Interface, l.Family, about)
		}
	}
	several(f, "interface", s.lan.Skipped, func(x p2p.SkippedInterface) { f.ok("interface", "%s is left alone: %s", x.Name, x.Reason) })
	switch {
	case s.lan.Silence == "":
		f.ok("mDNS", "platforms heard: %d", len(s.lan.Found))
	case len(s.peers) > 0: // they were found some other way
		f.ok("mDNS", "nobody heard: %s", s.lan.Silence)
	default:
		f.warn("mDNS", cure{"look at what is named here, or name a platform yourself", "sage-p2p up --bootstrap ADDR"}, "%s", s.lan.Silence)
	}
	if s.lan.Crowded > 0 {
		f.warn("mDNS", cure{}, "%d announcements found no room: somebody floods this LAN", s.lan.Crowded)
	}
}

// forgotten is how old a refusal is that no longer says anything.
const forgotten = 10 * time.Minute

// company judges who is connected, who is not, and who was turned away.
func (s symptoms) company(f *findings) {
	relayed := 0
	for _, p := range s.peers {
		if !p.Direct {
			relayed++
		}
	}
	alone := s.status.Genesis == "" || s.status.Validators <= 1 && s.status.Validator
	see := cure{"see why", "sage-p2p peers --why"}
	switch {
	case len(s.peers) == 0 && alone:
		f.ok("peers", "nobody is connected, and nobody has to be")
	case len(s.peers) == 0:
		f.problem("peers", see, "nobody is connected: nothing becomes final here")
	case relayed > 0:
		f.warn("peers", cure{"forward its port at the router", ""}, "%d connected, %d of them through a relay", len(s.peers), relayed)
	default:
		f.ok("peers", "%d connected", len(s.peers))
	}
	several(f, "peers", s.missing, func(m view.MissingPeer) {
		reason := cmp.Or(m.Reason, "not reached yet")
		f.warn("peers", cure{dialCure(reason), "sage-p2p peers --why"}, "%s is not connected: %s", cmp.Or(m.Name, m.PeerID.String()), reason)
	})
	var lately []p2p.Refusal
	for _, r := range s.refused {
		taken := slices.ContainsFunc(s.peers, func(p p2p.Peer) bool { return p.ID == r.ID }) // once both had one genesis, say
		if s.now.Sub(r.Last) < forgotten && !taken {
			lately = append(lately, r)
		}
	}
	several(f, "refusals", lately, func(r p2p.Refusal) {
		f.warn("refusals", cure{"if it is yours, give both the same network, genesis and version", "sage-p2p peers --why"},
			"%s was turned away (%d ×): %s", cmp.Or(r.Name, r.ID.String()), r.Times, r.Reason)
	})
	several(f, "offences", s.offenders, func(o p2p.Offender) {
		f.warn("offences", cure{"tell its operator", "sage-p2p peers --why"}, "%s: %s", o.ID, o.Offences[len(o.Offences)-1].What)
	})
}

// dialCure is what helps against the usual reasons of a failed dial.
func dialCure(reason string) string {
	for _, known := range []struct{ part, cure string }{
		{"refused", "start it there; nothing listens at that address"},
		{"timeout", "look at firewalls and at the address: packets get no answer"},
		{"deadline", "look at firewalls and at the address: packets get no answer"},
		{"no route", "look at this machine's network"},
		{"unreachable", "look at this machine's network"},
		{"peer id mismatch", "another platform has this address: give its new one with --bootstrap"},
		{"nobody has told", "name its address with --bootstrap"},
	} {
		if strings.Contains(strings.ToLower(reason), known.part) {
			return known.cure
		}
	}
	return "see that it runs, and that its address is right"
}
