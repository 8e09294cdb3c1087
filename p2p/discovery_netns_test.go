package p2p

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/sage-p2p/sage-p2p/p2p/lantest"
)

// These tests run hosts in the machines of a LAN made of network namespaces.

// lanHostEnv, when set, makes the test binary a host: see TestMain.
const lanHostEnv = "SAGE_TEST_LAN_HOST"

// lanSettings are how a test configures a host in a namespace.
type lanSettings struct {
	Seed    byte // of its key: the lower ID is not known beforehand
	Genesis Genesis
	Network string
	TCP     bool // without QUIC
	QUIC    bool // without TCP

	Public    bool // at 7422, without mDNS
	Bootstrap []peer.AddrInfo
	Keeps     []peer.ID
}

func (s lanSettings) key() crypto.PrivKey {
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{s.Seed}, ed25519.SeedSize)))
	if err != nil {
		panic(err)
	}
	return key
}

func (s lanSettings) id() peer.ID {
	id, err := peer.IDFromPrivateKey(s.key())
	if err != nil {
		panic(err)
	}
	return id
}

func (s lanSettings) listen() (addrs []multiaddr.Multiaddr) {
	port := 0
	if s.Public {
		port = 7422
	}
	for _, ip := range []string{"/ip4/0.0.0.0", "/ip6/::"} {
		if !s.QUIC {
			addrs = append(addrs, multiaddr.StringCast(fmt.Sprintf("%s/tcp/%d", ip, port)))
		}
		if !s.TCP {
			addrs = append(addrs, multiaddr.StringCast(fmt.Sprintf("%s/udp/%d/quic-v1", ip, port)))
		}
	}
	return addrs
}

// lanLine is what a host in a namespace prints, one JSON object per line.
type lanLine struct {
	Kind      string // "ready", "up", "down", "refused", "report"
	Time      time.Time
	ID        peer.ID // always given: an empty one does not decode
	Text      string
	Discovery *Discovery
	Counters  *Counters
	Direct    bool // of "up"
	Peers     []lanPeer
}

// lanPeer is how a host in a namespace reaches another.
type lanPeer struct {
	ID    peer.ID
	Path  Path
	Why   string
	Via   string
	Addrs string
}

func lanPeers(h *Host) (list []lanPeer) {
	for _, p := range h.Peers() {
		list = append(list, lanPeer{p.ID, p.Path, p.Why, p.Via.String(), fmt.Sprint(p.Addrs)})
	}
	return list
}

