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
	disk  disk
	file  *file
	store *store
	mute  string   // the file that keeps the key silent
	skew  int64    // of its clock, in milliseconds
	slow  atp.Span // what a step takes, and a check

	images  []image            // of its disk, oldest first
	lost    []chain.VerifiedTx // submitted here, and forgotten by the disk: the user repeats them
	pending *bond              // it is on an old image, and has not been found out
	turned  int                // the newest boot in which a bit of its record turned
	spoilt  bool               // a bit of its store has

	behaviour Behaviour // nil: correct
	former    []Key     // that it had before

	up      bool
	gone    bool // turned off for good
	boot    int
	replica *replica.Replica
	signer  *signer.Signer
	memory  *bft.Ring

	inbox   inbox
	out     replica.Output // that is being carried out
	stage   int            // of it, that comes next
	signed  bool           // before the bodies were written, else after that
	busy    bool
	stalled bool                         // by a disk or a processor that is slow
	timers  map[replica.TimerKind]uint64 // the newest of each kind
	armed   uint64
	asked   map[uint64]func(replica.Answer)
	nextID  uint64
}

func newMachine(s *Sim, index int) (*machine, error) {
	m := &machine{sim: s, index: index, key: s.cast.Keys[index], disk: disk{rand: s.disks}, stage: stages}
	m.disk.fuse.hit = func(at place, err error) {
		if m.correct() {
			s.judge.ends(at, err)
		}
	}
	m.file, m.store = newFile(signer.FileSize, &m.disk), newStore(&m.disk, s.cast.nodes)
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
	err := m.goOver()
	m.boot++
	m.up, m.inbox, m.busy, m.stalled = true, inbox{}, false, false
	m.timers, m.asked = make(map[replica.TimerKind]uint64), make(map[uint64]func(replica.Answer))
	m.memory = bft.NewRing(16)
	if err == nil {
		err = m.load()
	}
	if err != nil {
		m.fail(err)
		return
	}
	m.sim.judge.booted(m)
	m.feed(replica.Start{})
	for _, txs := range [][]chain.VerifiedTx{m.store.local, m.lost} {
		if m.up && len(txs) > 0 {
			m.feed(replica.Transactions{Txs: txs, Local: true})
		}
	}
}

func (m *machine) load() error {
	s, err := signer.Load(m.key, m.file)
	if err == nil {
		err = m.openStore()
	}
	if err == nil && m.mute != "" {
		err = s.Silence(m.mute)
	}
	if err != nil {
		return err
	}
	cfg := replica.Config{
		Self: m.id(), Record: s.Record(), State: m.sim.cast.state, Mute: m.mute != "", Nonce: m.sim.disks.Uint64() | 1,
	}
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

// fail ends the machine: by what was planned for it, because its disk is spoilt, or
// because it found something that must not be.
func (m *machine) fail(err error) {
	off := m.disk.fuse.off
	switch {
	case errors.Is(err, errCrash):
		m.crash()
	case errors.Is(err, errKilled), errors.Is(err, errIO), errors.Is(err, errFull):
		m.end("ends: " + err.Error())
	case m.store.damaged:
		m.end("finds its store spoilt")
		off = m.sim.World.Between(50, 3_000)
	default:
		if m.correct() {
			m.sim.judge.fail("machine %d ended itself: %v", m.index, err)
		}
		m.crash()
	}
	m.sim.World.After(off, func() { m.sim.again(m) })
}

// crash cuts the power.
func (m *machine) crash() {
	m.file.crash(m.sim.World.Rand)
	m.store.crash(m.sim.World.Rand)
	m.end("loses power")
}

// end ends the process. What it wrote is there, and on the disk if it was synced.
func (m *machine) end(how string) {
	m.up, m.disk.fuse.err, m.disk.lag = false, nil, 0
	m.inbox, m.out, m.stage, m.stalled = inbox{}, replica.Output{}, stages, false
	m.sim.goesWrong(m, "%s", how)
	m.sim.net.lost(m)
}

// reads reports whether the machine runs and can read its store.
func (m *machine) reads() bool { return m.up && !m.store.damaged }

func (m *machine) commit(f *replica.Final) error {
	if f == nil {
		return nil
	}
	if err := m.store.commit(*f); err != nil {
		return err
	}
	m.signer.Finalize(f.Cert.Height, f.Cert.Block)
	m.tellFinal(*f)
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
	if err := m.disk.fuse.burn(atSigned); err != nil {
		return err
	}
	m.inbox.first(in)
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
	var in replica.Input = replica.Verified{Job: j, Message: verified, Err: err}
	if m.slow == 0 && !m.sim.World.Chance(10) {
		m.inbox.last(in)
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
	if b, ok, err := m.store.Body(w.Block); ok && err == nil {
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
