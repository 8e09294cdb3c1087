package sim

import (
	"slices"

	"github.com/sage-p2p/sage-p2p/node/replica"
)

// stages is how many steps it takes to carry out an Output. A disk that is slow
// stalls the machine between two of them.
const stages = 7

// carry does one stage of an Output: they are in the order of its effects.
func (m *machine) carry(stage int, out *replica.Output) error {
	switch stage {
	case 0:
		return m.spread(out)
	case 1:
		return m.silence(out)
	case 2:
		return m.commit(out.Persist.Final)
	case 3:
		return m.prepare(out)
	case 4:
		return m.complete(out)
	case 5:
		return m.speak(out)
	}
	return m.tell(out)
}

// feed gives the replica an input, and does what it asks for.
func (m *machine) feed(in replica.Input) {
	m.inbox.last(in)
	m.work()
}

// inbox is inputs in the order in which they are taken. It keeps its memory.
type inbox struct {
	list  []replica.Input
	taken int // of list
}

func (b *inbox) len() int { return len(b.list) - b.taken }

func (b *inbox) last(in replica.Input) { b.list = append(b.list, in) }

// first puts an input before all others.
func (b *inbox) first(in replica.Input) {
	if b.taken > 0 {
		b.taken--
		b.list[b.taken] = in
		return
	}
	b.list = slices.Insert(b.list, 0, in)
}

func (b *inbox) take() replica.Input {
	in := b.list[b.taken]
	b.list[b.taken] = nil
	b.taken++
	if b.taken == len(b.list) {
		b.list, b.taken = b.list[:0], 0
	}
	return in
}

// work takes one input after the other, and carries out all effects of one before
// the next. Whatever ends the machine does it between any two.
func (m *machine) work() {
	if m.busy || m.stalled {
		return
	}
	m.busy = true
	for m.up && !m.stalled && (m.stage < stages || m.inbox.len() > 0) {
		if err := m.next(); err != nil {
			m.fail(err)
		}
		m.stall()
	}
	m.busy = false
}

// next takes a step: a stage of the last Output, or an input.
func (m *machine) next() error {
	if m.stage < stages {
		m.stage++
		return m.carry(m.stage-1, &m.out)
	}
	in := m.inbox.take()
	m.sim.trace.input(m, in)
	out, err := m.replica.Step(m.clock(), in)
	if err == nil {
		m.out, m.stage = out, 0
	}
	return err
}

// stall has the machine wait for its disk, and, after each input, for its
// processor. Nothing comes between a machine on an old image and the one that knows.
func (m *machine) stall() {
	d := m.disk.lag
	m.disk.lag = 0
	if m.stage == stages {
		d += m.slow
	}
	if d == 0 || !m.up || m.sim.bound(m) {
		return
	}
	m.stalled = true
	m.later(d, func() {
		m.stalled = false
		m.work()
	})
}

// pass is a boundary: whatever is planned for it happens.
func (m *machine) pass(p place) error { return m.disk.fuse.burn(p) }

// spread does what waits for nothing to be durable.
func (m *machine) spread(out *replica.Output) error {
	for _, g := range out.Gossip {
		if err := m.pass(atGossip); err != nil {
			return err
		}
		m.sim.net.gossip(m, g)
	}
	for _, j := range out.Verify {
		if err := m.pass(atVerify); err != nil {
			return err
		}
		m.verify(j)
	}
	return nil
}

// silence begins or ends the silence of a key.
func (m *machine) silence(out *replica.Output) error {
	if why := out.Persist.Mute; why != "" {
		if err := m.signer.Silence(why); err != nil {
			return err
		}
		if err := m.pass(atMute); err != nil { // the file is not there yet
			return err
		}
		m.mute = why
		m.sim.judge.muted(m)
	}
	above := out.Persist.Return
	if above == 0 {
		return nil
	}
	if err := m.pass(atReturn); err != nil {
		return err
	}
	if err := m.signer.Return(above); err != nil {
		return err
	}
	m.mute = ""
	if m.correct() {
		m.sim.judge.seen[seenReturn]++
		m.sim.happens(m, "is back: it signs again, from height %d on", above)
		m.sim.judge.amid(seenReturnAmid)
		m.sim.judge.later(m, seenReturnLater)
		m.trap(atEnd) // is it on the disk?
	}
	return nil
}

// prepare makes durable the first of what has to be, and complete the second:
// bodies and the signer's record are written side by side, and either may be first.
func (m *machine) prepare(out *replica.Output) error {
	if m.signed = m.sim.World.Chance(50); m.signed {
		return m.sign(out.Sign)
	}
	return m.put(out.Persist)
}

func (m *machine) complete(out *replica.Output) error {
	if m.signed {
		return m.put(out.Persist)
	}
	return m.sign(out.Sign)
}

// speak sends what may be said now.
func (m *machine) speak(out *replica.Output) error {
	for _, e := range out.Send {
		for _, to := range e.To {
			if err := m.pass(atSend); err != nil {
				return err
			}
			m.sim.judge.leaves(m, e.Message)
			m.sim.net.send(m, to, e.Message)
		}
	}
	return nil
}

// tell arms timers, asks, answers, and publishes.
func (m *machine) tell(out *replica.Output) error {
	for _, t := range out.Timers {
		if err := m.pass(atTimer); err != nil {
			return err
		}
		m.arm(t)
	}
	for _, f := range out.Fetch {
		if err := m.pass(atFetch); err != nil {
			return err
		}
		m.sim.net.fetch(m, f)
	}
	for _, a := range out.Answers {
		if err := m.pass(atAnswer); err != nil {
			return err
		}
		if answer := m.asked[a.Request]; answer != nil {
			delete(m.asked, a.Request)
			answer(a)
		}
	}
	if m.store.damaged { // what is published is read
		return errSpoilt
	}
	if err := m.pass(atPublish); err != nil {
		return err
	}
	m.publish(out.Publish)
	return m.pass(atEnd)
}
