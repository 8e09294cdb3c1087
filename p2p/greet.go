package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"
)

// greet says hello first, on the link itself: a stream asked of the host could
// run over another connection. Its answer proves that the peer's process is
// alive now.
func (h *Host) greet(ctx context.Context, l *link) {
	begun := time.Now()
	ctx, cancel := context.WithDeadline(ctx, begun.Add(h.cfg.Limits.Hello))
	defer cancel()
	theirs, err := h.sayHello(ctx, l)
	switch {
	case errors.Is(err, network.ErrReset) || errors.Is(err, io.EOF):
		l.conn.Close() // broken, or the other side did not want us: it cannot say more
	case err != nil:
		if blameworthy(err) {
			h.offence(l.conn.RemotePeer(), fmt.Sprintf("hello: %v", err))
		}
		h.refuse(l, hello{}, fmt.Sprintf("hello: %v", err))
	default:
		rtt := time.Since(begun)
		h.node.Peerstore().RecordLatency(l.conn.RemotePeer(), rtt)
		h.conclude(l, theirs, begun.Add(rtt/2), begun)
	}
}

func (h *Host) sayHello(ctx context.Context, l *link) (hello, error) {
	s, err := l.conn.NewStream(network.WithAllowLimitedConn(ctx, string(helloProtocol)))
	if err != nil {
		return hello{}, err
	}
	defer s.Reset()
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	deadline, _ := ctx.Deadline()
	if err := s.SetDeadline(deadline); err != nil {
		return hello{}, err
	}
	if err := s.SetProtocol(helloProtocol); err != nil {
		return hello{}, err
	}
	if err := multistream.SelectProtoOrFail(helloProtocol, s); err != nil {
		return hello{}, err
	}
	if _, err := s.Write(appendFrame(nil, h.helloNow(h.hasRival(l)).encode())); err != nil {
		return hello{}, err
	}
	b, err := newFrameReader(s, maxHello).next(h.cfg.Limits.Hello, h.cfg.Limits.Hello)
	if err != nil {
		return hello{}, err
	}
	s.CloseWrite() // tells the answerer that its answer has arrived
	return decodeHello(b)
}

// serveHello answers a hello. Whatever it thinks of it, it answers, so that both
// sides know why they part.
func (h *Host) serveHello(ctx context.Context, s network.Stream) {
	defer s.Reset()
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	l := h.linkOf(s.Conn())
	if l == nil {
		return
	}
	patience := h.cfg.Limits.Hello
	in := newFrameReader(s, maxHello)
	b, err := in.next(patience, patience)
	var theirs hello
	if err == nil {
		theirs, err = decodeHello(b)
	}
	if err != nil {
		if blameworthy(err) {
			h.offence(s.Conn().RemotePeer(), fmt.Sprintf("hello: %v", err))
			h.refuse(l, hello{}, fmt.Sprintf("hello: %v", err))
		}
		return
	}
	heard := time.Now()
	s.SetWriteDeadline(heard.Add(patience))
	if _, err := s.Write(appendFrame(nil, h.helloNow(h.hasRival(l)).encode())); err != nil {
		return
	}
	in.next(patience, patience) // until the answer has arrived: a refusal closes the connection
	h.conclude(l, theirs, heard, time.Time{})
}