// runLANHost is a host that tells its events, and its Discovery for each line of
// input, until the input ends.
func runLANHost(settings string) error {
	var s lanSettings
	if err := json.Unmarshal([]byte(settings), &s); err != nil {
		return err
	}
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	say := func(l lanLine) {
		mu.Lock()
		defer mu.Unlock()
		l.Time = time.Now()
		if err := out.Encode(l); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	h, err := New(Config{
		Key: s.key(), Network: s.Network, Genesis: s.Genesis, Name: "m", Limits: EdgeLimits(), MDNS: len(s.Bootstrap) == 0 && !s.Public,
		Listen: s.listen(), Public: s.Public, Bootstrap: s.Bootstrap,
	}, WithFrames(func(peer.ID, []byte) Verdict { return Accept }), WithFetch(func(_ context.Context, _ peer.ID, b []byte) ([]byte, error) { return b, nil }), WithEvents(func(e Event) {
		switch e := e.(type) {
		case PeerUp:
			say(lanLine{Kind: "up", ID: e.ID, Text: fmt.Sprint(e.Addrs), Direct: e.Direct})
		case PeerDown:
			say(lanLine{Kind: "down", ID: e.ID, Text: e.Reason})
		case Refused:
			say(lanLine{Kind: "refused", ID: e.ID, Text: e.Reason})
		}
	}))
	if err != nil {
		return err
	}
	for _, id := range s.Keeps {
		h.Keep(peer.AddrInfo{ID: id})
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	go func() {
		<-h.Ready()
		say(lanLine{Kind: "ready", ID: h.ID(), Text: fmt.Sprint(h.Addrs())})
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			if id, ok := strings.CutPrefix(in.Text(), "ask "); ok {
				to, _ := peer.Decode(id)
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				_, err := h.Request(ctx, to, []byte("are you there?"), 100)
				cancel()
				say(lanLine{Kind: "answer", ID: to, Text: fmt.Sprint(err)})
				continue
			}
			d, c := h.Discovery(), h.Counters()
			say(lanLine{Kind: "report", ID: h.ID(), Text: fmt.Sprint(h.Addrs()), Discovery: &d, Counters: &c, Peers: lanPeers(h)})
		}
		cancel()
	}()
	return h.Run(ctx)
}

// lanHost is a process that runs a Host in a namespace.
type lanHost struct {
	t       *testing.T
	id      peer.ID
	input   io.WriteCloser
	mu      sync.Mutex
	lines   []lanLine
	changed chan struct{}
	stop    func()
}

// startHost starts a host in a machine of the LAN.
func startHost(t *testing.T, p *lantest.Place, s lanSettings) *lanHost {
	t.Helper()
	if s.Network == "" {
		s.Network = "test"
	}
	settings, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := p.Command(os.Args[0])
	cmd.Env = append(os.Environ(), lanHostEnv+"="+string(settings))
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h := &lanHost{t: t, id: s.id(), input: input, changed: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		in := json.NewDecoder(output)
		for {
			var l lanLine
			if err := in.Decode(&l); err != nil {
				if err != io.EOF {
					t.Errorf("what %s says: %v", h.id, err)
				}
				return
			}
			h.mu.Lock()
			h.lines = append(h.lines, l)
			close(h.changed)
			h.changed = make(chan struct{})
			h.mu.Unlock()
		}
	}()
	h.stop = sync.OnceFunc(func() {
		input.Close() // ends it
		timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		<-ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("host %s: %v", h.id, err)
		}
		timer.Stop()
	})
	t.Cleanup(h.stop)
	return h
}

// await returns the first line after the given moment for which ok holds.
func (h *lanHost) await(what string, after time.Time, ok func(lanLine) bool) lanLine {
	h.t.Helper()
	return h.awaitFor(patience, what, after, ok)
}

// awaitFor is await for what may take longer.
func (h *lanHost) awaitFor(patience time.Duration, what string, after time.Time, ok func(lanLine) bool) lanLine {
	h.t.Helper()
	deadline := time.After(patience)
	for {
		h.mu.Lock()
		i := slices.IndexFunc(h.lines, func(l lanLine) bool { return l.Time.After(after) && ok(l) })
		var l lanLine
		if i >= 0 {
			l = h.lines[i]
		}
		changed := h.changed
		h.mu.Unlock()
		if i >= 0 {
			return l
		}
		select {
		case <-changed:
		case <-deadline:
			h.t.Fatalf("no %s at %s; said: %s; report: %+v", what, h.id, h.said(), h.report())
		}
	}
}

func (h *lanHost) said() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, _ := json.Marshal(h.lines)
	return string(b)
}

func (h *lanHost) awaitKind(kind string, after time.Time) lanLine {
	h.t.Helper()
	return h.await(kind, after, func(l lanLine) bool { return l.Kind == kind })
}

func (h *lanHost) awaitUp(id peer.ID, after time.Time) lanLine {
	h.t.Helper()
	return h.await("peer up", after, func(l lanLine) bool { return l.Kind == "up" && l.ID == id })
}

// report asks the host for what it knows.
func (h *lanHost) report() lanLine {
	asked := time.Now()
	io.WriteString(h.input, "\n")
	for deadline := asked.Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		h.mu.Lock()
		i := slices.IndexFunc(h.lines, func(l lanLine) bool { return l.Kind == "report" && l.Time.After(asked) })
		if i >= 0 {
			defer h.mu.Unlock()
			return h.lines[i]
		}
		h.mu.Unlock()
	}
	h.t.Errorf("no report of %s", h.id)
	return lanLine{}
}

// lowAndHigh returns settings of two hosts, that with the lower ID first.
func lowAndHigh(s lanSettings) (low, high lanSettings) {
	low, high = s, s
	low.Seed, high.Seed = 1, 2
	if high.id() < low.id() {
		low.Seed, high.Seed = 2, 1
	}
	return low, high
}

