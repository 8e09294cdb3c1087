package sim

import (
	"math/rand/v2"
)

// failures are what may end a machine at a place, by the kind of the fault.
var failures = map[FaultKind]error{FaultCrash: errCrash, FaultKill: errKilled, FaultIO: errIO, FaultFull: errFull}

// seenEnds is what the summary calls an end, before the place.
var seenEnds = map[error]string{
	errCrash: "power fails at ", errKilled: "killed at ", errIO: "the disk fails at ", errFull: "the disk is full at ",
}

// light has a failure come to a machine. Of the two that nothing comes between, the
// one that knows better does not fail, and the other's disk does not.
func (s *Sim) light(m *machine, f Fault) {
	if !m.up || s.watches(m) || m.pending != nil && (f.Kind == FaultIO || f.Kind == FaultFull) {
		why := "an older image waits to be found out"
		if !m.up {
			why = "it is off"
		}
		s.goesWrong(m, "nothing comes of it: %s", why)
		return
	}
	at, left := place(0), int(f.By)
	if p, named := placeNamed(f.Place); named {
		at, left = p, 0
	}
	if at == atOpen && left == 0 { // it comes there when it starts
		m.end("is stopped")
		s.World.After(f.For, func() {
			if !s.net.calm && !m.up {
				m.disk.fuse.light(failures[f.Kind], at, left, f.For)
				m.boot1()
			}
		})
		return
	}
	m.disk.fuse.light(failures[f.Kind], at, left, f.For)
}

// again boots a machine that has ended, and now and then ends it while it boots.
func (s *Sim) again(m *machine) {
	w := s.World
	if s.net.calm || m.up || !w.Chance(20) {
		s.restart(m)
		return
	}
	m.disk.fuse.light(errCrash, 0, 1+w.Rand.IntN(14), w.Between(50, 1_000))
	m.boot1()
}

// trap has the power fail, now and then, the next time that a machine comes to a
// place that is rare.
func (m *machine) trap(p place) {
	chance := 30
	if p == atReturn { // most come back when the faults are over
		chance = 60
	}
	if w := m.sim.World; !m.sim.net.calm && w.Chance(chance) {
		m.disk.fuse.light(errCrash, p, 0, w.Between(50, 2_000))
	}
}

// flip turns a bit on a machine's disk: in one copy of its record, once between two
// starts, or in its store, if others have all that is in there.
func (s *Sim) flip(m *machine) {
	w := s.World
	if !m.correct() || s.bound(m) {
		why := "an older image waits to be found out"
		if !m.correct() {
			why = "it is an adversary"
		}
		s.goesWrong(m, "no bit turns: %s", why)
		return
	}
	if w.Chance(50) {
		if m.turned < m.boot {
			m.turned = m.boot
			m.file.flip(s.disks)
			s.judge.seen["a bit of a record turns"]++
			s.goesWrong(m, "a bit turns in one copy of its record")
			return
		}
		s.goesWrong(m, "no bit turns: one copy of its record is bad since it started")
		return
	}
	if len(m.store.log) == 0 {
		s.goesWrong(m, "no bit turns: its store is empty")
		return
	}
	if !s.keptElsewhere(m) {
		s.goesWrong(m, "no bit turns: the others need what is there")
		return
	}
	m.spoilt = true
	if m.store.flip(s.disks) {
		w.After(w.Between(1, 1_500), func() { // by then it is read
			if m.up && !m.reads() {
				m.fail(errSpoilt)
			}
		})
	}
	s.judge.seen["a bit of a store turns"]++
	s.goesWrong(m, "a bit turns in its store")
}

// ends counts where machines ended.
func (j *judge) ends(at place, err error) { j.seen[seenEnds[err]+at.String()]++ }

// addEnd has something of the kinds end one machine: some effects later or, so that
// the rare ones have their turn, at one place.
func (p *Plan) addEnd(r *rand.Rand, kinds ...FaultKind) {
	f := Fault{Kind: kinds[r.IntN(len(kinds))], On: p.one(r), At: p.at(r), For: spanIn(r, 50, 3_000)}
	if r.IntN(3) == 0 {
		f.By = int64(1 + r.IntN(40))
		p.add(f)
		return
	}
	at := drawPlace(r)
	for !at.happens(failures[f.Kind]) {
		at = drawPlace(r)
	}
	f.Place = at.String()
	p.add(f)
}

// seldom are places to which few machines come.
var seldom = []place{atAnswer, atAnswer, atAnswer, atAnswer, atFetch, atLocal, atLocalSync}

// drawPlace draws any place but those that are for [machine.trap].
func drawPlace(r *rand.Rand) place {
	at := place(r.IntN(int(places)))
	if r.IntN(4) == 0 || at == atMute || at == atReturn {
		at = seldom[r.IntN(len(seldom))]
	}
	return at
}

// addTroubles has disks fail or fill up.
func (p *Plan) addTroubles(r *rand.Rand) {
	for range 1 + r.IntN(3) {
		p.addEnd(r, FaultIO, FaultFull)
	}
}

func (p *Plan) addFlips(r *rand.Rand) {
	for range 1 + r.IntN(3) {
		p.add(Fault{Kind: FaultFlip, On: p.one(r), At: p.at(r)})
	}
}

func (p *Plan) addSlowDisks(r *rand.Rand) {
	p.add(Fault{Kind: FaultSlowDisk, On: p.some(r), At: p.at(r), For: spanIn(r, 500, p.Faults), By: int64(10 + r.IntN(200))})
}

// addRestores sets disks back. Nobody leaves, or is away: those who stay silent must
// not be needed.
func (p *Plan) addRestores(r *rand.Rand) {
	p.Faults += 8_000
	p.Submissions += 4
	p.Leaves, p.Away = 0, false
	for range 1 + r.IntN(4) {
		on := p.one(r)
		for range 1 + r.IntN(2) {
			p.add(Fault{Kind: FaultRestore, On: on, At: spanIn(r, p.Faults/4, p.Faults), For: spanIn(r, 50, 2_000)})
		}
	}
}

// addStorage has something of what may happen to disks happen, beside ends.
func (p *Plan) addStorage(r *rand.Rand) {
	switch r.IntN(16) {
	case 0, 1, 2, 3:
		p.addTroubles(r)
	case 4, 5:
		p.addFlips(r)
	case 6:
		p.addSlowDisks(r)
	case 7:
		p.addRestores(r)
	}
}

// allStorage has all of it happen.
func (p *Plan) allStorage(r *rand.Rand) {
	p.addRestores(r)
	p.addTroubles(r)
	p.addFlips(r)
	p.addSlowDisks(r)
}

// drawRestored draws a plan in which disks are put back to older images. Of a set
// that changes and has a liar, one more can be silent; and new keys have old images,
// too.
func drawRestored(r *rand.Rand) Plan {
	p := drawSetting(r)
	if r.IntN(12) == 0 {
		if p.grow(r); p.Adversaries != nil {
			p.Validators = max(p.Validators, 7)
		}
		p.Rotations += 3
	}
	p.drawAccess(r)
	p.drawFaults(r)
	p.addRestores(r)
	for range 4 {
		p.addCrash(r)
	}
	return p
}
