package p2p

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

func fullHello() hello {
	return hello{
		Genesis: testGenesis, Note: 3, Rival: true, Relays: true, Clock: 1_790_000_000_000, Nonce: 42, Network: "lan",
		Name: "jetson-1", Agent: "sage-p2p 0.1", Protocols: []protocol.ID{"/sage/bft/1", "/sage/fetch/1"},
	}
}

func TestHelloSurvivesItsEncoding(t *testing.T) {
	for _, m := range []hello{fullHello(), {Nonce: 1, Network: "x"}} {
		got, err := decodeHello(m.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Error(diff)
		}
		if n := len(m.encode()); n > maxHello {
			t.Errorf("have %d bytes, want at most %d", n, maxHello)
		}
	}
}

func TestHelloIsDecodedStrictly(t *testing.T) {
	good := fullHello().encode()
	change := func(f func(*hello)) []byte {
		m := fullHello()
		f(&m)
		return m.encode()
	}
	at := func(i int, b byte) []byte {
		c := bytes.Clone(good)
		c[i] = b
		return c
	}
	for _, tt := range []struct {
		name string
		in   []byte
	}{
		{"nothing", nil},
		{"cut", good[:len(good)-1]},
		{"one byte more", append(bytes.Clone(good), 0)},
		{"an unknown flag", at(0, good[0]|0x80)},
		{"a genesis of zero", append([]byte{flagGenesis}, make([]byte, 80)...)},
		{"a note of zero", at(1+len(testGenesis), 0)},
		{"a nonce of zero", change(func(m *hello) { m.Nonce = 0 })},
		{"no network", change(func(m *hello) { m.Network = "" })},
		{"a name that is too long", change(func(m *hello) { m.Name = strings.Repeat("n", MaxName+1) })},
		{"a control character", change(func(m *hello) { m.Name = "\x1b[31m" })},
		{"bad UTF-8", change(func(m *hello) { m.Agent = "\xff" })},
		{"a length in two bytes", bytes.Replace(good, []byte("\x03lan"), []byte("\x83\x00lan"), 1)},
		{"protocols out of order", change(func(m *hello) { m.Protocols = []protocol.ID{"b", "a"} })},
		{"a protocol twice", change(func(m *hello) { m.Protocols = []protocol.ID{"a", "a"} })},
		{"too many protocols", change(func(m *hello) {
			for i := range maxProtocols + 1 {
				m.Protocols = append(m.Protocols, protocol.ID(string(rune('a'+i))))
			}
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if m, err := decodeHello(tt.in); !errors.Is(err, ErrMalformed) {
				t.Errorf("have %+v, %v, want ErrMalformed", m, err)
			}
		})
	}
}

func FuzzDecodeHello(f *testing.F) {
	f.Add(fullHello().encode())
	f.Add(hello{Nonce: 1, Network: "x"}.encode())
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := decodeHello(in)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error %v does not blame the sender", err)
			}
			return
		}
		if out := m.encode(); !bytes.Equal(in, out) {
			t.Fatalf("encodes as %x, want %x", out, in)
		}
	})
}

func TestMembersOfOneFederationMeet(t *testing.T) {
	for _, transport := range []string{"tcp", "quic-v1"} {
		t.Run(transport, func(t *testing.T) {
			use := func(name string) func(*Config) {
				return func(c *Config) {
					c.Name = name
					if transport == "quic-v1" {
						c.Listen = []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/udp/0/quic-v1")}
					}
				}
			}
			a, b := start(t, use("alpha")), start(t, use("beta"))
			join(a, b)
			up := a.awaitUp(b.ID())
			if up.Name != "beta" || !up.Direct || up.Forming || len(up.Addrs) == 0 || up.Nonce != b.nonce {
				t.Errorf("PeerUp = %+v", up)
			}
			if up.Offset.Abs() > time.Second {
				t.Errorf("clock offset on one machine = %s", up.Offset)
			}
			peers := a.Peers()
			if len(peers) != 1 || peers[0].ID != b.ID() || !strings.HasPrefix(peers[0].Transport, transport) || !peers[0].Kept {
				t.Errorf("Peers = %+v", peers)
			}
			b.stop()
			if down := a.awaitDown(b.ID()); down.Reason == "" {
				t.Error("PeerDown has no reason")
			}
			if peers := a.Peers(); len(peers) != 0 {
				t.Errorf("Peers after the end = %+v", peers)
			}
		})
	}
}

