package p2p

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// link is one connection.
type link struct {
	conn    network.Conn
	greeted chan struct{} // closed when hello has ended well
	agreed  chan struct{} // closed when both have the same genesis
	closed  chan struct{} // closed with the connection

	// Guarded by Host.mu.
	up      bool   // hello has ended well, and the process that said it is the newest
	stale   bool   // it was not: the connection is being closed
	nonce   uint64 // of that process
	forming bool   // one of us had no genesis then
	settled bool   // agreed is closed
	punched bool   // both dialled at once
}

// session is a peer with at least one link that is up.
type session struct {
	id    peer.ID
	stop  context.CancelFunc // ends the writer of its outbox
	fetch chan struct{}      // tokens of our requests

	// Guarded by Host.mu.
	them   hello
	offset time.Duration // their clock minus ours
	since  time.Time
	links  []*link   // up; never empty
	proved time.Time // when the process with them.Nonce was last seen alive
	past   []uint64  // nonces of processes that them.Nonce has supplanted
	rival  bool      // one of past was alive after its successor: a cloned key
	warned bool      // the peer says the same of us
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
	if isDisplaced(c) { // before it was there to be closed
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

// displace closes the connection of a place that another takes, unless its peer
// has come to matter since. One that is not there yet, connected closes.
func (h *Host) displace(p *connPlace) {
	h.work.start(func(context.Context) {
		for _, c := range h.node.Network().Conns() {
			if c.Scope() == network.ConnScope(p) && h.standingOf(c.RemotePeer()) == asStranger {
				c.Close()
			}
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
	if s.them.Relays {
		h.relayMoved()
	}
	if last {
		delete(h.sessions, s.id)
		s.stop()
		if w := h.wanted[s.id]; w == nil || !w.kept {
			delete(h.outboxes, s.id)
		}
	}
	down := PeerDown{ID: s.id, Reason: cmp.Or(s.reason, "connection closed")}
	if last {
		h.mail.down(down)
	} else {
		h.mail.up(s.upEvent())
	}
	name := s.them.Name
	h.mu.Unlock()
	if last {
		h.say(slog.LevelInfo, down.ID, "peer down", "name", name, "reason", down.Reason)
		h.nudge(down.ID)
	}
}

// rise marks a link as up, and opens the gates that wait for it. The caller
// holds Host.mu.
func (l *link) rise(nonce uint64, forming bool) {
	if !l.up {
		l.up, l.nonce = true, nonce
		close(l.greeted)
	}
	if l.forming = forming; !forming && !l.settled {
		l.settled = true
		close(l.agreed)
	}
}

// supplant takes the session from one process to the next, and returns the links
// of the former. The caller holds Host.mu, and adds a link.
func (s *session) supplant(now time.Time) (stale []*link) {
	for _, old := range s.links {
		old.up, old.stale = false, true
	}
	stale, s.links, s.since = s.links, nil, now
	s.past = append(s.past, s.them.Nonce)
	s.past = s.past[max(0, len(s.past)-maxPast):]
	return stale
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
