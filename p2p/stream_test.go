package p2p

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// listener accepts every frame and passes it on.
func listener(c chan<- []byte) Option {
	return WithFrames(func(_ peer.ID, f []byte) Verdict { c <- f; return Accept })
}

func TestFramesArriveBothWaysInOrder(t *testing.T) {
	const n, window = 300, MaxSlots / 2
	atA, atB := make(chan []byte, n), make(chan []byte, n)
	a, b := start(t, nil, listener(atA)), start(t, nil, listener(atB))
	join(a, b)
	for i := range n {
		for _, way := range []struct {
			from, to *member
			in       chan []byte
		}{{a, b, atB}, {b, a, atA}} {
			if err := way.from.Send(way.to.ID(), Slot(i), name(i)); err != nil {
				t.Fatal(err)
			}
			if i < window {
				continue
			}
			if got := receive(t, "frame", way.in); !bytes.Equal(got, name(i-window)) {
				t.Fatalf("have %q, want %q", got, name(i-window))
			}
		}
	}
	for _, in := range []chan []byte{atA, atB} {
		for i := n - window; i < n; i++ {
			if got := receive(t, "frame", in); !bytes.Equal(got, name(i)) {
				t.Fatalf("have %q, want %q", got, name(i))
			}
		}
	}
	if c := a.Counters(); c.FramesOut != n || c.FramesIn != n {
		t.Errorf("counters = %+v, want %d frames each way", c, n)
	}
}

// P3, P4: a peer that stops reading costs an outbox of fixed size, and when it
// reads again it gets what matters: the newest of each slot.
func TestAStalledPeerGetsTheNewestOfEachSlot(t *testing.T) {
	open := make(chan struct{})
	var last atomic.Uint64
	a := start(t, nil)
	b := start(t, nil, WithFrames(func(_ peer.ID, f []byte) Verdict {
		<-open
		last.Store(max(last.Load(), binary.BigEndian.Uint64(f)))
		return Accept
	}))
	join(a, b)
	const n = 400
	frame := make([]byte, 64<<10) // 25 MiB in all: beyond what the connection buffers
	for i := uint64(1); i <= n; i++ {
		f := bytes.Clone(frame)
		binary.BigEndian.PutUint64(f, i)
		if err := a.Send(b.ID(), Slot(i%3), f); err != nil {
			t.Fatal(err)
		}
	}
	a.Host.mu.Lock()
	box := a.outboxes[b.ID()]
	a.Host.mu.Unlock()
	box.mu.Lock()
	if len(box.frames) != 3 || box.bytes != 3*len(frame) {
		t.Errorf("the outbox holds %d frames, %d bytes; want 3, %d", len(box.frames), box.bytes, 3*len(frame))
	}
	box.mu.Unlock()
	if a.Counters().FramesReplaced == 0 {
		t.Error("nothing was replaced: the test does not stall")
	}
	close(open)
	eventually(t, "the newest frame has arrived", func() bool { return last.Load() == n })
}

func TestAnOutboxKeepsTheNewestWithinItsBounds(t *testing.T) {
	box := func(limit int, frames ...string) *outbox {
		o := newOutbox("", limit)
		for _, f := range frames {
			o.put(Slot(f[0]), []byte(f))
		}
		return o
	}
	drain := func(o *outbox) (frames []string) {
		for {
			b, n := o.take(nil)
			if n == 0 {
				return frames
			}
			r := newFrameReader(memory{bytes.NewReader(b)}, MaxFrame)
			for range n {
				f, err := r.next(0, 0)
				if err != nil {
					t.Fatal(err)
				}
				frames = append(frames, string(f))
			}
		}
	}
	many := make([]string, MaxSlots+2)
	for i := range many {
		many[i] = string(rune('0'+i)) + "x"
	}
	for _, tt := range []struct {
		name   string
		limit  int
		frames []string
		want   []string
	}{
		{"in the order of Send", 100, []string{"a1", "b1", "c1"}, []string{"a1", "b1", "c1"}},
		{"the newest of a slot, at the place of the newest", 100, []string{"a1", "b1", "a2"}, []string{"b1", "a2"}},
		{"the oldest go when bytes run out", 5, []string{"a1", "b1", "c1"}, []string{"b1", "c1"}},
		{"the oldest go when slots run out", 1000, many, many[2:]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := box(tt.limit, tt.frames...)
			if diff := cmp.Diff(tt.want, drain(o)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]string(nil), drain(o)); diff != "" {
				t.Errorf("drained twice: %s", diff)
			}
			o.put('z', []byte("z1"))
			if diff := cmp.Diff([]string{"z1"}, drain(o)); diff != "" {
				t.Errorf("after one more: %s", diff)
			}
			o.rewind()
			if got := drain(o); got[len(got)-1] != "z1" || len(got) < len(tt.want) && tt.limit == 100 {
				t.Errorf("replayed %q", got)
			}
		})
	}
}

