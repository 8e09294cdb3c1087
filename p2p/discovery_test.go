package p2p

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

const usable = net.FlagUp | net.FlagRunning | net.FlagMulticast | net.FlagBroadcast

func testNIC(name string, cidrs ...string) nic {
	n := nic{name: name, index: 2, flags: usable}
	for _, c := range cidrs {
		n.nets = append(n.nets, netip.MustParsePrefix(c))
	}
	return n
}

func TestOnlyRealInterfacesAreUsed(t *testing.T) {
	for _, tt := range []struct {
		name  string
		flags net.Flags
		want  string
	}{
		{"eth0", usable, ""},
		{"wlan0", usable, ""},
		{"enP8p1s0", usable, ""},
		{"br0", usable, ""}, // a bridge that a person made
		{"lo", usable | net.FlagLoopback, "loopback"},
		{"eth0", usable &^ net.FlagUp, "down"},
		{"eth0", usable &^ net.FlagRunning, "no link"},
		{"can0", usable &^ net.FlagMulticast, "no multicast"},
		{"wg0", usable | net.FlagPointToPoint, "point to point"},
		{"docker0", usable, "name like docker*"},
		{"veth12ab", usable, "name like veth*"},
		{"br-0123456789ab", usable, "name like br-*"},
		{"virbr0", usable, "name like virbr*"},
	} {
		if got := (nic{name: tt.name, flags: tt.flags}).unfit(DefaultMDNSSkip()); got != tt.want {
			t.Errorf("%s with %s: have %q, want %q", tt.name, tt.flags, got, tt.want)
		}
	}
	if got := (nic{name: "docker0", flags: usable}).unfit([]string{}); got != "" {
		t.Errorf("with an empty list: %q", got)
	}
}

