package p2p

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Two hosts behind NATs that have found each other through a relay make a direct
// connection by dialling each other at once (DCUtR). libp2p tries when a relayed
// connection comes up, and never again; here the side that was dialled tries again
// as long as only a relay joins the two: mappings change, packets get lost, and
// what a newcomer's address is from outside is known a moment after it has come.
const (
	punchFor      = 5 * time.Second // for one attempt to dial each other
	punchRetryMin = 2 * time.Second // doubled each time
	punchRetryMax = 15 * time.Minute
	maxPunches    = 1024 // peers whose last attempt is remembered
)

// punch is how the last attempts at a hole went.
type punch struct {
	done   bool // the direct connection was made so
	took   time.Duration
	failed int // in a row
	reason string
}

// puncher makes direct connections of relayed ones.
type puncher struct {
	service  *holepunch.Service
	observed basichost.ObservedAddrsManager // set while the host is built
	woken    atomic.Bool
}

// startPunching begins to offer, and to try, direct connections.
func (h *Host) startPunching() (err error) {
	ids, ok := h.node.(interface{ IDService() identify.IDService })
	if !ok || h.punch.observed == nil {
		return fmt.Errorf("p2p: hole punching: the host does not tell how others see it")
	}
	h.punch.service, err = holepunch.NewService(guarded{h.node, h}, ids.IDService(), h.outside,
		holepunch.WithTracer(h), holepunch.WithAddrFilter(publicOnly{}), holepunch.DirectDialTimeout(punchFor))
	if err != nil {
		return fmt.Errorf("p2p: hole punching: %w", err)
	}
	return nil
}

// publicOnly leaves out what a peer has no business to have us dial: the addresses of
// our own network.
type publicOnly struct{}

// maxOutside is how many addresses of a peer are dialled at once.
const maxOutside = 8

// FilterLocal implements holepunch.AddrFilter.
func (publicOnly) FilterLocal(_ peer.ID, own []multiaddr.Multiaddr) []multiaddr.Multiaddr { return own }

// FilterRemote implements holepunch.AddrFilter.
func (publicOnly) FilterRemote(_ peer.ID, theirs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	theirs = slices.DeleteFunc(theirs, func(a multiaddr.Multiaddr) bool { return !manet.IsPublicAddr(a) || !dialable(a) })
	return theirs[:min(len(theirs), maxOutside)]
}

// nowhere is an address at which nobody is.
var nowhere = multiaddr.StringCast("/ip4/192.88.99.1/tcp/1")

// outside returns where others see this host. The service asks when it begins, and
// is deaf until it gets an answer, for which it looks up to five seconds apart: the
// first answer wakes it.
func (h *Host) outside() []multiaddr.Multiaddr {
	if h.punch.woken.CompareAndSwap(false, true) {
		return []multiaddr.Multiaddr{nowhere}
	}
	var list []multiaddr.Multiaddr
	for _, a := range append(append(h.punch.observed.Addrs(1), h.cfg.Announce...), h.interfaceAddrs()...) {
		if manet.IsPublicAddr(a) && !isCircuit(a) {
			list = append(list, a)
		}
	}
	return multiaddr.Unique(list)
}

// Trace implements holepunch.EventTracer.
func (h *Host) Trace(e *holepunch.Event) {
	h.log.Debug("hole punching", "peer", e.Remote, "what", e.Type, "how", e.Evt)
	h.mu.Lock()
	defer h.mu.Unlock()
	p, ok := h.punches.get(e.Remote)
	if !ok {
		p = &punch{}
		h.punches.put(e.Remote, p)
	}
	switch what := e.Evt.(type) {
	case *holepunch.ProtocolErrorEvt:
		p.failed++
		p.reason = what.Error
		h.work.start(h.reachRelaysAnew)
	case *holepunch.EndHolePunchEvt:
		if !what.Success {
			p.failed++
			p.reason = what.Error
			h.work.start(h.reachRelaysAnew)
			return
		}
		*p = punch{done: true, took: what.EllapsedTime}
		for _, l := range h.links {
			if l.conn.RemotePeer() == e.Remote && !relayed(l.conn) {
				l.punched = true
			}
		}
	}
}

// After an interruption TCP may have been the first to reach a relay, and then nobody
// tells this host where it is seen from outside over QUIC, over which the others are.
// Such a relay is let go, and dialled again, QUIC first. Where UDP is blocked that is
// in vain, and so tried ever more rarely.
const (
	anewMin = 15 * time.Second // doubled each time
	anewMax = time.Hour
)

// reachRelaysAnew lets go of relays that are reached over TCP and listen for QUIC.
func (h *Host) reachRelaysAnew(context.Context) {
	for _, c := range h.overTCP(time.Now()) {
		h.log.Info("a relay is dialled again, for QUIC", "relay", c.RemotePeer())
		c.Close()
	}
}

// overTCP returns the connections of those relays for which it is time.
func (h *Host) overTCP(now time.Time) (conns []network.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range h.relays() {
		w, links := h.wanted[id], h.sessions[id].links
		switch {
		case w == nil || !slices.ContainsFunc(w.addrs, func(a multiaddr.Multiaddr) bool { return manet.IsPublicAddr(a) && overQUIC(a) }):
		case slices.ContainsFunc(links, func(l *link) bool { return overQUIC(l.conn.RemoteMultiaddr()) }):
			w.anew = 0
		case now.After(w.anewAt):
			w.anew++
			w.anewAt = now.Add(backoff(w.anew, anewMin, anewMax))
			w.hasty = true
			for _, l := range links {
				conns = append(conns, l.conn)
			}
		}
	}
	return conns
}

// overQUIC reports whether an address is one of QUIC.
func overQUIC(a multiaddr.Multiaddr) bool {
	_, err := a.ValueForProtocol(multiaddr.P_QUIC_V1)
	return err == nil
}

// improve seeks a direct way to a peer for as long as a relayed connection that the
// peer has opened is all there is.
func (h *Host) improve(ctx context.Context, l *link) {
	id := l.conn.RemotePeer()
	for attempt := 1; ctx.Err() == nil; attempt++ {
		timer := time.NewTimer(backoff(attempt, punchRetryMin, punchRetryMax))
		select {
		case <-timer.C:
		case <-l.closed:
			timer.Stop()
			return
		case <-ctx.Done():
			timer.Stop()
			return
		}
		if h.isDirect(id) {
			return
		}
		if err := h.punch.service.DirectConnect(id); err != nil {
			h.log.Debug("no direct way", "peer", id, "err", err)
		}
	}
}

// retire closes a relayed connection once a direct one has lasted: what still uses
// it, gossip, moves.
func (h *Host) retire(ctx context.Context, l *link) {
	timer := time.NewTimer(h.cfg.Limits.Linger)
	defer timer.Stop()
	select {
	case <-timer.C:
		if h.isDirect(l.conn.RemotePeer()) {
			l.conn.CloseWithError(network.ConnSupplanted)
		}
	case <-l.closed:
	case <-ctx.Done():
	}
}

// isDirect reports whether a peer is connected without a relay.
func (h *Host) isDirect(id peer.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.sessions[id]
	return s != nil && !relayed(s.best().conn)
}
