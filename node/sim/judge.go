package sim

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// judge watches everything and holds it against the laws. It shares no rule
// with what it judges.
type judge struct {
	sim    *Sim
	err    error // the first violation
	supply atp.Amount
	roll   roll

	finals    []cid.Cid                   // A1: of heights 1, 2, …, as first published
	published []bft.Height                // A7: of each machine
	said      []map[bft.Height]statements // A6: of each machine
	locks     map[cid.Cid]bool            // A3: whether it has ended
	accepted  map[cid.Cid]bool            // transactions that correct machines took in
	included  map[cid.Cid]bool            // those that are final
	waited    cid.Cid                     // one that was accepted and not final when it was last asked for
	recovery  recovery
	seen      map[string]int // what the schedule has shown
	counts    [sawKinds]int  // of what is too frequent for a map
	notice
}

// statements is what one machine has signed at one height.
type statements []bft.Unsigned

func newJudge(s *Sim) *judge {
	j := &judge{
		sim: s, supply: s.cast.state.Totals().Supply,
		roll:      newRoll(s),
		published: make([]bft.Height, s.plan.Machines()),
		locks:     make(map[cid.Cid]bool), accepted: make(map[cid.Cid]bool), included: make(map[cid.Cid]bool),
		seen: make(map[string]int), notice: newNotice(s),
	}
	for range s.plan.Machines() {
		j.said = append(j.said, make(map[bft.Height]statements))
	}
	return j
}

// fail takes down the first violation; the schedule ends with it.
func (j *judge) fail(format string, args ...any) {
	if j.err == nil {
		j.err = fmt.Errorf("at %d ms: "+format, append([]any{j.sim.World.Now() - epoch}, args...)...)
	}
}

// booted is A7: what a machine published before is on its disk.
func (j *judge) booted(m *machine) {
	j.sim.happens(m, "starts, with height %d on its disk", m.store.height())
	if !m.correct() {
		return
	}
	h := j.published[m.index]
	if m.store.height() < h {
		j.fail("A7: machine %d published height %d and restarts at %d", m.index, h, m.store.height())
	}
	for _, f := range m.store.finals {
		j.decided(m, f.Final)
	}
	j.recorded(m)
	if m.signer.Record().Height > m.store.height() {
		j.seen["a restart in the middle of a height"]++
	}
}

// decided is A1, and the facts of a height when it is decided for the first time.
func (j *judge) decided(m *machine, f replica.Final) {
	h, id := f.Cert.Height, f.Cert.Block
	switch {
	case h > j.top()+1:
		j.fail("machine %d has height %d final, and nobody the one below", m.index, h)
	case h == j.top()+1:
		j.finals = append(j.finals, id)
		j.first(f)
	case j.finals[h-1] != id:
		j.fail("A1: height %d: %s is final on machine %d, %s elsewhere", h, id, m.index, j.finals[h-1])
	}
}

// final judges a block that a machine publishes.
func (j *judge) final(m *machine, f replica.Final) {
	h, id := f.Cert.Height, f.Cert.Block
	j.decided(m, f) // on a certificate, whoever holds it
	if !m.correct() {
		return
	}
	if m.store.height() < h || m.store.finals[h-1].id != id {
		j.fail("A7: machine %d publishes height %d before it is stored", m.index, h)
		return
	}
	j.published[m.index] = h
	j.sim.history.told(j.sim, m, f.Block)
	j.recovered()
	j.sound(m, f)
	t := f.Result.State.Totals()
	if sum := t.Available + t.Locked + t.Bonded + t.Pool + t.Discharged; sum != j.supply || t.Supply != j.supply {
		j.fail("A2: height %d: totals %+v, want %d", h, t, j.supply)
	}
}

