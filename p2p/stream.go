package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// framesPerPeer is how many inbound consensus streams one peer may have: the one
// in use, and one that takes over on a better path.
const framesPerPeer = 2

// writeBatch is where a write stops to collect frames: larger ones buy nothing.
const writeBatch = 64 << 10

// Slot names a place in an outbox. A frame replaces the one before it in its
// slot: use one slot per kind of message of which only the newest matters.
type Slot uint64

// outbox is what one peer should have received: the newest frame of each slot.
// Frames stay after they were written, since a write that succeeded says nothing
// about arrival, and are written again when the stream has to be reopened.
type outbox struct {
	to    peer.ID
	limit int           // bytes
	wake  chan struct{} // holds one token when something changed
	turn  chan struct{} // held by the goroutine that writes

	mu     sync.Mutex
	frames []slotted // guarded by mu: in the order of Send
	sent   int       // guarded by mu: frames[:sent] have been written to the stream
	bytes  int       // guarded by mu
}

type slotted struct {
	slot  Slot
	frame []byte
}

func newOutbox(to peer.ID, limit int) *outbox {
	return &outbox{to: to, limit: limit, wake: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
}

// put adds a frame and returns how many unsent ones it displaced.
func (o *outbox) put(slot Slot, frame []byte) (displaced int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.IndexFunc(o.frames, func(s slotted) bool { return s.slot == slot }); i >= 0 {
		displaced += o.remove(i)
	}
	for len(o.frames) > 0 && (len(o.frames) == MaxSlots || o.bytes+len(frame) > o.limit) {
		displaced += o.remove(0)
	}
	o.frames = append(o.frames, slotted{slot, frame})
	o.bytes += len(frame)
	return displaced
}

// remove takes out frame i and returns 1 if it was unsent. The caller holds mu.
func (o *outbox) remove(i int) int {
	o.bytes -= len(o.frames[i].frame)
	o.frames = slices.Delete(o.frames, i, i+1)
	if i < o.sent {
		o.sent--
		return 0
	}
	return 1
}

// take appends unsent frames to b, at least one and then until it is long
// enough, and returns how many.
func (o *outbox) take(b []byte) ([]byte, int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	first := o.sent
	for o.sent < len(o.frames) && len(b) < writeBatch {
		b = appendFrame(b, o.frames[o.sent].frame)
		o.sent++
	}
	return b, o.sent - first
}

// rewind makes every frame unsent, for a new stream.
func (o *outbox) rewind() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = 0
}

func (o *outbox) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent == len(o.frames)
}

func (o *outbox) ring() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Send puts a frame into a slot of a peer's outbox. It never blocks. The frame
// must not be changed afterwards; the same one may be sent to many peers. Frames
// of different slots are written in the order of Send. When more than MaxSlots
// slots, or OutboxBytes, are in use, the oldest frames go.
//
// Errors: ErrNotConnected for a peer neither connected nor kept, ErrTooLarge.
func (h *Host) Send(to peer.ID, slot Slot, frame []byte) error {
	if len(frame) == 0 || len(frame) > MaxFrame {
		return fmt.Errorf("%w: frame: have %d bytes, want 1 to %d", ErrTooLarge, len(frame), MaxFrame)
	}
	h.mu.Lock()
	o := h.outboxes[to]
	if w := h.wanted[to]; o == nil && w != nil && w.kept {
		o = newOutbox(to, h.cfg.Limits.OutboxBytes)
		h.outboxes[to] = o
	}
	h.mu.Unlock()
	if o == nil {
		return fmt.Errorf("%w: %s", ErrNotConnected, to)
	}
	h.count.framesReplaced.Add(uint64(o.put(slot, frame)))
	o.ring()
	return nil
}

