package replica_test

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// runningOn returns four validators with one final block, and the first of them
// with a clock that is as far behind that block, so that it runs on.
func runningOn(t *testing.T, behind atp.Span) (*fed, *member) {
	t.Helper()
	f := newFed(t, 4, 0)
	f.now += 1_000_000
	f.on(0, 1, 2, 3)
	f.quiet()
	f.submit(1, f.pay(1, 0))
	f.settle(1)
	f.now = f.members[0].finals[0].Block.Header.Time - atp.Millis(behind)
	m := f.members[0]
	m.take(replica.ClockSet{By: -int64(behind)})
	f.mail = nil
	m.wantsClock(m.finals[0].Block.Header.Time)
	return f, m
}

// hears lets a member hear another's clock.
func (m *member) hears(from int, clock atp.Millis) {
	m.take(replica.Received{From: m.f.members[from].id, Message: &bft.Status{
		Height: 2, FinalHeight: 1, FinalID: m.finals[0].Cert.Block, Clock: bft.UnixMillis(clock),
	}})
}

// wantsClock looks at the time that a member tells.
func (m *member) wantsClock(want atp.Millis) {
	m.f.t.Helper()
	out, err := m.replica.Step(m.f.now, replica.Connected{Peer: m.f.members[3].id})
	if err != nil {
		m.f.t.Fatal(err)
	}
	for _, e := range out.Send {
		if s, ok := e.Message.(*bft.Status); ok {
			if got := atp.Millis(s.Clock); got != want {
				m.f.t.Errorf("the clock says %d, want %d", got, want)
			}
			return
		}
	}
	m.f.t.Fatal("no Status is sent")
}

// Two that ran on from one block, but from different moments, agree again: the
// one that is behind goes to the other.
func TestClocksThatRanOnAgreeAgain(t *testing.T) {
	f, m := runningOn(t, 900*atp.Second)
	head := m.finals[0].Block.Header.Time
	m.hears(1, head+2_300)
	m.wantsClock(head) // one of three could lie
	m.hears(2, head)
	m.hears(3, head+2_300)
	m.wantsClock(head + 2_300)
	f.now += 50_000
	m.wantsClock(head + 52_300)
	m.hears(1, head+50_000)
	m.hears(2, head+50_000)
	m.wantsClock(head + 52_300) // of two halves the one that is ahead stays
	m.hears(3, head+50_000)
	m.wantsClock(head + 50_000)
}

// The time of a clock that runs on is between those of the correct, whatever f
// of them say.
func TestALiarTakesNoClockThatRunsOnAway(t *testing.T) {
	for _, lie := range []atp.Millis{0, start + 1_000, start * 2, 1 << 63} {
		_, m := runningOn(t, 900*atp.Second)
		head := m.finals[0].Block.Header.Time
		m.hears(3, lie)
		m.wantsClock(head)
		m.hears(1, head+3_000)
		m.hears(2, head-3_000)
		m.hears(3, lie)
		m.hears(3, lie)
		out, err := m.replica.Step(m.f.now, replica.Connected{Peer: m.f.members[3].id})
		if err != nil || len(out.Send) == 0 {
			t.Fatalf("%+v, %v", out, err)
		}
		if got := atp.Millis(out.Send[0].Message.(*bft.Status).Clock); got < head-3_000 || got > head+3_000 {
			t.Errorf("with a liar that says %d the clock says %d, want %d to %d", lie, got, head-3_000, head+3_000)
		}
	}
}

// A clock that ran on from a block whose time was ahead is our own again when the
// time has come, and another's says the same; not before.
func TestAClockThatRunsOnIsOursAgainOnceAnotherAgreesWithIt(t *testing.T) {
	f, m := runningOn(t, 60*atp.Second)
	head := m.finals[0].Block.Header.Time
	m.hears(1, f.now)
	m.wantsClock(head) // our own is behind the chain
	f.now += 56_000
	m.wantsClock(head + 56_000)
	m.hears(1, f.now+30_000)
	m.wantsClock(head + 56_000)
	m.hears(1, f.now+500)
	m.wantsClock(f.now)
}
