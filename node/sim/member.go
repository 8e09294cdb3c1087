package sim

import (
	"math/rand/v2"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// grow makes a plan one in which the set of validators changes while it runs:
// all observers want a vote, and some lose theirs again. With adversaries
// nobody leaves: f would fall below their number.
func (p *Plan) grow(r *rand.Rand) {
	p.Tasks = false
	p.Faults += 4_000
	p.Votes, p.Rotations = r.IntN(3) == 0, r.IntN(2)*r.IntN(4)
	if p.Adversaries != nil {
		p.Observers = 1 + r.IntN(3)
		p.Joins = true
		return
	}
	sizes := []int{1, 1, 1, 1, 3, 4}
	p.Validators, p.Observers = sizes[r.IntN(len(sizes))], 2+r.IntN(3)
	p.Joins, p.Leaves = true, r.IntN(3)
	switch r.IntN(4) {
	case 0: // as many come as seven are, and go again
		p.Validators, p.Observers, p.Leaves = 1, 4+r.IntN(3), 4+r.IntN(4)
		p.Faults += 6_000
	case 1: // one is off, and the others can spare it
		p.Validators, p.Away, p.Leaves = 4+r.IntN(3), true, 0
		p.Submissions += 16
		p.Faults += 6_000
	}
}

// brisk is a [chain.Membership] in which nobody waits long.
func brisk() chain.Membership {
	return chain.Membership{AbsentBlocks: 6, AbsentTime: 2 * atp.Second, EvidenceSpan: 1_000, BondHold: 20 * atp.Second, AdmissionSpan: 600 * atp.Second}
}

// step is what a client does about the vote of its machine.
type step uint8

const (
	stepRegister step = iota
	stepJoin
	stepLeave
	stepRotate
	stepVote // and above: for the machine stepVote stands for, and so on
)

// maxJoins bounds how often a client has its machine join: a candidacy may end
// before another candidate comes.
const maxJoins = 5

// enroll plans what the clients do about votes.
func (s *Sim) enroll() {
	if !s.plan.Joins {
		return
	}
	for _, c := range s.clients[s.plan.Validators:] {
		c.steps, c.left = append(c.steps, stepRegister, stepJoin), c.left+2
	}
	if s.plan.Votes {
		for _, c := range s.clients {
			for i := s.plan.Validators; i < len(s.machines); i++ {
				c.plan(stepVote + step(i)) // whoever has no vote then is refused
			}
		}
	}
	for range s.plan.Leaves {
		s.clients[s.World.Rand.IntN(len(s.clients))].plan(stepLeave)
	}
	for range s.plan.Rotations {
		s.clients[s.World.Rand.IntN(len(s.clients))].plan(stepRotate)
	}
	if s.plan.Away {
		s.sendAway(s.machines[s.World.Rand.IntN(s.plan.Validators)])
	}
}

// plan adds a step.
func (c *client) plan(s step) { c.steps, c.left = append(c.steps, s), c.left+1 }

// sendAway switches a validator off until the faults are over, and has it join
// again then.
func (s *Sim) sendAway(m *machine) {
	c := s.clients[m.index]
	s.World.After(s.World.Between(500, 2_000), func() {
		if m.up {
			m.crash()
		}
	})
	s.World.After(s.plan.Faults+atp.Second, func() {
		c.plan(stepRegister)
		c.plan(stepJoin)
		c.schedule()
	})
}

// takeStep returns the action of the client's next step, and when the
// transaction ends.
func (c *client) takeStep() (chain.Action, atp.Millis) {
	next := c.steps[0]
	c.steps = c.steps[1:]
	if next >= stepVote {
		return &chain.ValidatorVote{Platform: atp.ID(c.sim.machines[next-stepVote].id()), Grant: 7}, 0
	}
	switch next {
	case stepRotate:
		return c.rotation(), 0
	case stepRegister:
		return &chain.PlatformRegister{Platform: c.platform()}, 0
	case stepLeave:
		return &chain.ValidatorLeave{}, 0
	}
	c.joins, c.holds = c.joins+1, true
	return &chain.ValidatorJoin{}, c.now().Add(c.sim.World.Between(1_500, 50_000))
}

// now is the world's time, or that of the chain if clocks have taken it further.
func (c *client) now() atp.Millis {
	return max(c.sim.World.Now(), c.machine.replica.State().Tip().Time)
}

// await watches a JOIN that was taken in, until it is final or no block can hold
// it any more, and has it repeated if it did not help.
func (c *client) await(tx chain.VerifiedTx) {
	again := func() { c.sim.World.After(300, func() { c.await(tx) }) }
	if !c.machine.reads() {
		again()
		return
	}
	self, state, t := atp.ID(c.machine.id()), c.machine.replica.State(), tx.Tx()
	account, err := state.Account(self)
	if err != nil {
		c.sim.judge.fail("client %d: %v", c.machine.index, err)
		return
	}
	switch {
	case account.Nonce > t.Nonce, bft.ID(t.From) != c.machine.id(): // it may have another key by now
	case state.Tip().Time > t.Expires:
		c.nonce = t.Nonce
	case c.now() > t.Expires.Add(2*atp.Second) && c.sim.net.calm:
		c.gaveUp, c.holds = true, false // nobody makes a block any more, and none needs be made
		return
	default:
		again()
		return
	}
	c.holds = false
	_, waits, err := state.Candidate(self)
	if err != nil {
		c.sim.judge.fail("client %d: %v", c.machine.index, err)
		return
	}
	if member := state.Validators().Contains(bft.ID(self)); !member && !waits && c.joins < maxJoins {
		c.steps, c.left = append([]step{stepJoin}, c.steps...), c.left+1
	}
	c.schedule()
}