func TestAnInterfaceAnnouncesWhereTheHostListens(t *testing.T) {
	eth := testNIC("eth0", "192.168.1.7/24", "169.254.3.4/16", "fd00::7/64", "fe80::1/64")
	for _, tt := range []struct {
		name    string
		listens []string
		want    []string
	}{
		{"anywhere", []string{"/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1", "/ip6/::/tcp/4001"}, []string{
			"/ip4/169.254.3.4/tcp/4001", "/ip4/169.254.3.4/udp/4001/quic-v1",
			"/ip4/192.168.1.7/tcp/4001", "/ip4/192.168.1.7/udp/4001/quic-v1", "/ip6/fd00::7/tcp/4001",
		}},
		{"at one address", []string{"/ip4/192.168.1.7/tcp/4001"}, []string{"/ip4/192.168.1.7/tcp/4001"}},
		{"at another interface", []string{"/ip4/10.0.0.1/tcp/4001"}, nil},
		{"on loopback", []string{"/ip4/127.0.0.1/tcp/4001", "/ip6/::1/tcp/4001"}, nil},
	} {
		sorted := eth
		sorted.nets = slices.Clone(eth.nets)
		slices.SortFunc(sorted.nets, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
		got, first := sorted.announceable(addrsOf(tt.listens...))
		if diff := cmp.Diff(tt.want, textsOf(got)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if first.IsValid() != (len(got) > 0) {
			t.Errorf("%s: first %s of %s", tt.name, first, got)
		}
	}
	many := testNIC("eth0")
	for i := range 3 * maxAnnounced {
		many.nets = append(many.nets, netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/24", i+1)))
	}
	if got, _ := many.announceable(addrsOf("/ip4/0.0.0.0/tcp/1")); len(got) != maxAnnounced {
		t.Errorf("have %d addresses, want %d", len(got), maxAnnounced)
	}
}

func TestOnlyAddressesOfALANAreDialled(t *testing.T) {
	n := testNIC("eth0", "198.51.100.7/24", "2001:db8::7/64")
	for addr, want := range map[string]bool{
		"/ip4/192.168.9.9/tcp/4001":                   true, // private, even of another subnet
		"/ip4/10.1.2.3/udp/4001/quic-v1":              true,
		"/ip4/169.254.1.1/tcp/4001":                   true,
		"/ip4/198.51.100.200/tcp/4001":                true, // public, but of ours
		"/ip6/2001:db8::99/tcp/4001":                  true,
		"/ip6/fd12::1/tcp/4001":                       true,
		"/ip4/198.51.101.1/tcp/4001":                  false,
		"/ip4/8.8.8.8/tcp/53":                         false,
		"/ip4/127.0.0.1/tcp/4001":                     false,
		"/ip6/::1/tcp/4001":                           false,
		"/ip4/0.0.0.0/tcp/4001":                       false,
		"/ip4/224.0.0.251/udp/5353/quic-v1":           false,
		"/ip6/fe80::1/tcp/4001":                       false, // libp2p does not dial it
		"/ip6/::ffff:127.0.0.1/tcp/4001":              false,
		"/dns4/box.local/tcp/4001":                    false,
		"/ip4/192.168.9.9/tcp/4001/ws":                false,
		"/ip4/192.168.9.9/udp/4001":                   false,
		"/ip4/192.168.9.9/tcp/4001/p2p-circuit":       false,
		"/ip4/192.168.9.9/udp/1/quic-v1/webtransport": false,
	} {
		got := n.neighbours(peer.AddrInfo{Addrs: addrsOf(addr)})
		if (len(got) == 1) != want {
			t.Errorf("%s: have %s, want %v", addr, got, want)
		}
	}
}

// fakePort is a port whose other side is the test. It is made in the bubble.
type fakePort struct {
	sent   func([]byte) error
	in     chan []byte
	from   netip.Addr
	closed chan struct{}
	once   sync.Once
}

func newFakePort(sent func([]byte) error) *fakePort {
	return &fakePort{sent: sent, in: make(chan []byte), from: netip.MustParseAddr("192.168.1.9"), closed: make(chan struct{})}
}

func (p *fakePort) send(b []byte) error { return p.sent(b) }
func (p *fakePort) Close() error        { p.once.Do(func() { close(p.closed) }); return nil }
func (p *fakePort) receive(b []byte) (int, netip.Addr, error) {
	select {
	case in := <-p.in:
		return copy(b, in), p.from, nil
	case <-p.closed:
		return 0, netip.Addr{}, net.ErrClosed
	}
}

// fakeHost is the host that a discovery under test works for.
type fakeHost struct {
	mu    sync.Mutex
	seen  []sighting // guarded by mu
	moves int        // guarded by mu
	asked int        // guarded by mu: how often where it listens
}

// listens returns the addresses in any order, as libp2p does.
func (h *fakeHost) listens() []multiaddr.Multiaddr {
	h.mu.Lock()
	defer h.mu.Unlock()
	addrs := addrsOf("/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1")
	if h.asked++; h.asked%2 == 0 {
		slices.Reverse(addrs)
	}
	return addrs
}
func (h *fakeHost) forgetUnheard() {}
func (h *fakeHost) sight(s sighting) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = append(h.seen, s)
}
func (h *fakeHost) moved() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.moves++
}

// bench is a discovery on interfaces and ports of the test's making.
type bench struct {
	*discovery
	host *fakeHost
	mu   sync.Mutex
	nics []nic // guarded by mu
}

func newBench(nics ...nic) *bench {
	b := &bench{host: &fakeHost{}, nics: nics}
	b.discovery = newDiscovery(Config{Network: "lan"}, wireID, b.host, slog.New(slog.DiscardHandler))
	b.discovery.nics = func() ([]nic, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.nics, nil
	}
	return b
}

func (b *bench) change(nics ...nic) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nics = nics
}

// during runs the discovery in a bubble of virtual time while f is called.
func (b *bench) during(t *testing.T, f func()) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.run(ctx)
		}()
		synctest.Wait()
		f()
		cancel()
		<-done
	})
}

func TestAPortThatFailsIsOpenedAgainEverMoreRarely(t *testing.T) {
	b := newBench(testNIC("eth0", "192.168.1.7/24"))
	var tries []time.Time
	broken := true
	b.open = func(nic, family) (port, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		tries = append(tries, time.Now())
		if broken {
			return nil, errors.New("no such device")
		}
		return newFakePort(func([]byte) error { return nil }), nil
	}
	b.during(t, func() {
		time.Sleep(5 * time.Minute)
		r := b.report()
		b.mu.Lock()
		defer b.mu.Unlock()
		if n := len(tries); n < 10 || n > 20 {
			t.Errorf("%d attempts in five minutes", n)
		}
		for i := 1; i < len(tries); i++ {
			if gap := tries[i].Sub(tries[i-1]); gap > laneRetryMax || gap < laneRetryMin/2 {
				t.Errorf("attempt %d after %s", i, gap)
			}
		}
		if len(r.Lanes) != 1 || r.Lanes[0].Error != "no such device" || !r.Lanes[0].Open.IsZero() || !strings.Contains(r.Silence, "no such device") {
			t.Errorf("while it fails: %+v", r)
		}
		broken = false
		b.mu.Unlock()
		time.Sleep(laneRetryMax)
		b.mu.Lock()
		if r := b.report(); r.Lanes[0].Open.IsZero() || r.Lanes[0].Sent.Count == 0 {
			t.Errorf("when it works: %+v", r)
		}
	})
}

