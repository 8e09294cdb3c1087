package mempool

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
)

// queue is what waits of one sender, by nonce (M1).
type queue struct {
	id       atp.ID
	next     uint64     // the state's nonce
	funds    atp.Amount // what the state has available for fees
	stranger bool       // the state has no account of it
	holder   bool       // M6
	turn     uint64     // when its next transaction became that: the order of holders
	entries  []*entry   // at most MaxAhead
	share    uint64     // of a block, that they would take together
	victim   *entry     // leaves first (M2), and what stands behind it; nil if there is none
	gap      bool       // before the victim
	place    int        // in the pool's heap
}

// judge reports why e cannot wait here, or which entry it would replace.
func (q *queue) judge(e *entry) (old *entry, err error) {
	switch {
	case e.nonce < q.next:
		return nil, fmt.Errorf("%w: nonce of %s: have %d, want at least %d", ErrStale, q.id, e.nonce, q.next)
	case e.nonce-q.next >= MaxAhead:
		return nil, fmt.Errorf("%w: nonce of %s: have %d, want less than %d", ErrAhead, q.id, e.nonce, q.next+MaxAhead)
	case q.stranger && e.nonce != q.next:
		return nil, fmt.Errorf("%w: nonce of %s, which has no account yet: have %d, want %d", ErrAhead, q.id, e.nonce, q.next)
	}
	if i, taken := q.find(e.nonce); taken {
		old = q.entries[i]
		if e.fee < raised(old.fee) {
			return nil, fmt.Errorf("%w: fee: have %s ATP, want at least %s ATP", ErrUnderpriced, e.fee, raised(old.fee))
		}
	}
	fees := e.fee
	for _, other := range q.entries {
		if other == old {
			continue
		}
		if fees, err = fees.Add(other.fee); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFunds, err)
		}
	}
	if fees > q.funds {
		return nil, fmt.Errorf("%w: all that wait of %s: have %s ATP, want %s ATP", ErrFunds, q.id, q.funds, fees)
	}
	return old, nil
}

// raised is the least fee that replaces one of fee (M3).
func raised(fee atp.Amount) atp.Amount {
	more, err := fee.Add(max(1, atp.CeilDiv(fee, uint64(1), 10)))
	if err != nil {
		return atp.MaxAmount // more than any supply: nobody has it
	}
	return more
}

func (q *queue) find(nonce uint64) (int, bool) {
	return slices.BinarySearchFunc(q.entries, nonce, func(e *entry, n uint64) int { return cmp.Compare(e.nonce, n) })
}

func (q *queue) put(e *entry) {
	i, _ := q.find(e.nonce)
	q.entries = slices.Insert(q.entries, i, e)
	q.share += e.share
	q.findVictim()
}

func (q *queue) cut(e *entry) {
	i, _ := q.find(e.nonce)
	q.entries = slices.Delete(q.entries, i, i+1)
	q.share -= e.share
	q.findVictim()
}

func (q *queue) last() *entry { return q.entries[len(q.entries)-1] }

// connected returns how many entries have no gap before them.
func (q *queue) connected() int {
	for i, e := range q.entries {
		if e.nonce != q.next+uint64(i) {
			return i
		}
	}
	return len(q.entries)
}

// guarded returns the entry that makes room for nobody, if there is one (M6).
func (q *queue) guarded() *entry {
	if q.holder && len(q.entries) > 0 && q.entries[0].nonce == q.next && q.entries[0].modest {
		return q.entries[0]
	}
	return nil
}

// loses returns the victim or, when all that wait are guarded, the last all the
// same: that cannot be while M6 holds.
func (q *queue) loses() *entry {
	if q.victim == nil {
		return q.last()
	}
	return q.victim
}

// findVictim chooses, of what stands behind a gap or else of all but what is
// guarded, the one that pays the least, of several the last. The pool's heap must
// be told.
func (q *queue) findVictim() {
	among, n := q.entries, q.connected()
	if q.gap = n < len(among); q.gap {
		among = among[n:]
	} else if q.guarded() != nil {
		among = among[1:]
	}
	q.victim = nil
	for _, e := range slices.Backward(among) {
		if q.victim == nil || comparePay(e, q.victim) < 0 {
			q.victim = e
		}
	}
}

// done returns the entries that cannot be in a block after time at, or have
// waited too long for one (M4): of used nonces, expired, or beyond what their
// sender can pay for.
func (q *queue) done(at atp.Millis) []*entry {
	var out []*entry
	left := q.funds
	for _, e := range q.entries {
		if e.nonce < q.next || e.expires != 0 && e.expires <= at || e.leaves <= at || e.fee > left {
			out = append(out, e)
			continue
		}
		left -= e.fee
	}
	return out
}

// ready returns the entries that one block could hold, in order.
func (q *queue) ready(at atp.Millis) []*entry {
	ready := q.entries[:q.connected()]
	for i, e := range ready {
		if e.expires != 0 && e.expires < at {
			return ready[:i]
		}
	}
	return ready
}

// worst is a heap of queues that are not empty; the first loses a transaction
// before all others (M2). The order is total.
type worst []*queue

func (w worst) Len() int { return len(w) }

func (w worst) Less(i, j int) bool {
	a, b := w[i], w[j]
	switch {
	case a.gap != b.gap:
		return a.gap
	case a.victim == nil && b.victim == nil:
		return a.last().arrival > b.last().arrival
	case a.victim == nil || b.victim == nil:
		return b.victim == nil
	}
	return cmp.Or(
		comparePay(a.victim, b.victim),
		cmp.Compare(b.share, a.share),
		cmp.Compare(b.victim.arrival, a.victim.arrival),
	) < 0
}

func (w worst) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].place, w[j].place = i, j
}

// Push implements heap.Interface.
func (w *worst) Push(x any) {
	q := x.(*queue)
	q.place = len(*w)
	*w = append(*w, q)
}

// Pop implements heap.Interface.
func (w *worst) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}
