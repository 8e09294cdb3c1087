package p2p

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const gossipProtocol = protocol.ID("/meshsub/1.2.0")

// audience counts the distinct messages that a member accepted.
type audience struct {
	mu   sync.Mutex
	seen map[string]int
}

func (a *audience) judge(_ peer.ID, data []byte) Verdict {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[string(data)]++
	return Accept
}

func (a *audience) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.seen)
}

// mesh starts n members that all keep each other, and waits until each knows that
// all take part in the topic.
func mesh(t *testing.T, n int) ([]*member, []*audience) {
	t.Helper()
	var ms []*member
	var as []*audience
	for range n {
		a := &audience{seen: map[string]int{}}
		as = append(as, a)
		ms = append(ms, start(t, nil, WithTopic("txs", a.judge)))
	}
	for i, m := range ms {
		for _, o := range ms[i+1:] {
			m.Keep(o.info())
			o.Keep(m.info())
		}
	}
	for _, m := range ms {
		eventually(t, "all take part", func() bool { return len(m.TopicPeers("txs")) == n-1 })
	}
	return ms, as
}

// With pubsub's default queues a burst like this delivers 4 in 100, and every
// Publish returns nil.
func TestABurstReachesEveryone(t *testing.T) {
	const n, burst = 4, 2000
	ms, as := mesh(t, n)
	for i := range burst {
		if err := ms[i%n].Publish("txs", name(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i, a := range as {
		eventually(t, fmt.Sprintf("member %d has all of the others", i), func() bool { return a.count() == burst-burst/n })
		for m, times := range a.seen {
			if times != 1 {
				t.Errorf("%q was judged %d times", m, times)
			}
		}
	}
}

func TestRejectedGossipIsNotForwardedAndScoresDown(t *testing.T) {
	far := &audience{seen: map[string]int{}}
	a := start(t, nil, WithTopic("txs", far.judge))
	judge := func(from peer.ID, data []byte) Verdict {
		switch {
		case bytes.HasPrefix(data, []byte("bad")):
			return Reject
		case bytes.HasPrefix(data, []byte("old")):
			return Ignore
		}
		return Accept
	}
	b := start(t, nil, WithTopic("txs", judge))
	c := start(t, nil, WithTopic("txs", far.judge))
	join(a, b) // in a line: c hears a only by b
	join(b, c)
	eventually(t, "b knows both", func() bool { return len(b.TopicPeers("txs")) == 2 })
	eventually(t, "a knows b", func() bool { return len(a.TopicPeers("txs")) == 1 })
	for _, m := range []string{"bad", "old"} {
		if err := a.Publish("txs", []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	// What b forwards goes along its mesh, which takes a heartbeat to form.
	n := 0
	eventually(t, "c has a good one", func() bool {
		n++
		if err := a.Publish("txs", fmt.Appendf(nil, "good %d", n)); err != nil {
			t.Fatal(err)
		}
		return far.count() > 0
	})
	far.mu.Lock()
	for m := range far.seen {
		if !strings.HasPrefix(m, "good") {
			t.Errorf("c has %q", m)
		}
	}
	far.mu.Unlock()
	eventually(t, "both are judged", func() bool {
		n := b.Counters()
		return n.GossipIgnored == 1 && n.GossipRejected == 1
	})
	if got := b.offencesOf(a.ID()); len(got) != 1 || !strings.Contains(got[0].What, "txs") {
		t.Errorf("offences of a = %+v", got)
	}
}

func TestTopicsAreJoinedOnceThereIsAGenesis(t *testing.T) {
	forming := func(c *Config) { c.Genesis = Genesis{} }
	heard := &audience{seen: map[string]int{}}
	a := start(t, forming, WithTopic("txs", heard.judge))
	b := start(t, forming, WithTopic("txs", heard.judge))
	join(a, b)
	if err := a.Publish("txs", []byte("early")); !errors.Is(err, ErrNotRunning) {
		t.Errorf("publishing without genesis: %v", err)
	}
	if err := a.SetGenesis(testGenesis); err != nil {
		t.Fatal(err)
	}
	// What a announces now must wait in the stream until b knows the topic. There
	// is no event to wait for: nothing happens.
	for range 20 {
		a.pingOnce(t.Context(), b.ID())
	}
	if err := b.SetGenesis(testGenesis); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both take part", func() bool { return len(a.TopicPeers("txs")) == 1 && len(b.TopicPeers("txs")) == 1 })
	if err := a.Publish("txs", []byte("now")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b has heard", func() bool { return heard.count() == 1 })
}

func TestPublishRefusesWhatNobodyWouldTake(t *testing.T) {
	a := start(t, nil, WithTopic("txs", func(peer.ID, []byte) Verdict { return Accept }))
	for _, n := range []int{0, MaxGossip} {
		if err := a.Publish("txs", make([]byte, n)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if err := a.Publish("other", []byte("x")); err == nil {
		t.Error("an unknown topic was published to")
	}
}

func TestGarbageToGossipIsAnOffenceAndForeignTopicsAreForgotten(t *testing.T) {
	called := make(chan []byte, 1)
	a := start(t, nil, WithTopic("txs", func(_ peer.ID, d []byte) Verdict { called <- d; return Accept }))
	s := newStranger(t, nil)
	s.connect(a)
	for i, wire := range [][]byte{
		binary.AppendUvarint(nil, 1<<40),
		append(binary.AppendUvarint(nil, 10), bytes.Repeat([]byte{0xff}, 10)...),
	} {
		st, err := s.open(a, gossipProtocol)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Write(wire); err != nil {
			t.Fatal(err)
		}
		awaitReset(t, st)
		eventually(t, "the offence is noted", func() bool { return len(a.offencesOf(s.ID())) == i+1 })
	}
	if !(subscriptions{a.Host}).CanSubscribe(topicName(testGenesis, "txs")) {
		t.Error("our own topic is filtered")
	}
	for _, topic := range []string{"", "txs", topicName(testGenesis, "other"), topicName(Genesis{9}, "txs")} {
		if (subscriptions{a.Host}).CanSubscribe(topic) {
			t.Errorf("topic %q is let in", topic)
		}
	}
	if len(called) != 0 {
		t.Errorf("garbage was judged: %q", <-called)
	}
}

// P3: a flood of large messages is slowed, and memory stays bounded.
func TestAFloodOfGossipIsSlowed(t *testing.T) {
	const rate = 1 << 20
	a := start(t, func(c *Config) { c.Limits.ByteRate = rate }, WithTopic("txs", func(peer.ID, []byte) Verdict { return Ignore }))
	s := newStranger(t, nil)
	s.connect(a)
	st, err := s.open(a, gossipProtocol)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	st.SetWriteDeadline(began.Add(time.Second))
	junk := make([]byte, 64<<10)
	head := binary.AppendUvarint(nil, uint64(len(junk)+4)) // one unknown field
	rpc := append(append(head, 0xfa, 0x01, 0x80, 0x80), append([]byte{0x04}, junk...)...)
	rpc = append(binary.AppendUvarint(nil, uint64(len(junk)+5)), rpc[len(head):]...)
	sent := 0
	for {
		n, err := st.Write(rpc)
		sent += n
		if err != nil {
			break
		}
	}
	runtime.ReadMemStats(&after)
	// The burst, a second's worth, and what the windows of the connection hold.
	if most := MaxFrame + int(rate*time.Since(began).Seconds()) + 16<<20 + 1<<20; sent > most {
		t.Errorf("%d bytes were taken, want at most %d", sent, most)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
}

// P3: however many messages wait for a validator that is stuck, their bytes are
// bounded.
func TestGossipThatWaitsIsBounded(t *testing.T) {
	open := make(chan struct{})
	m := prepare(t, func(c *Config) { c.Limits.GossipBytes, c.Limits.GossipWorkers = MaxGossip, 1 })
	validate := m.validator(func(peer.ID, []byte) Verdict { <-open; return Accept })
	verdicts := make(chan pubsub.ValidationResult, 4)
	for range cap(verdicts) {
		go func() {
			verdicts <- validate(t.Context(), "peer", &pubsub.Message{Message: &pb.Message{Data: make([]byte, MaxGossip/2)}})
		}()
	}
	for range 2 {
		if v := receive(t, "verdict", verdicts); v != pubsub.ValidationIgnore {
			t.Errorf("verdict on what is too much = %v, want ignore", v)
		}
	}
	close(open)
	for range 2 {
		if v := receive(t, "verdict", verdicts); v != pubsub.ValidationAccept {
			t.Errorf("verdict on what waited = %v, want accept", v)
		}
	}
	if c := m.Counters(); c.GossipDropped != 2 || c.GossipAccepted != 2 || m.gossip.waiting.Load() != 0 {
		t.Errorf("counters = %+v, %d bytes wait", c, m.gossip.waiting.Load())
	}
}
