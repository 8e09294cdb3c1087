package p2p

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// heardOf is what the LAN says of a member.
func heardOf(info peer.AddrInfo) sighting {
	return sighting{
		overheard: overheard{tells: true, instance: "i", peer: info, ttl: announceTTL},
		from:      netip.MustParseAddr("192.168.1.9"),
		via:       "eth0",
	}
}

// unreachable is a peer that refuses connections.
func unreachable(t *testing.T) peer.AddrInfo {
	id, err := peer.IDFromPrivateKey(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return peer.AddrInfo{ID: id, Addrs: addrsOf("/ip4/127.0.0.1/tcp/1")}
}

func TestAPeerHeardOnTheLANIsConnectedAndForgottenWhenSilent(t *testing.T) {
	lowKey, highKey := pairOf(t)
	low, high := start(t, with(lowKey)), start(t, with(highKey))
	high.sight(heardOf(low.info()))
	low.sight(heardOf(high.info()))
	low.awaitUp(high.ID())
	high.awaitUp(low.ID())
	if p := low.Peers()[0]; p.Direction != network.DirOutbound || p.Kept {
		t.Errorf("at the lower: %+v, want an outbound connection that is not kept", p)
	}
	if fs, _ := low.found(); len(fs) != 1 || !fs[0].Connected || fs[0].Interface != "eth0" {
		t.Errorf("found = %+v", fs)
	}
	if len(low.Wanted()) != 0 {
		t.Errorf("Wanted = %+v, want nobody", low.Wanted())
	}
	low.forgetUnheard()
	if fs, _ := low.found(); len(fs) != 1 {
		t.Errorf("forgotten too soon: %+v", fs)
	}
	bye := heardOf(high.info())
	bye.ttl, bye.instance = 0, "another"
	low.sight(bye)
	low.forgetUnheard()
	if fs, _ := low.found(); len(fs) != 1 {
		t.Errorf("forgotten at another's goodbye: %+v", fs)
	}
	bye.instance = "i"
	low.sight(bye)
	low.forgetUnheard()
	if fs, _ := low.found(); len(fs) != 0 {
		t.Errorf("found after a goodbye: %+v", fs)
	}
}

func TestAKeptPeerIsDialledWhereTheLANHearsIt(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	gone := multiaddr.StringCast("/ip4/127.0.0.1/tcp/1") // where it was before
	a.Keep(peer.AddrInfo{ID: b.ID(), Addrs: []multiaddr.Multiaddr{gone}})
	a.sight(heardOf(b.info()))
	a.awaitUp(b.ID())
	s := heardOf(b.info())
	s.ttl = 0
	a.sight(s)
	a.forgetUnheard()
	if w := a.Wanted(); len(w) != 1 || len(w[0].Addrs) != 1 || !w[0].Addrs[0].Equal(gone) {
		t.Errorf("Wanted = %+v, want it with the address that it was given", w)
	}
	a.sight(heardOf(b.info()))
	a.Release(b.ID())
	if fs, _ := a.found(); len(fs) != 1 {
		t.Errorf("released, but still heard: found = %+v", fs)
	}
}

// One of another federation is refused, and announcing itself in a hundred ways
// does not make us dial again before the back-off.
func TestARefusedPeerIsNotDialledAtEachAnnouncement(t *testing.T) {
	m := start(t, func(c *Config) { c.Limits.RedialMin, c.Limits.RedialMax = time.Hour, time.Hour })
	other := start(t, func(c *Config) { c.Genesis = Genesis{1: 'o'} })
	m.sight(heardOf(other.info()))
	r := m.awaitRefused(other.ID())
	if !strings.Contains(r.Reason, "genesis") {
		t.Errorf("Refused = %+v", r)
	}
	for i := range 100 {
		s := heardOf(peer.AddrInfo{ID: other.ID(), Addrs: addrsOf(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", i+1))})
		s.instance = fmt.Sprint("i", i)
		m.sight(s)
	}
	if n := m.Counters().Dials; n > 1 {
		t.Errorf("%d dials, want one", n)
	}
}

func TestStrangersOfTheLANTakeBoundedRoom(t *testing.T) {
	m := prepare(t, nil) // not running: nobody is dialled
	source := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
	for range 10 * maxFoundSource {
		m.sight(heardOf(unreachable(t)))
	}
	fs, crowded := m.found()
	if len(fs) != maxFoundSource || crowded != 9*maxFoundSource {
		t.Errorf("of one address: %d found and %d without room, want %d and %d", len(fs), crowded, maxFoundSource, 9*maxFoundSource)
	}
	for i := range 2 * maxFound {
		s := heardOf(unreachable(t))
		s.from = source(i)
		m.sight(s)
	}
	if fs, _ = m.found(); len(fs) != maxFound {
		t.Errorf("%d found, want %d", len(fs), maxFound)
	}
	newcomer := heardOf(unreachable(t))
	newcomer.from = source(999)
	has := func(id peer.ID) bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.wanted[id] != nil
	}
	if m.sight(newcomer); has(newcomer.peer.ID) {
		t.Error("a newcomer displaces one that has not been tried")
	}
	m.mu.Lock()
	m.wanted[fs[7].ID].attempts = 3 // in vain
	m.mu.Unlock()
	if m.sight(newcomer); !has(newcomer.peer.ID) || has(fs[7].ID) {
		t.Error("a newcomer does not displace one that could not be reached")
	}
	kept := heardOf(unreachable(t))
	m.Keep(peer.AddrInfo{ID: kept.peer.ID})
	m.sight(kept)
	if !has(kept.peer.ID) || m.wanted[kept.peer.ID].found == nil {
		t.Error("what is heard of a kept peer finds no room")
	}
	for port := range 3 * maxAnnounced {
		kept.peer.Addrs = addrsOf(fmt.Sprintf("/ip4/10.0.0.1/tcp/%d", port+1))
		m.sight(kept)
	}
	if n := len(m.wanted[kept.peer.ID].found.addrs); n > maxAnnounced {
		t.Errorf("%d addresses of a peer, want at most %d", n, maxAnnounced)
	}
}

func TestAFullHostDialsNoMoreOfTheLAN(t *testing.T) {
	m := start(t, func(c *Config) { c.Limits.Connections = 4 })
	for range 3 {
		s := newStranger(t, nil)
		s.connect(m)
	}
	b := start(t, nil)
	m.sight(heardOf(b.info()))
	eventually(t, "an attempt is noted", func() bool { fs, _ := m.found(); return len(fs) == 1 && fs[0].Attempts > 0 })
	if fs, _ := m.found(); fs[0].Connected || m.Counters().Dials != 0 {
		t.Errorf("found = %+v after %d dials", fs, m.Counters().Dials)
	}
	m.Keep(b.info()) // is another matter
	m.awaitUp(b.ID())
}

func TestAHostOnLoopbackAnnouncesNothing(t *testing.T) {
	m := start(t, func(c *Config) { c.MDNS = true })
	eventually(t, "the interfaces have been looked at", func() bool {
		d := m.Discovery()
		return d.On && d.Silence != "" && len(d.Lanes) == 0
	})
	if d := start(t, nil).Discovery(); d.On || d.Silence != "mDNS is off" {
		t.Errorf("with mDNS off: %+v", d)
	}
}

// A peer that has moved shows it by a new connection only: the old one, which
// streams would prefer, must prove that it lives.
func TestAnOlderConnectionThatNoLongerAnswersIsClosed(t *testing.T) {
	for _, answers := range []bool{true, false} {
		m := start(t, nil)
		key := newKey(t)
		before, after := newStranger(t, key), newStranger(t, key)
		before.connect(m)
		if answers {
			before.answerHello(nil)
		}
		if _, err := after.greet(m, nil); err != nil {
			t.Fatal(err)
		}
		want := 2
		if !answers {
			want = 1
		}
		eventually(t, "the connections that live are left", func() bool {
			p := m.Peers()
			return len(p) == 1 && len(p[0].Addrs) == want
		})
	}
}
