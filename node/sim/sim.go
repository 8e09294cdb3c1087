package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// Sim is one schedule while it runs.
type Sim struct {
	World    *World
	machines []*machine

	plan    Plan
	cast    *Cast
	net     *network
	judge   *judge
	clients []*client
	trace   trace
}

// Result is what a schedule came to.
type Result struct {
	Trace  uint64     // a hash of everything that happened, in order
	Height bft.Height // that everyone reached
	Events int
	Seen   map[string]int // what it has shown, and how often
	Err    error          // what was violated, nil if nothing was
}

// Patience of the end of a schedule.
const (
	settleTime = 300 * atp.Second // after the faults, for everything to become final
	quietTime  = 180 * atp.Second // after that, for silence
)

// New returns a schedule that has not begun. cast has the platforms of
// the plan.
func New(seed uint64, p Plan, cast *Cast) (*Sim, error) {
	s := &Sim{World: NewWorld(seed, epoch+1000), plan: p, cast: cast}
	s.net, s.judge = newNetwork(s), newJudge(s)
	s.trace.reset()
	for i := range p.Machines() {
		m, err := newMachine(s, i)
		if err != nil {
			return nil, err
		}
		m.skew = s.World.Rand.Int64N(2*p.Skew+1) - p.Skew
		if b := p.Adversaries[i]; b != nil {
			m.behaviour = b()
		}
		s.machines = append(s.machines, m)
		s.clients = append(s.clients, newClient(s, m))
	}
	return s, nil
}

// machine returns the machine of a platform.
func (s *Sim) machine(id bft.ID) *machine {
	for _, m := range s.machines {
		if m.id() == id {
			return m
		}
	}
	return nil
}

// Run plays the schedule to its end, or to the first violation.
func (s *Sim) Run() Result {
	s.begin()
	faults := s.World.Now().Add(s.plan.Faults)
	s.until(faults, func() bool { return false })
	s.heal()
	s.until(s.World.Now().Add(settleTime), s.judge.settled)
	s.judge.mustSettle()
	s.until(s.World.Now().Add(quietTime), s.World.Idle)
	s.judge.mustBeQuiet()
	return Result{s.trace.sum, s.judge.top(), s.trace.events, s.judge.seen, s.judge.err}
}

// until runs events while nothing is violated, to the given time or until done.
func (s *Sim) until(end atp.Millis, done func() bool) {
	for s.judge.err == nil && !done() && s.World.Next(end) {
		s.trace.events++
	}
}

// begin boots everyone and schedules the faults and the clients.
func (s *Sim) begin() {
	w := s.World
	for i, m := range s.machines {
		if i < s.plan.Validators || i < len(s.machines)-1 {
			w.After(w.Between(0, 50), m.boot1)
		}
	}
	for range s.plan.Crashes {
		m := s.machines[w.Rand.IntN(len(s.machines))]
		w.After(w.Between(1, s.plan.Faults), func() { s.cutPower(m) })
	}
	for range s.plan.Partitions {
		w.After(w.Between(1, s.plan.Faults), s.divide)
	}
	for range s.plan.Submissions {
		s.clients[w.Rand.IntN(len(s.clients))].left++
	}
	s.enroll()
	for _, c := range s.clients {
		c.schedule()
	}
}

// boot1 starts a machine that is not up, and the others find out.
func (m *machine) boot1() {
	if m.up {
		return
	}
	m.start()
	m.sim.net.settle(1, 50)
}

// cutPower ends a machine between two of its next effects, and boots it again
// some time later.
func (s *Sim) cutPower(m *machine) {
	if m.up {
		m.fuse = fuse(1 + s.World.Rand.IntN(30))
	}
	s.World.After(s.World.Between(50, 3_000), func() { s.restart(m) })
}

// restart boots a machine again, if it has crashed.
func (s *Sim) restart(m *machine) {
	m.fuse = -1
	m.boot1()
}

// divide splits the machines into sides for a while.
func (s *Sim) divide() {
	w := s.World
	for i := range s.net.sides {
		s.net.sides[i] = w.Rand.IntN(2)
	}
	if s.plan.Told {
		s.net.settle(50, 500)
	}
	w.After(w.Between(100, 5_000), func() {
		clear(s.net.sides)
		s.net.settle(1, 200)
	})
}

// heal ends all faults: what is down boots, what is apart meets.
func (s *Sim) heal() {
	s.net.calm = true
	clear(s.net.sides)
	for _, m := range s.machines {
		s.restart(m)
	}
	s.net.renew(1, 200)
}

// Theatre runs schedules, one after the other. It keeps the casts, which are
// the same for all seeds with so many machines.
type Theatre struct {
	Tell  func(string) // if set, is given every input of every machine in words
	casts map[casting]*Cast
}

type casting struct {
	validators, observers int
	real                  bool
}

// Schedule runs one seed.
func (t *Theatre) Schedule(seed uint64) Result {
	return t.Play(seed, DrawPlan(rand.New(rand.NewPCG(seed, 0x9a7))))
}

// Grow runs one seed in which the set of validators changes.
func (t *Theatre) Grow(seed uint64) Result {
	r := rand.New(rand.NewPCG(seed, 0x9a8))
	p := DrawPlan(r)
	if !p.Joins {
		p.grow(r)
	}
	return t.Play(seed, p)
}

// Play runs one seed with a plan.
func (t *Theatre) Play(seed uint64, p Plan) Result {
	s, err := t.stage(seed, p)
	if err != nil {
		return Result{Err: err}
	}
	r := s.Run()
	if r.Err != nil {
		r.Err = fmt.Errorf("seed %d: %w", seed, r.Err)
	}
	return r
}

func (t *Theatre) stage(seed uint64, p Plan) (*Sim, error) {
	c := casting{p.Validators, p.Observers, p.Real}
	if t.casts[c] == nil {
		cast, err := NewCast(p.Validators, p.Observers, p.Real)
		if err != nil {
			return nil, err
		}
		if t.casts == nil {
			t.casts = make(map[casting]*Cast)
		}
		t.casts[c] = cast
	}
	s, err := New(seed, p, t.casts[c])
	if err == nil {
		s.trace.tell = t.Tell
	}
	return s, err
}