// post writes an outbox to its peer for as long as a session lasts.
func (h *Host) post(ctx context.Context, o *outbox) {
	select {
	case o.turn <- struct{}{}:
		defer func() { <-o.turn }()
	case <-ctx.Done():
		return
	}
	for attempt := 1; ctx.Err() == nil; attempt++ {
		o.rewind() // the peer may be a new process, or may have lost what the last stream carried
		for o.idle() {
			select {
			case <-o.wake:
			case <-ctx.Done():
				return
			}
		}
		s, err := h.open(ctx, o.to, frameProtocol)
		if err != nil {
			h.log.Debug("consensus stream", "peer", o.to, "err", err)
		} else if opened := time.Now(); h.pump(ctx, s, o) || time.Since(opened) > h.cfg.Limits.Frame {
			attempt = 0
			continue
		}
		h.pause(ctx, backoff(attempt, h.cfg.Limits.RedialMin/8, h.cfg.Limits.RedialMax/8))
	}
}

func (h *Host) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// pump writes until the stream breaks, ctx ends, or a better path appears, which
// it reports.
func (h *Host) pump(ctx context.Context, s network.Stream, o *outbox) (better bool) {
	gone := make(chan struct{})
	h.work.start(func(context.Context) {
		// The peer never writes here: when this returns, the stream is gone, which
		// an idle writer would not notice.
		s.Read(make([]byte, 1))
		close(gone)
	})
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	var buf []byte
	for {
		var n int
		if buf, n = o.take(buf[:0]); n == 0 {
			select {
			case <-o.wake:
				if h.hasBetter(s.Conn()) {
					s.Close() // what was written still arrives
					return true
				}
			case <-gone:
				s.Reset()
				return false
			case <-ctx.Done():
				s.Reset()
				return false
			}
			continue
		}
		s.SetWriteDeadline(time.Now().Add(h.cfg.Limits.Frame))
		if _, err := s.Write(buf); err != nil {
			s.Reset()
			return false
		}
		h.count.framesOut.Add(uint64(n))
		h.count.frameBytesOut.Add(uint64(len(buf)))
		if cap(buf) > 2*writeBatch {
			buf = nil // one large proposal must not pin its size for every peer
		}
	}
}

// hasBetter reports whether c is relayed and a direct connection exists.
func (h *Host) hasBetter(c network.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.sessions[c.RemotePeer()]
	return relayed(c) && s != nil && !relayed(s.best().conn)
}

// serveFrames reads a peer's consensus stream.
func (h *Host) serveFrames(ctx context.Context, s network.Stream) {
	from := s.Conn().RemotePeer()
	defer s.Reset()
	as := h.standingOf(from)
	give, ok := h.readers.take(from, as)
	if !ok {
		s.ResetWithError(network.StreamResourceLimitExceeded)
		return
	}
	defer give()
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	frames, bytes, _ := h.limitersOf(from)
	in := newFrameReader(s, MaxFrame)
	in.room = &portion{of: h.arriving, id: from, as: as}
	defer in.room.give()
	for {
		// An idle federation is silent for days: libp2p's keep-alive, not a
		// deadline, finds dead connections, and streams are few.
		frame, err := in.next(0, h.cfg.Limits.Frame)
		if err != nil {
			if blameworthy(err) {
				h.offence(from, fmt.Sprintf("%s: %v", frameProtocol, err))
			} else if !errors.Is(err, io.EOF) {
				h.log.Debug("consensus stream", "peer", from, "err", err)
			}
			return
		}
		h.count.framesIn.Add(1)
		h.count.frameBytesIn.Add(uint64(len(frame)))
		if h.onFrame(from, frame) == Reject {
			h.count.framesRejected.Add(1)
			h.offence(from, fmt.Sprintf("%s: frame rejected", frameProtocol))
			return
		}
		in.room.give()
		in.room.as = h.standingOf(from) // it may have become a validator
		if frames.Wait(ctx) != nil || bytes.WaitN(ctx, len(frame)) != nil {
			return
		}
		if s := h.strangers; in.room.as == asStranger && (s.frames.Wait(ctx) != nil || s.bytes.WaitN(ctx, len(frame)) != nil) {
			return
		}
	}
}
