package p2p

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	"pgregory.net/rapid"
)

// crowd is strangers that are connected with m.
func crowd(t *testing.T, m *member, n int) []*stranger {
	t.Helper()
	all := make([]*stranger, n)
	for i := range all {
		all[i] = newStranger(t, nil)
		all[i].connect(m)
	}
	return all
}

// held opens streams of a protocol, says something on each and leaves them. Some
// may be refused.
func (s *stranger) held(m *member, p protocol.ID, n int, say []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for range n {
		st, err := s.NewStream(ctx, m.ID(), p)
		if err != nil {
			return
		}
		st.SetWriteDeadline(time.Now().Add(patience))
		st.Write(say)
	}
}

// validator is a host that m favours, connected with it.
func validator(t *testing.T, m *member, opts ...Option) *member {
	t.Helper()
	v := start(t, nil, opts...)
	m.Favour([]peer.ID{v.ID()})
	join(v, m)
	return v
}

// P3: whatever strangers hold, and give back, those who matter find their share.
func TestStrangersNeverHoldMoreThanTheirShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total, sure := rapid.IntRange(4, 40).Draw(t, "total"), rapid.IntRange(0, 2).Draw(t, "sure")
		q := newQuota(total, total, sure)
		var gives []func()
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				as := standing(rapid.IntRange(0, 2).Draw(t, "as"))
				id := peer.ID(fmt.Sprint(as, rapid.IntRange(0, 3).Draw(t, "who")))
				if give, ok := q.take(id, as); ok {
					gives = append(gives, give)
				}
			},
			"give": func(t *rapid.T) {
				if len(gives) == 0 {
					t.Skip("nothing is held")
				}
				i := rapid.IntRange(0, len(gives)-1).Draw(t, "which")
				gives[i]()
				gives = append(gives[:i], gives[i+1:]...)
			},
			"": func(t *rapid.T) {
				if got, most := q.tally[asStranger], int64(total/2); got > most {
					t.Fatalf("strangers hold %d of %d", got, total)
				}
				if got := q.tally.sum(); got != int64(len(gives)) || got > int64(total+8*sure) {
					t.Fatalf("%d are held, %d counted, of %d", len(gives), got, total)
				}
				give, ok := q.take("another", asMember)
				if full := q.tally[asMember]+q.tally[asKept] >= int64(total/2); !ok && !full {
					t.Fatalf("a member finds no place beside %v of %d", q.tally, total)
				} else if ok {
					give()
				}
			},
		})
	})
}