func check(l *lantest.LAN, what string, begun time.Time, lines ...lanLine) {
	for _, line := range lines {
		l.Check(fmt.Sprintf("%s: %s %s", what, line.Kind, line.ID.ShortString()), line.Time.Sub(begun))
	}
}

func TestLANHostsFindEachOther(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(*lantest.Place)
	}{
		{"without a default route", func(*lantest.Place) {}},
		{"with a default route", func(p *lantest.Place) { p.IP("route", "add", "default", "via", "10.7.0.254") }},
		{"without IPv6", (*lantest.Place).NoIPv6},
	} {
		for _, lowFirst := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, lower ID first %v", tt.name, lowFirst), func(t *testing.T) {
				l := lantest.New(t)
				a, b := l.Place().Plug("10.7.0.1/24"), l.Place().Plug("10.7.0.2/24")
				tt.prepare(a)
				tt.prepare(b)
				first, second := lowAndHigh(lanSettings{Genesis: testGenesis})
				if !lowFirst {
					first, second = second, first
				}
				ha := startHost(t, a, first)
				ha.awaitKind("ready", time.Time{})
				begun := time.Now()
				hb := startHost(t, b, second)
				check(l, "second's start", begun, ha.awaitUp(hb.id, begun), hb.awaitUp(ha.id, begun))
			})
		}
	}
}

// A machine with IPv6 only, two platforms of one machine, and one with containers.
func TestLANHostsFindEachOtherInOddPlaces(t *testing.T) {
	low, high := lowAndHigh(lanSettings{Genesis: testGenesis})
	for _, tt := range []struct {
		name   string
		places func(*lantest.LAN) (a, b *lantest.Place)
	}{
		{"IPv6 only", func(l *lantest.LAN) (a, b *lantest.Place) {
			return l.Place().Plug("fd07::1/64"), l.Place().Plug("fd07::2/64")
		}},
		{"one machine", func(l *lantest.LAN) (a, b *lantest.Place) {
			a = l.Place().Plug("10.7.0.1/24")
			return a, a
		}},
		{"beside containers", func(l *lantest.LAN) (a, b *lantest.Place) {
			a, b = l.Place().Plug("10.7.0.1/24"), l.Place().Plug("10.7.0.2/24")
			a.IP("link", "add", "docker0", "type", "bridge")
			a.IP("addr", "add", "172.17.0.1/16", "dev", "docker0")
			a.IP("link", "set", "docker0", "up")
			return a, b
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := lantest.New(t)
			a, b := tt.places(l)
			ha := startHost(t, a, low)
			ha.awaitKind("ready", time.Time{})
			begun := time.Now()
			hb := startHost(t, b, high)
			check(l, "second's start", begun, ha.awaitUp(hb.id, begun), hb.awaitUp(ha.id, begun))
			for _, lane := range ha.report().Discovery.Lanes {
				if lane.Interface != "eth0" || strings.Contains(fmt.Sprint(lane.Announced), "172.17") {
					t.Errorf("announces %s on %s", lane.Announced, lane.Interface)
				}
			}
		})
	}
}

func TestALANHostOfAnotherFederationIsRefusedAndNotPestered(t *testing.T) {
	l := lantest.New(t)
	low, high := lowAndHigh(lanSettings{Genesis: testGenesis})
	high.Genesis = Genesis{1: 'o'}
	ha, hb := startHost(t, l.Place().Plug("10.7.0.1/24"), low), startHost(t, l.Place().Plug("10.7.0.2/24"), high)
	refused := ha.awaitKind("refused", time.Time{})
	if refused.ID != hb.id || !strings.Contains(refused.Text, high.Genesis.String()) {
		t.Errorf("refused: %+v", refused)
	}
	hb.awaitKind("refused", time.Time{})
	time.Sleep(lantest.Within)
	if n := ha.report().Counters.Dials; n > 10 { // after 0, 0.5, 1, 2 … seconds, and anew when another address is heard
		t.Errorf("%d dials in %s", n, lantest.Within)
	}
}

