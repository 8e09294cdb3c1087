package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-varint"
)

// TaskFunc serves one stream of /sage/task/1. The context ends with the host.
type TaskFunc func(ctx context.Context, from peer.ID, conn *FrameConn)

// FrameConn carries frames both ways over one stream. One goroutine may read
// while another writes. Every operation has a deadline.
type FrameConn struct {
	s      network.Stream
	in     *frameReader
	idle   time.Duration // for a frame to begin
	later  time.Duration // the same, for all frames after the first that arrives
	whole  time.Duration // for a frame to arrive or leave
	until  time.Time     // of the whole exchange, unless zero
	blame  func(error)   // told what no correct platform sends
	done   func()        // gives back the stream's place
	detach func() bool   // from the context
}

// newFrameConn wraps a stream. It is reset when ctx ends; done is called once, at
// its end.
func (h *Host) newFrameConn(ctx context.Context, s network.Stream, idle time.Duration, done func()) *FrameConn {
	c := &FrameConn{
		s: s, in: newFrameReader(s, MaxTaskFrame), idle: idle, later: idle, whole: h.cfg.Limits.Frame,
		blame: func(err error) { h.offence(s.Conn().RemotePeer(), fmt.Sprintf("%s: %v", s.Protocol(), err)) },
	}
	from := s.Conn().RemotePeer()
	c.in.room = &portion{of: h.arriving, id: from, as: h.standingOf(from)}
	c.done = sync.OnceFunc(done)
	c.detach = context.AfterFunc(ctx, func() {
		s.Reset()
		c.done()
	})
	return c
}

// ReadFrame returns the peer's next frame, of at most limit bytes. It returns
// io.EOF when the peer has closed its half, ErrBusy when the peer is over its
// limits, ErrTooLarge, and ErrMalformed when no correct platform sends this,
// which is already held against the peer.
func (c *FrameConn) ReadFrame(limit int) ([]byte, error) {
	idle, whole := c.left(c.idle), c.left(c.whole)
	if idle <= 0 {
		return nil, fmt.Errorf("p2p: stream: %w", context.DeadlineExceeded)
	}
	frame, err := c.in.nextUpTo(limit, idle, whole)
	if err == errSlow && whole < c.whole {
		return nil, fmt.Errorf("p2p: stream: %w", context.DeadlineExceeded) // slow, yet not dripping
	}
	if err == nil {
		c.idle = c.later
	}
	return frame, c.fault(err)
}

// fault blames the peer for what deserves it, and returns the error as the caller
// should see it.
func (c *FrameConn) fault(err error) error {
	if blameworthy(err) {
		c.blame(err)
	}
	return busy(err)
}

// WriteFrame sends one frame.
func (c *FrameConn) WriteFrame(frame []byte) error {
	if len(frame) == 0 || len(frame) > MaxTaskFrame {
		return fmt.Errorf("%w: frame: have %d bytes, want 1 to %d", ErrTooLarge, len(frame), MaxTaskFrame)
	}
	if err := c.s.SetWriteDeadline(after(max(1, c.left(c.whole)))); err != nil {
		return err
	}
	_, err := c.s.Write(appendFrame(nil, frame))
	return busy(err)
}

// left is d, or less when the whole exchange ends before.
func (c *FrameConn) left(d time.Duration) time.Duration {
	if c.until.IsZero() {
		return d
	}
	return min(d, time.Until(c.until))
}

// busy makes ErrBusy of the peer's refusal to serve one stream more.
func busy(err error) error {
	var reset *network.StreamError
	if errors.As(err, &reset) && reset.Remote && reset.ErrorCode == network.StreamResourceLimitExceeded {
		return fmt.Errorf("%w: the peer serves no more streams", ErrBusy)
	}
	return err
}

// WriteBlob sends exactly size bytes of r, in frames. A blob begun and not
// finished, for whatever reason, can only be reset: a proper end in its middle
// would be our offence.
func (c *FrameConn) WriteBlob(r io.Reader, size int64) error {
	if size < 0 {
		return fmt.Errorf("p2p: blob: have size %d, want at least 0", size)
	}
	err := c.writeBlob(r, size)
	if err != nil {
		c.Reset()
	}
	return err
}

