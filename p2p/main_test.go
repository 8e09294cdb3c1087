package p2p

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if settings := os.Getenv(lanHostEnv); settings != "" {
		if err := runLANHost(settings); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must happen. It is never reached
// unless the test fails.
const patience = 30 * time.Second

var testGenesis = Genesis{1: 'g'}

// member is a running host that remembers its events.
type member struct {
	*Host
	t       *testing.T
	stop    func() // ends Run and waits for it
	mu      sync.Mutex
	events  []Event
	changed chan struct{} // closed and replaced at each event
}

// testConfig suits a host on loopback, at a port that the system chooses.
func testConfig(t testing.TB) Config {
	t.Helper()
	cfg := Config{
		Key:     newKey(t),
		Listen:  []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/0")},
		Network: "test",
		Genesis: testGenesis,
		Name:    "m",
		Limits:  EdgeLimits(),
	}
	cfg.Limits.RedialMin = 20 * time.Millisecond
	cfg.Limits.DialGrace = 100 * time.Millisecond
	return cfg
}

// prepare makes a host that is not running yet.
func prepare(t *testing.T, change func(*Config), opts ...Option) *member {
	t.Helper()
	cfg := testConfig(t)
	if change != nil {
		change(&cfg)
	}
	m := &member{t: t, changed: make(chan struct{})}
	h, err := New(cfg, append([]Option{WithEvents(m.record)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	m.Host = h
	return m
}

// start runs a host until the test ends, or until its stop.
func start(t *testing.T, change func(*Config), opts ...Option) *member {
	t.Helper()
	m := prepare(t, change, opts...)
	m.run()
	return m
}

func (m *member) run() {
	m.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	m.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				m.t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			m.t.Error("Run has not returned")
		}
	})
	m.t.Cleanup(m.stop)
	select {
	case <-m.Ready():
	case err := <-ended:
		m.t.Fatalf("Run: %v", err)
	}
}

func (m *member) record(e Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
	close(m.changed)
	m.changed = make(chan struct{})
}

// await returns the first event, past or future, for which ok holds.
func (m *member) await(what string, ok func(Event) bool) Event {
	m.t.Helper()
	deadline := time.After(patience)
	for {
		m.mu.Lock()
		i := slices.IndexFunc(m.events, ok)
		changed := m.changed
		var e Event
		if i >= 0 {
			e = m.events[i]
		}
		m.mu.Unlock()
		if i >= 0 {
			return e
		}
		select {
		case <-changed:
		case <-deadline:
			m.mu.Lock()
			defer m.mu.Unlock()
			m.t.Fatalf("no %s; events: %+v", what, m.events)
		}
	}
}

func (m *member) awaitUp(id peer.ID) PeerUp {
	m.t.Helper()
	return m.await("PeerUp", func(e Event) bool { up, ok := e.(PeerUp); return ok && up.ID == id }).(PeerUp)
}

func (m *member) awaitDown(id peer.ID) PeerDown {
	m.t.Helper()
	return m.await("PeerDown", func(e Event) bool { d, ok := e.(PeerDown); return ok && d.ID == id }).(PeerDown)
}

func (m *member) awaitRefused(id peer.ID) Refused {
	m.t.Helper()
	return m.await("Refused", func(e Event) bool { r, ok := e.(Refused); return ok && r.ID == id }).(Refused)
}

// forget drops the events so far, so that await sees only later ones.
func (m *member) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = nil
}

func (m *member) info() peer.AddrInfo {
	m.t.Helper()
	infos, err := peer.AddrInfosFromP2pAddrs(m.Addrs()...)
	if err != nil || len(infos) != 1 {
		m.t.Fatalf("addresses of %s: %v, %v", m.ID(), infos, err)
	}
	return infos[0]
}

// join connects a to b and waits until both know.
func join(a, b *member) {
	a.t.Helper()
	a.Keep(b.info())
	b.Keep(a.info())
	a.awaitUp(b.ID())
	b.awaitUp(a.ID())
}

// eventually waits for a condition that no event announces.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
		time.Sleep(time.Millisecond)
	}
}

func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s", what)
		panic("unreachable")
	}
}

func newKey(t testing.TB) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// stranger is a plain libp2p host: it says what a test makes it say.
type stranger struct {
	host.Host
	t *testing.T
}

func newStranger(t *testing.T, key crypto.PrivKey) *stranger {
	t.Helper()
	if key == nil {
		key = newKey(t)
	}
	h, err := libp2p.New(libp2p.Identity(key), libp2p.Transport(tcp.NewTCPTransport), libp2p.DisableMetrics(),
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return &stranger{Host: h, t: t}
}

func (s *stranger) hello(change func(*hello)) hello {
	m := hello{
		Genesis: testGenesis, Network: "test", Name: "stranger",
		Clock: uint64(time.Now().UnixMilli()), Nonce: 7,
	}
	if change != nil {
		change(&m)
	}
	return m
}

// answerHello makes the stranger answer those who greet it.
func (s *stranger) answerHello(change func(*hello)) {
	s.SetStreamHandler(helloProtocol, func(st network.Stream) {
		defer st.Close()
		if _, err := newFrameReader(st, maxHello).next(patience, patience); err == nil {
			st.Write(appendFrame(nil, s.hello(change).encode()))
		}
	})
}

// greet dials m, says hello and returns the answer.
func (s *stranger) greet(m *member, change func(*hello)) (hello, error) {
	s.t.Helper()
	st, err := s.open(m, helloProtocol)
	if err != nil {
		return hello{}, err
	}
	defer st.Close()
	if _, err := st.Write(appendFrame(nil, s.hello(change).encode())); err != nil {
		return hello{}, err
	}
	b, err := newFrameReader(st, maxHello).next(patience, patience)
	if err != nil {
		return hello{}, err
	}
	return decodeHello(b)
}

// connect greets m properly.
func (s *stranger) connect(m *member) {
	s.t.Helper()
	if _, err := s.greet(m, nil); err != nil {
		s.t.Fatal(err)
	}
	m.awaitUp(s.ID())
}

func (s *stranger) open(m *member, p protocol.ID) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Connect(ctx, m.info()); err != nil {
		return nil, err
	}
	return s.NewStream(ctx, m.ID(), p)
}

// awaitReset waits until the other side has ended the stream.
func awaitReset(t *testing.T, s network.Stream) {
	t.Helper()
	s.SetReadDeadline(time.Now().Add(patience))
	for b := make([]byte, 1024); ; {
		if _, err := s.Read(b); err != nil {
			if isTimeout(err) {
				t.Fatal("the stream is still open")
			}
			return
		}
	}
}

func (m *member) offencesOf(id peer.ID) []Offence {
	m.Host.mu.Lock()
	defer m.Host.mu.Unlock()
	if c, ok := m.conduct.peek(id); ok {
		return slices.Clone(c.offences)
	}
	return nil
}

var errTest = errors.New("test")

func name(i int) []byte { return fmt.Appendf(nil, "message %d", i) }