func TestANewAddressIsAnnouncedWithinASecondAndTheOldOneLeft(t *testing.T) {
	b := newBench()
	var said []string // what is announced, or "goodbye"
	b.open = func(n nic, f family) (port, error) {
		return newFakePort(func(p []byte) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			if o, err := decodeMDNS(b.service, p); err != nil {
				t.Error(err)
			} else if o.tells && o.ttl == 0 {
				said = append(said, "goodbye "+n.name)
			} else if o.tells {
				said = append(said, o.peer.Addrs[0].String())
			}
			return nil
		}), nil
	}
	step := func(want ...string) {
		t.Helper()
		time.Sleep(nicPoll + time.Millisecond)
		synctest.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		got := slices.Compact(said) // repeats of what was said before may come first
		if diff := cmp.Diff(want, got[max(0, len(got)-len(want)):], cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
		said = nil
	}
	b.during(t, func() {
		step()
		if r := b.report(); r.Silence != "no usable network interface" {
			t.Errorf("without interfaces: %q", r.Silence)
		}
		eth, docker := testNIC("eth0", "192.168.1.7/24"), testNIC("docker0", "172.17.0.1/16")
		b.change(docker, eth)
		step("/ip4/192.168.1.7/tcp/4001")
		b.change(docker, testNIC("eth0", "192.168.1.8/24"))
		step("goodbye eth0", "/ip4/192.168.1.8/tcp/4001")
		eth.flags &^= net.FlagRunning
		b.change(docker, eth)
		step("goodbye eth0")
		r := b.report()
		want := []SkippedInterface{{"docker0", "name like docker*"}, {"eth0", "no link"}}
		if diff := cmp.Diff(want, r.Skipped); diff != "" || len(r.Lanes) != 0 || r.Changes != 3 {
			t.Errorf("at the end: %+v %s", r, diff)
		}
		if b.host.moves != 3 {
			t.Errorf("the host was told %d times, want 3", b.host.moves)
		}
		b.change(testNIC("eth0", "192.168.1.7/24"))
		step("/ip4/192.168.1.7/tcp/4001")
	})
	if diff := cmp.Diff([]string{"goodbye eth0"}, said); diff != "" {
		t.Errorf("when it ends: %s", diff)
	}
}

func TestALaneAsksThriceAndThenAnnouncesNowAndThen(t *testing.T) {
	b := newBench(testNIC("eth0", "192.168.1.7/24"))
	var asks, tells atomic.Int32
	var p *fakePort
	b.open = func(nic, family) (port, error) {
		p = newFakePort(func(m []byte) error {
			if o, _ := decodeMDNS(b.service, m); o.asks {
				asks.Add(1)
			} else if o.tells {
				tells.Add(1)
			}
			return nil
		})
		return p, nil
	}
	b.during(t, func() {
		time.Sleep(opening[2] + time.Millisecond)
		synctest.Wait()
		if asks.Load() != 3 || tells.Load() != 3 {
			t.Errorf("after %s: %d questions and %d announcements, want 3 each", opening[2], asks.Load(), tells.Load())
		}
		time.Sleep(5 * announceEvery)
		synctest.Wait()
		if n := tells.Load(); asks.Load() != 3 || n < 7 || n > 9 {
			t.Errorf("%d questions and %d announcements, want 3 and about 8", asks.Load(), n)
		}
		// One who asks is answered at once, a hundred who ask once a second.
		tells.Store(0)
		query, err := encodeQuery(b.service, "another")
		if err != nil {
			t.Fatal(err)
		}
		p.in <- query
		synctest.Wait()
		if n := tells.Load(); n != 1 {
			t.Errorf("%d answers at once, want 1", n)
		}
		for range 100 {
			p.in <- query
			time.Sleep(100 * time.Millisecond)
		}
		if n := tells.Load(); n < 10 || n > 13 {
			t.Errorf("%d answers in ten seconds of questions, want about one a second", n)
		}
	})
}