// first takes a height's facts when it is published for the first time.
func (j *judge) first(f replica.Final) {
	for _, tx := range f.Block.Txs {
		if j.included[tx.ID()] {
			j.fail("height %d: transaction %s is final twice", f.Cert.Height, tx.ID())
		}
		j.included[tx.ID()] = true
		if j.recovery.waits[tx.ID()] {
			delete(j.recovery.waits, tx.ID())
			j.recovery.height = f.Cert.Height
		}
	}
	j.sim.history.decidedFirst(j.sim, f.Block, f.Result.Receipts)
	j.sets = append(j.sets, f.Result.State.Validators())
	j.members(f.Block, f.Cert, f.Result.State, f.Result.Receipts)
	if f.Cert.View > 0 {
		j.seen["a decision in a later view"]++
	}
	for _, r := range f.Result.Receipts {
		for _, e := range r.Events {
			j.seen[fmt.Sprintf("%T", e.Fact)]++
			j.fact(e.Fact)
			j.tellFact(f.Cert.Height, e.Fact)
		}
	}
}

// fact is A3: a lock ends once.
func (j *judge) fact(f chain.Fact) {
	var ended cid.Cid
	switch f := f.(type) {
	case *chain.LockOpened:
		j.locks[f.Lock] = false
		return
	case *chain.LockCommitted:
		ended = f.Lock
	case *chain.LockRolledBack:
		ended = f.Lock
	default:
		return
	}
	if over, known := j.locks[ended]; over || !known {
		j.fail("A3: lock %s ends: open before: %v, ended before: %v", ended, known, over)
	}
	j.locks[ended] = true
}

// signed is A6: judged when a signature is handed out, sent or not.
func (j *judge) signed(m *machine, u bft.Unsigned, _ bft.Signature) {
	j.tellSigned(m, u)
	if !m.correct() {
		return
	}
	j.early(m, u)
	j.says(m, u)
}

// says is A6 of one statement.
func (j *judge) says(m *machine, u bft.Unsigned) {
	for _, old := range j.said[m.index][u.Height] {
		if contradict(old, u) || contradict(u, old) {
			j.fail("A6: machine %d signs %v of height %d, view %d, highQC %d, %s after %v of view %d, highQC %d, %s",
				m.index, u.Kind, u.Height, u.View, u.HighView, short(u.Block.KeyString()), old.Kind, old.View, old.HighView, short(old.Block.KeyString()))
		}
	}
	j.said[m.index][u.Height] = append(j.said[m.index][u.Height], u)
	if u.Kind == bft.KindCommit {
		j.votes[ballot{m.index, u.Height, u.View, u.Block}] = true
	}
}

// leaves is J1: judged when a message leaves, for the first time or again.
func (j *judge) leaves(m *machine, message bft.Message) {
	j.repeated(m, message)
	var block cid.Cid
	switch s := message.(type) {
	case *bft.Proposal:
		block = s.Block
	case *bft.Vote:
		block = s.Block
	}
	at := message.Position()
	if !m.correct() || at.Kind != bft.KindProposal && at.Kind != bft.KindPrepare {
		return
	}
	if _, ok := m.store.bodies[block]; !ok || m.store.synced != len(m.store.log) {
		j.fail("J1: machine %d sends a %v of height %d without its body on the disk", m.index, at.Kind, at.Height)
	}
}

// contradict reports whether no correct platform says both a and b. [judge.says] asks
// both ways, so that a COMMIT and a Timeout that hides its QC contradict each other,
// whichever was first. The order is not judged: a vote that a crash has left in the
// record is said again after the start, and may follow a Timeout.
func contradict(a, b bft.Unsigned) bool {
	switch {
	case a.Kind == b.Kind && a.View == b.View:
		return a.Block != b.Block || a.HighView != b.HighView
	case a.Kind == bft.KindCommit && b.Kind == bft.KindTimeout:
		return b.View >= a.View && b.HighView < a.View
	}
	return false
}

// fetched counts what machines have to ask for.
func (j *judge) fetched(m *machine, f replica.Fetch) {
	if j.sim.tells() {
		j.sim.happens(m, "asks %d for %s", j.sim.machine(f.Peer).index, wanted(f.Want))
	}
	switch {
	case !m.correct():
	case !f.Want.Range.IsZero():
		j.seen["a range is fetched"]++
	case f.Want.Block.Defined():
		j.seen["a block is fetched"]++
	default:
		j.seen["transactions are fetched"]++
	}
}

