package p2p

import (
	"context"
	"fmt"
	"time"

	"github.com/multiformats/go-multiaddr"
)

// SetGenesis gives a forming host its federation, once. Connected peers are
// greeted again; those that do not follow within FormingGrace are disconnected.
func (h *Host) SetGenesis(g Genesis) error {
	h.mu.Lock()
	if old := h.genesis; old == g || !old.IsZero() {
		h.mu.Unlock()
		if old != g {
			return fmt.Errorf("%w: have %s, want %s", ErrGenesis, g, old)
		}
		return nil
	}
	h.genesis = g
	again := make([]*link, 0, len(h.links))
	for _, l := range h.links {
		if l.up {
			again = append(again, l)
		}
	}
	h.mu.Unlock()

	if err := h.joinTopics(); err != nil {
		return err
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

// Bound are the addresses at which the host listens as they were given to bind,
// ports filled in: with them as Config.Listen, another host would be reached where
// this one is. It is empty before Ready.
func (h *Host) Bound() []multiaddr.Multiaddr {
	if !h.isReady() {
		return nil
	}
	return h.listens()
}

// SetNote changes what the host tells of itself with every hello from now on: a
// byte that means something to its caller and to those of its peers. They find it
// in Peer and Refusal, so that also two hosts that refuse each other learn it.
func (h *Host) SetNote(note byte) { h.note.Store(uint32(note)) }

// Genesis is the federation of this host, zero while it is forming.
func (h *Host) Genesis() Genesis {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.genesis
}