func TestALANHostAloneSaysWhy(t *testing.T) {
	l := lantest.New(t)
	p := l.Place().Plug("10.7.0.1/24")
	p.NoIPv6()
	h := startHost(t, p, lanSettings{Seed: 1})
	h.awaitKind("ready", time.Time{})
	eventually(t, "its packets come back", func() bool {
		lanes := h.report().Discovery.Lanes
		return len(lanes) == 1 && lanes[0].Echoed.Count > 0
	})
	if d := h.report().Discovery; !strings.Contains(d.Silence, "nobody speaks mDNS") {
		t.Errorf("alone: %+v", d)
	}
	p.Cut()
	eventually(t, "it says that there is no link", func() bool {
		return strings.Contains(h.report().Discovery.Silence, "eth0: no link")
	})
}

func TestALANHostIsFoundWhenItsInterfaceComesUpLate(t *testing.T) {
	l := lantest.New(t)
	low, high := lowAndHigh(lanSettings{Genesis: testGenesis})
	late := l.Place()
	ha, hb := startHost(t, late, low), startHost(t, l.Place().Plug("10.7.0.2/24"), high)
	ha.awaitKind("ready", time.Time{})
	hb.awaitKind("ready", time.Time{})
	time.Sleep(3 * time.Second) // the boot of a machine whose Wi-Fi is slow
	if r := ha.report(); len(r.Discovery.Lanes) != 0 || !strings.Contains(r.Discovery.Silence, "eth0: down") {
		t.Errorf("before: %+v", r.Discovery)
	}
	begun := time.Now()
	late.Plug("10.7.0.1/24")
	check(l, "interface up", begun, ha.awaitUp(hb.id, begun), hb.awaitUp(ha.id, begun))
	if r := ha.report(); !strings.Contains(r.Text, "10.7.0.1") {
		t.Errorf("Addrs = %s", r.Text)
	}
}

// After a change of address, each must reach the other again. The one that moved
// may be the one that dials, or not; QUIC connections of a dialer move with it.
func TestALANHostIsReachedAgainAfterItsAddressChanges(t *testing.T) {
	for _, tt := range []struct{ tcp, lowMoves bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		t.Run(fmt.Sprintf("TCP only %v, lower ID moves %v", tt.tcp, tt.lowMoves), func(t *testing.T) {
			l := lantest.New(t)
			moving, staying := lowAndHigh(lanSettings{Genesis: testGenesis, TCP: tt.tcp})
			if !tt.lowMoves {
				moving, staying = staying, moving
			}
			p := l.Place().Plug("10.7.0.1/24")
			ha, hb := startHost(t, p, moving), startHost(t, l.Place().Plug("10.7.0.2/24"), staying)
			ha.awaitUp(hb.id, time.Time{})
			hb.awaitUp(ha.id, time.Time{})
			begun := time.Now()
			p.IP("addr", "del", "10.7.0.1/24", "dev", "eth0")
			p.IP("addr", "add", "10.7.0.99/24", "dev", "eth0")
			for _, pair := range [][2]*lanHost{{ha, hb}, {hb, ha}} {
				took := pair[0].reaches(pair[1], begun)
				t.Logf("%s reaches %s after %s", pair[0].id.ShortString(), pair[1].id.ShortString(), took.Round(time.Millisecond))
				if took > 5*lantest.Within {
					t.Errorf("%s reaches %s after %s, want at most %s", pair[0].id, pair[1].id, took, 5*lantest.Within)
				}
			}
		})
	}
}

// reaches asks the other until it answers, and returns when that was.
func (h *lanHost) reaches(o *lanHost, since time.Time) time.Duration {
	h.t.Helper()
	for time.Since(since) < patience {
		asked := time.Now()
		fmt.Fprintf(h.input, "ask %s\n", o.id)
		if l := h.awaitKind("answer", asked); l.Text == "<nil>" {
			return l.Time.Sub(since)
		}
		time.Sleep(50 * time.Millisecond) // it answers at once while not connected
	}
	h.t.Fatalf("%s does not reach %s; said: %s", h.id, o.id, h.said())
	return 0
}
