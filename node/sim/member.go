package sim

import (
	"fmt"
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
	if p.Adversaries != nil {
		p.Observers = 1 + r.IntN(3)
		p.Joins = true
		return
	}
	sizes := []int{1, 1, 1, 1, 3, 4}
	p.Validators, p.Observers = sizes[r.IntN(len(sizes))], 2+r.IntN(3)
	p.Joins, p.Leaves = true, r.IntN(3)
}

// step is what a client does about the vote of its machine.
type step uint8

const (
	stepRegister step = iota
	stepJoin
	stepLeave
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
	for range s.plan.Leaves {
		c := s.clients[s.World.Rand.IntN(len(s.clients))]
		c.steps, c.left = append(c.steps, stepLeave), c.left+1
	}
}

// takeStep returns the action of the client's next step, and when the
// transaction ends.
func (c *client) takeStep() (chain.Action, atp.Millis) {
	next := c.steps[0]
	c.steps = c.steps[1:]
	switch next {
	case stepRegister:
		return &chain.PlatformRegister{Platform: c.platform()}, 0
	case stepLeave:
		return &chain.ValidatorLeave{}, 0
	}
	c.joins++
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
	if !c.machine.up {
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
	case account.Nonce > t.Nonce:
	case state.Tip().Time > t.Expires:
		c.nonce = t.Nonce
	case c.now() > t.Expires.Add(2*atp.Second) && c.sim.net.calm:
		c.left = 0 // nobody makes a block any more, and none needs be made
		return
	default:
		again()
		return
	}
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

// roll is what the judge knows of the members, from the events alone.
type roll struct {
	votes []int // how many decided each height
	until map[atp.ID]atp.Millis
}

// members judges how the set changes, and that a certificate has its quorum.
func (j *judge) members(f chain.Block, cert bft.CommitCert, after chain.State, receipts []chain.Receipt) {
	n, next := j.roll.votes[len(j.roll.votes)-1], after.Validators().Len()
	j.roll.votes = append(j.roll.votes, next)
	if n != next {
		j.seen[fmt.Sprintf("%d → %d", n, next)]++
	}
	if q := quorumOf(n); cert.Signers.Count() < q || len(cert.Signatures) < q {
		j.fail("A1: height %d: %d of %d validators signed, want %d", cert.Height, cert.Signers.Count(), n, q)
	}
	if next == 0 || next == 2 && n != 2 {
		j.fail("height %d: of %d validators %d are left", cert.Height, n, next)
	}
	for _, r := range receipts {
		for _, e := range r.Events {
			switch e := e.Fact.(type) {
			case *chain.ValidatorCandidate:
				j.roll.until[e.ID] = e.Until
			case *chain.ValidatorJoined:
				if until := j.roll.until[e.ID]; until < f.Header.Time {
					j.fail("height %d: a candidate until %d enters at %d", cert.Height, until, f.Header.Time)
				}
			}
		}
	}
}

// quorumOf is ⌈(n+f+1)/2⌉, counted up.
func quorumOf(n int) (q int) {
	f := 0
	for 3*(f+1)+1 <= n {
		f++
	}
	for 2*q < n+f+1 {
		q++
	}
	return q
}

// held returns the bonds of all who have a vote, or wait for one.
func held(s chain.State) (sum atp.Amount, err error) {
	err = s.EachCandidate(func(_ atp.ID, c chain.Candidate) error {
		sum += c.Bond
		return nil
	})
	for _, id := range s.Validators().IDs() {
		v, _, e := s.Validator(atp.ID(id))
		if e != nil {
			return 0, e
		}
		sum += v.Bond
	}
	return sum, err
}