// fault judges a blame: no correct machine does what no correct machine does.
func (j *judge) fault(m *machine, f replica.Fault) {
	j.sim.blames(m, f)
	if !m.correct() {
		return
	}
	j.seen[seenBlame]++
	if culprit := j.sim.machine(f.Peer); culprit.correct() {
		j.fail("machine %d blames machine %d, which is correct: %v", m.index, culprit.index, f.Err)
	}
}

func (j *judge) alarm(m *machine, a replica.Alarm) {
	j.sim.happens(m, "raises an alarm: %s", a.Text)
	if a.Kind == replica.AlarmRolled {
		j.seen[seenAlarm]++
	}
	switch {
	case !m.correct():
	case a.Kind == replica.AlarmClock: // clocks are skewed, and messages late
	case a.Kind == replica.AlarmRolled && a.Text == m.mute, a.Kind == replica.AlarmReturned:
	case a.Kind == replica.AlarmStore && m.spoilt:
	default:
		j.fail("machine %d raises an alarm: %s", m.index, a.Text)
	}
}

// accept takes note that a machine has promised to make a transaction final.
func (j *judge) accept(m *machine, id cid.Cid) {
	if m.correct() {
		j.accepted[id] = true
	}
}

func (j *judge) top() bft.Height { return bft.Height(len(j.finals)) }

// settled reports whether everything promised has come true everywhere.
//
// It is asked after every event, and mostly denied by what denied it before: what
// was accepted stays so.
func (j *judge) settled() bool {
	if j.accepted[j.waited] && !j.included[j.waited] {
		return false
	}
	for id := range j.accepted {
		if !j.included[id] {
			j.waited = id
			return false
		}
	}
	return !slices.ContainsFunc(j.sim.machines, j.lags) && j.unsettled() == nil
}

// lags reports a correct machine that does not have everything that is final.
func (j *judge) lags(m *machine) bool {
	return m.correct() && (!m.up || m.store.height() < j.top())
}

func (j *judge) unsettled() error {
	if len(j.included) < len(j.accepted) {
		return fmt.Errorf("liveness: %d of %d transactions are final", len(j.included), len(j.accepted))
	}
	for id := range j.accepted {
		if !j.included[id] {
			return fmt.Errorf("liveness: transaction %s is not final", id)
		}
	}
	for _, over := range j.locks {
		if !over {
			return errors.New("A3: a lock is still open")
		}
	}
	for _, m := range j.sim.machines {
		switch {
		case !m.correct():
		case j.lags(m):
			return fmt.Errorf("liveness: machine %d is at height %d, others at %d", m.index, m.store.height(), j.top())
		case m.replica.State().Totals().Locked > 0:
			return fmt.Errorf("A3: on machine %d something is still locked", m.index)
		}
	}
	return nil
}

func (j *judge) mustSettle() {
	if err := j.unsettled(); err != nil {
		j.fail("%w", err)
	}
	for _, m := range j.sim.machines {
		if j.err == nil && m.correct() {
			state := m.replica.State()
			if err := state.Check(); err != nil {
				j.fail("A2: machine %d: %w", m.index, err)
			}
			if bonds, err := j.held(state); err != nil || bonds != state.Totals().Bonded {
				j.fail("A3: machine %d: %s ATP are bonded, %s ATP as bonds of seats: %v", m.index, state.Totals().Bonded, bonds, err)
			}
		}
	}
	j.sim.net.talk = 0
}

// mustBeQuiet is J6: an idle federation is silent, or falls silent with whoever
// provokes it.
func (j *judge) mustBeQuiet() {
	if j.err == nil && !j.sim.World.Idle() {
		j.fail("J6: something is still going on, long after everything is final: %d messages", j.sim.net.talk)
	}
}
