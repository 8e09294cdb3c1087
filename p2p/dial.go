package p2p

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
)

// Wanted is a peer that the host keeps trying to be connected with.
type Wanted struct {
	ID        peer.ID
	Addrs     []multiaddr.Multiaddr
	Bootstrap bool
	Connected bool
	Attempts  int    // since it was last connected
	LastError string // of the last attempt, empty after a success
}

// wanted is guarded by Host.mu but for changed.
type wanted struct {
	id        peer.ID
	addrs     []multiaddr.Multiaddr
	rumours   []multiaddr.Multiaddr // where others say it is; of the last Keep
	renewed   time.Time             // when a new address last hastened a dial
	detoured  time.Time             // when a new relay did
	bootstrap bool
	kept      bool
	found     *finding // nil unless heard on the LAN lately
	hasty     bool     // whatever the IDs, we dial: we have moved
	reserved  int      // addrs[:reserved] are in the resource manager's allowlist
	attempts  int
	anew      int       // times in a row that it was let go, to be reached over QUIC
	anewAt    time.Time // before which that is not done again
	lastError string
	stop      context.CancelFunc // ends pursue, which runs unless nil
	changed   chan struct{}      // holds one token when it has come, gone, or got an address
}

const (
	maxAddrs   = 32 // remembered of a wanted peer, the newest
	maxRumours = 16 // of those of one Keep

	// A peer that neither the operator nor Favour has named, and that was not
	// reached so often in a row, is tried rarely: strangers can make us want any
	// number of hosts that are not there.
	hopeless  = 8
	rareTimes = 20 // RedialMax, between two such attempts
)

// errFull is why a peer of the LAN that nobody asked for is not dialled.
var errFull = errors.New("p2p: enough connections")

// formingDialGrace is DialGrace for a host without a federation.
const formingDialGrace = 200 * time.Millisecond

// keepTag marks protected peers in the connection manager.
const keepTag = "kept"

// Keep stays connected with a peer, a validator usually: it is dialled whenever
// it is lost, forever, its connections are never closed to make room, and its
// outbox outlives them. Addresses add to those already known, and are its own
// word or the operator's; rumours, what others say, replace those of before, and
// are dialled with them, no more. Of two that keep each other, the one with the lower ID
// dials; the other tries too when that takes longer than DialGrace, since one of
// them may be unreachable.
func (h *Host) Keep(p peer.AddrInfo, rumours ...multiaddr.Multiaddr) {
	if p.ID == h.id {
		return
	}
	h.mu.Lock()
	w := h.want(p)
	if !w.kept {
		w.kept = true
		h.relayMoved() // to another place among them, if it is one
	}
	w.hear(rumours)
	h.mu.Unlock()
	if h.isReady() {
		h.pursueAll()
	}
}

// Release ends Keep. A peer of Config.Bootstrap, or found on the LAN, is still
// dialled.
func (h *Host) Release(id peer.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.wanted[id]
	if w == nil {
		return
	}
	w.kept, w.rumours = false, nil
	h.settleRoom(w)
	if h.sessions[id] == nil {
		delete(h.outboxes, id)
	}
	h.abandon(w)
}

// abandon ends the pursuit of a peer, unless there is a reason for it left. The
// caller holds mu.
func (h *Host) abandon(w *wanted) {
	if w.kept || w.bootstrap || w.found != nil {
		return
	}
	delete(h.wanted, w.id)
	if w.stop != nil {
		w.stop()
	}
}

// Wanted returns the peers that the host keeps trying to reach, by ID, but for
// those that it has only found: see [Host.Discovery].
func (h *Host) Wanted() []Wanted {
	h.mu.Lock()
	defer h.mu.Unlock()
	ws := make([]Wanted, 0, len(h.wanted))
	for _, w := range h.wanted {
		if w.kept || w.bootstrap {
			ws = append(ws, Wanted{
				ID: w.id, Addrs: slices.Clone(w.addrs), Bootstrap: w.bootstrap,
				Connected: h.sessions[w.id] != nil, Attempts: w.attempts, LastError: w.lastError,
			})
		}
	}
	slices.SortFunc(ws, func(a, b Wanted) int { return cmp.Compare(a.ID, b.ID) })
	return ws
}

// want finds or starts the entry of a peer and adds addresses. The caller holds
// mu, or is New.
func (h *Host) want(p peer.AddrInfo) *wanted {
	w := h.wanted[p.ID]
	if w == nil {
		w = &wanted{id: p.ID, changed: make(chan struct{}, 1)}
		h.wanted[p.ID] = w
	}
	for _, a := range p.Addrs {
		if !slices.ContainsFunc(w.addrs, a.Equal) {
			if len(w.addrs) == maxAddrs {
				if w.reserved > 0 {
					h.unreserve(w)
				}
				w.addrs = slices.Delete(w.addrs, 0, 1)
			}
			w.addrs = append(w.addrs, a)
			w.hasten()
		}
	}
	return w
}

// hear takes what others say about where a peer is.
func (w *wanted) hear(rumours []multiaddr.Multiaddr) {
	old := w.rumours
	w.rumours = slices.Clone(rumours[:min(len(rumours), maxRumours)])
	for _, a := range w.rumours {
		if !slices.ContainsFunc(old, a.Equal) && !slices.ContainsFunc(w.addrs, a.Equal) {
			w.hasten()
		}
	}
}

// hasten tries a peer at once: what has failed was another address. Whoever tells
// ever new ones hastens no more than one dial each renewEvery.
func (w *wanted) hasten() {
	if now := time.Now(); now.Sub(w.renewed) > renewEvery {
		w.renewed, w.attempts = now, 0
		w.nudge()
	}
}

