package mempool

import (
	"cmp"
	"container/heap"

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
// out nobody who has one.
func (p *Pool) Select(at atp.Millis) []chain.VerifiedTx {
	var senders line
	for _, q := range p.senders { // the heap has a total order
		if ready := q.ready(at); len(ready) > 0 {
			senders = append(senders, turns{ready: ready})
		}
	}
	heap.Init(&senders)
	limits := p.state.Params().Limits
	var selected []chain.VerifiedTx
	var bytes, ops uint64
	for len(senders) > 0 && uint64(len(selected)) < limits.Txs {
		next := &senders[0]
		e := next.ready[0]
		size, n := uint64(e.size), uint64(len(e.tx.Tx().Ops))
		if bytes+size > limits.BodyBytes || ops+n > limits.Ops {
			heap.Pop(&senders) // the sender's next ones must wait for this one
			continue
		}
		selected = append(selected, e.tx)
		bytes, ops = bytes+size, ops+n
		next.ready, next.taken = next.ready[1:], next.taken+1
		if len(next.ready) == 0 {
			heap.Pop(&senders)
		} else {
			heap.Fix(&senders, 0)
		}
	}
	return selected
}

// turns is what is ready of a sender, and how much of it is in the block.
type turns struct {
	ready []*entry
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
