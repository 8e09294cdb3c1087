package sim

import (
	"fmt"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// image is what a copy of a machine's disk holds.
type image struct {
	record sparse
	mute   string
	store  []entry
}

// bond is a peer that knows better than a restored disk, and will answer: the
// premise under which that is found out (A6). Nothing comes between the two until
// it is.
type bond struct {
	knows    *machine
	answered int // the boot in which a Status of it has arrived
}

// copy takes an image of the disk, as a machine that runs leaves it.
func (m *machine) copy() {
	m.images = append(m.images, image{m.file.durable.clone(), m.mute, m.store.image()})
}

// backUp has copies of the disks made that a fault will set back.
func (s *Sim) backUp(f Fault) {
	if f.Kind != FaultRestore {
		return
	}
	for _, i := range f.On {
		for range 4 {
			s.World.After(s.World.Between(1, f.At), s.machines[i].copy)
		}
	}
}

// backUpAgain has copies made of the disk of a machine that has another key, if it will
// be set back.
func (s *Sim) backUpAgain(m *machine) {
	for _, f := range s.plan.Script {
		if f.Kind == FaultRestore && slices.Contains(f.On, m.index) {
			s.World.After(s.World.Between(1, 1_000), m.copy)
		}
	}
}

// restore puts a machine's disk back to an image: the signer's part, the store's,
// or both. It is off meanwhile.
func (s *Sim) restore(m *machine, off atp.Span) {
	w := s.World
	if why := s.cannotRestore(m); why != "" {
		s.goesWrong(m, "its disk stays as it is: %s", why)
		return
	}
	if m.up {
		m.crash()
	}
	w.After(off, func() { s.restart(m) })
	img := m.images[w.Rand.IntN(len(m.images))]
	both := w.Chance(50)
	record := both || w.Chance(50)
	if !both && record {
		img.store = m.store.image()
	} else if !record {
		img.record, img.mute = m.file.durable.clone(), m.mute
	}
	before := m.store.height()
	if why := s.set(m, img); why != "" {
		s.goesWrong(m, "its disk stays as it is: %s", why)
		return
	}
	s.judge.seen["a disk is restored"]++
	s.tellRestored(m, before)
}

// cannotRestore says why a disk is not put back, "" if it may be.
func (s *Sim) cannotRestore(m *machine) string {
	switch {
	case len(m.images) == 0:
		return "there is no older image of it"
	case !m.correct():
		return "it is that of an adversary"
	case s.bound(m):
		return "an older image waits to be found out"
	}
	return ""
}

// tellRestored tells of a disk that was put back, from a height.
func (s *Sim) tellRestored(m *machine, before bft.Height) {
	text := "and its record knows all it has said"
	switch {
	case m.pending != nil:
		text = fmt.Sprintf("and its record has forgotten something that it said to %d", m.pending.knows.index)
	case m.mute != "":
		text = "on which its key is silent"
	}
	s.goesWrong(m, "its disk is put back to an older image: height %d, before it was %d, %s", m.store.height(), before, text)
}

// set puts an image on a disk, if the federation is to survive that, and says why it
// did not, "" if it did.
func (s *Sim) set(m *machine, img image) string {
	var knows *machine
	if img.mute == "" && s.forgets(m, img.record) {
		if knows = s.knower(m, img.record); knows == nil {
			return "nobody knows what it would forget"
		}
	}
	if (img.mute != "" || knows != nil) && !s.enoughWithout(m) {
		return "the others are no quorum without it"
	}
	if len(img.store) < len(m.store.log) && !s.keptElsewhere(m) {
		return "the others need what is there"
	}
	if m.pending = nil; knows != nil {
		m.pending = &bond{knows: knows}
		knows.disk.fuse.err = nil
		s.judge.seen[seenForgotten]++
		s.judge.amid(seenForgottenAmid)
		s.judge.later(m, seenForgottenLater)
	}
	m.file.set(img.record)
	m.turned = m.boot // perhaps one has in the image
	m.mute = img.mute
	m.setStore(img.store)
	return ""
}

// setStore puts an older store in place. The user of the machine repeats what it
// has forgotten, and the judge expects no more than is there.
func (m *machine) setStore(log []entry) {
	before := append(slices.Clone(m.lost), m.store.local...)
	if len(log) < len(m.store.log) {
		m.sim.judge.seen["a store is set back"]++
	}
	m.store.set(log)
	m.lost = slices.DeleteFunc(before, func(tx chain.VerifiedTx) bool {
		return slices.ContainsFunc(m.store.local, func(l chain.VerifiedTx) bool { return l.ID() == tx.ID() })
	})
	h := &m.sim.judge.published[m.index]
	*h = min(*h, m.store.height())
}

// openStore opens the store. One that is damaged is set aside.
func (m *machine) openStore() error {
	if m.store.damaged {
		m.setStore(nil)
	}
	return m.store.sync(atOpen) // what a process that was killed has left
}

// recordIn reads the record of an image.
func (s *Sim) recordIn(m *machine, raw sparse) (bft.Record, error) {
	f := newFile(signer.FileSize, &disk{rand: s.disks})
	f.set(raw)
	k, err := signer.Load(m.key, f)
	if err != nil {
		return bft.Record{}, err
	}
	return k.Record(), nil
}

// forgets reports whether a record does not know of something that the machine has
// ever handed a signature out for.
func (s *Sim) forgets(m *machine, raw sparse) bool {
	r, err := s.recordIn(m, raw)
	if err != nil {
		s.judge.fail("machine %d: an image of its record: %v", m.index, err)
		return false
	}
	for _, at := range s.judge.said[m.index] {
		for _, u := range at {
			if r.Forgot(bft.Signed{Statement: u.Statement, Signer: m.id()}) {
				return true
			}
		}
	}
	return false
}

// knower draws a machine that holds a statement of m's which a record of m's does
// not know.
func (s *Sim) knower(m *machine, raw sparse) *machine {
	r, err := s.recordIn(m, raw)
	if err != nil {
		return nil
	}
	var all []*machine
	for _, o := range s.machines {
		if o == m || !o.up || !o.correct() || o.store.damaged || s.bound(o) {
			continue
		}
		if said, ok := o.replica.Newest(m.id()); ok && r.Forgot(said) {
			all = append(all, o)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[s.World.Rand.IntN(len(all))]
}

// enoughWithout reports whether the validators that speak are a quorum without m,
// in every set that is to come, and nobody else's image is unknown yet.
func (s *Sim) enoughWithout(m *machine) bool {
	if s.plan.Leaves > 0 {
		return false
	}
	set := s.cast.state.Validators()
	speak, silent := 0, 1
	for _, o := range s.machines {
		if o.pending != nil {
			return false
		}
		if o.up && o.correct() && o.store.height() == s.judge.top() {
			set = o.replica.State().Validators()
		}
	}
	for _, o := range s.machines {
		switch {
		case o == m:
		case !o.correct() || o.mute != "":
			silent++
		case set.Contains(o.id()):
			speak++
		}
	}
	return speak >= quorumOf(set.Len()) && (!s.plan.Joins || silent <= spared(set.Len()))
}

// spared is how many a set of n can do without, wherever it goes from there: it grows,
// loses a liar, or loses others as long as f stays. Each of those that are silent may
// have a vote by and by. One is spared by a set of three, too.
func spared(n int) int { return max(faultsOf(n), 1) }

// keptElsewhere reports whether somebody else's disk has everything that anybody
// calls final, and others have the bodies that m has and that somebody else, or m
// if it decides alone, may have locked.
func (s *Sim) keptElsewhere(m *machine) bool {
	others := slices.DeleteFunc(slices.Clone(s.machines), func(o *machine) bool {
		return o == m || !o.correct() || o.store.damaged || o.store.synced != len(o.store.log)
	})
	if !slices.ContainsFunc(others, func(o *machine) bool { return o.store.height() >= s.judge.top() }) {
		return false
	}
	alone := m.replica != nil && m.replica.State().Validators().Len() == 1
	for id, b := range m.store.bodies {
		has := func(o *machine) bool { _, ok, err := o.store.Body(id); return ok && err == nil }
		prepared := func(o *machine) bool {
			return slices.ContainsFunc(s.judge.said[o.index][b.Header.Height], func(u bft.Unsigned) bool {
				return u.Kind == bft.KindPrepare && u.Block == id
			})
		}
		if b.Header.Height > s.judge.top() && slices.ContainsFunc(s.machines, func(o *machine) bool { return (alone || o != m) && prepared(o) }) && !slices.ContainsFunc(others, has) {
			return false
		}
	}
	return true
}

// amid counts what happens beside a liar, while the set of validators changes.
func (j *judge) amid(what string) {
	if p := j.sim.plan; p.Joins && len(p.Adversaries) > 0 {
		j.seen[what]++
	}
}

// later counts what happens to a key that has taken the place of another.
func (j *judge) later(m *machine, what string) {
	if len(m.former) > 0 {
		j.seen[what]++
	}
}

// bound reports whether a machine is one of two that nothing comes between.
func (s *Sim) bound(m *machine) bool {
	return m.pending != nil || slices.ContainsFunc(s.machines, func(o *machine) bool { return o.pending != nil && o.pending.knows == m })
}

// bonded reports whether nothing comes between two machines.
func (s *Sim) bonded(a, b *machine) bool {
	return a.pending != nil && a.pending.knows == b || b.pending != nil && b.pending.knows == a
}

// watches reports whether a machine is the one that knows better.
func (s *Sim) watches(m *machine) bool { return s.bound(m) && m.pending == nil }

// greet has a machine on an old image meet the one that knows better before anybody
// else.
func (s *Sim) greet(m *machine) {
	if m.up && m.mute != "" {
		m.trap(atReturn)
	}
	if !m.up || m.pending == nil {
		return
	}
	if k := m.pending.knows; s.net.links[k.index][m.index] { // to the process before
		s.net.links[k.index][m.index] = false
		k.feed(replica.Disconnected{Peer: m.id()})
	}
	m.trap(atMute)
	s.net.meet(m, m.pending.knows)
}

// hears takes note that a message has arrived.
func (m *machine) hears(from *machine, msg bft.Message) {
	if s, ok := msg.(*bft.Status); ok && m.pending != nil && m.pending.knows == from && s.Newest != nil {
		m.pending.answered = m.boot
	}
}

// early judges something new that is signed on an old image: it is to be found out
// before, if the peer that knows better has answered.
func (j *judge) early(m *machine, u bft.Unsigned) {
	if m.pending == nil || slices.ContainsFunc(j.said[m.index][u.Height], func(old bft.Unsigned) bool { return old.Statement == u.Statement }) {
		return
	}
	if m.pending.answered == m.boot {
		j.fail("A6: machine %d is on an old image and signs %v of height %d, view %d, though machine %d has answered",
			m.index, u.Kind, u.Height, u.View, m.pending.knows.index)
		return
	}
	j.fail("the schedule is void: machine %d signs before machine %d has answered", m.index, m.pending.knows.index)
}

// repeated judges a statement that leaves, and that nobody was handed a signature
// of: the power failed between the two, and the record knew it.
func (j *judge) repeated(m *machine, message bft.Message) {
	var s bft.Signed
	switch message := message.(type) {
	case *bft.Proposal:
		s = message.Signed(m.id())
	case *bft.Vote:
		s = message.Signed()
	case *bft.Timeout:
		s = message.Signed()
	default:
		return
	}
	if !m.correct() {
		return
	}
	known := func(old bft.Unsigned) bool { return old.Statement == s.Statement }
	if !slices.ContainsFunc(j.said[m.index][s.Height], known) {
		j.says(m, bft.Unsigned{Statement: s.Statement})
	}
}

// muted takes note that a machine has found out that its disk is an old image.
func (j *judge) muted(m *machine) {
	if !m.correct() {
		return
	}
	if m.pending == nil {
		j.fail("machine %d falls silent without a reason: %s", m.index, m.mute)
	}
	m.pending = nil
	j.sim.happens(m, "finds out that its disk is an old image, and falls silent")
	j.seen[seenFoundOut]++
	m.trap(atReturn)
}