func TestReconnectingReplaysTheOutbox(t *testing.T) {
	// The lower dials, and only when told to, so that "new" is surely sent in between.
	lowKey, highKey := pairOf(t)
	in := make(chan []byte, 64)
	a := start(t, func(c *Config) { with(highKey)(c); c.Limits.DialGrace = time.Hour })
	b := start(t, with(lowKey), listener(in))
	a.Keep(b.info())
	connect := func() {
		t.Helper()
		if err := b.node.Connect(t.Context(), a.info()); err != nil {
			t.Fatal(err)
		}
		a.awaitUp(b.ID())
	}
	connect()
	for i, f := range []string{"old", "other"} {
		if err := a.Send(b.ID(), Slot(i), []byte(f)); err != nil {
			t.Fatal(err)
		}
		receive(t, "frame", in)
	}
	a.forget()
	if err := b.node.Network().ClosePeer(a.ID()); err != nil {
		t.Fatal(err)
	}
	a.awaitDown(b.ID())
	if err := a.Send(b.ID(), 0, []byte("new")); err != nil {
		t.Fatalf("sending to a kept peer that is away: %v", err)
	}
	connect()
	got := []string{string(receive(t, "frame", in)), string(receive(t, "frame", in))}
	if diff := cmp.Diff([]string{"other", "new"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAStreamResetByThePeerIsReopenedThoughNothingIsSent(t *testing.T) {
	a := start(t, nil)
	s := newStranger(t, nil)
	opened := make(chan network.Stream, 4)
	s.SetStreamHandler(frameProtocol, func(st network.Stream) {
		if _, err := newFrameReader(st, MaxFrame).next(patience, patience); err == nil {
			opened <- st
		}
	})
	s.connect(a)
	if err := a.Send(s.ID(), 1, []byte("frame")); err != nil {
		t.Fatal(err)
	}
	receive(t, "stream", opened).Reset()
	receive(t, "second stream", opened)
}

func TestSendRefusesWhatItCannotKeep(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	if err := a.Send(b.ID(), 0, []byte("x")); !errors.Is(err, ErrNotConnected) {
		t.Errorf("to a peer unknown: %v", err)
	}
	join(a, b)
	for _, n := range []int{0, MaxFrame + 1} {
		if err := a.Send(b.ID(), 0, make([]byte, n)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	a.Release(b.ID())
	b.stop()
	a.awaitDown(b.ID())
	if err := a.Send(b.ID(), 0, []byte("x")); !errors.Is(err, ErrNotConnected) {
		t.Errorf("to a peer released and gone: %v", err)
	}
}

// P1, P2, P5, on each protocol that carries frames.
func TestGarbageIsAnOffenceAndReachesNobody(t *testing.T) {
	over := func(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }
	for _, tt := range []struct {
		name  string
		bytes []byte
		close bool // the sender's half, after the bytes
	}{
		{"a length over the cap", over(1 << 40), false},
		{"a length of 2^64-1", bytes.Repeat([]byte{0xff}, 9), false},
		{"a length in too many bytes", []byte{0x85, 0x00, 1, 2, 3, 4, 5}, false},
		{"an empty frame", []byte{0}, false},
		{"half a frame, then the end", append(over(100), 1, 2, 3), true},
		{"half a length, then the end", []byte{0x80}, true},
		{"a frame that drips", append(over(100), 1, 2, 3), false},
		{"a large frame that never comes", over(MaxFrame), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var called atomic.Int32
			a := start(t, func(c *Config) { c.Limits.Frame = 100 * time.Millisecond; c.Limits.Offences = 100 },
				WithFrames(func(peer.ID, []byte) Verdict { called.Add(1); return Accept }),
				WithFetch(func(context.Context, peer.ID, []byte) ([]byte, error) { called.Add(1); return nil, nil }),
				WithTasks(func(_ context.Context, _ peer.ID, c *FrameConn) {
					if _, err := c.ReadFrame(MaxTaskFrame); err == nil {
						called.Add(1)
					}
				}))
			s := newStranger(t, nil)
			s.connect(a)
			for i, p := range []string{string(frameProtocol), string(fetchProtocol), string(taskProtocol)} {
				st, err := s.open(a, protocolID(p))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := st.Write(tt.bytes); err != nil {
					t.Fatal(err)
				}
				if tt.close {
					st.CloseWrite()
				}
				awaitReset(t, st)
				if got := a.offencesOf(s.ID()); len(got) != i+1 || !strings.Contains(got[i].What, p) {
					t.Fatalf("offences after %s = %+v, want one more", p, got)
				}
			}
			if n := called.Load(); n != 0 {
				t.Errorf("handlers were called %d times", n)
			}
			if score := a.Peers()[0].Score; score > -2 {
				t.Errorf("score = %v, want about -3", score)
			}
		})
	}
}

func TestRejectedFramesEndInABan(t *testing.T) {
	var called atomic.Int32
	a := start(t, func(c *Config) { c.Limits.Offences = 3; c.Limits.Ban = time.Hour },
		WithFrames(func(peer.ID, []byte) Verdict { called.Add(1); return Reject }))
	s := newStranger(t, nil)
	s.connect(a)
	for range 4 {
		st, err := s.open(a, frameProtocol)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Write(appendFrame(nil, []byte("bad"))); err != nil {
			t.Fatal(err)
		}
		awaitReset(t, st)
	}
	if down := a.awaitDown(s.ID()); !strings.Contains(down.Reason, "banned") {
		t.Errorf("reason = %q", down.Reason)
	}
	if _, err := s.greet(a, nil); err == nil {
		t.Error("a banned peer was let in")
	}
	if n := called.Load(); n != 4 {
		t.Errorf("the handler was called %d times, want 4", n)
	}
	if c := a.Counters(); c.Bans != 1 || c.FramesRejected != 4 {
		t.Errorf("counters = %+v", c)
	}
}

// P3: what a flood costs is set by the rate, whatever the sender does.
func TestAFloodIsReadAtTheRate(t *testing.T) {
	const rate = 200
	var called atomic.Int32
	began := time.Now()
	a := start(t, func(c *Config) { c.Limits.FrameRate = rate },
		WithFrames(func(peer.ID, []byte) Verdict { called.Add(1); return Ignore }))
	s := newStranger(t, nil)
	a.Favour([]peer.ID{s.ID()}) // one that may send the most
	s.connect(a)
	st, err := s.open(a, frameProtocol)
	if err != nil {
		t.Fatal(err)
	}
	flood := bytes.Repeat(appendFrame(nil, make([]byte, 200)), 1000)
	st.SetWriteDeadline(time.Now().Add(time.Second))
	for sent := 0; ; sent += len(flood) {
		if _, err := st.Write(flood); err != nil {
			break // back pressure has reached the sender
		}
		if sent > 64<<20 {
			t.Fatal("64 MiB were taken without back pressure")
		}
	}
	most := rate + int32(rate*time.Since(began).Seconds()) + 1
	if n := called.Load(); n > most || n < rate {
		t.Errorf("the handler was called %d times, want %d to %d", n, rate, most)
	}
	if len(a.offencesOf(s.ID())) != 0 {
		t.Error("back pressure alone is no offence")
	}
}

func TestConsensusStreamsOfAPeerAreFew(t *testing.T) {
	a := start(t, nil, WithFrames(func(peer.ID, []byte) Verdict { return Accept }))
	s := newStranger(t, nil)
	s.connect(a)
	const opened = 20
	ended := make(chan error, opened)
	for range opened {
		st, err := s.open(a, frameProtocol)
		if err != nil {
			t.Fatal(err)
		}
		st.Write(appendFrame(nil, []byte("frame")))
		go func() {
			_, err := st.Read(make([]byte, 1))
			ended <- err
		}()
	}
	for range opened - framesPerPeer {
		if err := receive(t, "reset", ended); !errors.Is(err, network.ErrReset) {
			t.Errorf("ended by %v, want a reset", err)
		}
	}
	a.readers.mu.Lock()
	defer a.readers.mu.Unlock()
	if n := a.readers.used[s.ID()]; n > framesPerPeer {
		t.Errorf("%d streams are read, want at most %d", n, framesPerPeer)
	}
}

func ExampleHost_Send() {
	const newestVote Slot = 1 // one slot for each kind of message
	broadcast := func(h *Host, validators []peer.ID, vote []byte) {
		for _, v := range validators {
			if err := h.Send(v, newestVote, vote); err != nil {
				fmt.Println(err) // away and not kept: it will ask
			}
		}
	}
	_ = broadcast
}
