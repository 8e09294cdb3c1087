package replica_test

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// drain delivers everything; no timer fires.
func (f *fed) drain() {
	for len(f.mail) > 0 {
		f.round()
	}
}

// The disk of a leader is an old image, and a transaction in its journal comes
// before any peer does.
func TestALeaderOnAnOldImageProposesNothingBeforeItsPeersAreHeard(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	leader := f.leads(1, 0)
	m := f.members[leader]
	image := m.record
	f.cut = func(_, _ int, m bft.Message) bool { return m != nil && m.Position().Kind == bft.KindCommit }
	f.submit(leader, f.pay(leader, 0))
	f.quiet()
	if m.record.Proposal == nil {
		t.Fatal("it has proposed nothing that it could contradict")
	}
	f.off(leader)
	f.cut, f.mail = nil, nil
	m.record, m.finals = image, nil
	f.now += 100
	m.boot()
	m.take(replica.Transactions{Txs: m.local, Local: true})
	for i, o := range f.members {
		if i != leader {
			m.take(replica.Connected{Peer: o.id})
			o.take(replica.Connected{Peer: m.id})
		}
	}
	f.quiet()
	if m.record.Height != 0 {
		t.Errorf("it says something again: %+v", m.record.Proposal)
	}
	if len(m.alarms) != 1 || m.alarms[0].Kind != replica.AlarmRolled {
		t.Errorf("alarms: have %+v, want that of a restored image", m.alarms)
	}
}

func TestAStartTogetherCostsOneExchangeOfStatus(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	leader := f.leads(1, 0)
	f.submit(leader, f.pay(leader, 0))
	f.drain()
	f.wantHeights(1, 1, 1, 1)
}

func TestWithTooFewOthersAStartWaitsForTwoTimeouts(t *testing.T) {
	f := newFed(t, 4, 0)
	leader := f.leads(1, 0)
	var on []int
	for i := range 4 {
		if i != f.leads(1, 3) {
			on = append(on, i)
		}
	}
	f.on(on...)
	f.submit(leader, f.pay(leader, 0))
	f.drain()
	m := f.members[leader]
	if m.record.Height != 0 {
		t.Errorf("it signs for height %d after two of three others were heard", m.record.Height)
	}
	if d := m.timers[replica.TimerListen].After(400); d != 800 {
		t.Errorf("it waits for %d ms, want 800", d)
	}
	f.fire(replica.TimerListen)
	f.drain()
	for _, i := range on {
		if n := len(f.members[i].finals); n != 1 {
			t.Errorf("member %d has %d final blocks, want 1", i, n)
		}
	}
}

// With a chain, two timeouts pass whatever the others hold: a key that is alive
// elsewhere is found out meanwhile.
func TestARestartWithAChainListensForTwoTimeouts(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.paid(0, 0)
	leader := f.leads(2, 0)
	f.off(leader)
	f.mail = nil
	f.on(leader)
	f.submit(leader, f.pay(leader, uint64(len(f.members[leader].local))))
	f.drain()
	m := f.members[leader]
	if m.record.Height != 1 {
		t.Fatalf("it signs for height %d at once", m.record.Height)
	}
	f.fire(replica.TimerListen)
	f.drain()
	f.wantHeights(2, 2, 2, 2)
}

// What it had said before is no news: it is sent again at once.
func TestAStartSendsAgainWithoutListening(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	leader := f.leads(1, 0)
	f.cut = func(_, _ int, m bft.Message) bool { return m != nil && m.Position().Kind == bft.KindCommit }
	f.submit(leader, f.pay(leader, 0))
	f.quiet()
	f.off(leader)
	f.mail = nil
	m := f.members[leader]
	before := m.sent
	m.boot()
	if m.sent == before {
		t.Error("nothing is sent before it has listened")
	}
}
