package sim

import "github.com/sage-p2p/sage-p2p/bft"

// colluder is one of several that share what they know. When one of them leads and
// is free, each half of the others is shown a block of its own, and all of them
// vote for both at once: for each block to the half that is to believe in it.
type colluder struct {
	equivocator
	ring *conspiracy
}

// conspiracy is what they share in one schedule.
type conspiracy struct {
	sim     *Sim
	members []*machine
	twins   map[bft.Position]*bft.Proposal
}

// join returns the members; a schedule that begins has none yet.
func (c *conspiracy) join(m *machine) {
	if c.sim == m.sim {
		return
	}
	*c = conspiracy{sim: m.sim, twins: make(map[bft.Position]*bft.Proposal)}
	for _, o := range m.sim.machines {
		for _, b := range parts(o.behaviour) {
			if b, ok := b.(*colluder); ok && b.ring == c {
				c.members = append(c.members, o)
			}
		}
	}
}

// Send implements [Behaviour].
func (c *colluder) Send(from, to *machine, m bft.Message) []bft.Message {
	c.ring.join(from)
	c.twins = c.ring.twins
	known := c.twins[spot(m)]
	list := c.equivocator.Send(from, to, m)
	if p, ok := m.(*bft.Proposal); ok && known == nil && c.twins[spot(m)] != nil {
		c.vote(from, p, c.twins[spot(m)])
	}
	return list
}

// vote has every member vote for both blocks.
func (c *colluder) vote(leader *machine, p, twin *bft.Proposal) {
	leader.sim.lies(leader, "and all who collude, %d, vote for both blocks at once: for each to those who are shown it", len(c.ring.members))
	for _, member := range c.ring.members {
		for _, to := range member.sim.machines {
			block := p.Block
			if to.index%2 == 1 {
				block = twin.Block
			}
			for _, k := range []bft.Kind{bft.KindPrepare, bft.KindCommit} {
				if to != member && to != leader && member.up {
					member.sim.net.pass(member, to, member.say(vote(k, spot(p), block)))
				}
			}
		}
	}
}
