package p2p

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"
)

// newRelay is a stranger that relays.
func newRelay(t *testing.T, opts ...relay.Option) *stranger {
	t.Helper()
	h, err := libp2p.New(libp2p.Transport(tcp.NewTCPTransport), libp2p.DisableMetrics(),
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.ForceReachabilityPublic(), libp2p.EnableRelayService(opts...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	r := &stranger{Host: h, t: t}
	r.answerHello(nil)
	return r
}

// paths returns over what kinds of connection m sends consensus frames to a peer.
func paths(m *member, to peer.ID) (viaRelay, direct bool) {
	for _, c := range m.node.Network().ConnsToPeer(to) {
		for _, s := range c.GetStreams() {
			if s.Protocol() == frameProtocol && s.Stat().Direction == network.DirOutbound {
				viaRelay = viaRelay || relayed(c)
				direct = direct || !relayed(c)
			}
		}
	}
	return viaRelay, direct
}

func TestConsensusCrossesARelayAndMovesToADirectPath(t *testing.T) {
	// libp2p hides connections over a relay with limits from those who do not ask,
	// and takes those over a relay without for direct ones.
	for name, opts := range map[string][]relay.Option{"with limits": nil, "without": {relay.WithInfiniteLimits()}} {
		t.Run(name, func(t *testing.T) { crossAndMove(t, newRelay(t, opts...)) })
	}
}

func crossAndMove(t *testing.T, r *stranger) {
	in := make(chan []byte, 16)
	a, b := start(t, nil), start(t, nil, listener(in))
	if err := b.node.Connect(t.Context(), peer.AddrInfo{ID: r.ID(), Addrs: r.Addrs()}); err != nil {
		t.Fatal(err)
	}
	b.awaitUp(r.ID())
	if _, err := client.Reserve(t.Context(), b.node, peer.AddrInfo{ID: r.ID()}); err != nil {
		t.Fatal(err)
	}
	circuit := multiaddr.StringCast(fmt.Sprintf("%s/p2p/%s/p2p-circuit", r.Addrs()[0], r.ID()))
	a.Keep(peer.AddrInfo{ID: b.ID(), Addrs: []multiaddr.Multiaddr{circuit}})
	if up := a.awaitUp(b.ID()); up.Direct {
		t.Fatalf("PeerUp = %+v, want relayed", up)
	}
	if err := a.Send(b.ID(), 1, []byte("relayed")); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, "frame", in); string(got) != "relayed" {
		t.Fatalf("have %q", got)
	}
	if viaRelay, direct := paths(a, b.ID()); !viaRelay || direct {
		t.Fatalf("the stream is relayed: %v, direct: %v", viaRelay, direct)
	}
	a.node.Peerstore().AddAddrs(b.ID(), b.info().Addrs, 1<<40)
	ctx := network.WithForceDirectDial(context.Background(), "test")
	if err := a.node.Connect(ctx, peer.AddrInfo{ID: b.ID()}); err != nil {
		t.Fatal(err)
	}
	a.await("a direct path", func(e Event) bool { up, ok := e.(PeerUp); return ok && up.ID == b.ID() && up.Direct })
	eventually(t, "the stream has moved", func() bool {
		viaRelay, direct := paths(a, b.ID())
		return !viaRelay && direct
	})
	if got := receive(t, "replayed frame", in); string(got) != "relayed" {
		t.Errorf("have %q", got)
	}
	var p Peer
	for _, p = range a.Peers() {
		if p.ID == b.ID() {
			break
		}
	}
	if !p.Direct || len(p.Addrs) != 2 {
		t.Errorf("Peer = %+v", p)
	}
}

// public makes a host that relays.
func public(cfg *Config) { cfg.Public = true }

// through makes a host that knows one other.
func through(r *member) func(*Config) {
	return func(cfg *Config) {
		cfg.Bootstrap = []peer.AddrInfo{r.info()}
		cfg.Limits.Linger = 50 * time.Millisecond
	}
}

func TestMembersMeetThroughAPublicHost(t *testing.T) {
	in := make(chan []byte, 16)
	r := start(t, public)
	a, b := start(t, through(r)), start(t, through(r), listener(in))
	b.awaitUp(r.ID())
	eventually(t, "b has a seat", func() bool { return slices.Equal(b.Seats(), []Seat{{Relay: r.ID(), Held: true}}) })
	if at := b.RelayAddrs(); !slices.ContainsFunc(at, isCircuit) {
		t.Errorf("b is reached at %s, want also through the relay", at)
	}
	a.awaitUp(r.ID())
	r.Keep(peer.AddrInfo{ID: b.ID()})
	a.Keep(peer.AddrInfo{ID: b.ID()}) // nobody has told where it is
	if up := a.awaitUp(b.ID()); up.Direct {
		t.Fatalf("PeerUp = %+v, want relayed", up)
	}
	if err := a.Send(b.ID(), 1, []byte("relayed")); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, "frame", in); string(got) != "relayed" {
		t.Errorf("have %q", got)
	}
	if p := of(a, b.ID()); p.Path != PathRelayed || p.Via != r.ID() || p.Why == "" {
		t.Errorf("the path to b is %s through %s, %s", p.Path, p.Via, p.Why)
	}
	for _, c := range a.node.Network().ConnsToPeer(b.ID()) {
		if c.Stat().Limited {
			t.Error("the relay has limits, which starve consensus")
		}
	}
	a.Keep(b.info())
	if err := a.node.Connect(network.WithForceDirectDial(t.Context(), "test"), peer.AddrInfo{ID: b.ID(), Addrs: b.info().Addrs}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the relay is done with", func() bool {
		p := of(a, b.ID())
		return p.Path == PathDirect && len(p.Addrs) == 1
	})
}