func TestAnotherGenesisIsRefusedByBothWithTheReason(t *testing.T) {
	other := Genesis{1: 'o'}
	a := start(t, nil)
	b := start(t, func(c *Config) { c.Genesis, c.Name = other, "stray" })
	a.Keep(b.info())
	atA, atB := a.awaitRefused(b.ID()), b.awaitRefused(a.ID())
	if !strings.Contains(atA.Reason, other.String()) || !strings.Contains(atA.Reason, testGenesis.String()) {
		t.Errorf("reason at a = %q, want both hashes", atA.Reason)
	}
	if atA.Genesis != other || atA.Name != "stray" || atB.Genesis != testGenesis {
		t.Errorf("refusals = %+v, %+v", atA, atB)
	}
	rs := a.Refusals()
	if len(rs) != 1 || rs[0].ID != b.ID() {
		t.Errorf("Refusals = %+v", rs)
	}
	if len(a.Peers())+len(b.Peers()) != 0 {
		t.Errorf("peers: %+v, %+v", a.Peers(), b.Peers())
	}
}

func TestAnotherNetworkIsRefused(t *testing.T) {
	a, b := start(t, nil), start(t, func(c *Config) { c.Network = "elsewhere" })
	b.Keep(a.info())
	if r := a.awaitRefused(b.ID()); !strings.Contains(r.Reason, "elsewhere") || r.Network != "elsewhere" {
		t.Errorf("refusal = %+v", r)
	}
}

func TestSilenceIsRefused(t *testing.T) {
	a := start(t, func(c *Config) { c.Limits.Hello = 50 * time.Millisecond })
	s := newStranger(t, nil)
	if err := s.Connect(context.Background(), a.info()); err != nil {
		t.Fatal(err)
	}
	if r := a.awaitRefused(s.ID()); !strings.Contains(r.Reason, "no hello") {
		t.Errorf("reason = %q", r.Reason)
	}
	eventually(t, "disconnected", func() bool { return s.Network().Connectedness(a.ID()) != network.Connected })
}

