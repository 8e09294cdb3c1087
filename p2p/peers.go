package p2p

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/time/rate"
)

// Peer is what is known of a connected peer. Names are the peer's own words.
type Peer struct {
	ID        peer.ID
	Name      string
	Agent     string
	Addrs     []multiaddr.Multiaddr // the far ends of its connections, the best first
	Direction network.Direction     // who dialled the oldest connection
	Transport string                // "quic-v1", "tcp/tls", "tcp/noise": of the best connection
	Direct    bool                  // false: relayed
	Path      Path
	Why       string        // the path is what it is, for people
	Via       peer.ID       // the relay, of a relayed path
	Relays    bool          // it relays for its federation
	RTT       time.Duration // smoothed; 0 before the first measurement
	Offset    time.Duration // its clock minus ours
	Since     time.Time
	Nonce     uint64
	Forming   bool
	Genesis   Genesis       // as it last said; with Forming, it may have one that we do not
	Note      byte          // its own: see Host.SetNote
	Protocols []protocol.ID // of ours, that it serves
	Kept      bool          // its connection is protected
	Clone     bool          // its key has been seen alive in two processes
	Score     float64
	Offences  []Offence // the newest, oldest first
}

// Offence is something that no correct platform does.
type Offence struct {
	Time time.Time
	What string
}

// Refusal is why a peer was turned away at hello. Network, Genesis, Name and Note
// are the peer's own words, empty when it said none.
type Refusal struct {
	ID      peer.ID
	Addr    multiaddr.Multiaddr
	Reason  string
	Network string
	Genesis Genesis
	Name    string
	Note    byte
	Times   int
	First   time.Time
	Last    time.Time
}

// Offender is a peer that has done what no correct platform does, connected or
// not.
type Offender struct {
	ID       peer.ID
	Score    float64
	Offences []Offence // the newest, oldest first
	Banned   time.Time // until then; zero if never
}

// Counters count since the start of the host.
type Counters struct {
	FramesIn, FramesOut                                                     uint64 // consensus frames
	FrameBytesIn, FrameBytesOut                                             uint64
	FramesReplaced                                                          uint64 // unsent frames that a newer one of the slot, or a full outbox, replaced
	FramesRejected                                                          uint64
	FetchesServed, FetchesMade, FetchesFailed                               uint64
	TaskStreams                                                             uint64
	GossipOut, GossipAccepted, GossipIgnored, GossipRejected, GossipDropped uint64
	Offences, Bans, Refused                                                 uint64
	Dials, DialsFailed                                                      uint64
}

type counters struct {
	framesIn, framesOut, frameBytesIn, frameBytesOut, framesReplaced, framesRejected atomic.Uint64
	fetchesServed, fetchesMade, fetchesFailed, taskStreams                           atomic.Uint64
	gossipOut, gossipAccepted, gossipIgnored, gossipRejected, gossipDropped          atomic.Uint64
	offences, bans, refused, dials, dialsFailed                                      atomic.Uint64
}

// Counters returns the counts of this moment.
func (h *Host) Counters() Counters {
	c := &h.count
	return Counters{
		FramesIn: c.framesIn.Load(), FramesOut: c.framesOut.Load(),
		FrameBytesIn: c.frameBytesIn.Load(), FrameBytesOut: c.frameBytesOut.Load(),
		FramesReplaced: c.framesReplaced.Load(), FramesRejected: c.framesRejected.Load(),
		FetchesServed: c.fetchesServed.Load(), FetchesMade: c.fetchesMade.Load(), FetchesFailed: c.fetchesFailed.Load(),
		TaskStreams: c.taskStreams.Load(),
		GossipOut:   c.gossipOut.Load(), GossipAccepted: c.gossipAccepted.Load(),
		GossipIgnored: c.gossipIgnored.Load(), GossipRejected: c.gossipRejected.Load(), GossipDropped: c.gossipDropped.Load(),
		Offences: c.offences.Load(), Bans: c.bans.Load(), Refused: c.refused.Load(),
		Dials: c.dials.Load(), DialsFailed: c.dialsFailed.Load(),
	}
}

