package p2p

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/fx"
)

// traversal is what libp2p is told of NATs. AutoNAT v2 says whether the addresses of
// this host are reached, and answers others who ask that. A public host may only
// ever accept: without the last two options it would take the silence of UDP for a
// network without it, and answer nobody over QUIC.
func (h *Host) traversal() []libp2p.Option {
	opts := []libp2p.Option{
		libp2p.EnableAutoNATv2(),
		libp2p.WithFxOption(fx.Populate(&h.punch.observed)),
	}
	if h.cfg.Public {
		opts = append(opts, libp2p.ForceReachabilityPublic(), libp2p.UDPBlackHoleSuccessCounter(nil), libp2p.IPv6BlackHoleSuccessCounter(nil))
	}
	return opts
}

// startTraversal begins to relay, on a public host, and to punch holes.
func (h *Host) startTraversal() error {
	if h.cfg.Public {
		if err := h.startRelay(); err != nil {
			return err
		}
	}
	return h.startPunching()
}

// endTraversal ends what startTraversal began.
func (h *Host) endTraversal() {
	if h.relay != nil {
		h.relay.Close()
	}
	if h.punch.service != nil {
		h.punch.service.Close()
	}
}

// relayMoved tells that a relay has come or gone.
func (h *Host) relayMoved() {
	select {
	case h.relaysChanged <- struct{}{}:
	default:
	}
}

// betterPaths follows up on a link that has just come up, or agreed.
func (h *Host) betterPaths(l *link, theirs hello) {
	id := l.conn.RemotePeer()
	switch {
	case relayed(l.conn) && l.conn.Stat().Direction == network.DirInbound:
		h.work.start(func(ctx context.Context) { h.improve(ctx, l) })
	case relayed(l.conn):
	default:
		if theirs.Relays {
			h.relayMoved()
			h.nudgeMissing(id)
		}
		for _, old := range h.detoursOf(id) {
			h.work.start(func(ctx context.Context) { h.retire(ctx, old) })
		}
	}
	if relayed(l.conn) && h.isDirect(id) {
		h.work.start(func(ctx context.Context) { h.retire(ctx, l) })
	}
}

// nudgeMissing tries every wanted peer that is not connected again: there is a new
// way to it. A stranger's word for that hastens nothing, and a relay that comes and
// goes no more than one dial each renewEvery.
func (h *Host) nudgeMissing(relay peer.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.standing(relay) == asStranger {
		return
	}
	for id, w := range h.wanted {
		if now := time.Now(); h.sessions[id] == nil && now.Sub(w.detoured) > renewEvery {
			w.detoured, w.attempts = now, 0
			w.nudge()
		}
	}
}

// detoursOf returns the relayed connections of a peer.
func (h *Host) detoursOf(id peer.ID) (list []*link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.sessions[id]; s != nil {
		for _, l := range s.links {
			if relayed(l.conn) {
				list = append(list, l)
			}
		}
	}
	return list
}

// onceAgreed holds a stream back until both have one genesis.
func (h *Host) onceAgreed(handle func(context.Context, network.Stream)) func(context.Context, network.Stream) {
	return h.after(func(l *link) <-chan struct{} { return l.agreed }, handle)
}

// Reached returns the public addresses of this host that peers have reached when they
// tried, and those that they have not (AutoNAT v2). It takes a while to know any, and
// addresses that only a router has are tried once four peers have seen them.
func (h *Host) Reached() (yes, no []multiaddr.Multiaddr) {
	if !h.isReady() {
		return nil, nil
	}
	if node, ok := h.node.(interface {
		ConfirmedAddrs() (reachable, unreachable, unknown []multiaddr.Multiaddr)
	}); ok {
		yes, no, _ = node.ConfirmedAddrs()
	}
	return yes, no
}