// P1: frames that arrive before hello reach nobody.
func TestNothingIsHeardBeforeHello(t *testing.T) {
	heard := make(chan []byte, 16)
	a := start(t, nil, WithFrames(func(_ peer.ID, f []byte) Verdict { heard <- f; return Accept }))
	s := newStranger(t, nil)
	early, err := s.open(a, frameProtocol)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := early.Write(appendFrame(nil, []byte("early"))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.greet(a, func(m *hello) { m.Genesis = Genesis{9} }); err != nil {
		t.Fatal(err)
	}
	a.awaitRefused(s.ID())
	awaitReset(t, early)
	if len(heard) != 0 {
		t.Errorf("heard %q from a stranger", <-heard)
	}
}

func TestAHelloThatSaysNothingNewIsNoNews(t *testing.T) {
	a := start(t, nil)
	s := newStranger(t, nil)
	s.connect(a)
	a.forget()
	for range 5 {
		if _, err := s.greet(a, nil); err != nil {
			t.Fatal(err)
		}
	}
	a.Blame(s.ID(), "test")
	if _, err := s.greet(a, func(m *hello) { m.Rival = true }); err != nil {
		t.Fatal(err)
	}
	a.await("Clone", func(e Event) bool { _, ok := e.(Clone); return ok })
	for _, e := range a.events {
		if up, ok := e.(PeerUp); ok {
			t.Errorf("news: %+v", up)
		}
	}
	if n := len(a.Offenders()); n != 1 || a.Offenders()[0].ID != s.ID() {
		t.Errorf("Offenders = %+v", a.Offenders())
	}
}

func TestGarbageAsHelloIsAnOffence(t *testing.T) {
	a := start(t, nil)
	s := newStranger(t, nil)
	st, err := s.open(a, helloProtocol)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Write(appendFrame(nil, []byte("garbage"))); err != nil {
		t.Fatal(err)
	}
	a.awaitRefused(s.ID())
	if len(a.offencesOf(s.ID())) == 0 {
		t.Error("no offence is noted")
	}
}

func TestFoundersAgreeOnAGenesisWhileConnected(t *testing.T) {
	forming := func(c *Config) { c.Genesis = Genesis{} }
	a, b := start(t, forming), start(t, forming)
	join(a, b)
	if up := a.awaitUp(b.ID()); !up.Forming {
		t.Errorf("PeerUp = %+v, want forming", up)
	}
	settled := func(e Event) bool { up, ok := e.(PeerUp); return ok && !up.Forming }
	if err := a.SetGenesis(testGenesis); err != nil {
		t.Fatal(err)
	}
	if !b.connectedTo(a.ID()) {
		t.Error("b has lost a, from which it learns the genesis")
	}
	if err := b.SetGenesis(testGenesis); err != nil {
		t.Fatal(err)
	}
	a.await("PeerUp with genesis", settled)
	b.await("PeerUp with genesis", settled)
	for _, e := range append(a.events, b.events...) {
		if _, ok := e.(PeerDown); ok {
			t.Errorf("the connection did not survive: %+v", e)
		}
	}
	if err := a.SetGenesis(testGenesis); err != nil {
		t.Errorf("the same genesis again: %v", err)
	}
	if err := a.SetGenesis(Genesis{5}); !errors.Is(err, ErrGenesis) {
		t.Errorf("another genesis: %v, want ErrGenesis", err)
	}
}

func TestAHelloOvertakenByAgreementIsForgotten(t *testing.T) {
	m := start(t, func(c *Config) { c.Genesis = Genesis{} })
	s := newStranger(t, nil)
	s.answerHello(nil) // with the genesis
	forming := func(h *hello) { h.Genesis = Genesis{} }
	if _, err := s.greet(m, forming); err != nil {
		t.Fatal(err)
	}
	m.awaitUp(s.ID())
	if err := m.SetGenesis(testGenesis); err != nil {
		t.Fatal(err)
	}
	m.await("agreement", func(e Event) bool { up, ok := e.(PeerUp); return ok && !up.Forming })
	for range 2 { // the second is answered once the first has been acted upon, or refused
		if _, err := s.greet(m, forming); err != nil {
			t.Fatal(err)
		}
	}
	if r := m.Refusals(); len(r) != 0 || len(m.Peers()) != 1 || m.Peers()[0].Forming {
		t.Errorf("Refusals = %+v, Peers = %+v", r, m.Peers())
	}
}

func TestAConnectionThatChangesItsNonceIsRefused(t *testing.T) {
	m := start(t, nil)
	s := newStranger(t, nil)
	s.answerHello(func(h *hello) { h.Nonce = 99 })
	s.connect(m)
	if _, err := s.greet(m, func(h *hello) { h.Nonce = 99 }); err != nil {
		t.Fatal(err)
	}
	if r := m.awaitRefused(s.ID()); !strings.Contains(r.Reason, "nonce") {
		t.Errorf("refusal = %+v", r)
	}
	m.Peers() // must not mind
}

func TestAWrongClockIsSeenInTheOffset(t *testing.T) {
	m := start(t, nil)
	s := newStranger(t, nil)
	ahead := func(h *hello) { h.Clock += 3_600_000 }
	if _, err := s.greet(m, ahead); err != nil {
		t.Fatal(err)
	}
	if up := m.awaitUp(s.ID()); (up.Offset - time.Hour).Abs() > patience {
		t.Errorf("offset = %s, want an hour", up.Offset)
	}
	for _, far := range []uint64{0, 1 << 63, 1<<64 - 1} {
		s := newStranger(t, nil)
		if _, err := s.greet(m, func(h *hello) { h.Clock = far }); err != nil {
			t.Fatal(err)
		}
		m.awaitUp(s.ID())
	}
}

func TestAFormingHostLearnsOfAFederationFromItsRefusal(t *testing.T) {
	a := start(t, nil)
	b := start(t, func(c *Config) { c.Genesis = Genesis{} })
	b.Keep(a.info())
	r := b.awaitRefused(a.ID())
	if r.Genesis != testGenesis {
		t.Fatalf("refusal = %+v, want the genesis of a", r)
	}
	if err := b.SetGenesis(r.Genesis); err != nil {
		t.Fatal(err)
	}
	b.awaitUp(a.ID())
}

func TestWhoStaysWithoutGenesisIsDisconnected(t *testing.T) {
	forming := func(c *Config) {
		c.Genesis = Genesis{}
		c.Limits.FormingGrace = 50 * time.Millisecond
	}
	a, b := start(t, forming), start(t, forming)
	join(a, b)
	if err := a.SetGenesis(testGenesis); err != nil {
		t.Fatal(err)
	}
	if r := a.awaitRefused(b.ID()); !strings.Contains(r.Reason, "genesis") {
		t.Errorf("reason = %q", r.Reason)
	}
}

// A killed process leaves connections that look alive. Its successor's hello ends
// them.
func TestARestartedPeerSupplantsItsFormerSelf(t *testing.T) {
	a := start(t, nil)
	key := newKey(t)
	before, after := newStranger(t, key), newStranger(t, key)
	before.answerHello(func(m *hello) { m.Nonce = 1 })
	after.answerHello(func(m *hello) { m.Nonce = 2 })
	if _, err := before.greet(a, func(m *hello) { m.Nonce = 1 }); err != nil {
		t.Fatal(err)
	}
	a.awaitUp(before.ID())
	before.RemoveStreamHandler(helloProtocol) // it is dead, and its connection looks alive
	if _, err := after.greet(a, func(m *hello) { m.Nonce = 2 }); err != nil {
		t.Fatal(err)
	}
	a.await("PeerUp of the new process", func(e Event) bool { up, ok := e.(PeerUp); return ok && up.Nonce == 2 })
	eventually(t, "the old connection closed", func() bool { return len(before.Network().Conns()) == 0 })
	if n := len(after.Network().Conns()); n != 1 {
		t.Errorf("the new process has %d connections, want 1", n)
	}
	if a.Peers()[0].Clone {
		t.Error("a restart is taken for a clone")
	}
}

// Bytes of a dead process can still arrive: they do not end the connections of the
// one that took its place.
func TestTheHelloOfADeadProcessSupplantsNobody(t *testing.T) {
	a := start(t, nil)
	key := newKey(t)
	alive, dead := newStranger(t, key), newStranger(t, key) // the dead does not answer
	alive.answerHello(func(m *hello) { m.Nonce = 2 })
	if _, err := alive.greet(a, func(m *hello) { m.Nonce = 2 }); err != nil {
		t.Fatal(err)
	}
	a.awaitUp(alive.ID())
	if _, err := dead.greet(a, func(m *hello) { m.Nonce = 1 }); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the dead one's connection closed", func() bool { return len(dead.Network().Conns()) == 0 })
	if p := a.Peers(); len(p) != 1 || p[0].Nonce != 2 || p[0].Clone || len(alive.Network().Conns()) != 1 {
		t.Errorf("Peers = %+v, want the living process", p)
	}
}

func TestAClonedKeyIsFoundOutByAThird(t *testing.T) {
	a := start(t, nil)
	key := newKey(t)
	one, two := newStranger(t, key), newStranger(t, key)
	one.answerHello(func(m *hello) { m.Nonce = 1 })
	told := make(chan bool, 64)
	two.SetStreamHandler(helloProtocol, func(st network.Stream) {
		defer st.Close()
		b, err := newFrameReader(st, maxHello).next(patience, patience)
		if err != nil {
			return
		}
		if m, err := decodeHello(b); err == nil && m.Rival {
			told <- true
		}
		st.Write(appendFrame(nil, two.hello(func(m *hello) { m.Nonce = 2 }).encode()))
	})
	greet := func(s *stranger, nonce uint64) {
		t.Helper()
		a.forget()
		if _, err := s.greet(a, func(m *hello) { m.Nonce = nonce }); err != nil {
			t.Fatal(err)
		}
		a.await("PeerUp", func(e Event) bool { up, ok := e.(PeerUp); return ok && up.Nonce == nonce })
	}
	greet(two, 2)
	greet(one, 1) // one takes over
	eventually(t, "two supplanted", func() bool { return len(two.Network().Conns()) == 0 })
	greet(two, 2) // and two is still alive
	if !a.Peers()[0].Clone {
		t.Error("the clone is not noticed")
	}
	receive(t, "warning to the clone", told)
}

// The process before answers, though another with its key has been proved alive: it
// need not come back to be found out. Both are told.
func TestAProcessThatOutlivesItsSuccessorIsAClone(t *testing.T) {
	a := start(t, nil)
	key := newKey(t)
	one, two := newStranger(t, key), newStranger(t, key)
	told := make(chan uint64, 64)
	answer := func(s *stranger, nonce uint64) {
		s.SetStreamHandler(helloProtocol, func(st network.Stream) {
			defer st.Close()
			b, err := newFrameReader(st, maxHello).next(patience, patience)
			if err != nil {
				return
			}
			if m, err := decodeHello(b); err == nil && m.Rival {
				told <- nonce
			}
			st.Write(appendFrame(nil, s.hello(func(m *hello) { m.Nonce = nonce }).encode()))
		})
	}
	answer(one, 1)
	answer(two, 2)
	if _, err := one.greet(a, func(m *hello) { m.Nonce = 1 }); err != nil {
		t.Fatal(err)
	}
	a.awaitUp(one.ID())
	if _, err := two.greet(a, func(m *hello) { m.Nonce = 2 }); err != nil {
		t.Fatal(err)
	}
	heard := map[uint64]bool{}
	for len(heard) < 2 {
		heard[receive(t, "warning to both", told)] = true
	}
	eventually(t, "the clone noticed", func() bool { p := a.Peers(); return len(p) == 1 && p[0].Clone })
}

func TestAHostWarnedOfItsCloneSaysSo(t *testing.T) {
	a := start(t, nil)
	s := newStranger(t, nil)
	if _, err := s.greet(a, func(m *hello) { m.Rival = true }); err != nil {
		t.Fatal(err)
	}
	e := a.await("Clone", func(e Event) bool { _, ok := e.(Clone); return ok }).(Clone)
	if e.Via != s.ID() || e.Direct {
		t.Errorf("Clone = %+v", e)
	}
}

// Hosts of two federations refuse each other, and learn from it what the other says
// of itself.
func TestANoteReachesAlsoWhoRefusesIt(t *testing.T) {
	a := start(t, nil)
	b := start(t, func(c *Config) { c.Genesis = Genesis{1: 'o'} })
	a.SetNote(5)
	b.SetNote(6)
	a.Keep(b.info())
	if r := a.awaitRefused(b.ID()); r.Note != 6 {
		t.Errorf("refusal = %+v, want the note 6", r)
	}
	if r := b.awaitRefused(a.ID()); r.Note != 5 {
		t.Errorf("refusal = %+v, want the note 5", r)
	}
	c := start(t, nil)
	c.SetNote(7)
	join(a, c)
	if p := a.Peers(); len(p) != 1 || p[0].Note != 7 || p[0].Genesis != testGenesis {
		t.Errorf("peers = %+v, want the note 7 and the genesis", p)
	}
}
