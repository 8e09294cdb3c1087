package sim

import (
	"errors"
	"fmt"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// machine is one platform: the driver of a replica, as node/loop.go is, with a
// disk and a clock of its own. It runs while it is up; boot tells its runs apart.
type machine struct {
	sim   *Sim
	index int
	key   Key
	file  *file
	store *store
	fuse  fuse
	skew  int64    // of its clock, in milliseconds
	slow  atp.Span // what a step takes, and a check

	behaviour Behaviour // nil: correct
	former    []Key     // that it had before

	up      bool
	boot    int
	replica *replica.Replica
	signer  *signer.Signer
	memory  *bft.Ring

	inbox  []replica.Input
	busy   bool
	timers map[replica.TimerKind]uint64 // the newest of each kind
	armed  uint64
	asked  map[uint64]func(replica.Answer)
	nextID uint64
}

func newMachine(s *Sim, index int) (*machine, error) {
	m := &machine{sim: s, index: index, key: s.cast.Keys[index], fuse: -1}
	m.file, m.store = newFile(signer.FileSize, &m.fuse), newStore(&m.fuse, s.cast.nodes)
	k, err := signer.Format(m.key, m.file)
	if err != nil {
		return nil, err
	}
	return m, k.Bind(s.cast.Genesis)
}

func (m *machine) id() bft.ID { return m.key.id }

func (m *machine) correct() bool { return m.behaviour == nil }

// clock is the machine's own time.
func (m *machine) clock() atp.Millis { return atp.Millis(int64(m.sim.World.Now()) + m.skew) }

// start boots the machine from its disk.
func (m *machine) start() {
	m.goOver()
	m.boot++
	m.up, m.inbox, m.busy = true, nil, false
	m.timers, m.asked = make(map[replica.TimerKind]uint64), make(map[uint64]func(replica.Answer))
	m.memory = bft.NewRing(16)
	if err := m.load(); err != nil {
		m.fail(err)
		return
	}
	m.sim.judge.booted(m)
	m.feed(replica.Start{})
	if m.up && len(m.store.local) > 0 {
		m.feed(replica.Transactions{Txs: m.store.local, Local: true})
	}
}

func (m *machine) load() error {
	s, err := signer.Load(m.key, m.file)
	if err != nil {
		return err
	}
	cfg := replica.Config{Self: m.id(), Record: s.Record(), State: m.sim.cast.state}
	if h := m.store.height(); h > 0 {
		head, _ := m.store.at(h)
		tip, err := head.Header.Tip()
		if err != nil {
			return err
		}
		if cfg.State, err = chain.OpenState(m.store, head.Header.StateRoot, tip); err != nil {
			return err
		}
		cfg.State = cfg.State.JudgedBy(m.sim.cast.beacons)
		if cfg.Below, err = m.setOf(h); err != nil {
			return err
		}
	}
	m.signer = s
	m.replica, err = replica.New(cfg, m.store, s)
	return err
}

// setOf returns the set that agreed on a final height: that of the state below.
func (m *machine) setOf(h bft.Height) (bft.ValidatorSet, error) {
	if h == 1 {
		return m.sim.cast.state.Validators(), nil
	}
	b, _ := m.store.at(h - 1)
	tip, err := b.Header.Tip()
	if err != nil {
		return bft.ValidatorSet{}, err
	}
	state, err := chain.OpenState(m.store, b.Header.StateRoot, tip)
	return state.Validators(), err
}

// fail ends the machine: by the power cut that was planned, or because it found
// something that must not be.
func (m *machine) fail(err error) {
	if !errors.Is(err, errCrash) && m.correct() {
		m.sim.judge.fail("machine %d ended itself: %v", m.index, err)
	}
	m.crash()
}

// crash cuts the power.
func (m *machine) crash() {
	m.up, m.fuse, m.inbox = false, -1, nil
	m.file.crash(m.sim.World.Rand)
	m.store.crash(m.sim.World.Rand)
	m.sim.net.lost(m)
}

// feed gives the replica an input, and does what it asks for.
func (m *machine) feed(in replica.Input) {
	m.inbox = append(m.inbox, in)
	if m.busy {
		return
	}
	m.work()
}

// work takes what is in the inbox, at once unless the machine is slow.
func (m *machine) work() {
	m.busy = true
	for len(m.inbox) > 0 && m.up {
		in := m.inbox[0]
		m.inbox = m.inbox[1:]
		m.sim.trace.input(m, in)
		out, err := m.replica.Step(m.clock(), in)
		if err == nil {
			err = m.execute(out)
		}
		if err != nil {
			m.fail(err)
		}
		if m.slow > 0 && m.up {
			m.later(m.slow, m.work)
			return
		}
	}
	m.busy = false
}

// execute does the effects of an Output in their order. Power may fail between
// any two.
func (m *machine) execute(out replica.Output) error {
	for _, g := range out.Gossip {
		m.sim.net.gossip(m, g)
	}
	for _, j := range out.Verify {
		m.verify(j)
	}
	if m.fuse.burn() {
		return errCrash
	}
	if err := m.secure(out); err != nil {
		return err
	}
	for _, e := range out.Send {
		for _, to := range e.To {
			if m.fuse.burn() {
				return errCrash
			}
			m.sim.judge.leaves(m, e.Message)
			m.sim.net.send(m, to, e.Message)
		}
	}
	for _, t := range out.Timers {
		m.arm(t)
	}
	for _, f := range out.Fetch {
		m.sim.net.fetch(m, f)
	}
	for _, a := range out.Answers {
		if answer := m.asked[a.Request]; answer != nil {
			delete(m.asked, a.Request)
			answer(a)
		}
	}
	if m.fuse.burn() {
		return errCrash
	}
	m.publish(out.Publish)
	return nil
}

// secure makes durable what has to be. Bodies and the signer's record are written
// side by side: either may be first.
func (m *machine) secure(out replica.Output) error {
	if err := m.commit(out.Persist.Final); err != nil {
		return err
	}
	if m.sim.World.Chance(50) {
		if err := m.sign(out.Sign); err != nil {
			return err
		}
		return m.put(out.Persist)
	}
	if err := m.put(out.Persist); err != nil {
		return err
	}
	return m.sign(out.Sign)
}

func (m *machine) commit(f *replica.Final) error {
	if f == nil {
		return nil
	}
	if err := m.store.commit(*f); err != nil {
		return err
	}
	m.signer.Finalize(f.Cert.Height, f.Cert.Block)
	return nil
}

func (m *machine) put(p replica.Persist) error {
	for _, tx := range p.Local {
		if err := m.store.putLocal(tx); err != nil {
			return err
		}
	}
	for _, b := range p.Bodies {
		if err := m.store.putBody(b); err != nil {
			return err
		}
	}
	return nil
}

// sign makes the record durable, then signs; what is signed is the next input.
func (m *machine) sign(statements []bft.Unsigned) error {
	if len(statements) == 0 {
		return nil
	}
	signatures, err := m.signer.Sign(statements...)
	if err != nil {
		return err
	}
	var in replica.Signed
	for i, u := range statements {
		v := bft.Verifier{Scheme: m.sim.cast.Scheme, Genesis: m.sim.cast.Genesis, Height: u.Height}
		sealed, err := v.Seal(u, m.id(), signatures[i])
		if err != nil {
			return err
		}
		m.sim.judge.signed(m, u, signatures[i])
		in.Messages = append(in.Messages, sealed)
	}
	m.inbox = append([]replica.Input{in}, m.inbox...)
	if m.sim.World.Chance(20) { // a moment in which nothing else is signed
		return m.signer.Settle()
	}
	return nil
}

// verify is the worker pool: it answers at once, or a little later.
func (m *machine) verify(j replica.Job) {
	v := bft.Verifier{
		Scheme: m.sim.cast.Scheme, Genesis: m.sim.cast.Genesis,
		Height: j.Height, Set: j.Set, Memory: m.memory,
	}
	verified, err := v.Verify(j.Message)
	in := replica.Verified{Job: j, Message: verified, Err: err}
	if m.slow == 0 && !m.sim.World.Chance(10) {
		m.inbox = append(m.inbox, in)
		return
	}
	m.later(m.sim.World.Between(0, 5)+m.slow, func() { m.feed(in) })
}

// later runs f once d has passed, if the machine has not crashed since.
func (m *machine) later(d atp.Span, f func()) {
	boot := m.boot
	m.sim.World.After(d, func() {
		if m.up && m.boot == boot {
			f()
		}
	})
}

func (m *machine) arm(t replica.Timer) {
	m.armed++
	n := m.armed
	m.timers[t.Kind] = n
	m.later(t.After(m.sim.plan.Base), func() {
		if m.timers[t.Kind] == n {
			delete(m.timers, t.Kind)
			m.feed(replica.TimerFired{Timer: t})
		}
	})
}

func (m *machine) publish(p replica.Publish) {
	if p.Final != nil {
		m.sim.judge.final(m, *p.Final)
	}
	for _, v := range p.Verdicts {
		m.sim.clients[m.index].verdict(v)
	}
	for _, f := range p.Faults {
		m.sim.judge.fault(m, f)
	}
	m.sim.judge.evidence(m, p.Evidence)
	m.attend(p)
	for _, a := range p.Alarms {
		m.sim.judge.alarm(m, a)
	}
}

// serve answers a request from the store, or from the replica.
func (m *machine) serve(from bft.ID, w replica.Want, answer func(replica.Fetched)) {
	if !w.Range.IsZero() {
		answer(replica.Fetched{Blocks: m.blocks(w.Range)})
		return
	}
	if b, ok := m.store.bodies[w.Block]; ok {
		answer(replica.Fetched{Blocks: []replica.FetchedBlock{{Block: b}}})
		return
	}
	m.nextID++
	m.asked[m.nextID] = func(a replica.Answer) {
		f := replica.Fetched{Txs: a.Txs}
		if a.Block != nil {
			f.Blocks = []replica.FetchedBlock{{Block: *a.Block}}
		}
		answer(f)
	}
	m.feed(replica.Asked{From: from, Request: m.nextID, Want: w})
}

// blocks returns the final blocks of a range, as many as an answer may hold.
func (m *machine) blocks(r replica.Range) (list []replica.FetchedBlock) {
	for h := r.From; h >= 1 && h <= min(r.To, m.store.height()) && len(list) < replica.MaxRange; h++ {
		b, cert := m.store.at(h)
		list = append(list, replica.FetchedBlock{Block: b, Cert: &cert})
	}
	return list
}

func (m *machine) String() string { return fmt.Sprintf("machine %d", m.index) }
