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
// sender in the order of its nonces, of all the best paid first, then those
// that came first, as much as the genesis lets a block hold.
func (p *Pool) Select(at atp.Millis) []chain.VerifiedTx {
	var heads line
	for _, q := range p.senders { // the heap has a total order
		if ready := q.ready(at); len(ready) > 0 {
			heads = append(heads, ready)
		}
	}
	heap.Init(&heads)
	limits := p.state.Params().Limits
	var selected []chain.VerifiedTx
	var bytes, ops uint64
	for len(heads) > 0 && uint64(len(selected)) < limits.Txs {
		e := heads[0][0]
		size, n := uint64(e.size), uint64(len(e.tx.Tx().Ops))
		if bytes+size > limits.BodyBytes || ops+n > limits.Ops {
			heap.Pop(&heads) // the sender's next ones must wait for this one
			continue
		}
		selected = append(selected, e.tx)
		bytes, ops = bytes+size, ops+n
		if heads[0] = heads[0][1:]; len(heads[0]) == 0 {
			heap.Pop(&heads)
		} else {
			heap.Fix(&heads, 0)
		}
	}
	return selected
}

// line is what is ready of each sender; the first of the first goes next.
type line [][]*entry

func (l line) Len() int { return len(l) }

func (l line) Less(i, j int) bool {
	a, b := l[i][0], l[j][0]
	return cmp.Or(cmp.Compare(b.rate, a.rate), cmp.Compare(a.arrival, b.arrival)) < 0
}

func (l line) Swap(i, j int) { l[i], l[j] = l[j], l[i] }

// Push implements heap.Interface.
func (l *line) Push(x any) { *l = append(*l, x.([]*entry)) }

// Pop implements heap.Interface.
func (l *line) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}
