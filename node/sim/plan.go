package sim

import (
	"math/rand/v2"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Plan is what one schedule does: drawn from the seed, or written by a test.
type Plan struct {
	Validators int
	Observers  int  // the last of them joins when the faults are over
	Real       bool // Ed25519 instead of the stand-in
	Encode     bool // every message is encoded and decoded

	Base       atp.Span // of view timers
	MaxDelay   atp.Span
	Loss       int // percent of messages
	Duplicates int // percent
	Spikes     int // percent of messages that are very late
	Skew       int64

	Faults     atp.Span // how long faults go on
	Crashes    int
	Partitions int
	Told       bool // partitions are noticed by the transport

	Submissions int  // of all clients together
	Tasks       bool // submissions are about tasks, else transfers and locks
	Joins       bool // every observer wants a vote
	Leaves      int  // LEAVEs of all clients together
	Adversaries map[int]func() Behaviour
}

// Machines is how many there are.
func (p Plan) Machines() int { return p.Validators + p.Observers }

// DrawPlan returns the plan of a seed.
func DrawPlan(r *rand.Rand) Plan {
	sizes := []int{4, 4, 4, 4, 4, 4, 4, 1, 3, 5, 7}
	p := Plan{
		Validators:  sizes[r.IntN(len(sizes))],
		Observers:   r.IntN(5) / 4,
		Encode:      r.IntN(10) == 0,
		Real:        r.IntN(50) == 0,
		Base:        300,
		MaxDelay:    atp.Span(5 + r.IntN(60)),
		Loss:        r.IntN(4) * r.IntN(8),
		Duplicates:  r.IntN(10),
		Spikes:      r.IntN(2) * r.IntN(10),
		Skew:        int64(r.IntN(400)),
		Faults:      atp.Span(2_000 + r.IntN(8_000)),
		Crashes:     r.IntN(4),
		Partitions:  r.IntN(3),
		Told:        r.IntN(2) == 0,
		Submissions: 1 + r.IntN(4),
		Tasks:       r.IntN(8) == 0,
	}
	if p.Tasks {
		p.Submissions += 6
	}
	if r.IntN(6) == 0 { // a storm: little gets through, and views pass
		p.Loss, p.Spikes = 20+r.IntN(50), 10
		p.Faults += 10_000
	}
	if f := (p.Validators - 1) / 3; f > 0 && r.IntN(2) == 0 {
		p.Adversaries = make(map[int]func() Behaviour)
		kinds := behaviours()
		for _, i := range r.Perm(p.Validators)[:1+r.IntN(f)] {
			p.Adversaries[i] = kinds[r.IntN(len(kinds))]
		}
	}
	if r.IntN(6) == 0 {
		p.grow(r)
	}
	return p
}
