package sim

import (
	"reflect"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// Behaviour is the one decision in which an adversary departs from the correct
// machine that it embeds.
type Behaviour interface {
	// Send returns what goes to one machine in place of m.
	Send(from, to *machine, m bft.Message) []bft.Message
	// Hear is told every message that arrives, before the replica is.
	Hear(at, from *machine, m bft.Message)
	// Serve returns what is answered in place of answer, if anything is.
	Serve(at *machine, w replica.Want, answer replica.Fetched) (replica.Fetched, bool)
	// Acts is how often it has departed.
	Acts() int
}

// honest is the part that an adversary does not override, and the count of its
// acts.
type honest struct{ acts int }

func (*honest) Send(_, _ *machine, m bft.Message) []bft.Message { return []bft.Message{m} }
func (*honest) Hear(_, _ *machine, _ bft.Message)               {}

func (*honest) Serve(_ *machine, _ replica.Want, answer replica.Fetched) (replica.Fetched, bool) {
	return answer, true
}

// Acts implements [Behaviour].
func (h *honest) Acts() int { return h.acts }

// act counts a departure of a machine, and tells of it.
func (h *honest) act(m *machine, format string, args ...any) {
	h.acts++
	m.sim.lies(m, format, args...)
}

// acted counts so many departures at once, of which many are alike, and tells of
// them.
func (h *honest) acted(m *machine, times int, format string, args ...any) {
	h.acts += times
	m.sim.liesOften(m, format, args...)
}

// role is a behaviour by its name.
type role struct {
	name string
	make func() Behaviour
}

// roles are all adversaries. Those of one call that collude do so with each other.
func roles() []role {
	shared := new(conspiracy)
	return []role{
		{"silent", func() Behaviour { return new(silent) }},
		{"equivocating leader", func() Behaviour { return new(equivocator) }},
		{"double voter", func() Behaviour { return new(doubleVoter) }},
		{"amnesiac", func() Behaviour { return new(amnesiac) }},
		{"stale-certificate leader", func() Behaviour { return new(staleProposer) }},
		{"certificate withholder", func() Behaviour { return new(withholder) }},
		{"selective delivery", func() Behaviour { return new(selective) }},
		{"view jumper", func() Behaviour { return new(viewJumper) }},
		{"duplicate-signer certificate", func() Behaviour { return new(duplicator) }},
		{"certificate transplant", func() Behaviour { return new(transplanter) }},
		{"wrong state root", func() Behaviour { return new(forger) }},
		{"time pusher and backdater", func() Behaviour { return new(timePusher) }},
		{"timeout spammer", func() Behaviour { return new(timeoutSpammer) }},
		{"highQC liar", func() Behaviour { return new(highLiar) }},
		{"invalid-transaction packer", func() Behaviour { return new(packer) }},
		{"oversize block", func() Behaviour { return new(oversizer) }},
		{"replayer", func() Behaviour { return new(replayer) }},
		{"slow-drip leader", func() Behaviour { return new(slowLeader) }},
		{"sync liar", func() Behaviour { return new(liar) }},
		{"malformed flooder", func() Behaviour { return new(flooder) }},
		{"random bytes", func() Behaviour { return new(noise) }},
		{"colluders", func() Behaviour { return &colluder{ring: shared} }},
		{"key twin", func() Behaviour { return new(keyTwin) }},
		{"censor", func() Behaviour { return new(censor) }},
	}
}

// behaviours are all adversaries.
func behaviours() []func() Behaviour {
	var list []func() Behaviour
	for _, r := range roles() {
		list = append(list, r.make)
	}
	return list
}

// roleNames are the names of all adversaries.
func roleNames() (list []string) {
	for _, r := range roles() {
		list = append(list, r.name)
	}
	return list
}

// nameOf is what a behaviour is called, in the tests, scripts and summaries alike.
func nameOf(b Behaviour) string {
	if b, ok := b.(*both); ok {
		return nameOf(b.first) + "+" + nameOf(b.second)
	}
	for _, r := range roles() {
		if reflect.TypeOf(r.make()) == reflect.TypeOf(b) {
			return r.name
		}
	}
	return "half of a key twin" // which is no role of its own
}

// say makes a message of a statement, whatever the record says of it.
func (m *machine) say(u bft.Unsigned) bft.Message {
	return u.Message(m.id(), m.key.Sign(u.SignedBytes(m.sim.cast.Genesis)))
}

// shout sends a message to everyone else.
func (m *machine) shout(message bft.Message) {
	for _, to := range m.sim.machines {
		if to != m {
			m.sim.net.pass(m, to, message)
		}
	}
}

func vote(k bft.Kind, like bft.Position, block cid.Cid) bft.Unsigned {
	return bft.Unsigned{Statement: bft.Statement{Kind: k, Height: like.Height, View: like.View, Block: block, HighView: bft.NoView}}
}

// timeout is the Timeout of a view; qc may be nil.
func timeout(h bft.Height, v bft.View, qc *bft.QC) bft.Unsigned {
	u := vote(bft.KindTimeout, bft.Position{Height: h, View: v}, cid.Undef)
	if u.QC = qc; qc != nil {
		u.HighView = qc.View
	}
	return u
}

// spot is the place of a message whatever its kind.
func spot(m bft.Message) bft.Position {
	at := m.Position()
	at.Kind = 0
	return at
}

// free returns the body of a proposal if its leader had a free choice and its
// replica stands where it would be judged.
func free(from *machine, p *bft.Proposal) (chain.Block, bool) {
	if p.TC != nil && p.TC.QC != nil || from.replica.Height() != p.Height {
		return chain.Block{}, false
	}
	b, ok := from.store.bodies[p.Block]
	if !ok {
		return chain.Block{}, false
	}
	return *b, true
}

// repropose returns a proposal in the place of p for another block, with the
// block's body on the proposer's disk. It is nil if the block has no encoding.
func repropose(from *machine, p *bft.Proposal, block chain.Block, tc *bft.TC) *bft.Proposal {
	id, err := block.Header.ID()
	if err != nil {
		return nil
	}
	from.store.bodies[id] = &block
	return promise(from, p, block.Outline(), tc)
}

// promise proposes what an outline says, whether or not there is such a block.
func promise(from *machine, p *bft.Proposal, o chain.Outline, tc *bft.TC) *bft.Proposal {
	id, err := o.Header.ID()
	if err != nil {
		return nil
	}
	payload, err := o.Encode()
	if err != nil {
		return nil
	}
	u := vote(bft.KindProposal, p.Position(), id)
	u.TC, u.Payload = tc, payload
	made, _ := from.say(u).(*bft.Proposal)
	return made
}

// ownBlock proposes a fresh block of the proposer's in the place of p, with tc as
// its excuse. It is nil if there is none.
func ownBlock(from *machine, p *bft.Proposal, tc *bft.TC) *bft.Proposal {
	old, ok := from.store.bodies[p.Block]
	if !ok || from.replica.Height() != p.Height {
		return nil
	}
	h := old.Header
	h.Proposer, h.Time = from.id(), max(from.clock(), from.replica.State().Tip().Time+1)
	h.BeaconProof = from.key.ProveBeacon(from.replica.State().Beacon(), p.Height)
	block, _, err := chain.Assemble(from.replica.State(), h, old.Txs)
	if err != nil {
		return nil
	}
	return repropose(from, p, block, tc)
}

// drafts are the proposals that an adversary makes in place of its replica's, one
// for each place, so that everyone is shown the same; without one where it makes none.
type drafts map[bft.Position]draft

// draft is a proposal, nil for none, and what is wrong with it.
type draft struct {
	made *bft.Proposal
	how  string
}

// speak returns what goes out in place of m: for a Proposal the one that other makes
// of it, for a vote of that view one for the same block. The COMMIT for it, which the
// replica has no reason for, follows at once.
func (d *drafts) speak(from *machine, m bft.Message, by *honest, other func(*bft.Proposal) draft) []bft.Message {
	if v, ok := m.(*bft.Vote); ok {
		if made := (*d)[spot(m)].made; made != nil {
			from.sim.lies(from, "sends that %v for its own block %s instead", v.Kind, short(made.Block.KeyString()))
			return []bft.Message{from.say(vote(v.Kind, spot(m), made.Block))}
		}
	}
	p, ok := m.(*bft.Proposal)
	if !ok {
		return []bft.Message{m}
	}
	one, known := (*d)[spot(m)]
	if !known {
		if *d == nil {
			*d = make(drafts)
		}
		one = other(p)
		if (*d)[spot(m)] = one; one.made != nil {
			from.shout(from.say(vote(bft.KindCommit, spot(m), one.made.Block)))
		}
	}
	if one.made == nil {
		return []bft.Message{m}
	}
	by.act(from, "proposes block %s instead, %s", short(one.made.Block.KeyString()), one.how)
	return []bft.Message{one.made}
}
