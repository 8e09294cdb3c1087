package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multistream"
)

// link is one connection.
type link struct {
	conn    network.Conn
	greeted chan struct{} // closed when hello has ended well
	agreed  chan struct{} // closed when both have the same genesis
	closed  chan struct{} // closed with the connection

	// Guarded by Host.mu.
	up      bool // hello has ended well, and the process that said it is the newest
	forming bool // one of us had no genesis then
	settled bool // agreed is closed
}

// session is a peer with at least one link that is up.
type session struct {
	id     peer.ID
	them   hello
	offset time.Duration // their clock minus ours
	since  time.Time
	stop   context.CancelFunc
	fetch  chan struct{} // tokens of our requests

	// Guarded by Host.mu.
	links  []*link
	proved time.Time // when the process with them.Nonce was last seen alive
	past   []uint64  // nonces of processes that them.Nonce has supplanted
	rival  bool      // one of past was alive after its successor: a cloned key
	reason string    // why we close it
}

// connected is libp2p's notice of a new connection. The dialer says hello first;
// the other side waits, for a while.
func (h *Host) connected(c network.Conn) {
	if c.RemotePeer() == h.id {
		h.log.Error("another host has this platform's key", "addr", c.RemoteMultiaddr())
		h.mail.note(Clone{Via: h.id, Direct: true})
		h.work.start(func(context.Context) { c.Close() })
		return
	}
	l := &link{
		conn:    c,
		greeted: make(chan struct{}),
		agreed:  make(chan struct{}),
		closed:  make(chan struct{}),
	}
	h.mu.Lock()
	h.links[c] = l
	h.mu.Unlock()
	if c.Stat().Direction == network.DirOutbound {
		h.work.start(func(ctx context.Context) { h.greet(ctx, l) })
		return
	}
	h.work.start(func(ctx context.Context) {
		timeout := time.NewTimer(h.cfg.Limits.Hello)
		defer timeout.Stop()
		select {
		case <-l.greeted:
		case <-l.closed:
		case <-ctx.Done():
		case <-timeout.C:
			h.refuse(l, hello{}, fmt.Sprintf("no hello within %s", h.cfg.Limits.Hello))
		}
	})
}

// disconnected is libp2p's notice of a closed connection.
func (h *Host) disconnected(c network.Conn) {
	h.mu.Lock()
	l := h.links[c]
	if l == nil {
		h.mu.Unlock()
		return
	}
	delete(h.links, c)
	close(l.closed)
	s := h.sessions[c.RemotePeer()]
	if s == nil || !l.up {
		h.mu.Unlock()
		return
	}
	s.links = slices.DeleteFunc(s.links, func(o *link) bool { return o == l })
	last := len(s.links) == 0
	if last {
		delete(h.sessions, s.id)
		s.stop()
		if h.wanted[s.id] == nil {
			delete(h.outboxes, s.id)
		}
	}
	event, reason := s.upEvent(), s.reason
	h.mu.Unlock()

	if !last {
		h.mail.up(event)
		return
	}
	if reason == "" {
		reason = "connection closed"
	}
	h.log.Info("peer down", "peer", s.id, "name", s.them.Name, "reason", reason)
	h.mail.down(PeerDown{ID: s.id, Reason: reason})
	h.nudge(s.id)
}

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
		h.conclude(l, theirs, begun, rtt)
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
	s.SetWriteDeadline(time.Now().Add(patience))
	if _, err := s.Write(appendFrame(nil, h.helloNow(h.hasRival(l)).encode())); err != nil {
		return
	}
	in.next(patience, patience) // until the answer has arrived: a refusal closes the connection
	h.conclude(l, theirs, time.Time{}, 0)
}

// conclude acts on a hello. begun is when we asked, if we did: whoever answered
// was alive after that. The zero time proves nothing, since the bytes of a dead
// process can still arrive.
func (h *Host) conclude(l *link, theirs hello, begun time.Time, rtt time.Duration) {
	id := l.conn.RemotePeer()
	if theirs.Rival {
		h.log.Error("a peer has seen this platform's key in two places", "via", id)
		h.mail.note(Clone{Via: id})
	}
	h.mu.Lock()
	o := h.admit(l, theirs, begun, rtt)
	h.mu.Unlock()
	switch {
	case o.refusal != "":
		h.refuse(l, theirs, o.refusal)
		return
	case o.again:
		h.work.start(func(ctx context.Context) { h.greet(ctx, l) })
		return
	case o.box == nil:
		return
	}
	for _, old := range o.stale {
		old.conn.CloseWithError(network.ConnSupplanted)
	}
	h.log.Info("peer up", "peer", id, "name", theirs.Name, "addr", l.conn.RemoteMultiaddr(), "forming", o.event.Forming)
	h.mail.up(o.event)
	o.box.ring() // a better path may have appeared
	h.nudge(id)
	if o.clone {
		h.log.Error("two processes with one key are alive", "peer", id, "name", theirs.Name)
		h.work.start(func(ctx context.Context) { h.greet(ctx, l) }) // to tell it
	}
}

// outcome is what a hello leads to. The zero outcome: nothing.
type outcome struct {
	refusal string  // why the link is closed
	again   bool    // ask the peer ourselves: what arrived does not prove that it lives
	stale   []*link // connections of a process that is no more
	clone   bool    // that process lives, too
	event   PeerUp
	box     *outbox
}

