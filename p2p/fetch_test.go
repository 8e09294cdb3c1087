package p2p

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-varint"
	"golang.org/x/sync/errgroup"
)

// dense is n bytes that do not compress and are the same each time.
func dense(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestAFetchBringsLargeAndSmallAnswersWhole(t *testing.T) {
	block := dense(MaxResponse)
	a := start(t, nil)
	b := start(t, nil, WithFetch(func(_ context.Context, _ peer.ID, req []byte) ([]byte, error) {
		n, _, err := varint.FromUvarint(req)
		return block[:n], err
	}))
	join(a, b)
	for _, n := range []int{0, 1, chunkSize, chunkSize + 1, 8 << 20, MaxResponse} {
		got, err := a.Request(t.Context(), b.ID(), varint.ToUvarint(uint64(n)), MaxResponse)
		if err != nil || !bytes.Equal(got, block[:n]) {
			t.Errorf("asked for %d bytes, have %d, %v", n, len(got), err)
		}
	}
	if _, err := a.Request(t.Context(), b.ID(), varint.ToUvarint(1000), 999); !errors.Is(err, ErrTooLarge) {
		t.Errorf("an answer over the limit: %v", err)
	}
	if len(a.offencesOf(b.ID())) != 0 {
		t.Error("an answer over the caller's own limit is no offence")
	}
}

func TestAFetchFailsWithAReason(t *testing.T) {
	a := start(t, nil)
	b := start(t, nil, WithFetch(func(context.Context, peer.ID, []byte) ([]byte, error) { return nil, errTest }))
	if _, err := a.Request(t.Context(), b.ID(), []byte("x"), 10); !errors.Is(err, ErrNotConnected) {
		t.Errorf("before hello: %v", err)
	}
	join(a, b)
	if _, err := a.Request(t.Context(), b.ID(), []byte("x"), 10); !errors.Is(err, ErrRemote) || !strings.Contains(err.Error(), errTest.Error()) {
		t.Errorf("the handler's error: %v", err)
	}
	if _, err := b.Request(t.Context(), a.ID(), []byte("x"), 10); err == nil {
		t.Error("a peer without a handler answers")
	}
	for _, n := range []int{0, MaxRequest + 1} {
		if _, err := a.Request(t.Context(), b.ID(), make([]byte, n), 10); !errors.Is(err, ErrTooLarge) {
			t.Errorf("a request of %d bytes: %v", n, err)
		}
	}
}

func TestAFetchEndsWithItsContext(t *testing.T) {
	asked := make(chan struct{})
	a := start(t, nil)
	b := start(t, nil, WithFetch(func(ctx context.Context, _ peer.ID, _ []byte) ([]byte, error) {
		close(asked)
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	join(a, b)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := a.Request(ctx, b.ID(), []byte("x"), 10); !errors.Is(err, context.Canceled) {
		t.Errorf("have %v, want context.Canceled", err)
	}
}

func TestAFetchFromASilentPeerEndsInTime(t *testing.T) {
	a := start(t, func(c *Config) { c.Limits.Fetch = 200 * time.Millisecond })
	s := newStranger(t, nil)
	held := make(chan network.Stream, 1)
	s.SetStreamHandler(fetchProtocol, func(st network.Stream) { held <- st })
	s.connect(a)
	if _, err := a.Request(t.Context(), s.ID(), []byte("x"), 10); err == nil {
		t.Error("silence is an answer")
	}
	if c := a.Counters(); c.FetchesMade != 1 || c.FetchesFailed != 1 {
		t.Errorf("counters = %+v", c)
	}
}

// P2: dripping keeps each chunk's deadline, not the whole's.
func TestADrippedAnswerEndsInTime(t *testing.T) {
	a := start(t, func(c *Config) { c.Limits.Fetch = 300 * time.Millisecond })
	s := newStranger(t, nil)
	s.SetStreamHandler(fetchProtocol, func(st network.Stream) {
		head := appendFrame(appendFrame(nil, []byte{statusOK}), varint.ToUvarint(1<<20))
		if _, err := st.Write(head); err != nil {
			return
		}
		for chunk := appendFrame(nil, make([]byte, chunkSize)); ; chunk = chunk[1:] {
			if _, err := st.Write(chunk[:1]); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond) // the attack itself
		}
	})
	s.connect(a)
	if _, err := a.Request(t.Context(), s.ID(), []byte("x"), MaxResponse); err == nil {
		t.Error("a dripped answer arrived")
	}
}

func TestABadAnswerIsAnOffence(t *testing.T) {
	for name, answer := range map[string][]byte{
		"no answer":            nil,
		"an unknown status":    appendFrame(nil, []byte{99}),
		"an empty frame":       {0},
		"a blob without size":  appendFrame(nil, []byte{statusOK}),
		"a bad size":           appendFrame(appendFrame(nil, []byte{statusOK}), []byte{0x80, 0}),
		"a blob cut short":     appendFrame(appendFrame(appendFrame(nil, []byte{statusOK}), varint.ToUvarint(10)), []byte("12345")),
		"a chunk out of shape": appendFrame(appendFrame(appendFrame(nil, []byte{statusOK}), varint.ToUvarint(4)), []byte("12345")),
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, nil)
			s := newStranger(t, nil)
			s.SetStreamHandler(fetchProtocol, func(st network.Stream) {
				io.ReadAll(st)
				st.Write(answer)
				st.Close()
			})
			s.connect(a)
			if got, err := a.Request(t.Context(), s.ID(), []byte("x"), MaxResponse); !errors.Is(err, ErrMalformed) {
				t.Errorf("have %q, %v, want ErrMalformed", got, err)
			}
			if n := len(a.offencesOf(s.ID())); n != 1 {
				t.Errorf("%d offences, want 1", n)
			}
		})
	}
}