func (w *wanted) nudge() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// nudge tells a peer's pursuer to look again.
func (h *Host) nudge(id peer.ID) {
	h.mu.Lock()
	w := h.wanted[id]
	h.mu.Unlock()
	if w != nil {
		w.nudge()
	}
}

// nudgeAll tries every wanted peer again at once, whatever the IDs: what was
// refused may be welcome, and only this side knows.
func (h *Host) nudgeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.wanted {
		w.attempts, w.hasty = 0, true
		w.nudge()
	}
}

// pursueAll starts the pursuit of every wanted peer that has none.
func (h *Host) pursueAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.wanted {
		h.settleRoom(w)
		h.chase(w)
	}
}

// chase starts the pursuit of a wanted peer unless it runs. The caller holds mu.
func (h *Host) chase(w *wanted) {
	if w.stop != nil || w.id == h.id {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	h.work.start(func(host context.Context) {
		defer context.AfterFunc(host, stop)()
		h.pursue(ctx, w)
	})
}

// settleRoom keeps the room for a peer that it is to have. The connections of one
// that is kept are not closed to make room for others. Those from the addresses
// of one that is named by the operator or Favour are counted apart, so that
// strangers who fill all places cannot keep it out; of others, an address would
// let anybody who is there past the count. The caller holds mu.
func (h *Host) settleRoom(w *wanted) {
	if !h.isReady() {
		return
	}
	if w.kept || w.bootstrap {
		h.node.ConnManager().Protect(w.id, keepTag)
	} else {
		h.node.ConnManager().Unprotect(w.id, keepTag)
	}
	if !w.bootstrap && !(w.kept && h.members[w.id]) {
		h.unreserve(w)
		return
	}
	for _, a := range withID(w.id, w.addrs[w.reserved:]) {
		_ = h.places.apart.Add(a) // fails for a name, which has no IP address to reserve for
	}
	w.reserved = len(w.addrs)
}

// unreserve gives up the addresses that are counted apart. The caller holds mu.
func (h *Host) unreserve(w *wanted) {
	for _, a := range withID(w.id, w.addrs[:w.reserved]) {
		_ = h.places.apart.Remove(a)
	}
	w.reserved = 0
}

// withID appends /p2p/ID to addresses; there are none for an ID that is not one.
func withID(id peer.ID, addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	full, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: id, Addrs: addrs})
	if err != nil {
		return nil
	}
	return full
}

// pursue dials a peer whenever it is not connected, until ctx ends.
func (h *Host) pursue(ctx context.Context, w *wanted) {
	for ctx.Err() == nil {
		wait, connected := h.nextDial(w)
		if connected {
			select {
			case <-w.changed:
			case <-ctx.Done():
			}
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			h.dial(ctx, w)
		case <-w.changed:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// nextDial says how long to wait before the next attempt.
func (h *Host) nextDial(w *wanted) (wait time.Duration, connected bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions[w.id] != nil {
		w.attempts = 0
		return 0, true
	}
	l := h.cfg.Limits
	switch {
	case w.attempts >= hopeless && !w.bootstrap && !h.members[w.id] && w.found == nil:
		return backoff(1, rareTimes*l.RedialMax, rareTimes*l.RedialMax), false
	case w.attempts > 0:
		return backoff(w.attempts, l.RedialMin, l.RedialMax), false
	case w.bootstrap || w.hasty || w.id > h.id:
	case h.genesis.IsZero(): // who forms a federation has no time: two connections do no harm
		return min(l.DialGrace, formingDialGrace), false
	default: // the lower dials; it may not be able to
		return l.DialGrace, false
	}
	return 0, false
}

// backoff doubles from least to most, and takes off up to a quarter at random, so
// that machines that lost power together do not dial together.
func backoff(attempt int, least, most time.Duration) time.Duration {
	d := most
	if attempt < 32 && least<<(attempt-1) < most && least<<(attempt-1) > 0 {
		d = least << (attempt - 1)
	}
	return d - rand.N(d/4+1)
}

// dial makes one attempt. It clears libp2p's own back-off, which grows to five
// minutes and would make ours meaningless.
func (h *Host) dial(ctx context.Context, w *wanted) {
	if h.banned(w.id) || h.connectedTo(w.id) {
		h.noteDial(w, nil)
		return
	}
	h.mu.Lock()
	addrs, near, only := append(slices.Clone(w.addrs), w.rumours...), w.found.live(time.Now()), !w.kept && !w.bootstrap
	full := len(h.sessions) >= h.cfg.Limits.Connections*3/4
	h.mu.Unlock()
	if only && full { // it would only be closed again
		h.noteDial(w, errFull)
		return
	}
	if only && h.lanDials.Wait(ctx) != nil {
		return
	}
	h.count.dials.Add(1)
	if s, ok := h.node.Network().(interface{ Backoff() *swarm.DialBackoff }); ok {
		s.Backoff().Clear(w.id)
	}
	addrs = append(append(addrs, near...), h.detours(w.id)...)
	h.node.Peerstore().AddAddrs(w.id, addrs, h.cfg.Limits.Dial)
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Limits.Dial)
	defer cancel()
	err := h.node.Connect(network.WithAllowLimitedConn(ctx, "wanted"), peer.AddrInfo{ID: w.id})
	if err != nil && ctx.Err() != context.Canceled {
		h.count.dialsFailed.Add(1)
		h.log.Debug("dial failed", "peer", w.id, "err", err)
		h.node.Peerstore().SetAddrs(w.id, addrs, 0) // what is not told again is not dialled again
	}
	h.noteDial(w, err)
}

func (h *Host) noteDial(w *wanted, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.attempts++
	w.hasty = false
	w.lastError = ""
	if err != nil {
		w.lastError = fmt.Sprint(err)
	}
}
