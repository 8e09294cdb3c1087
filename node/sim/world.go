package sim

import (
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
	w.queue.push(event{at: w.now.Add(d), seq: w.seq, run: run})
}

// Next runs the next event and reports whether there was one at or before
// until. When there was none the time is until.
func (w *World) Next(until atp.Millis) bool {
	if len(w.queue) == 0 || w.queue[0].at > until {
		w.now = max(w.now, until)
		return false
	}
	e := w.queue.pop()
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

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// queue is a heap ordered by (time, sequence). It is not one of container/heap,
// which moves every event into memory of its own twice.
type queue []event

func (q *queue) push(e event) {
	list := append(*q, e)
	*q = list
	i := len(list) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(&list[up]) {
			break
		}
		list[i] = list[up]
		i = up
	}
	list[i] = e
}

// pop takes the first event out of a queue that is not empty.
func (q *queue) pop() event {
	list := *q
	first, n := list[0], len(list)-1
	last := list[n]
	list[n] = event{} // whoever holds it no longer keeps what it runs
	list = list[:n]
	*q = list
	i := 0
	for child := 1; child < n; child = 2*i + 1 {
		if child+1 < n && list[child+1].before(&list[child]) {
			child++
		}
		if !list[child].before(&last) {
			break
		}
		list[i] = list[child]
		i = child
	}
	if n > 0 {
		list[i] = last
	}
	return first
}
