package mempool

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
)

// Ready reports whether a block at time at could hold anything of the pool.
func (p *Pool) Ready(at atp.Millis) bool {
	for _, q := range p.senders { // one is enough, whichever
		if len(q.ready(at)) > 0 {
			return true
		}
	}
	return false
}

// Select returns what a proposer should put into a block at time at: of each
// sender in the order of its nonces, of all those first that pay most for their
// share of a block, as much as the genesis lets a block hold. Senders that pay
// the same take turns, each with one transaction, so that who has many keeps
// out nobody who has one. When not all find room, a part of it goes to holders
// first, whatever they pay (M6).
func (p *Pool) Select(at atp.Millis) []chain.VerifiedTx {
	var senders line
	all := filling{limits: p.state.Params().Limits}
	for _, q := range p.senders { // the heap has a total order
		if ready := q.ready(at); len(ready) > 0 {
			senders = append(senders, turns{ready: ready, first: q.guarded(), since: q.turn})
			for _, e := range ready {
				all.add(e)
			}
		}
	}
	block := filling{limits: all.limits}
	if !all.within(1) {
		senders = block.holdersFirst(senders)
	}
	heap.Init(&senders)
	for len(senders) > 0 && block.txs < block.limits.Txs {
		next := &senders[0]
		if !block.take(next.ready[0], 1) {
			heap.Pop(&senders) // the sender's next ones must wait for this one
			continue
		}
		next.ready, next.taken = next.ready[1:], next.taken+1
		if len(next.ready) == 0 {
			heap.Pop(&senders)
		} else {
			heap.Fix(&senders, 0)
		}
	}
	return block.selected
}

// filling is a block that is being filled.
type filling struct {
	limits          chain.Limits
	selected        []chain.VerifiedTx
	txs, bytes, ops uint64
}

func (f *filling) add(e *entry) {
	f.txs, f.bytes, f.ops = f.txs+1, f.bytes+uint64(e.size), f.ops+uint64(len(e.tx.Tx().Ops))
}

// within reports whether no more than one part in so many of any limit is used.
func (f *filling) within(part uint64) bool {
	return f.txs*part <= f.limits.Txs && f.bytes*part <= f.limits.BodyBytes && f.ops*part <= f.limits.Ops
}

// take selects e if it is within a part of the block with it.
func (f *filling) take(e *entry, part uint64) bool {
	with := *f
	if with.add(e); !with.within(part) {
		return false
	}
	*f = with
	f.selected = append(f.selected, e.tx)
	return true
}

// holdersFirst fills the part of a block that is for holders with the next
// transaction of each, those first that have waited longest for their turn, and
// returns what is left of all senders.
func (f *filling) holdersFirst(senders line) line {
	slices.SortFunc(senders, func(a, b turns) int {
		return cmp.Compare(a.since, b.since) // no two are equal
	})
	var left line
	for _, s := range senders {
		if s.ready[0] == s.first && f.take(s.first, holdersPart) {
			s.ready, s.taken = s.ready[1:], 1
		}
		if len(s.ready) > 0 {
			left = append(left, s)
		}
	}
	return left
}

// turns is what is ready of a sender, and how much of it is in the block.
type turns struct {
	ready []*entry
	first *entry // what is guarded of it (M6), or nil
	since uint64 // that it is its turn
	taken int
}

// line is the senders that have something ready; the first goes next. The
// order is total.
type line []turns

func (l line) Len() int { return len(l) }

func (l line) Less(i, j int) bool {
	a, b := l[i].ready[0], l[j].ready[0]
	return cmp.Or(comparePay(b, a), cmp.Compare(l[i].taken, l[j].taken), cmp.Compare(a.arrival, b.arrival)) < 0
}

func (l line) Swap(i, j int) { l[i], l[j] = l[j], l[i] }

// Push implements heap.Interface.
func (l *line) Push(x any) { *l = append(*l, x.(turns)) }

// Pop implements heap.Interface.
func (l *line) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}