// conclude acts on a hello. said is about when the peer said it. asked is when we
// asked, if we did: whoever answered was alive after that. The zero time proves
// nothing, since the bytes of a dead process can still arrive.
func (h *Host) conclude(l *link, theirs hello, said, asked time.Time) {
	id := l.conn.RemotePeer()
	h.mu.Lock()
	o := h.admit(l, theirs, said, asked)
	if o.changed {
		h.mail.up(o.event) // under mu, so that a PeerDown cannot overtake it
	}
	h.mu.Unlock()
	switch {
	case o.refusal != "":
		h.refuse(l, theirs, o.refusal)
		return
	case o.again:
		h.work.start(func(ctx context.Context) { h.greet(ctx, l) })
		return
	}
	for _, old := range o.stale {
		h.work.start(func(ctx context.Context) { h.lastWord(ctx, old) })
	}
	for _, old := range o.older {
		h.work.start(func(ctx context.Context) { h.prove(ctx, old) })
	}
	if o.warned {
		h.log.Error("a peer has seen this platform's key in two places", "via", id)
		h.mail.note(Clone{Via: id})
	}
	if o.clone {
		h.log.Error("two processes with one key are alive", "peer", id, "name", theirs.Name)
		h.work.start(func(ctx context.Context) { h.greet(ctx, l) }) // to tell it
	}
	if o.changed {
		h.say(slog.LevelInfo, id, "peer up", "name", theirs.Name, "addr", l.conn.RemoteMultiaddr(), "forming", o.event.Forming)
		o.box.ring() // a better path may have appeared
		h.nudge(id)
		h.betterPaths(l, theirs)
	}
}

// lastWordWithin bounds how long the connection of a process that another has
// supplanted is kept: streams may still be opened on it.
const lastWordWithin = 500 * time.Millisecond

// lastWord closes a connection of a process that another with the same key has
// supplanted. If the process still answers, after the other has been proved alive,
// two are alive with one key, and both are told.
func (h *Host) lastWord(ctx context.Context, l *link) {
	ask, cancel := context.WithTimeout(ctx, min(lastWordWithin, h.cfg.Limits.Prove))
	defer cancel()
	id := l.conn.RemotePeer()
	if theirs, err := h.sayHello(ask, l); err == nil && h.outlived(id, theirs.Nonce) {
		h.log.Error("two processes with one key are alive", "peer", id, "name", theirs.Name)
		_, _ = h.sayHello(ask, l) // which tells it
		for _, other := range h.linksOf(id) {
			h.work.start(func(ctx context.Context) { h.greet(ctx, other) })
		}
	}
	l.conn.CloseWithError(network.ConnSupplanted)
}

// outlived notes that a process has answered. It reports whether that is one that
// another has supplanted.
func (h *Host) outlived(id peer.ID, nonce uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.sessions[id]
	if s == nil || s.them.Nonce == nonce || !slices.Contains(s.past, nonce) {
		return false
	}
	s.rival = true
	return true
}

func (h *Host) linksOf(id peer.ID) []*link {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.sessions[id]; s != nil {
		return slices.Clone(s.links)
	}
	return nil
}

// prove closes a connection that does not answer while a newer one has: the peer
// has moved to another address. Streams would stay on it until it is noticed as
// dead, after half a minute.
func (h *Host) prove(ctx context.Context, l *link) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Limits.Prove)
	defer cancel()
	if _, err := h.sayHello(ctx, l); err != nil {
		h.log.Debug("connection is dead", "peer", l.conn.RemotePeer(), "addr", l.conn.RemoteMultiaddr(), "err", err)
		l.conn.Close()
	}
}

// outcome is what a hello leads to. The zero outcome: nothing.
type outcome struct {
	refusal string  // why the link is closed
	again   bool    // ask the peer ourselves: what arrived does not prove that it lives
	stale   []*link // connections of a process that is no more
	clone   bool    // that process lives, too
	warned  bool    // the peer says so of us, for the first time
	older   []*link // connections that this one may have replaced
	changed bool    // there is news for the caller:
	event   PeerUp
	box     *outbox
}