func (c *FrameConn) writeBlob(r io.Reader, size int64) error {
	if err := c.WriteFrame(varint.ToUvarint(uint64(size))); err != nil {
		return err
	}
	chunk := make([]byte, min(size, chunkSize))
	for size > 0 {
		chunk = chunk[:min(size, chunkSize)]
		if _, err := io.ReadFull(r, chunk); err != nil {
			return fmt.Errorf("p2p: blob: %w", err)
		}
		if err := c.WriteFrame(chunk); err != nil {
			return err
		}
		size -= int64(len(chunk))
	}
	return nil
}

// ReadBlob receives into w what WriteBlob sends, at most limit bytes, and returns
// the size. It returns io.EOF when the peer closed its half instead. On an error
// w has received a part.
func (c *FrameConn) ReadBlob(w io.Writer, limit int64) (int64, error) {
	head, err := c.ReadFrame(varint.MaxLenUvarint63)
	if err != nil {
		return 0, err
	}
	size, n, err := varint.FromUvarint(head)
	switch {
	case err != nil || n != len(head):
		return 0, c.fault(fmt.Errorf("%w: blob: bad size", ErrMalformed))
	case size > uint64(max(0, limit)):
		return 0, fmt.Errorf("%w: blob: have %d bytes, want at most %d", ErrTooLarge, size, limit)
	}
	for left := int64(size); left > 0; {
		want := min(left, chunkSize)
		chunk, err := c.ReadFrame(chunkSize)
		if err != nil {
			return int64(size) - left, c.early(err)
		}
		// One way to cut a blob: dripping tiny frames would renew the deadlines.
		if int64(len(chunk)) != want {
			err := fmt.Errorf("%w: blob: have a chunk of %d bytes, want %d", ErrMalformed, len(chunk), want)
			return int64(size) - left, c.fault(err)
		}
		if _, err := w.Write(chunk); err != nil {
			return int64(size) - left, fmt.Errorf("p2p: blob: %w", err)
		}
		left -= want
	}
	return int64(size), nil
}

// early is err, but a proper end is none where more was promised.
func (c *FrameConn) early(err error) error {
	if errors.Is(err, io.EOF) {
		return c.fault(fmt.Errorf("%w: stream: ends early", ErrMalformed))
	}
	return err
}

// CloseWrite says that nothing more will be written.
func (c *FrameConn) CloseWrite() error { return c.s.CloseWrite() }

// Close ends the stream; what was written still arrives. Call Close or Reset
// once done.
func (c *FrameConn) Close() error {
	c.detach()
	defer c.done()
	return c.s.Close()
}

// Reset ends the stream at once, both ways.
func (c *FrameConn) Reset() error {
	c.detach()
	defer c.done()
	return c.s.Reset()
}

// OpenTask opens a stream of /sage/task/1. It lasts until Close, Reset, or the
// end of ctx or of the host.
//
// Errors: ErrNotConnected, ErrNotRunning, ErrBusy when TasksPerPeer are open.
func (h *Host) OpenTask(ctx context.Context, to peer.ID) (*FrameConn, error) {
	give, ok := h.tasksOut.take(to, h.standingOf(to))
	if !ok {
		return nil, fmt.Errorf("%w: %d task streams to %s are open", ErrBusy, h.cfg.Limits.TasksPerPeer, to)
	}
	s, err := h.open(ctx, to, taskProtocol)
	if err != nil {
		give()
		return nil, err
	}
	return h.newFrameConn(ctx, s, h.cfg.Limits.TaskIdle, give), nil
}

// serveTask hands a task stream to the caller. Who opens one has something to
// say: until it has, it is waited for no longer than a frame is.
func (h *Host) serveTask(ctx context.Context, s network.Stream) {
	from := s.Conn().RemotePeer()
	give, ok := h.tasksIn.take(from, h.standingOf(from))
	if !ok {
		s.ResetWithError(network.StreamResourceLimitExceeded)
		return
	}
	h.count.taskStreams.Add(1)
	c := h.newFrameConn(ctx, s, min(h.cfg.Limits.Frame, h.cfg.Limits.TaskIdle), give)
	c.later = h.cfg.Limits.TaskIdle
	defer c.Close()
	h.onTask(ctx, from, c)
}