func of(m *member, id peer.ID) Peer {
	for _, p := range m.Peers() {
		if p.ID == id {
			return p
		}
	}
	return Peer{}
}

func TestStrangersGetNoRelayBetweenThemselves(t *testing.T) {
	r := start(t, public)
	a, b := start(t, through(r)), start(t, through(r))
	a.awaitUp(r.ID())
	b.awaitUp(r.ID())
	eventually(t, "b has a seat", func() bool { return slices.Equal(b.Seats(), []Seat{{Relay: r.ID(), Held: true}}) })
	a.Keep(peer.AddrInfo{ID: b.ID()})
	eventually(t, "the relay says no", func() bool {
		return slices.ContainsFunc(a.Wanted(), func(w Wanted) bool { return w.ID == b.ID() && strings.Contains(w.LastError, "PERMISSION_DENIED") })
	})
	r.Keep(peer.AddrInfo{ID: a.ID()}) // either end will do
	a.awaitUp(b.ID())
}

func TestOthersThanMembersOfTheGenesisAreNotHeardByARelay(t *testing.T) {
	r := start(t, public)
	s := newStranger(t, nil)
	if err := s.Connect(t.Context(), r.info()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := client.Reserve(ctx, s, peer.AddrInfo{ID: r.ID()}); err == nil {
		t.Error("a relay has served one that has not said hello")
	}
	s.greet(r, func(m *hello) { m.Genesis = Genesis{'x'} })
	r.awaitRefused(s.ID())
}

func TestStrangersHoldHalfOfTheReservations(t *testing.T) {
	kept := peer.ID("kept")
	away := map[peer.ID]bool{}
	d := newDoor(func(id peer.ID) standing {
		if id == kept {
			return asKept
		}
		return asStranger
	}, func(id peer.ID) bool { return !away[id] }, 2)
	at := map[peer.ID]multiaddr.Multiaddr{}
	for i, id := range []peer.ID{"a", "b", "c", kept} {
		at[id] = multiaddr.StringCast(fmt.Sprintf("/ip4/1.2.3.%d/tcp/1", i))
	}
	for _, tt := range []struct {
		id   peer.ID
		want bool
	}{{"a", true}, {"b", true}, {"c", false}, {kept, true}, {"a", true}} { // a renews its own
		if got := d.AllowReserve(tt.id, at[tt.id]); got != tt.want {
			t.Errorf("AllowReserve(%q) = %v, want %v", string(tt.id), got, tt.want)
		}
	}
	d.guests["b"] = guest{until: time.Now().Add(-time.Second)}
	if !d.AllowReserve("c", at["c"]) {
		t.Error("c finds no place, and b's is over")
	}
	away["a"] = true
	if !d.AllowReserve("b", at["b"]) {
		t.Error("b finds no place, and a has gone")
	}
	if d.AllowConnect("a", nil, "b") || !d.AllowConnect("a", nil, kept) || !d.AllowConnect(kept, nil, "a") {
		t.Error("of two ends, one has to be kept or a member")
	}
	d.calls = rate.NewLimiter(rate.Every(time.Hour), strangeCircuits)
	calls := 0
	for range 4 * strangeCircuits {
		if d.AllowConnect("a", nil, kept) {
			calls++
		}
	}
	if calls != strangeCircuits || !d.AllowConnect(kept, nil, kept) {
		t.Errorf("strangers have %d connections made at once, want %d, and members any number", calls, strangeCircuits)
	}
}

// Whoever has one address has any number of keys.
func TestOneAddressHasHalfOfWhatStrangersMayReserve(t *testing.T) {
	d := newDoor(func(peer.ID) standing { return asStranger }, func(peer.ID) bool { return true }, 4)
	crowd, other := multiaddr.StringCast("/ip4/1.2.3.4/tcp/1"), multiaddr.StringCast("/ip4/4.3.2.1/udp/1/quic-v1")
	for i, want := range []bool{true, true, false} {
		if got := d.AllowReserve(peer.ID(name(i)), crowd); got != want {
			t.Errorf("reservation %d from one address: %v, want %v", i, got, want)
		}
	}
	if !d.AllowReserve("other", other) {
		t.Error("one from another address finds no place")
	}
}

func TestNoPeerHasUsDialOurOwnNetwork(t *testing.T) {
	var given, want []multiaddr.Multiaddr
	for _, a := range []string{"/ip4/127.0.0.1/tcp/5432", "/ip4/192.168.1.1/tcp/80", "/ip4/1.2.3.4/udp/7422/quic-v1", "/ip6/::1/tcp/1", "/ip4/1.2.3.4/tcp/7422/ws"} {
		given = append(given, multiaddr.StringCast(a))
	}
	want = append(want, given[2])
	for i := range 2 * maxOutside {
		given = append(given, multiaddr.StringCast(fmt.Sprintf("/ip4/1.2.3.4/tcp/%d", i+1)))
	}
	got := publicOnly{}.FilterRemote("", given)
	if len(got) != maxOutside || !got[0].Equal(want[0]) {
		t.Errorf("of what a peer says, %s are dialled", got)
	}
}

func TestARelayThatRefusesTakesNobodysPlace(t *testing.T) {
	liar := newStranger(t, nil)
	liar.answerHello(func(m *hello) { m.Relays = true })
	r1, r2, r3 := start(t, public), start(t, public), start(t, public)
	a := start(t, func(cfg *Config) {
		cfg.Bootstrap = []peer.AddrInfo{{ID: liar.ID(), Addrs: liar.Addrs()}, r1.info(), r2.info()}
	})
	eventually(t, "two seats, and none at the liar", func() bool {
		held := 0
		for _, s := range a.Seats() {
			if s.Held && s.Relay == liar.ID() {
				t.Fatal("a reservation is held at one that relays nothing")
			} else if s.Held {
				held++
			}
		}
		return held == maxSeats
	})
	a.Keep(r3.info()) // one more than needed
	a.awaitUp(r3.ID())
	r1.stop()
	eventually(t, "a seat at the third, as the first has gone", func() bool {
		return slices.ContainsFunc(a.Seats(), func(s Seat) bool { return s.Relay == r3.ID() && s.Held })
	})
}

// Whoever knows a genesis may say that it relays, and then relay nothing.
func TestTheRelaysOfStrangersTakeNoMembersPlace(t *testing.T) {
	s1, s2, r := start(t, public), start(t, public), start(t, public)
	a := start(t, nil)
	s1.Keep(a.info())
	s2.Keep(a.info())
	seats := func() (at []peer.ID) {
		for _, s := range a.Seats() {
			if s.Held {
				at = append(at, s.Relay)
			}
		}
		return at
	}
	eventually(t, "two seats, of strangers", func() bool { return len(seats()) == maxSeats })
	a.Keep(r.info())
	a.Favour([]peer.ID{r.ID()})
	eventually(t, "a seat at a member's relay, and one at a stranger's", func() bool {
		at := seats()
		return len(at) == maxSeats && slices.Contains(at, r.ID())
	})
}

// A stranger that comes and goes, and says that it relays, does not have us dial all
// whom we miss, each time.
func TestARelayThatComesAndGoesHastensNoDials(t *testing.T) {
	m := start(t, func(cfg *Config) {
		cfg.Limits.RedialMin, cfg.Limits.RedialMax, cfg.Limits.DialGrace = time.Hour, time.Hour, 1
	})
	nobody := newStranger(t, nil)
	missing := peer.AddrInfo{ID: nobody.ID(), Addrs: nobody.Addrs()}
	nobody.Close()
	m.Keep(missing)
	eventually(t, "one attempt", func() bool { return m.count.dials.Load() == 1 })
	for range 5 {
		s := newStranger(t, nil)
		if _, err := s.greet(m, func(h *hello) { h.Relays = true }); err != nil {
			t.Fatal(err)
		}
		m.awaitUp(s.ID())
		s.Close()
		m.awaitDown(s.ID())
	}
	if n := m.count.dials.Load(); n > 2 {
		t.Errorf("%d dials, want one more at most", n)
	}
}