// admit enters a hello into the tables. The caller holds mu.
//
// A nonce names a process. When a new one is proved alive after the session's
// was, the peer has restarted, and connections of the old process, which may take
// half a minute to be noticed as dead, are closed. When a nonce comes back that
// another has supplanted, two processes with one key are alive.
func (h *Host) admit(l *link, theirs hello, said, asked time.Time) (o outcome) {
	switch {
	case l.stale:
		return outcome{} // about to be closed
	case l.settled && theirs.Genesis.IsZero():
		return outcome{} // said before the peer had a genesis, and overtaken by what it said since
	}
	// The other side may have closed already, but why is still worth knowing.
	if o.refusal = h.judge(l, theirs); o.refusal != "" || h.links[l.conn] != l {
		return o
	}
	id, now := l.conn.RemotePeer(), time.Now()
	s := h.sessions[id]
	switch {
	case s == nil:
		s = h.newSession(id, now)
	case s.them.Nonce == theirs.Nonce:
	case !asked.After(s.proved):
		return outcome{again: true}
	default:
		o.clone = slices.Contains(s.past, theirs.Nonce)
		o.stale = s.supplant(now)
		s.rival = o.clone
	}
	s.them = theirs
	s.offset = time.UnixMilli(int64(theirs.Clock)).Sub(said).Truncate(time.Millisecond)
	if !asked.IsZero() {
		s.proved = now
	}
	o.warned = theirs.Rival && !s.warned
	s.warned = s.warned || theirs.Rival
	forming := theirs.Genesis.IsZero() || h.genesis.IsZero()
	if o.changed = !l.up || l.forming != forming; !l.up {
		o.older = slices.Clone(s.links)
		s.links = append(s.links, l)
	}
	l.rise(theirs.Nonce, forming)
	o.event, o.box = s.upEvent(), h.outboxes[id]
	return o
}

// judge returns why a peer is turned away, or "". The caller holds mu.
func (h *Host) judge(l *link, theirs hello) string {
	switch {
	case l.up && theirs.Nonce != l.nonce:
		return "nonce: a connection cannot pass from one process to another"
	case theirs.Network != h.cfg.Network:
		return fmt.Sprintf("network: have %q, want %q", theirs.Network, h.cfg.Network)
	case theirs.Genesis == h.genesis:
		return ""
	case theirs.Genesis.IsZero() && l.up && l.forming:
		return "" // it learns our genesis over this very connection
	case h.genesis.IsZero() && l.up && l.forming:
		return "" // and we theirs
	}
	return fmt.Sprintf("genesis: have %s, want %s", theirs.Genesis, h.genesis)
}

// refuse closes a link whose hello did not end well, and remembers why.
func (h *Host) refuse(l *link, theirs hello, reason string) {
	id := l.conn.RemotePeer()
	now := time.Now()
	h.mu.Lock()
	if h.links[l.conn] != l && theirs.Nonce == 0 { // closed already, and nothing learnt
		h.mu.Unlock()
		return
	}
	r, ok := h.refusals.get(id)
	if !ok {
		r = &Refusal{ID: id, First: now}
	}
	next := *r
	next.Addr, next.Reason, next.Last = l.conn.RemoteMultiaddr(), reason, now
	next.Network, next.Genesis, next.Name, next.Note = theirs.Network, theirs.Genesis, theirs.Name, theirs.Note
	next.Times++
	h.refusals.put(id, &next)
	if s := h.sessions[id]; s != nil && l.up {
		s.reason = reason
	}
	h.mu.Unlock()
	h.count.refused.Add(1)
	level := slog.LevelWarn
	if theirs.Nonce != 0 && (theirs.Genesis.IsZero() || h.Genesis().IsZero()) {
		level = slog.LevelInfo // one of the two is about to join the other
	}
	if !ok {
		h.say(level, id, "peer refused", "name", theirs.Name, "addr", next.Addr, "reason", reason)
	}
	h.mail.note(Refused{next})
	l.conn.CloseWithError(network.ConnGated)
}

// helloNow is what this host says about itself at this moment.
func (h *Host) helloNow(rival bool) hello {
	m := hello{
		Genesis: h.Genesis(),
		Note:    byte(h.note.Load()),
		Rival:   rival,
		Relays:  h.cfg.Public,
		Clock:   uint64(time.Now().UnixMilli()),
		Nonce:   h.nonce,
		Network: h.cfg.Network,
		Name:    h.cfg.Name,
		Agent:   h.cfg.Agent,
	}
	for _, p := range []protocol.ID{frameProtocol, fetchProtocol, taskProtocol} {
		if h.serves(p) {
			m.Protocols = append(m.Protocols, p)
		}
	}
	slices.Sort(m.Protocols)
	return m
}
