package p2p

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
)

func with(key crypto.PrivKey, listen ...multiaddr.Multiaddr) func(*Config) {
	return func(c *Config) {
		c.Key = key
		if len(listen) > 0 {
			c.Listen = listen
		}
	}
}

// reserved is the identity and address of a host that has run and will again.
func reserved(t *testing.T) (crypto.PrivKey, peer.AddrInfo) {
	t.Helper()
	key := newKey(t)
	m := start(t, with(key))
	defer m.stop()
	return key, m.info()
}

func TestABootstrapPeerThatStartsLaterIsFoundAndAgainWhenLost(t *testing.T) {
	key, info := reserved(t)
	a := start(t, func(c *Config) { c.Bootstrap = []peer.AddrInfo{info} })
	eventually(t, "three attempts have failed", func() bool {
		w := a.Wanted()
		return len(w) == 1 && w[0].Attempts >= 3 && w[0].LastError != "" && !w[0].Connected
	})
	b := start(t, with(key, info.Addrs...))
	a.awaitUp(b.ID())
	if w := a.Wanted(); !w[0].Connected || !w[0].Bootstrap {
		t.Errorf("Wanted = %+v", w)
	}
	b.stop()
	a.awaitDown(b.ID())
	a.forget()
	c := start(t, with(key, info.Addrs...))
	a.awaitUp(c.ID())
}

// pairOf returns two keys, that of the lower ID first.
func pairOf(t *testing.T) (low, high crypto.PrivKey) {
	t.Helper()
	keys := []crypto.PrivKey{newKey(t), newKey(t)}
	slices.SortFunc(keys, func(a, b crypto.PrivKey) int {
		ia, _ := peer.IDFromPrivateKey(a)
		ib, _ := peer.IDFromPrivateKey(b)
		return strings.Compare(string(ia), string(ib))
	})
	return keys[0], keys[1]
}

func TestOfTwoThatKeepEachOtherTheLowerDials(t *testing.T) {
	lowKey, highKey := pairOf(t)
	patient := func(c *Config) { c.Limits.DialGrace = time.Hour }
	low := start(t, func(c *Config) { with(lowKey)(c); patient(c) })
	high := start(t, func(c *Config) { with(highKey)(c); patient(c) })
	high.Keep(low.info())
	low.Keep(high.info())
	high.awaitUp(low.ID())
	low.awaitUp(high.ID())
	if p := low.Peers()[0]; p.Direction != network.DirOutbound || len(p.Addrs) != 1 {
		t.Errorf("at the lower: %+v, want one outbound connection", p)
	}
}

func TestTheHigherDialsWhenTheLowerCannot(t *testing.T) {
	lowKey, highKey := pairOf(t)
	low, high := start(t, with(lowKey)), start(t, with(highKey))
	low.Keep(peer.AddrInfo{ID: high.ID()}) // no address: it cannot
	high.Keep(low.info())
	low.awaitUp(high.ID())
	if p := low.Peers()[0]; p.Direction != network.DirInbound {
		t.Errorf("at the lower: %+v, want an inbound connection", p)
	}
}

func TestAReleasedPeerIsNoLongerDialled(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	join(a, b)
	a.Release(b.ID())
	b.Release(a.ID())
	if len(a.Wanted()) != 0 || a.Peers()[0].Kept {
		t.Errorf("after Release: %+v, %+v", a.Wanted(), a.Peers())
	}
	if a.node.ConnManager().IsProtected(b.ID(), keepTag) {
		t.Error("a released peer is still protected")
	}
	a.Release(b.ID()) // as often as one likes
	a.Keep(b.info())
	if !a.node.ConnManager().IsProtected(b.ID(), keepTag) {
		t.Error("a kept peer is not protected")
	}
}

func TestTheNewestAddressesOfAPeerAreRemembered(t *testing.T) {
	a := start(t, nil)
	b := newStranger(t, nil)
	var last multiaddr.Multiaddr
	for port := range 3 * maxAddrs {
		last = multiaddr.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port+1))
		a.Keep(peer.AddrInfo{ID: b.ID(), Addrs: []multiaddr.Multiaddr{last}})
	}
	if w := a.Wanted(); len(w) != 1 || len(w[0].Addrs) != maxAddrs || !w[0].Addrs[maxAddrs-1].Equal(last) {
		t.Errorf("Wanted = %+v", w)
	}
}