// admit enters a hello into the tables. The caller holds mu.
//
// A nonce names a process. When a new one is proved alive after the session's
// was, the peer has restarted, and connections of the old process, which may take
// half a minute to be noticed as dead, are closed. When a nonce comes back that
// another has supplanted, two processes with one key are alive.
func (h *Host) admit(l *link, theirs hello, begun time.Time, rtt time.Duration) (o outcome) {
	if o.refusal = h.judge(l, theirs); o.refusal != "" || h.links[l.conn] != l {
		return o
	}
	id, now := l.conn.RemotePeer(), time.Now()
	s := h.sessions[id]
	switch {
	case s == nil:
		s = h.newSession(id, now)
	case s.them.Nonce == theirs.Nonce:
	case !begun.After(s.proved):
		return outcome{again: true}
	default:
		o.clone = slices.Contains(s.past, theirs.Nonce)
		o.stale = s.supplant(l, now)
		s.rival = o.clone
	}
	s.them = theirs
	s.offset = time.UnixMilli(int64(theirs.Clock)).Sub(now.Add(-rtt / 2)).Truncate(time.Millisecond)
	if !begun.IsZero() {
		s.proved = now
	}
	if !slices.Contains(s.links, l) {
		s.links = append(s.links, l)
	}
	l.rise(theirs.Genesis.IsZero() || h.genesis.IsZero())
	o.event, o.box = s.upEvent(), h.outboxes[id]
	return o
}

// rise marks a link as up, and opens the gates that wait for it. The caller
// holds Host.mu.
func (l *link) rise(forming bool) {
	if !l.up {
		l.up = true
		close(l.greeted)
	}
	if l.forming = forming; !forming && !l.settled {
		l.settled = true
		close(l.agreed)
	}
}

// supplant takes the session from one process to the next, whose first link is
// l, and returns the links of the former. The caller holds Host.mu.
func (s *session) supplant(l *link, now time.Time) (stale []*link) {
	for _, old := range s.links {
		if old != l {
			old.up = false
			stale = append(stale, old)
		}
	}
	s.links, s.since = nil, now
	s.past = append(s.past, s.them.Nonce)
	s.past = s.past[max(0, len(s.past)-maxPast):]
	return stale
}

// judge returns why a peer is turned away, or "". The caller holds mu.
func (h *Host) judge(l *link, theirs hello) string {
	switch {
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

// newSession starts a session. The caller holds mu.
func (h *Host) newSession(id peer.ID, now time.Time) *session {
	ctx, stop := context.WithCancel(context.Background())
	s := &session{
		id: id, since: now, proved: now, stop: stop,
		fetch: make(chan struct{}, h.cfg.Limits.FetchesPerPeer),
	}
	h.sessions[id] = s
	box := h.outboxes[id]
	if box == nil {
		box = newOutbox(id, h.cfg.Limits.OutboxBytes)
		h.outboxes[id] = box
	}
	h.work.start(func(host context.Context) {
		defer context.AfterFunc(host, stop)()
		h.post(ctx, box)
	})
	return s
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
	next.Network, next.Genesis, next.Name = theirs.Network, theirs.Genesis, theirs.Name
	next.Times++
	h.refusals.put(id, &next)
	if s := h.sessions[id]; s != nil {
		s.reason = reason
	}
	h.mu.Unlock()
	h.count.refused.Add(1)
	if !ok {
		h.log.Warn("peer refused", "peer", id, "name", theirs.Name, "addr", next.Addr, "reason", reason)
	}
	h.mail.note(Refused{next})
	l.conn.CloseWithError(network.ConnGated)
}

// SetGenesis gives a forming host its federation, once. Connected peers are
// greeted again; those that do not follow within FormingGrace are disconnected.
func (h *Host) SetGenesis(g Genesis) error {
	h.mu.Lock()
	if h.genesis == g || !h.genesis.IsZero() {
		err := error(nil)
		if h.genesis != g {
			err = fmt.Errorf("%w: have %s, want %s", ErrGenesis, g, h.genesis)
		}
		h.mu.Unlock()
		return err
	}
	h.genesis = g
	again := make([]*link, 0, len(h.links))
	for _, l := range h.links {
		if l.up {
			again = append(again, l)
		}
	}
	h.mu.Unlock()

	if h.isReady() {
		if err := h.joinTopics(); err != nil {
			return err
		}
	}
	for _, l := range again {
		h.work.start(func(ctx context.Context) { h.greet(ctx, l) })
	}
	h.nudgeAll()
	h.work.start(h.endForming)
	return nil
}

// endForming closes, after a while, what is still without our genesis.
func (h *Host) endForming(ctx context.Context) {
	timer := time.NewTimer(h.cfg.Limits.FormingGrace)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
	}
	h.mu.Lock()
	var late []*link
	for _, l := range h.links {
		if l.up && l.forming {
			late = append(late, l)
		}
	}
	h.mu.Unlock()
	for _, l := range late {
		h.refuse(l, hello{}, fmt.Sprintf("still without genesis after %s", h.cfg.Limits.FormingGrace))
	}
}

// Genesis is the federation of this host, zero while it is forming.
func (h *Host) Genesis() Genesis {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.genesis
}

func (h *Host) linkOf(c network.Conn) *link {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.links[c]
}

func (h *Host) connectedTo(id peer.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[id] != nil
}

func (h *Host) hasRival(l *link) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.sessions[l.conn.RemotePeer()]
	return s != nil && s.rival
}
