package p2p

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/sage-p2p/sage-p2p/p2p/lantest"
)

// inTheWorld is a public host, and two behind routers of their own that know it and
// want each other.
type inTheWorld struct {
	*testing.T
	net         *lantest.LAN
	public      *lanHost
	left, right *lanHost
	router      *lantest.Router // of left
}

// world starts the three, once the routers are as they should be. The hosts at home
// use the transports of s.
func world(t *testing.T, s lanSettings, left, right lantest.NAT, routers ...func(*inTheWorld)) *inTheWorld {
	t.Helper()
	w := &inTheWorld{T: t, net: lantest.Internet(t)}
	s.Genesis = testGenesis
	p, a, b := s, s, s
	p.Seed, a.Seed, b.Seed, p.Public = 9, 1, 2, true
	a.Keeps, b.Keeps = []peer.ID{b.id()}, []peer.ID{a.id()}
	p.Keeps = b.Keeps // not a stranger to the relay
	server := w.net.Place().Plug("1.2.3.1/24")
	at := peer.AddrInfo{ID: p.id()}
	for _, l := range p.listen() {
		if port, err := l.ValueForProtocol(multiaddr.P_TCP); err == nil {
			at.Addrs = append(at.Addrs, multiaddr.StringCast("/ip4/1.2.3.1/tcp/"+port))
		} else {
			at.Addrs = append(at.Addrs, multiaddr.StringCast("/ip4/1.2.3.1/udp/7422/quic-v1"))
		}
	}
	at.Addrs = multiaddr.Unique(at.Addrs)
	a.Bootstrap, b.Bootstrap = []peer.AddrInfo{at}, []peer.AddrInfo{at}
	w.router = w.net.Router(2, left)
	other := w.net.Router(3, right)
	for _, change := range routers {
		change(w)
	}
	w.public = startHost(t, server, p)
	w.left = startHost(t, w.router.Home(), a)
	w.right = startHost(t, other.Home(), b)
	return w
}

// path is how one host reaches another now.
func (h *lanHost) path(to peer.ID) lanPeer {
	peers := h.report().Peers
	i := slices.IndexFunc(peers, func(p lanPeer) bool { return p.ID == to })
	if i < 0 {
		return lanPeer{}
	}
	return peers[i]
}

// asks reports whether a host answers another's question.
func (h *lanHost) asks(to peer.ID) {
	h.t.Helper()
	asked := time.Now()
	fmt.Fprintf(h.input, "ask %s\n", to)
	if l := h.await("answer", asked, func(l lanLine) bool { return l.Kind == "answer" && l.ID == to }); l.Text != "<nil>" {
		h.t.Errorf("asked of %s: %s", to, l.Text)
	}
}

func TestTwoBehindConeNATsPunchThrough(t *testing.T) {
	for _, tt := range []struct {
		name string
		with lanSettings
	}{{"over QUIC", lanSettings{QUIC: true}}, {"over TCP", lanSettings{TCP: true}}, {"over either", lanSettings{}}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			w := world(t, tt.with, lantest.Cone, lantest.Cone)
			w.left.awaitUp(w.right.id, begun)
			t.Logf("connected after %s: %+v", time.Since(begun).Round(time.Millisecond), w.left.path(w.right.id))
			direct := func(l lanLine) bool { return l.Kind == "up" && l.Direct }
			w.left.await("direct path", begun, func(l lanLine) bool { return direct(l) && l.ID == w.right.id })
			w.right.await("direct path", begun, func(l lanLine) bool { return direct(l) && l.ID == w.left.id })
			t.Logf("direct after %s", time.Since(begun).Round(time.Millisecond))
			for _, from := range []*lanHost{w.left, w.right} {
				to := w.left.id
				if from == w.left {
					to = w.right.id
				}
				eventually(t, "the path is said to be punched", func() bool { return from.path(to).Path == PathPunched })
				t.Logf("%+v", from.path(to))
				from.asks(to)
			}
		})
	}
}

func TestBehindASymmetricNATAPeerStaysRelayed(t *testing.T) {
	for _, tt := range []struct {
		name        string
		left, right lantest.NAT
	}{{"both", lantest.Symmetric, lantest.Symmetric}, {"one", lantest.Symmetric, lantest.Cone}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			w := world(t, lanSettings{}, tt.left, tt.right)
			w.left.awaitUp(w.right.id, begun)
			tried := func() bool {
				return strings.Contains(w.left.path(w.right.id).Why+w.right.path(w.left.id).Why, "no hole punched (")
			}
			eventually(t, "a hole was tried in vain", tried)
			w.left.asks(w.right.id)
			w.right.asks(w.left.id)
			for _, p := range []lanPeer{w.left.path(w.right.id), w.right.path(w.left.id)} {
				if p.Path != PathRelayed || p.Via != w.public.id.String() {
					t.Errorf("the path is %+v, want through %s", p, w.public.id)
				}
				t.Logf("%+v", p)
			}
		})
	}
}

// Who reached its relay over TCP, since UDP was blocked, is seen nowhere else: that
// does not last longer than the block.
func TestAHoleIsPunchedOnceUDPIsNoLongerBlocked(t *testing.T) {
	t.Parallel()
	w := world(t, lanSettings{}, lantest.Cone, lantest.Cone, func(w *inTheWorld) { w.router.Block("udp") })
	tried := func() bool {
		return w.left.path(w.right.id).Path == PathRelayed && strings.Contains(w.left.path(w.right.id).Why, "no hole punched (")
	}
	eventually(t, "a hole was tried in vain", tried)
	unblocked := time.Now()
	w.router.Unblock()
	w.left.awaitFor(2*time.Minute, "direct path", unblocked, func(l lanLine) bool { return l.Kind == "up" && l.Direct && l.ID == w.right.id })
	t.Logf("direct after %s", time.Since(unblocked).Round(time.Millisecond))
	w.left.asks(w.right.id)
}

// The line of one home is cut while two are connected directly, and mended: they
// find each other through the public host again.
func TestAPunchedPathComesBackAfterAPartition(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	w := world(t, lanSettings{QUIC: true}, lantest.Cone, lantest.Cone)
	direct := func(l lanLine) bool { return l.Kind == "up" && l.Direct && l.ID == w.right.id }
	w.left.await("direct path", begun, direct)
	cut := time.Now()
	w.router.Cut()
	gone := func(l lanLine) bool { return l.Kind == "down" && l.ID == w.right.id }
	w.left.awaitFor(2*time.Minute, "end of the path", cut, gone)
	mended := time.Now()
	w.router.Mend()
	w.left.awaitFor(2*time.Minute, "path again", mended, func(l lanLine) bool { return l.Kind == "up" && l.ID == w.right.id })
	t.Logf("noticed %s after the cut, connected %s after the mending", mended.Sub(cut).Round(time.Millisecond), time.Since(mended).Round(time.Millisecond))
	w.left.awaitFor(2*time.Minute, "direct path again", mended, direct)
	t.Logf("direct again after %s", time.Since(mended).Round(time.Millisecond))
	w.left.asks(w.right.id)
}
