package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-varint"
	"golang.org/x/time/rate"
)

// errSlow reports a frame that did not arrive whole in its time.
var errSlow = fmt.Errorf("%w: frame: dripped", ErrMalformed)

// appendFrame appends a frame: its length as a minimal uvarint, then its bytes.
// Header and body leave in one write.
func appendFrame(b, body []byte) []byte {
	var head [varint.MaxLenUvarint63]byte
	n := varint.PutUvarint(head[:], uint64(len(body)))
	b = slices.Grow(b, n+len(body))
	b = append(b, head[:n]...)
	return append(b, body...)
}

// source is the reading half of a stream.
type source interface {
	io.Reader
	SetReadDeadline(time.Time) error
}

// frameReader reads frames of 1 to most bytes from a peer that may lie.
type frameReader struct {
	src  source
	buf  *bufio.Reader
	most int      // the protocol's cap
	room *portion // holds the frame in progress, and the last one until the next
}

func newFrameReader(src source, most int) *frameReader {
	return &frameReader{src: src, buf: bufio.NewReaderSize(src, 4<<10), most: most}
}

// next is nextUpTo the protocol's cap.
func (f *frameReader) next(idle, whole time.Duration) ([]byte, error) {
	return f.nextUpTo(f.most, idle, whole)
}

// nextUpTo reads a frame of at most limit bytes. It waits at most idle for a frame to begin (0: without end, for streams that
// are limited in number), and then at most whole for all of it (P2).
//
// Errors: io.EOF when the peer closed between frames; ErrMalformed when no
// correct platform sends this; a timeout when nothing began; ErrBusy when too
// much is arriving from all peers together; others when the stream broke. ErrTooLarge alone reports a frame that the protocol allows and the
// limit does not.
func (f *frameReader) nextUpTo(limit int, idle, whole time.Duration) ([]byte, error) {
	f.room.give()
	if f.buf.Buffered() == 0 {
		if err := f.src.SetReadDeadline(after(idle)); err != nil {
			return nil, err
		}
		if _, err := f.buf.Peek(1); err != nil {
			return nil, err
		}
	}
	if err := f.src.SetReadDeadline(after(whole)); err != nil {
		return nil, err
	}
	body, err := f.read(limit)
	switch {
	case err == nil:
		return body, nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("%w: frame: ends early", ErrMalformed)
	case isTimeout(err):
		return nil, errSlow
	}
	return nil, err
}

func (f *frameReader) read(limit int) ([]byte, error) {
	size, err := varint.ReadUvarint(f.buf)
	switch {
	case errors.Is(err, varint.ErrOverflow), errors.Is(err, varint.ErrNotMinimal):
		return nil, fmt.Errorf("%w: frame: %w", ErrMalformed, err)
	case err != nil:
		return nil, err
	case size == 0:
		return nil, fmt.Errorf("%w: frame: is empty", ErrMalformed)
	case size > uint64(f.most):
		return nil, fmt.Errorf("%w: frame: %w: have %d bytes, want at most %d", ErrMalformed, ErrTooLarge, size, f.most)
	case size > uint64(max(0, limit)):
		return nil, fmt.Errorf("%w: frame: have %d bytes, want at most %d", ErrTooLarge, size, limit)
	}
	return readBody(f.buf, int(size), f.room)
}

// smallFrame is the bytes of a frame that nobody counts: a vote fits.
const smallFrame = 2 << 10

// readBody reads exactly n bytes. It allocates as they arrive, so that a length
// alone costs the peer's word and none of our memory.
func readBody(r io.Reader, n int, room *portion) ([]byte, error) {
	body := make([]byte, 0, min(n, smallFrame))
	for len(body) < n {
		if len(body) == cap(body) {
			more := min(len(body), n-len(body))
			if !room.take(more) {
				return nil, fmt.Errorf("%w: too much is arriving", ErrBusy)
			}
			body = append(make([]byte, 0, len(body)+more), body...)
		}
		m, err := io.ReadFull(r, body[len(body):min(cap(body), n)])
		body = body[:len(body)+m]
		if err != nil {
			return nil, err
		}
	}
	return body, nil
}

// after is the deadline d from now, or none for 0.
func after(d time.Duration) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// blameworthy reports whether err shows the peer's fault rather than a broken
// path's.
func blameworthy(err error) bool { return errors.Is(err, ErrMalformed) }

func isTimeout(err error) bool {
	var t net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}

// paced is a stream that is read no faster than a rate: the peer feels it as
// back pressure (P3).
type paced struct {
	network.Stream
	ctx  context.Context
	rate *rate.Limiter
}

func (p paced) Read(b []byte) (int, error) {
	n, err := p.Stream.Read(b[:min(len(b), p.rate.Burst())])
	if n > 0 {
		if late := p.rate.WaitN(p.ctx, n); late != nil && err == nil {
			err = late
		}
	}
	return n, err
}