func TestAPeerIsServedAFewRequestsAtOnce(t *testing.T) {
	const each = 2
	few := func(c *Config) { c.Limits.FetchesPerPeer = each }
	var mu sync.Mutex
	now, most := 0, 0
	b := start(t, few, WithFetch(func(context.Context, peer.ID, []byte) ([]byte, error) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		defer func() { mu.Lock(); now--; mu.Unlock() }()
		return []byte("answer"), nil
	}))
	a := start(t, few)
	join(a, b)
	var g errgroup.Group
	for range 40 {
		g.Go(func() error {
			_, err := a.Request(t.Context(), b.ID(), []byte("x"), 10)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if most > each {
		t.Errorf("%d requests were served at once, want at most %d", most, each)
	}
}

func TestAServerOverItsLimitSaysBusy(t *testing.T) {
	const most = 1 + spareStreams
	inside, open := make(chan bool, most+1), make(chan struct{})
	b := start(t, func(c *Config) { c.Limits.FetchesPerPeer = 1 }, WithFetch(func(context.Context, peer.ID, []byte) ([]byte, error) {
		inside <- true
		<-open
		return []byte("answer"), nil
	}))
	a := start(t, func(c *Config) { c.Limits.FetchesPerPeer = most + 1 })
	join(a, b)
	var g errgroup.Group
	for range most {
		g.Go(func() error {
			_, err := a.Request(t.Context(), b.ID(), []byte("x"), 10)
			return err
		})
	}
	for range most {
		receive(t, "request", inside)
	}
	if _, err := a.Request(t.Context(), b.ID(), []byte("one more"), 10); !errors.Is(err, ErrBusy) {
		t.Errorf("have %v, want ErrBusy", err)
	}
	close(open)
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// Over QUIC the answerer's end of a stream overtakes the asker's, now and then.
func TestAnAnswerCountsThoughItsStreamIsClosedBeforeTheQuestions(t *testing.T) {
	quic := func(c *Config) {
		c.Listen = []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/udp/0/quic-v1")}
	}
	a := start(t, quic)
	b := start(t, quic, WithFetch(func(_ context.Context, _ peer.ID, req []byte) ([]byte, error) { return req, nil }))
	join(a, b)
	var asking errgroup.Group
	asking.SetLimit(4)
	for i := range 20_000 {
		asking.Go(func() error {
			_, err := a.Request(t.Context(), b.ID(), varint.ToUvarint(uint64(i+1)), 100)
			return err
		})
	}
	if err := asking.Wait(); err != nil {
		t.Error(err)
	}
}
