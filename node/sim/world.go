package sim

import (
	"container/heap"
	"math/rand/v2"

	"github.com/sage-p2p/sage-p2p/atp"
)

// World is a queue of things that will happen. Two worlds made from the same
// seed and given the same events run identically, on any machine.
type World struct {
	Rand *rand.Rand // the only source of randomness

	now   atp.Millis
	seq   uint64 // breaks ties, so that order never depends on the heap
	queue queue
}

// NewWorld returns an empty world at the time start.
func NewWorld(seed uint64, start atp.Millis) *World {
	return &World{Rand: rand.New(rand.NewPCG(seed, 0x5a6e)), now: start}
}

// Now is the world's time. The clocks of machines may disagree with it.
func (w *World) Now() atp.Millis { return w.now }

// After schedules run for when d has passed.
func (w *World) After(d atp.Span, run func()) {
	w.seq++
	heap.Push(&w.queue, event{at: w.now.Add(d), seq: w.seq, run: run})
}

// Next runs the next event and reports whether there was one at or before
// until. When there was none the time is until.
func (w *World) Next(until atp.Millis) bool {
	if len(w.queue) == 0 || w.queue[0].at > until {
		w.now = max(w.now, until)
		return false
	}
	e := heap.Pop(&w.queue).(event)
	w.now = e.at
	e.run()
	return true
}

// Idle reports whether nothing at all is going to happen.
func (w *World) Idle() bool { return len(w.queue) == 0 }

// Chance is true with probability p percent.
func (w *World) Chance(p int) bool { return w.Rand.IntN(100) < p }

// Between draws a duration from lo to hi, both included.
func (w *World) Between(lo, hi atp.Span) atp.Span {
	return lo + atp.Span(w.Rand.Uint64N(uint64(hi-lo)+1))
}

type event struct {
	at  atp.Millis
	seq uint64
	run func()
}

// queue is a heap ordered by (time, sequence).
type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	old := *q
	n := len(old) - 1
	e := old[n]
	old[n] = event{}
	*q = old[:n]
	return e
}
