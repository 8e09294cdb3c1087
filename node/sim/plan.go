package sim

import (
	"math/rand/v2"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Plan is what one schedule does: drawn from the seed, or written by a test.
type Plan struct {
	Validators int
	Observers  int  `json:",omitempty"` // the last of them joins when the faults are over
	Real       bool `json:",omitempty"` // Ed25519 instead of the stand-in
	Encode     bool `json:",omitempty"` // every message is encoded and decoded

	Base       atp.Span // of view timers
	Access     []Access `json:",omitempty"` // of each machine; nil: all on a LAN
	MaxDelay   atp.Span `json:",omitempty"` // of the LAN, if it is not a usual one
	Loss       int      `json:",omitempty"` // percent of messages
	Duplicates int      `json:",omitempty"` // percent
	Spikes     int      `json:",omitempty"` // percent of messages that are very late
	Skew       int64    `json:",omitempty"` // how far clocks that are right may be off, in milliseconds

	Faults atp.Span // how long faults go on
	Script []Fault  `json:",omitempty"`

	Submissions int                      `json:",omitempty"` // of all clients together
	Tasks       bool                     `json:",omitempty"` // submissions are about tasks, else transfers and locks
	Joins       bool                     `json:",omitempty"` // every observer wants a vote
	Leaves      int                      `json:",omitempty"` // LEAVEs of all clients together
	Votes       bool                     `json:",omitempty"` // who joins is voted in
	Rotations   int                      `json:",omitempty"` // KEY_ROTATEs of all clients together
	Away        bool                     `json:",omitempty"` // one validator is off while the faults go on
	Adversaries map[int]func() Behaviour `json:"-"`
}

// Machines is how many there are.
func (p Plan) Machines() int { return p.Validators + p.Observers }

// sizes of sets, and how many of a thousand schedules have them. Messages, and
// with them time, grow with the square.
var sizes = []struct{ validators, weight int }{
	{4, 641}, {1, 70}, {3, 70}, {5, 70}, {6, 40}, {7, 80}, {10, 20}, {13, 8}, {28, 1},
}

func drawSize(r *rand.Rand) int {
	n := r.IntN(1000)
	for _, s := range sizes {
		if n -= s.weight; n < 0 {
			return s.validators
		}
	}
	return sizes[0].validators
}

// DrawPlan draws a plan.
func DrawPlan(r *rand.Rand) Plan { return drawPlan(r, 24) }

// drawPlan draws a plan; in one of so many the set of validators changes: each such
// schedule costs as much as five others, and there is a test of their own for them.
func drawPlan(r *rand.Rand, growing int) Plan {
	p := drawSetting(r)
	if r.IntN(growing) == 0 {
		p.grow(r)
	}
	p.drawAccess(r)
	p.drawFaults(r)
	return p
}

// drawGrowth draws a plan in which the set of validators changes.
func drawGrowth(r *rand.Rand) Plan {
	p := drawSetting(r)
	p.grow(r)
	p.drawAccess(r)
	p.drawFaults(r)
	return p
}

// drawSetting draws everything but how machines are connected and the script.
func drawSetting(r *rand.Rand) Plan {
	p := Plan{
		Validators:  drawSize(r),
		Observers:   r.IntN(5) / 4,
		Encode:      r.IntN(10) == 0,
		Real:        r.IntN(70) == 0,
		Base:        300,
		MaxDelay:    atp.Span(5 + r.IntN(60)),
		Loss:        r.IntN(4) * r.IntN(8),
		Duplicates:  r.IntN(10),
		Spikes:      r.IntN(2) * r.IntN(10),
		Skew:        int64(r.IntN(400)),
		Faults:      atp.Span(2_000 + r.IntN(8_000)),
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
	if p.f() > 0 && r.IntN(2) == 0 {
		p.addAdversaries(r)
	}
	return p
}

// f is how many of the founding validators may be adversaries.
func (p *Plan) f() int { return (p.Validators - 1) / 3 }

func (p *Plan) addAdversaries(r *rand.Rand) {
	p.Adversaries = make(map[int]func() Behaviour)
	kinds := behaviours()
	for _, i := range r.Perm(p.Validators)[:1+r.IntN(p.f())] {
		p.Adversaries[i] = kinds[r.IntN(len(kinds))]
	}
}

// drawAccess puts machines on links of their own kind.
func (p *Plan) drawAccess(r *rand.Rand) {
	worst := []Access{LAN, LAN, LAN, LAN, LAN, WiFi, WiFi, WAN}[r.IntN(8)]
	if worst == LAN {
		return
	}
	p.Access = make([]Access, p.Machines())
	for i := range p.Access {
		if r.IntN(2) == 0 {
			p.Access[i] = worst
		}
	}
	if worst == WAN {
		p.Faults += 5_000
		if r.IntN(2) == 0 {
			p.Base = 1_800 // the driver has measured the round trip
		}
	}
}

// drawFaults writes the script of what goes wrong.
func (p *Plan) drawFaults(r *rand.Rand) {
	for range r.IntN(4) {
		p.addCrash(r)
	}
	for range r.IntN(3) {
		p.addPartition(r)
	}
	if r.IntN(6) == 0 {
		p.addClocks(r)
	}
	if r.IntN(8) == 0 {
		p.addSlow(r)
	}
	p.addStorage(r)
}

func (p *Plan) add(f Fault) { p.Script = append(p.Script, f) }

// at draws when a fault begins.
func (p *Plan) at(r *rand.Rand) atp.Span { return spanIn(r, 1, p.Faults) }

func spanIn(r *rand.Rand, lo, hi atp.Span) atp.Span { return lo + atp.Span(r.IntN(int(hi-lo)+1)) }

func (p *Plan) one(r *rand.Rand) []int { return []int{r.IntN(p.Machines())} }

// some draws up to half of the machines.
func (p *Plan) some(r *rand.Rand) []int {
	return r.Perm(p.Machines())[:1+r.IntN(max(p.Machines()/2, 1))]
}

func (p *Plan) addCrash(r *rand.Rand) {
	p.addEnd(r, FaultCrash, FaultCrash, FaultKill)
}

func (p *Plan) addPartition(r *rand.Rand) {
	kind := []FaultKind{FaultPartition, FaultPartition, FaultOneWay}[r.IntN(3)]
	if kind == FaultOneWay && r.IntN(2) == 0 {
		kind = FaultDeaf
	}
	p.add(Fault{Kind: kind, On: p.some(r), At: p.at(r), For: spanIn(r, 100, 5_000), Told: r.IntN(2) == 0})
}

// addClocks makes one clock wrong, or those of some machines, once or twice: from
// the beginning, or at a jump.
func (p *Plan) addClocks(r *rand.Rand) {
	on := p.one(r)
	if r.IntN(3) == 0 {
		on = p.some(r)
	}
	for range 1 + r.IntN(2) {
		f := Fault{Kind: FaultClock, On: on, For: p.Faults, By: p.drawClock(r, len(on))}
		if r.IntN(2) == 0 {
			f.At, f.For = p.at(r), spanIn(r, 500, p.Faults)
		}
		p.add(f)
	}
}

func (p *Plan) addSlow(r *rand.Rand) {
	p.add(Fault{Kind: FaultSlow, On: p.some(r), At: p.at(r), For: spanIn(r, 500, p.Faults), By: int64(5 + r.IntN(100))})
}

// drawClock returns how far so many clocks are off: by seconds, or by days. More
// than f are not days ahead: they could take the chain's time there, and what
// waits in a mempool for so long is dropped (M4).
func (p *Plan) drawClock(r *rand.Rand, clocks int) int64 {
	off, days := 1_500+r.Int64N(30_000), day+r.Int64N(9*day)
	behind := r.IntN(2) == 0
	if r.IntN(2) == 0 && (behind || clocks <= p.f()) {
		off = days
	}
	if behind {
		return -off
	}
	return off
}
