package p2p

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Strangers connect as often as they are let, and open all that they can on each
// connection.
func TestCrowdsLeaveRoomForConnectionsAndStreams(t *testing.T) {
	const most = 16
	m := start(t, func(c *Config) { c.Limits.Connections, c.Limits.Memory = most, 32<<20 },
		WithTasks(echo), listener(make(chan []byte, 100)), WithFetch(func(_ context.Context, _ peer.ID, req []byte) ([]byte, error) { return req, nil }))
	let := 0
	for range 2 * most {
		s := newStranger(t, nil)
		if _, err := s.greet(m, nil); err != nil {
			continue
		}
		let++
		for _, p := range []protocol.ID{helloProtocol, frameProtocol, fetchProtocol, taskProtocol} {
			s.held(m, p, 16, nil)
		}
	}
	if let == 0 || let > most*3/4 {
		t.Errorf("%d strangers were let in, want 1 to %d", let, most*3/4)
	}
	v := start(t, nil)
	m.Favour([]peer.ID{v.ID()})
	v.Keep(m.info()) // m knows no address of it
	m.awaitUp(v.ID())
	if got, err := v.Request(t.Context(), m.ID(), []byte("x"), 10); err != nil || string(got) != "x" {
		t.Errorf("a validator's question is answered with %q, %v", got, err)
	}
	c, err := v.OpenTask(t.Context(), m.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Reset()
	if err := c.WriteFrame([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReadFrame(10); err != nil {
		t.Errorf("a validator's task stream: %v", err)
	}
}

// Strangers of one address that hold all the places of strangers, and never leave,
// keep out no newcomer from another.
func TestANewcomerFindsAPlaceAmongACrowdOfOneAddress(t *testing.T) {
	m := start(t, func(c *Config) { c.Limits.Connections = 16 })
	for range m.places.most.conns {
		newStranger(t, nil).connect(m)
	}
	conns := func() int {
		m.places.mu.Lock()
		defer m.places.mu.Unlock()
		return m.places.conns
	}
	if conns() != m.places.most.conns {
		t.Fatalf("%d connections of strangers, want all %d", conns(), m.places.most.conns)
	}
	for _, from := range []string{"/ip4/127.0.0.2/tcp/0", "/ip4/127.0.0.3/tcp/0"} {
		newcomer := start(t, func(c *Config) { c.Listen = addrsOf(from) })
		newcomer.Keep(m.info())
		m.awaitUp(newcomer.ID())
	}
	if conns() > m.places.most.conns {
		t.Errorf("%d connections of strangers, want at most %d", conns(), m.places.most.conns)
	}
	eventually(t, "two of the crowd have gone", func() bool { return len(m.node.Network().Conns()) <= m.places.most.conns })
}

// Who connects and says nothing, not even who it is, has a part of the places.
func TestHalfOpenConnectionsLeaveRoom(t *testing.T) {
	m := start(t, func(c *Config) { c.Limits.Connections = 16 })
	proto, addr, err := manet.DialArgs(m.info().Addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	for range 64 {
		c, err := net.Dial(proto, addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	m.places.mu.Lock()
	pending := m.places.pending
	m.places.mu.Unlock()
	if pending > m.places.most.address {
		t.Errorf("%d connections of one address are being opened, want at most %d", pending, m.places.most.address)
	}
	v := start(t, func(c *Config) { c.Listen = addrsOf("/ip4/127.0.0.2/tcp/0") }) // another address
	v.Keep(m.info())
	m.awaitUp(v.ID())
}

// A machine has as many addresses of IPv6 as it likes: those of one network, which
// the limits of connections count together, have the part of one address.
func TestTheAddressesOfOneNetworkHaveOnePartTogether(t *testing.T) {
	p, err := newPlaces(EdgeLimits(), func(peer.ID) standing { return asStranger }, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	open := func(far string) error {
		scope, err := p.OpenConnection(network.DirInbound, true, multiaddr.StringCast(far))
		if err == nil {
			t.Cleanup(scope.Done)
		}
		return err
	}
	let := 0
	for i := range 2 * p.most.opening {
		if open(fmt.Sprintf("/ip6/2001:db8::%x/tcp/4001", i+1)) == nil {
			let++
		}
	}
	if let == 0 || let > p.most.address {
		t.Errorf("%d connections of one network are being opened, want 1 to %d", let, p.most.address)
	}
	for _, far := range []string{"/ip6/2001:db8:0:100::1/tcp/4001", "/ip4/192.0.2.1/tcp/4001", "/ip4/192.0.2.2/tcp/4001"} {
		if err := open(far); err != nil {
			t.Errorf("another network: %v", err)
		}
	}
}

// A key that is banned or refused gives its place back.
func TestPlacesAreGivenBack(t *testing.T) {
	m := start(t, nil, WithTasks(echo))
	for _, s := range crowd(t, m, 3) {
		s.held(m, taskProtocol, 3, nil)
		s.Close()
		m.awaitDown(s.ID())
	}
	refused := newStranger(t, nil)
	refused.greet(m, func(h *hello) { h.Network = "another" })
	m.awaitRefused(refused.ID())
	eventually(t, "every place is free", func() bool {
		p := m.places
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.pending == 0 && len(p.opening) == 0 && p.conns == 0 && p.open == 0 && len(p.streams) == 0
	})
}

// Keys cost nothing: what a relay does for strangers, however many they are, leaves
// room for the circuits of members.
func TestStrangersLeaveCircuitsOfARelayToMembers(t *testing.T) {
	kept := peer.ID("kept")
	p, err := newPlaces(EdgeLimits(), func(id peer.ID) standing {
		if id == kept {
			return asMember
		}
		return asStranger
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	circuit := func(id peer.ID) (network.StreamManagementScope, bool) {
		s, err := p.OpenStream(id, network.DirInbound)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetProtocol(proto.ProtoIDv2Hop); err != nil {
			t.Fatal(err)
		}
		return s, s.SetService(relay.ServiceName) == nil
	}
	var open []network.StreamManagementScope
	for i := range 4 * strangerStreams {
		if s, ok := circuit(peer.ID(fmt.Sprint("stranger", i%4))); ok {
			open = append(open, s)
		}
	}
	if len(open) != maxStrangeCircuits {
		t.Fatalf("strangers have %d circuits, want %d of %d", len(open), maxStrangeCircuits, maxCircuits)
	}
	for i := range maxCircuits - maxStrangeCircuits {
		if _, ok := circuit(kept); !ok {
			t.Fatalf("a member has %d circuits, and no more", i)
		}
	}
	open[0].Done()
	if open[0].SetService(relay.ServiceName) == nil {
		t.Error("a stream that has ended asks for a circuit, and will not give it back")
	}
	if _, ok := circuit("stranger5"); !ok {
		t.Error("a circuit that has ended leaves no room")
	}
}