func TestSilentStreamsOfStrangersLeaveRoomForTasks(t *testing.T) {
	m := start(t, func(c *Config) { c.Limits.Tasks, c.Limits.TasksPerPeer = 16, 4 }, WithTasks(echo))
	v := validator(t, m)
	for _, s := range crowd(t, m, 4) {
		s.held(m, taskProtocol, 12, nil)
	}
	eventually(t, "strangers hold what they can", func() bool {
		m.tasksIn.mu.Lock()
		defer m.tasksIn.mu.Unlock()
		return m.tasksIn.tally[asStranger] == 8
	})
	for range 3 {
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
}

func echo(_ context.Context, _ peer.ID, c *FrameConn) {
	for {
		f, err := c.ReadFrame(100)
		if err != nil || c.WriteFrame(f) != nil {
			return
		}
	}
}

func TestWhoOpensATaskStreamHasToSaySomething(t *testing.T) {
	m := start(t, func(c *Config) { c.Limits.Frame, c.Limits.TaskIdle = 100*time.Millisecond, time.Hour }, WithTasks(echo))
	s := newStranger(t, nil)
	s.connect(m)
	s.held(m, taskProtocol, 3, nil)
	eventually(t, "the streams were open", func() bool { return m.Counters().TaskStreams == 3 })
	eventually(t, "the streams have ended", func() bool {
		m.tasksIn.mu.Lock()
		defer m.tasksIn.mu.Unlock()
		return m.tasksIn.tally.sum() == 0
	})
}

func TestUnreadAnswersOfStrangersLeaveRoomForQuestions(t *testing.T) {
	answer := make([]byte, 8<<20) // more than the connection buffers
	m := start(t, nil, WithFetch(func(_ context.Context, _ peer.ID, req []byte) ([]byte, error) {
		if string(req) == "short" {
			return req, nil
		}
		return answer, nil
	}))
	v := validator(t, m)
	for _, s := range crowd(t, m, 3) {
		s.held(m, fetchProtocol, 8, appendFrame(nil, []byte("long")))
	}
	eventually(t, "strangers hold what they can", func() bool {
		m.fetchesIn.mu.Lock()
		defer m.fetchesIn.mu.Unlock()
		return m.fetchesIn.tally[asStranger] == int64(m.cfg.Limits.Fetches/2)
	})
	if got, err := v.Request(t.Context(), m.ID(), []byte("short"), 10); err != nil || string(got) != "short" {
		t.Errorf("a validator's question is answered with %q, %v", got, err)
	}
}

// Frames that never end, of many peers, cost a part of the budget; a validator's
// largest frame arrives meanwhile.
func TestFramesThatNeverEndCostBoundedMemory(t *testing.T) {
	frames := make(chan []byte, 1)
	limits := func(c *Config) {
		c.Limits.FrameBytes = 16 << 20
		c.Limits.Frame = patience // they are not over before the test is
	}
	m := start(t, limits, listener(frames))
	v := validator(t, m)
	before := heapBytes()
	unending := append([]byte{0x80, 0x80, 0x80, 0x01}, make([]byte, MaxFrame-1)...)
	var wg sync.WaitGroup
	for _, s := range crowd(t, m, 24) {
		wg.Go(func() { s.held(m, frameProtocol, framesPerPeer, unending) })
	}
	wg.Wait()
	if grown := heapBytes() - before; grown > 40<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
	m.arriving.mu.Lock()
	got := m.arriving.tally[asStranger]
	m.arriving.mu.Unlock()
	if got == 0 || got > 8<<20 {
		t.Errorf("strangers hold %d bytes, want at most half of 16 MiB", got)
	}
	if err := v.Send(m.ID(), 1, make([]byte, MaxFrame)); err != nil {
		t.Fatal(err)
	}
	if f := receive(t, "a validator's frame", frames); len(f) != MaxFrame {
		t.Errorf("have %d bytes", len(f))
	}
}

func heapBytes() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// Whoever tells ever new addresses of a peer that is away has a few dialled at a
// time, and what is not told again is forgotten.
func TestRumoursAreDialledWithinBounds(t *testing.T) {
	m := start(t, func(c *Config) { c.Limits.Dial, c.Limits.RedialMax = 50*time.Millisecond, time.Second })
	away := newStranger(t, nil).ID()
	for i := range 200 {
		var rumours []multiaddr.Multiaddr
		for j := range 2 * maxRumours {
			rumours = append(rumours, multiaddr.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", 1+(i+j)%64)))
		}
		m.Keep(peer.AddrInfo{ID: away}, rumours...)
	}
	eventually(t, "it is given up for now", func() bool {
		w := m.Wanted()
		return len(w) == 1 && w[0].Attempts >= hopeless
	})
	dials := m.Counters().Dials
	if dials > 2*hopeless {
		t.Errorf("%d dials, want about %d", dials, hopeless)
	}
	eventually(t, "the addresses are forgotten", func() bool { return len(m.node.Peerstore().Addrs(away)) == 0 })
	if got := m.Counters().Dials; got != dials {
		t.Errorf("%d dials more", got-dials)
	}
	m.Favour([]peer.ID{away}) // it is worth the trouble
	m.nudge(away)
	eventually(t, "it is dialled again and again", func() bool { return m.Counters().Dials > dials+2 })
}

func TestARumourLeadsToAPeer(t *testing.T) {
	a, b := start(t, nil), start(t, nil)
	a.Keep(peer.AddrInfo{ID: b.ID()}, b.info().Addrs...)
	a.awaitUp(b.ID())
	if a.places.apart.Allowed(b.info().Addrs[0]) {
		t.Error("an address by hearsay is counted apart")
	}
	a.Keep(b.info())
	a.Favour([]peer.ID{b.ID()})
	if !a.places.apart.Allowed(b.info().Addrs[0]) {
		t.Error("a validator's own address is not counted apart")
	}
	a.Favour(nil)
	if a.places.apart.Allowed(b.info().Addrs[0]) {
		t.Error("the address of one that is no validator any more is counted apart")
	}
}

// P3: a crowd that floods is read at a part of the rate of one peer, and keeps no
// validator's frames waiting.
func TestAFloodOfManyIsReadAtTheRateOfAll(t *testing.T) {
	const rate = 400
	var strange, others atomic.Int32
	var v *member
	m := start(t, func(c *Config) { c.Limits.FrameRate = rate }, WithFrames(func(from peer.ID, _ []byte) Verdict {
		if from == v.ID() {
			others.Add(1)
		} else {
			strange.Add(1)
		}
		return Accept
	}))
	v = start(t, nil)
	m.Favour([]peer.ID{v.ID()})
	join(v, m)
	began := time.Now()
	flood := bytes.Repeat(appendFrame(nil, make([]byte, 20)), 10_000)
	for _, s := range crowd(t, m, 8) {
		s.held(m, frameProtocol, 1, flood)
	}
	for i := range rate / 2 {
		if err := v.Send(m.ID(), Slot(i%MaxSlots), name(i)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a validator's frame is read", func() bool { return int(others.Load()) > i })
	}
	eventually(t, "the crowd is read", func() bool { return strange.Load() >= rate/strangersPart })
	// Each has one frame beside what the rate lets through.
	if most := rate/strangersPart*(1+time.Since(began).Seconds()) + 8 + 1; float64(strange.Load()) > most {
		t.Errorf("%d frames of strangers were read, want at most %.0f", strange.Load(), most)
	}
}

// Keys cost nothing: whoever misbehaves with ever new ones fills no disk.
func TestStrangersWriteFewLines(t *testing.T) {
	var lines atomic.Int32
	cfg := testConfig(t)
	h, err := New(cfg, WithLogger(slog.New(counting{&lines})))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range 10 * strangerLines {
		h.Blame(peer.ID(fmt.Sprint("stranger ", i)), "garbage")
	}
	most := strangerLines + 1 + int32(time.Since(began)/strangerLine)
	if n := lines.Load(); n < strangerLines || n > most {
		t.Errorf("%d lines, want %d to %d", n, strangerLines, most)
	}
	h.Favour([]peer.ID{"validator"})
	before := lines.Load()
	if h.Blame("validator", "garbage"); lines.Load() != before+1 {
		t.Error("nothing is said of a validator")
	}
}

// counting is a log of which the lines are counted.
type counting struct{ lines *atomic.Int32 }

func (c counting) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }
func (c counting) Handle(context.Context, slog.Record) error    { c.lines.Add(1); return nil }
func (c counting) WithAttrs([]slog.Attr) slog.Handler           { return c }
func (c counting) WithGroup(string) slog.Handler                { return c }

// P3: however many strangers ask for how much, they are answered at a rate; those
// who matter do not wait for it.
func TestStrangersAreAnsweredAtARate(t *testing.T) {
	const rate, size = 4 << 20, 4 << 20
	answer := make([]byte, size)
	m := start(t, func(c *Config) { c.Limits.ByteRate = rate }, WithFetch(func(context.Context, peer.ID, []byte) ([]byte, error) {
		return answer, nil
	}))
	v := validator(t, m)
	began := time.Now()
	stop, cancel := context.WithCancel(t.Context())
	var served atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		asker := start(t, nil)
		join(m, asker)
		m.Release(asker.ID()) // it is a stranger
		wg.Go(func() {
			for stop.Err() == nil {
				if got, err := asker.Request(stop, m.ID(), []byte("all"), size); err == nil {
					served.Add(int64(len(got)))
				}
			}
		})
	}
	for range 20 { // five times what strangers get at once
		if _, err := v.Request(t.Context(), m.ID(), []byte("all"), size); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "strangers are answered", func() bool { return served.Load() >= MaxResponse })
	most := MaxResponse + rate*int64(time.Since(began).Seconds()+1) + size
	cancel()
	wg.Wait()
	if got := served.Load(); got > most {
		t.Errorf("%d bytes were served to strangers, want at most %d", got, most)
	}
}

func TestStrangersWaitInTurn(t *testing.T) {
	q := newQuota(8, 4, 0) // two places for strangers
	var gives []func()
	for range 2 {
		give, ok := q.await(t.Context(), "greedy", asStranger)
		if !ok {
			t.Fatal("no place")
		}
		gives = append(gives, give)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, ok := q.await(ended, "hasty", asStranger); ok || len(q.line) != 0 {
		t.Errorf("who cannot wait has a place: %v; %d wait", ok, len(q.line))
	}
	got := make(chan peer.ID, 3)
	var wg sync.WaitGroup
	for i, id := range []peer.ID{"greedy", "modest", "late"} {
		wg.Go(func() {
			if give, ok := q.await(t.Context(), id, asStranger); ok {
				got <- id
				give()
			}
		})
		eventually(t, "it waits", func() bool { q.mu.Lock(); defer q.mu.Unlock(); return len(q.line) == i+1 })
	}
	if _, ok := q.await(t.Context(), "greedy", asStranger); ok {
		t.Error("one peer waits twice")
	}
	gives[0]()
	wg.Wait()
	for _, want := range []peer.ID{"greedy", "modest", "late"} {
		if id := <-got; id != want {
			t.Errorf("%s had its turn, want %s", id, want)
		}
	}
	gives[1]()
	if q.tally.sum() != 0 || len(q.used) != 0 {
		t.Errorf("%v are held", q.tally)
	}
}
