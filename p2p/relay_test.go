package p2p

import (
	"context"
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
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
