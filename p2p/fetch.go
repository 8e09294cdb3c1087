package p2p

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// FetchFunc answers one request of at most MaxRequest bytes with at most
// MaxResponse bytes.
type FetchFunc func(ctx context.Context, from peer.ID, req []byte) ([]byte, error)

// The first frame of an answer: its status, followed by the error's text, if it
// is one. After statusOK comes a blob.
const (
	statusOK byte = iota
	statusError
	statusBusy
)

// Request asks a peer, and waits for an answer of at most limit bytes. At most
// FetchesPerPeer requests to one peer run at once; others wait for their turn.
//
// Errors: ErrNotConnected, ErrNotRunning, ErrBusy (the peer serves enough
// already), ErrRemote (the peer's handler returned an error), ErrTooLarge,
// ErrMalformed (already held against the peer), and those of ctx and the stream.
func (h *Host) Request(ctx context.Context, to peer.ID, req []byte, limit int) ([]byte, error) {
	if len(req) == 0 || len(req) > MaxRequest {
		return nil, fmt.Errorf("%w: request: have %d bytes, want 1 to %d", ErrTooLarge, len(req), MaxRequest)
	}
	if !h.isReady() {
		return nil, ErrNotRunning
	}
	h.mu.Lock()
	s := h.sessions[to]
	h.mu.Unlock()
	if s == nil {
		return nil, fmt.Errorf("%w: %s", ErrNotConnected, to)
	}
	select {
	case s.fetch <- struct{}{}:
		defer func() { <-s.fetch }()
	case <-ctx.Done():
		return nil, fmt.Errorf("p2p: request: %w", ctx.Err())
	}
	h.count.fetchesMade.Add(1)
	resp, err := h.request(ctx, to, req, limit)
	if err != nil {
		h.count.fetchesFailed.Add(1)
		if ctx.Err() != nil {
			err = ctx.Err() // what the stream says after its reset is of no use
		}
		return nil, fmt.Errorf("p2p: request: %w", err)
	}
	return resp, nil
}

func (h *Host) request(ctx context.Context, to peer.ID, req []byte, limit int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Limits.Fetch)
	defer cancel()
	s, err := h.open(ctx, to, fetchProtocol)
	if err != nil {
		return nil, err
	}
	c := h.newFrameConn(ctx, s, h.cfg.Limits.Fetch, func() {})
	c.until, _ = ctx.Deadline()
	defer c.Reset()
	if err := c.WriteFrame(req); err != nil {
		return nil, err
	}
	c.CloseWrite() // fails when the answer is here already and its stream closed; whether it is, reading tells
	head, err := c.ReadFrame(1 + maxErrText)
	if err != nil {
		return nil, c.early(err)
	}
	switch head[0] {
	case statusOK:
		var resp bytes.Buffer
		_, err := c.ReadBlob(&resp, int64(min(limit, MaxResponse)))
		return resp.Bytes(), c.early(err)
	case statusError:
		return nil, fmt.Errorf("%w: %q", ErrRemote, head[1:])
	case statusBusy:
		return nil, fmt.Errorf("%w: the peer serves enough requests", ErrBusy)
	}
	return nil, c.fault(fmt.Errorf("%w: answer: status %d", ErrMalformed, head[0]))
}

// serveFetch answers one request.
func (h *Host) serveFetch(ctx context.Context, s network.Stream) {
	from := s.Conn().RemotePeer()
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Limits.Fetch)
	defer cancel()
	c := h.newFrameConn(ctx, s, h.cfg.Limits.Frame, func() {})
	c.in.most = MaxRequest
	c.until, _ = ctx.Deadline()
	req, err := c.ReadFrame(MaxRequest)
	if err == nil { // not before: who asks nothing takes nobody's place
		as := h.standingOf(from)
		if give, ok := h.awaitFetch(ctx, from, as); ok {
			defer give()
			h.count.fetchesServed.Add(1)
			err = h.answer(ctx, c, from, as, req)
		} else {
			err = c.WriteFrame([]byte{statusBusy})
		}
	}
	if err != nil {
		c.Reset()
		return
	}
	c.Close() // not Reset, which would overtake the answer
}

// awaitFetch finds a place for a question, for which strangers wait a while.
func (h *Host) awaitFetch(ctx context.Context, from peer.ID, as standing) (give func(), ok bool) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Limits.Frame/2)
	defer cancel()
	return h.fetchesIn.await(ctx, from, as)
}

func (h *Host) answer(ctx context.Context, c *FrameConn, from peer.ID, as standing, req []byte) error {
	resp, err := h.onFetch(ctx, from, req)
	if as == asStranger { // they keep their place while they wait, and we are asked no more
		if late := h.strangers.answers.WaitN(ctx, min(answerCost+len(resp), MaxResponse)); late != nil {
			return late
		}
	}
	if err == nil && len(resp) > MaxResponse {
		h.log.Error("answer too large", "peer", from, "have", len(resp), "want", MaxResponse)
		err = ErrTooLarge
	}
	if err != nil {
		text := strings.ToValidUTF8(err.Error(), "?")
		return c.WriteFrame(append([]byte{statusError}, text[:min(len(text), maxErrText)]...))
	}
	if err := c.WriteFrame([]byte{statusOK}); err != nil {
		return err
	}
	return c.WriteBlob(bytes.NewReader(resp), int64(len(resp)))
}
