package p2p

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// standing is what a peer is to us. Keys cost nothing: whatever is scarce,
// strangers together have a part of, and those whom the caller has named keep
// the rest.
type standing int

const (
	asStranger standing = iota
	asKept              // Keep, or Config.Bootstrap
	asMember            // Favour
)

// share is the part of a total that those of a standing, and of all below it,
// may hold: half for strangers, three quarters with those kept.
func (s standing) share(total int64) int64 {
	return max(1, total*int64(s+2)/4)
}

// Favour names the peers without which nothing goes on, the validators usually,
// in place of those named before: of streams, connections and memory they find
// what no others may take.
func (h *Host) Favour(ids []peer.ID) {
	members := make(map[peer.ID]bool, len(ids))
	for _, id := range ids {
		members[id] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !maps.Equal(h.members, members) {
		h.relayMoved() // to another place among them
	}
	h.members = members
	for _, w := range h.wanted {
		h.settleRoom(w)
	}
}

// strangersPart is the part of what one peer may send in a second that all
// strangers together may: what they sign costs nothing to make, and time to check.
const strangersPart = 4

// strangersPace slows all strangers together.
type strangersPace struct {
	frames, bytes, gossip *rate.Limiter // as of conduct
	answers               *rate.Limiter // bytes of answers to their questions
}

// answerCost is the bytes that any answer counts for besides its own.
const answerCost = 8 << 10

func newStrangersPace(l Limits) strangersPace {
	pace := func(most, burst int) *rate.Limiter {
		return rate.NewLimiter(rate.Limit(max(1, most/strangersPart)), max(1, most/strangersPart, burst))
	}
	return strangersPace{
		frames: pace(l.FrameRate, 0), bytes: pace(l.ByteRate, MaxFrame), gossip: pace(l.ByteRate, MaxGossip),
		answers: pace(strangersPart*l.ByteRate, MaxResponse), // a newcomer fetches the whole chain
	}
}

func (h *Host) standingOf(id peer.ID) standing {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.standing(id)
}

// standing is standingOf for who holds mu.
func (h *Host) standing(id peer.ID) standing {
	w := h.wanted[id]
	switch {
	case h.members[id]:
		return asMember
	case w != nil && (w.kept || w.bootstrap):
		return asKept
	}
	return asStranger
}

// Lines that strangers can have written to the log, and how often one more.
const (
	strangerLines = 256
	strangerLine  = 10 * time.Second
)

// say logs something about a peer. Strangers, of whom there is no end, fill no
// disk: what they add beyond their lines is for the debugger.
func (h *Host) say(level slog.Level, id peer.ID, what string, args ...any) {
	if h.standingOf(id) == asStranger && !h.chatter.Allow() {
		level = slog.LevelDebug
	}
	h.log.Log(context.Background(), level, what, append([]any{"peer", id}, args...)...)
}

// tally is what is in use of something, by standing. Its owner locks.
type tally [asMember + 1]int64

func (t *tally) sum() (n int64) {
	for _, used := range t {
		n += used
	}
	return n
}

// above is what is in use by a standing and those above it.
func (t *tally) above(s standing) (n int64) {
	for _, used := range t[s:] {
		n += used
	}
	return n
}

// fits reports whether n more fit for a standing.
func (t *tally) fits(s standing, n, total int64) bool {
	below := n
	for _, used := range t[:s+1] {
		below += used
	}
	return below <= s.share(total) && t.sum()+n <= total
}

// quota counts what is in use, per peer and in total, and keeps a share of it
// for those who matter.
type quota struct {
	perPeer, total int
	sure           int // that each peer but a stranger gets, whatever others hold

	mu    sync.Mutex
	used  map[peer.ID]int // guarded by mu
	tally tally           // guarded by mu
	line  []*waiter       // guarded by mu: strangers, each once, in the order in which they came
}

// waiter is a stranger that waits for a place.
type waiter struct {
	id  peer.ID
	got chan func() // what gives the place back; has room for one
}

func newQuota(perPeer, total, sure int) *quota {
	return &quota{perPeer: perPeer, total: total, sure: sure, used: map[peer.ID]int{}}
}

// take reports whether one more was free for the peer. Call give once.
func (q *quota) take(id peer.ID, s standing) (give func(), ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.place(id, s)
}

// await is take for those who can wait until ctx ends: strangers find places in
// turn, so that who asks the most does not get them all.
func (q *quota) await(ctx context.Context, id peer.ID, s standing) (give func(), ok bool) {
	q.mu.Lock()
	if s != asStranger || len(q.line) == 0 {
		give, ok = q.place(id, s)
	}
	if ok || s != asStranger || slices.ContainsFunc(q.line, func(w *waiter) bool { return w.id == id }) {
		q.mu.Unlock()
		return give, ok
	}
	w := &waiter{id, make(chan func(), 1)}
	q.line = append(q.line, w)
	q.mu.Unlock()
	select {
	case give := <-w.got:
		return give, true
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.line = slices.DeleteFunc(q.line, func(o *waiter) bool { return o == w })
	select {
	case give := <-w.got: // at the last moment
		return give, true
	default:
		return nil, false
	}
}

// serve gives free places to those who wait. The caller holds mu.
func (q *quota) serve() {
	q.line = slices.DeleteFunc(q.line, func(w *waiter) bool {
		give, ok := q.place(w.id, asStranger)
		if ok {
			w.got <- give
		}
		return ok
	})
}

// place is take for who holds mu.
func (q *quota) place(id peer.ID, s standing) (give func(), ok bool) {
	sure := s > asStranger && q.used[id] < q.sure
	if q.used[id] >= q.perPeer || !sure && !q.tally.fits(s, 1, int64(q.total)) {
		return nil, false
	}
	q.used[id]++
	q.tally[s]++
	return sync.OnceFunc(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.tally[s]--
		if q.used[id]--; q.used[id] == 0 {
			delete(q.used, id)
		}
		q.serve()
	}), true
}

// budget is the bytes of frames that have begun to arrive, and have not been
// dealt with.
type budget struct {
	perPeer, total int64

	mu    sync.Mutex
	used  map[peer.ID]int64 // guarded by mu
	tally tally             // guarded by mu
}

func newBudget(perPeer, total int) *budget {
	return &budget{perPeer: int64(perPeer), total: int64(total), used: map[peer.ID]int64{}}
}

// portion is what one stream holds of a budget. It belongs to one goroutine; nil
// is without a bound.
type portion struct {
	of   *budget
	id   peer.ID
	as   standing
	held int64
}

// take reports whether there was room for n bytes more.
func (p *portion) take(n int) bool {
	if p == nil {
		return true
	}
	b := p.of
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used[p.id]+int64(n) > b.perPeer || !b.tally.fits(p.as, int64(n), b.total) {
		return false
	}
	b.used[p.id] += int64(n)
	b.tally[p.as] += int64(n)
	p.held += int64(n)
	return true
}

// give gives back all that is held.
func (p *portion) give() {
	if p == nil || p.held == 0 {
		return
	}
	b := p.of
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tally[p.as] -= p.held
	if b.used[p.id] -= p.held; b.used[p.id] == 0 {
		delete(b.used, p.id)
	}
	p.held = 0
}