// Strangers may take every place: who is kept and favoured still gets in.
func TestAKeptPeerHasAPlaceWhenAllAreTaken(t *testing.T) {
	full := func(c *Config) { c.Limits.Connections = 2 } // and a few in reserve
	a := start(t, full)
	b := start(t, nil)
	a.Favour([]peer.ID{b.ID()})
	a.Keep(peer.AddrInfo{ID: b.ID(), Addrs: b.info().Addrs})
	b.awaitUp(a.ID())
	a.awaitUp(b.ID())
	a.forget()
	if err := a.node.Network().ClosePeer(b.ID()); err != nil {
		t.Fatal(err)
	}
	a.awaitDown(b.ID())
	for range 8 {
		s := newStranger(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		s.Connect(ctx, a.info()) // some are let in, some are not
		cancel()
	}
	a.awaitUp(b.ID())
}

func TestBackoffDoublesWithinItsBounds(t *testing.T) {
	for _, tt := range []struct {
		attempt int
		want    time.Duration
	}{{1, time.Second}, {2, 2 * time.Second}, {5, 16 * time.Second}, {6, 30 * time.Second}, {100, 30 * time.Second}} {
		for range 100 {
			if got := backoff(tt.attempt, time.Second, 30*time.Second); got > tt.want || got < tt.want*3/4 {
				t.Errorf("attempt %d waits %s, want %s or up to a quarter less", tt.attempt, got, tt.want)
			}
		}
	}
}

func TestAPortInUseIsAnError(t *testing.T) {
	for _, a := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		m := start(t, with(newKey(t), multiaddr.StringCast(a)))
		second := prepare(t, with(newKey(t), m.info().Addrs...))
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := second.Run(ctx); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("%s: Run = %v, want an address in use", a, err)
		}
		if second.isReady() {
			t.Errorf("%s: the second host is ready", a)
		}
	}
}

func TestAHostRunsOnceAndSaysSoOtherwise(t *testing.T) {
	m := prepare(t, nil, WithTopic("txs", func(peer.ID, []byte) Verdict { return Accept }))
	other := newKey(t)
	id, err := peer.IDFromPrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		if _, err := m.Request(t.Context(), id, []byte("x"), 1); err == nil {
			t.Errorf("%s: Request succeeds", when)
		}
		if _, err := m.OpenTask(t.Context(), id); err == nil {
			t.Errorf("%s: OpenTask succeeds", when)
		}
		if err := m.Publish("other", []byte("x")); !errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: Publish = %v", when, err)
		}
		if got := m.Peers(); len(got) != 0 {
			t.Errorf("%s: Peers = %v", when, got)
		}
		m.Blame(id, "test")
		m.Keep(peer.AddrInfo{ID: id})
		m.Release(id)
	}
	check("before Run")
	m.run()
	if err := m.Run(t.Context()); err == nil {
		t.Error("a second Run succeeds")
	}
	m.stop()
	check("after Run")
}

// dialFrom connects with a key that the ordinary dialler refuses to use.
func dialAs(t *testing.T, key crypto.PrivKey, to *member) {
	t.Helper()
	secure, err := noise.New(noise.ID, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}}
	up, err := upgrader.New([]sec.SecureTransport{secure}, muxers, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := tcp.NewTCPTransport(up, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := transport.Dial(ctx, to.info().Addrs[0], to.ID())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
}

func TestOurOwnKeyFromElsewhereIsAClone(t *testing.T) {
	key := newKey(t)
	m := start(t, with(key))
	dialAs(t, key, m)
	e := m.await("Clone", func(e Event) bool { _, ok := e.(Clone); return ok }).(Clone)
	if !e.Direct || e.Via != m.ID() {
		t.Errorf("Clone = %+v", e)
	}
	if len(m.Peers()) != 0 {
		t.Errorf("Peers = %+v", m.Peers())
	}
}
