package p2p

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestATaskStreamCarriesFramesAndBlobsBothWays(t *testing.T) {
	const blob = 3<<20 + 17
	a := start(t, nil)
	served := make(chan error, 1)
	b := start(t, nil, WithTasks(func(_ context.Context, from peer.ID, c *FrameConn) {
		served <- func() error {
			offer, err := c.ReadFrame(100)
			if err != nil {
				return err
			}
			if err := c.WriteFrame(append([]byte("re: "), offer...)); err != nil {
				return err
			}
			var input bytes.Buffer
			n, err := c.ReadBlob(&input, blob)
			if err != nil {
				return err
			}
			return c.WriteBlob(&input, n)
		}()
	}))
	join(a, b)
	c, err := a.OpenTask(t.Context(), b.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.WriteFrame([]byte("offer")); err != nil {
		t.Fatal(err)
	}
	if got, err := c.ReadFrame(100); err != nil || string(got) != "re: offer" {
		t.Fatalf("have %q, %v", got, err)
	}
	if err := c.WriteBlob(bytes.NewReader(dense(blob)), blob); err != nil {
		t.Fatal(err)
	}
	var back bytes.Buffer
	if n, err := c.ReadBlob(&back, blob); err != nil || n != blob || !bytes.Equal(back.Bytes(), dense(blob)) {
		t.Errorf("have %d bytes back, %v", n, err)
	}
	if err := receive(t, "end of the server", served); err != nil {
		t.Error(err)
	}
	if _, err := c.ReadFrame(100); err != io.EOF {
		t.Errorf("after the server's end: %v, want io.EOF", err)
	}
}

func TestABlobOverTheLimitIsRefusedBeforeItIsSent(t *testing.T) {
	served := make(chan error, 1)
	b := start(t, nil, WithTasks(func(_ context.Context, _ peer.ID, c *FrameConn) {
		_, err := c.ReadBlob(io.Discard, 99)
		served <- err
	}))
	a := start(t, nil)
	join(a, b)
	c, err := a.OpenTask(t.Context(), b.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Reset()
	c.WriteBlob(bytes.NewReader(make([]byte, 100)), 100)
	if err := receive(t, "end of the server", served); !errors.Is(err, ErrTooLarge) {
		t.Errorf("have %v, want ErrTooLarge", err)
	}
	if err := c.WriteBlob(bytes.NewReader(nil), 1); !errors.Is(err, io.EOF) {
		t.Errorf("a source shorter than its size: %v", err)
	}
}

func TestASilentTaskStreamEnds(t *testing.T) {
	served := make(chan error, 1)
	b := start(t, func(c *Config) { c.Limits.TaskIdle = 50 * time.Millisecond }, WithTasks(func(_ context.Context, _ peer.ID, c *FrameConn) {
		_, err := c.ReadFrame(100)
		served <- err
	}))
	s := newStranger(t, nil)
	s.connect(b)
	st, err := s.open(b, taskProtocol)
	if err != nil {
		t.Fatal(err)
	}
	st.Write(nil) // negotiates, says nothing
	if err := receive(t, "end of the server", served); !isTimeout(err) {
		t.Errorf("have %v, want a timeout", err)
	}
	if len(b.offencesOf(s.ID())) != 0 {
		t.Error("silence is no offence")
	}
}

func TestTaskStreamsAreLimitedOnBothSides(t *testing.T) {
	hold := make(chan struct{})
	const most = 1 + spareStreams
	b := start(t, func(c *Config) { c.Limits.TasksPerPeer = 1 }, WithTasks(func(_ context.Context, _ peer.ID, c *FrameConn) {
		c.WriteFrame([]byte("ready"))
		<-hold
	}))
	defer close(hold)
	a := start(t, func(c *Config) { c.Limits.TasksPerPeer = most + 1 })
	join(a, b)
	var conns []*FrameConn
	for range most {
		c, err := a.OpenTask(t.Context(), b.ID())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		if err := c.WriteFrame([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ReadFrame(10); err != nil {
			t.Fatal(err)
		}
	}
	last, err := a.OpenTask(t.Context(), b.ID())
	if err != nil {
		t.Fatal(err)
	}
	last.WriteFrame([]byte("x"))
	if _, err := last.ReadFrame(10); !errors.Is(err, ErrBusy) {
		t.Errorf("over the server's limit: %v, want ErrBusy", err)
	}
	if _, err := a.OpenTask(t.Context(), b.ID()); !errors.Is(err, ErrBusy) {
		t.Errorf("over the client's limit: %v, want ErrBusy", err)
	}
	for _, c := range append(conns, last) {
		c.Close()
		c.Reset() // as often as one likes
	}
	again, err := a.OpenTask(t.Context(), b.ID())
	if err != nil {
		t.Fatalf("after closing: %v", err)
	}
	again.Close()
}

func TestATaskStreamEndsWithItsContext(t *testing.T) {
	b := start(t, nil, WithTasks(func(ctx context.Context, _ peer.ID, c *FrameConn) { c.ReadFrame(10) }))
	a := start(t, nil)
	join(a, b)
	ctx, cancel := context.WithCancel(t.Context())
	c, err := a.OpenTask(ctx, b.ID())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WriteFrame([]byte("x")); err != nil {
		t.Fatal(err)
	}
	cancel()
	eventually(t, "the stream's place is free", func() bool {
		a.tasksOut.mu.Lock()
		defer a.tasksOut.mu.Unlock()
		return a.tasksOut.tally.sum() == 0
	})
}
