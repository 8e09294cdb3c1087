package sim

import (
	"fmt"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// trace is a running hash (FNV-1a) of what happened. Two runs of a seed have
// the same; a difference shows that something depends on more than the seed.
type trace struct {
	sum    uint64
	events int
	tell   func(string) // if set, is told every input in words
}

func (t *trace) reset() { t.sum = 14695981039346656037 }

const prime = 1099511628211 // of FNV

// zeros[n] is what the last n bytes of a value multiply the sum by if they are zero,
// as most are.
var zeros = func() (p [9]uint64) {
	p[0] = 1
	for n := range 8 {
		p[n+1] = p[n] * prime // it wraps round
	}
	return p
}()

// add hashes the eight bytes of each value.
func (t *trace) add(values ...uint64) {
	for _, v := range values {
		left := 8
		for ; v != 0; v >>= 8 {
			t.sum = (t.sum ^ v&0xff) * prime
			left--
		}
		t.sum *= zeros[left]
	}
}

func (t *trace) text(s string) {
	sum := t.sum
	for i := range len(s) {
		sum = (sum ^ uint64(s[i])) * prime
	}
	t.sum = sum
}

// input notes what a machine is about to be given.
func (t *trace) input(m *machine, in replica.Input) {
	t.add(uint64(m.sim.World.Now()), uint64(m.index))
	switch in := in.(type) {
	case replica.Received:
		t.message(in.Message)
	case replica.ClockSet:
		t.add(uint64(in.By))
	case replica.TimerFired:
		t.add(uint64(in.Timer.Kind), uint64(in.Timer.Height), uint64(in.Timer.View), uint64(in.Timer.Attempt))
	case replica.Signed:
		for _, v := range in.Messages {
			t.message(v.Message())
		}
	case replica.Fetched:
		t.add(in.Fetch.ID, uint64(len(in.Txs)), uint64(len(in.Blocks)))
	case replica.Transactions:
		for _, tx := range in.Txs {
			t.text(tx.ID().KeyString())
		}
	}
	if t.tell != nil {
		t.tell(fmt.Sprintf("%6d  %d  h%d v%d  %s", m.sim.World.Now()-epoch, m.index, m.replica.Height(), m.replica.View(), describe(m.sim, in)))
	}
}

func (t *trace) message(m bft.Message) {
	at := m.Position()
	t.add(uint64(at.Height), uint64(at.View), uint64(at.Kind))
	switch m := m.(type) {
	case *bft.Proposal:
		t.text(m.Block.KeyString())
	case *bft.Vote:
		t.text(m.Block.KeyString())
	case *bft.CommitCert:
		t.text(m.Block.KeyString())
	}
}

// describe tells an input in words.
func describe(s *Sim, in replica.Input) string {
	switch in := in.(type) {
	case replica.Received:
		return fmt.Sprintf("from %d: %s", s.machine(in.From).index, say(in.Message))
	case replica.Verified:
		return fmt.Sprintf("verified %s: %v", say(in.Job.Message), in.Err)
	case replica.Signed:
		text := "signed"
		for _, v := range in.Messages {
			text += " " + say(v.Message())
		}
		return text
	case replica.TimerFired:
		return fmt.Sprintf("timer %+v", in.Timer)
	case replica.Connected:
		return fmt.Sprintf("connected %d", s.machine(in.Peer).index)
	case replica.Disconnected:
		return fmt.Sprintf("disconnected %d", s.machine(in.Peer).index)
	case replica.Fetched:
		return fmt.Sprintf("fetched %+v: %d txs, %d blocks", in.Fetch.Want, len(in.Txs), len(in.Blocks))
	case replica.Transactions:
		return fmt.Sprintf("%d transactions", len(in.Txs))
	}
	return fmt.Sprintf("%T", in)
}

func say(m bft.Message) string {
	at := m.Position()
	text := fmt.Sprintf("%v(%d, %d", at.Kind, at.Height, at.View)
	switch m := m.(type) {
	case *bft.Proposal:
		text += ", " + short(m.Block.KeyString())
	case *bft.Vote:
		text += ", " + short(m.Block.KeyString())
	case *bft.CommitCert:
		text += ", " + short(m.Block.KeyString())
	case *bft.Timeout:
		text += fmt.Sprintf(", high %d", m.HighView())
	case *bft.Status:
		text += fmt.Sprintf(", final %d", m.FinalHeight)
	}
	return text + ")"
}

func short(key string) string {
	if len(key) < 3 {
		return "none"
	}
	return fmt.Sprintf("%x", key[len(key)-3:])
}
