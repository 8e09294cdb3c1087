package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// Sim is one schedule while it runs.
type Sim struct {
	World    *World
	machines []*machine
	twins    []*machine // the second machines of those that have two

	plan    Plan
	cast    *Cast
	net     *network
	judge   *judge
	clients []*client
	cures   []func()   // what ends the faults that have struck
	disks   *rand.Rand // of its own: how they fail, and what is drawn at a start
	trace   trace
	story   func(Line) // if set, is told what happens
	history *History   // if set, what clients saw
}

// Result is what a schedule came to.
type Result struct {
	Trace    uint64     // a hash of everything that happened, in order
	Height   bft.Height // that everyone reached
	Events   int
	Recovery atp.Span       // from when the faults stopped until everything was final everywhere
	Seen     map[string]int // what it has shown, and how often
	History  *History       // what clients saw, if the theatre keeps it
	Err      error          // what was violated, nil if nothing was
}

// opening is when a schedule begins, a second after the genesis.
const opening = epoch + 1_000

// Patience of the end of a schedule.
const (
	settleTime = 300 * atp.Second // after the faults, for everything to become final
	quietTime  = 180 * atp.Second // after that, for silence
)

// New returns a schedule that has not begun. cast has the platforms of
// the plan.
func New(seed uint64, p Plan, cast *Cast) (*Sim, error) {
	s := &Sim{World: NewWorld(seed, opening), plan: p, cast: cast}
	s.disks = rand.New(rand.NewPCG(seed, 0xd15c))
	s.net, s.judge = newNetwork(s, seed), newJudge(s)
	s.trace.reset()
	for i := range p.Machines() {
		m, err := newMachine(s, i)
		if err != nil {
			return nil, err
		}
		m.skew = s.World.Rand.Int64N(2*p.Skew+1) - p.Skew // which is how NTP leaves it
		if b := p.Adversaries[i]; b != nil {
			m.behaviour = b()
		}
		s.machines = append(s.machines, m)
		s.clients = append(s.clients, newClient(s, m, seed))
	}
	return s, nil
}

// machine returns the machine of a platform, by the key that it has or one that it
// had.
func (s *Sim) machine(id bft.ID) *machine {
	for _, m := range s.machines {
		if m.id() == id || m.had(id) {
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
	s.judge.healed()
	s.until(s.World.Now().Add(settleTime), s.judge.settled)
	s.judge.mustSettle()
	s.happens(nil, "everything is final everywhere, at height %d", s.judge.top())
	s.quieten()
	s.judge.mustBeQuiet()
	s.history.close(s)
	if s.judge.err != nil {
		s.line(nil, Line{Verdict: true}, "BROKEN: %v", s.judge.err)
	} else {
		s.line(nil, Line{Verdict: true}, "nothing more happens")
	}
	return Result{
		Trace: s.trace.sum, Height: s.judge.top(), Events: s.trace.events, Recovery: s.judge.recovery.took,
		Seen: s.judge.table(), History: s.history, Err: s.judge.err,
	}
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
	for _, kind := range s.plan.kinds() {
		s.judge.seen[kind]++
	}
	for i, m := range s.machines {
		if i < s.plan.Validators || i < len(s.machines)-1 {
			w.After(w.Between(0, 50), m.boot1)
		}
	}
	for _, f := range s.plan.Script {
		s.backUp(f)
		w.After(f.At, func() { s.strike(f) })
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
	if m.up || m.gone {
		return
	}
	m.start()
	m.sim.greet(m)
	m.sim.net.settle(1, 50)
}

// restart boots a machine again, if it has ended or cannot read its store.
func (s *Sim) restart(m *machine) {
	m.disk.fuse.err = nil
	if m.up && !m.reads() {
		m.end("finds its store spoilt")
	}
	m.boot1()
}

// heal ends all faults: what is down boots, what is apart meets.
func (s *Sim) heal() {
	s.goesWrong(nil, "the faults stop: what is down boots, what is apart meets")
	s.net.calm = true
	for _, end := range s.cures {
		end()
	}
	for _, m := range s.machines {
		s.restart(m)
	}
	s.net.renew(1, 200)
}

// quieten waits for silence. Adversaries may keep each other talking for ever, and
// everyone who answers them: if it goes on, they are turned off, and all that goes on
// after that is the correct machines' own doing. These are not told that they are gone:
// a peer that says nothing is no reason to talk.
func (s *Sim) quieten() {
	s.until(s.World.Now().Add(quietTime), s.World.Idle)
	if s.judge.err != nil || s.World.Idle() || len(s.plan.Adversaries) == 0 {
		return
	}
	s.happens(nil, "the adversaries are turned off")
	s.judge.seen[seenTurnedOff]++
	for _, m := range slices.Concat(s.machines, s.twins) {
		if !m.correct() {
			m.up, m.gone = false, true
			s.clients[m.index].left, s.clients[m.index].pending = 0, nil
		}
	}
	s.net.talk = 0
	s.until(s.World.Now().Add(quietTime), s.World.Idle)
}

// Theatre runs schedules, one after the other. It keeps the casts, which are
// the same for all seeds with so many machines.
type Theatre struct {
	Tell  func(string) // if set, is given every input of every machine in words
	Story func(Line)   // if set, is told what happens, for a reader
	Keeps bool         // results have the history of the clients
	casts map[casting]*Cast
}

type casting struct {
	validators, observers int
	real, vote            bool
}

// Schedule runs one seed.
func (t *Theatre) Schedule(seed uint64) Result {
	return t.Play(seed, PlanOf(seed))
}

// PlanOf returns the plan of a seed.
func PlanOf(seed uint64) Plan { return DrawPlan(draws(seed)) }

// draws is where the plan of a seed comes from.
func draws(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x9a7)) }

// Grow runs one seed in which the set of validators changes.
func (t *Theatre) Grow(seed uint64) Result {
	return t.Play(seed, drawGrowth(rand.New(rand.NewPCG(seed, 0x9a8))))
}

// Restore runs one seed in which disks are put back to older images.
func (t *Theatre) Restore(seed uint64) Result {
	return t.Play(seed, drawRestored(rand.New(rand.NewPCG(seed, 0x9a9))))
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
	c := casting{p.Validators, p.Observers, p.Real, p.Votes}
	if t.casts[c] == nil {
		cast, err := NewCast(p.Validators, p.Observers, p.Real, p.Votes)
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
		s.trace.tell, s.story = t.Tell, t.Story
		if t.Keeps {
			s.history = newHistory(s)
		}
	}
	return s, err
}