func TestALaneTellsWhatItHears(t *testing.T) {
	b := newBench(testNIC("eth0", "192.168.1.7/24"))
	var p *fakePort
	b.open = func(nic, family) (port, error) {
		p = newFakePort(func([]byte) error { return nil })
		return p, nil
	}
	other := testAnnouncement()
	other.addrs = withID(lanSettings{Seed: 8}.id(), addrsOf("/ip4/192.168.1.9/tcp/1", "/ip4/8.8.8.8/tcp/1", "/ip4/127.0.0.1/tcp/1"))
	announce := func(a announcement) []byte {
		m, err := a.encode(announceTTL)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	b.during(t, func() {
		lane := func() Lane { synctest.Wait(); return b.report().Lanes[0] }
		p.in <- announce(other)
		if l := lane(); l.Heard.Count != 1 || l.Silence != "" {
			t.Errorf("an announcement: %+v", l)
		}
		if s := b.host.seen; len(s) != 1 || s[0].from != p.from || s[0].via != "eth0" || len(s[0].peer.Addrs) != 1 {
			t.Errorf("the host was told %+v", s)
		}
		own := testAnnouncement()
		own.instance = b.instance
		p.in <- announce(own)
		if l := lane(); l.Echoed.Count != 1 {
			t.Errorf("our own: %+v", l)
		}
		p.in <- announce(testAnnouncement()) // our ID, another process
		if l := lane(); l.Twin != p.from || l.TwinAt.IsZero() {
			t.Errorf("a twin: %+v", l)
		}
		foreign := testAnnouncement()
		foreign.service = serviceName("other")
		p.in <- announce(foreign)
		p.in <- []byte("rubbish")
		if l := lane(); l.Others.Count != 1 || l.Malformed.Count != 1 || l.Dropped.Count != 0 {
			t.Errorf("others: %+v", l)
		}
		p.from = netip.MustParseAddr("203.0.113.5")
		p.in <- announce(other)
		if l := lane(); l.Dropped.Count != 1 {
			t.Errorf("from another network: %+v", l)
		}
		p.from = netip.MustParseAddr("192.168.1.66")
		for range 10 * sourceRate {
			p.in <- announce(other)
		}
		if l := lane(); l.Heard.Count != 1+2*sourceRate || l.Dropped.Count != 1+8*sourceRate {
			t.Errorf("a flood: %+v", l)
		}
		if n := len(b.host.seen); n != 1+2*sourceRate {
			t.Errorf("the host was told %d times", n)
		}
	})
}

func TestTheCauseOfSilenceIsTheFirstBrokenLink(t *testing.T) {
	now := time.Unix(1e9, 0)
	at := func(ago time.Duration) Tally { return Tally{1, now.Add(-ago)} }
	for _, tt := range []struct {
		lane Lane
		want string
	}{
		{Lane{Error: "in use", Failed: at(0)}, "cannot be opened: in use"},
		{Lane{}, "just starting"},
		{Lane{Open: now.Add(-time.Hour), Sent: at(time.Minute), Failed: at(0), Error: "not permitted"}, "sending fails"},
		{Lane{Open: now.Add(-time.Hour), Sent: at(0)}, "firewall on this machine drops"},
		{Lane{Open: now.Add(-time.Hour), Sent: at(0), Echoed: at(0), Others: at(0)}, "no platform of this network name"},
		{Lane{Open: now.Add(-time.Hour), Sent: at(0), Echoed: at(0)}, "nobody speaks mDNS"},
		{Lane{Open: now.Add(-time.Hour), Sent: at(0), Echoed: at(0), Heard: at(time.Hour)}, "nobody speaks mDNS"},
		{Lane{Open: now.Add(-time.Hour), Sent: at(0), Echoed: at(0), Heard: at(time.Second)}, ""},
	} {
		if got := tt.lane.silence(now); !strings.Contains(got, tt.want) || (tt.want == "") != (got == "") {
			t.Errorf("%+v: have %q, want %q", tt.lane, got, tt.want)
		}
	}
}