// Peers returns the connected peers, by ID.
func (h *Host) Peers() []Peer {
	if !h.isReady() {
		return nil
	}
	h.mu.Lock()
	peers := make([]Peer, 0, len(h.sessions))
	for _, s := range h.sessions {
		up := s.upEvent()
		p := Peer{
			ID: up.ID, Name: up.Name, Agent: up.Agent, Addrs: up.Addrs, Direct: up.Direct,
			Offset: up.Offset, Nonce: up.Nonce, Forming: up.Forming,
			Direction: s.links[0].conn.Stat().Direction,
			Transport: transportOf(s.best().conn.ConnState()),
			Since:     s.since,
			Genesis:   s.them.Genesis,
			Note:      s.them.Note,
			Protocols: s.them.Protocols,
			Kept:      h.wanted[s.id] != nil && h.wanted[s.id].kept,
			Clone:     s.rival,
			Relays:    s.them.Relays,
		}
		p.Path, p.Via, p.Why = h.path(s)
		slices.SortStableFunc(p.Addrs, func(a, b multiaddr.Multiaddr) int { return worse(a) - worse(b) })
		if c, ok := h.conduct.peek(s.id); ok {
			p.Offences = slices.Clone(c.offences)
			p.Score = c.score()
		}
		peers = append(peers, p)
	}
	h.mu.Unlock()
	for i := range peers {
		peers[i].RTT = h.node.Peerstore().LatencyEWMA(peers[i].ID)
	}
	slices.SortFunc(peers, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	return peers
}

// Refusals returns the peers that were turned away, the latest first.
func (h *Host) Refusals() []Refusal {
	h.mu.Lock()
	defer h.mu.Unlock()
	var rs []Refusal
	h.refusals.each(func(_ peer.ID, r *Refusal) { rs = append(rs, *r) })
	return rs
}

// Offenders returns the peers with offences, the latest first.
func (h *Host) Offenders() []Offender {
	h.mu.Lock()
	defer h.mu.Unlock()
	var os []Offender
	h.conduct.each(func(id peer.ID, c *conduct) {
		if len(c.offences) > 0 {
			os = append(os, Offender{id, c.score(), slices.Clone(c.offences), c.banned})
		}
	})
	return os
}

// upEvent describes the session. The caller holds Host.mu.
func (s *session) upEvent() PeerUp {
	e := PeerUp{ID: s.id, Name: s.them.Name, Agent: s.them.Agent, Offset: s.offset, Nonce: s.them.Nonce}
	for _, l := range s.links {
		e.Addrs = append(e.Addrs, l.conn.RemoteMultiaddr())
		e.Direct = e.Direct || !relayed(l.conn)
		e.Forming = e.Forming || l.forming
	}
	return e
}

// best is the link that libp2p prefers: a direct one. The caller holds Host.mu.
func (s *session) best() *link {
	for _, l := range s.links {
		if !relayed(l.conn) {
			return l
		}
	}
	return s.links[0]
}

// relayed reports whether a connection passes through another peer. libp2p's
// Limited says no for a relay without limits, as a federation's own are.
func relayed(c network.Conn) bool { return isCircuit(c.RemoteMultiaddr()) }

// transportOf names a connection's transport as in "tcp/tls".
func transportOf(s network.ConnectionState) string {
	name := s.Transport
	for _, security := range []string{"tls", "noise"} {
		if name == "tcp" && strings.Contains(string(s.Security), security) {
			return name + "/" + security
		}
	}
	return name
}

// conduct is how a peer has behaved. It outlives the peer's connections, so that
// reconnecting forgives nothing. Its fields are guarded by Host.mu; the limiters
// lock themselves.
type conduct struct {
	frames   *rate.Limiter // consensus frames read
	bytes    *rate.Limiter // their bytes
	gossip   *rate.Limiter // bytes of gossip read, apart: consensus must not wait for it
	patience *rate.Limiter // one token per offence
	most     int           // patience's tokens when nothing has happened
	offences []Offence
	banned   time.Time // until then its connections are refused
}

// score is 0 for a peer without fault, and one less for each offence not yet
// forgiven.
func (c *conduct) score() float64 { return min(0, c.patience.Tokens()-float64(c.most)) }

// conductOf finds or starts a peer's record. The caller holds mu.
func (h *Host) conductOf(id peer.ID) *conduct {
	if c, ok := h.conduct.get(id); ok {
		return c
	}
	l := h.cfg.Limits
	c := &conduct{
		frames:   rate.NewLimiter(rate.Limit(l.FrameRate), l.FrameRate),
		bytes:    rate.NewLimiter(rate.Limit(l.ByteRate), max(l.ByteRate, MaxFrame)),
		gossip:   rate.NewLimiter(rate.Limit(l.ByteRate), max(l.ByteRate, MaxGossip)),
		patience: rate.NewLimiter(rate.Every(l.OffenceDecay), l.Offences),
		most:     l.Offences,
	}
	h.conduct.put(id, c)
	return c
}

func (h *Host) limitersOf(id peer.ID) (frames, bytes, gossip *rate.Limiter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.conductOf(id)
	return c.frames, c.bytes, c.gossip
}

// Blame notes something that no correct platform does, seen by the caller: the
// peer is scored down, and banned for a while after too many. The text is shown
// to people; only the first of a peer is logged (P5).
func (h *Host) Blame(id peer.ID, what string) { h.offence(id, what) }

func (h *Host) offence(id peer.ID, what string) {
	now := time.Now()
	h.count.offences.Add(1)
	h.mu.Lock()
	c := h.conductOf(id)
	first := len(c.offences) == 0
	if len(c.offences) == maxOffences {
		c.offences = c.offences[1:]
	}
	c.offences = append(c.offences, Offence{now, what})
	ban := !c.patience.Allow()
	if ban {
		c.banned = now.Add(h.cfg.Limits.Ban)
		if s := h.sessions[id]; s != nil {
			s.reason = "banned: " + what
		}
	}
	h.mu.Unlock()
	if first {
		h.say(slog.LevelWarn, id, "peer misbehaves", "what", what)
	}
	if !ban {
		return
	}
	h.count.bans.Add(1)
	if h.isReady() {
		h.node.Network().ClosePeer(id)
	}
}

func (h *Host) banned(id peer.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.conduct.peek(id)
	return ok && time.Now().Before(c.banned)
}

// gater keeps banned peers out.
type gater struct{ h *Host }

func (g gater) InterceptPeerDial(p peer.ID) bool                                { return !g.h.banned(p) }
func (g gater) InterceptAddrDial(peer.ID, multiaddr.Multiaddr) bool             { return true }
func (g gater) InterceptAccept(network.ConnMultiaddrs) bool                     { return true }
func (g gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
func (g gater) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return !g.h.banned(p)
}

// pingOnce measures one round trip; the peerstore keeps the average.
func (h *Host) pingOnce(ctx context.Context, id peer.ID) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Limits.Ping)
	defer cancel()
	ctx = network.WithNoDial(network.WithAllowLimitedConn(ctx, "ping"), "ping")
	<-ping.Ping(ctx, h.node, id)
}
