package replica_test

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// J7: however much one peer sends, few checks of it wait, and what another
// sends is checked all the same.
func TestAFloodOfOnePeerCostsBoundedChecks(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	m, block := f.members[0].replica, f.genesis.Tip().ID
	step := func(from int, v bft.View) int {
		vote := &bft.Vote{Kind: bft.KindPrepare, Height: 1, View: v, Block: block, Signer: f.members[from].id}
		out, err := m.Step(f.now, replica.Received{From: f.members[from].id, Message: vote})
		if err != nil {
			t.Fatal(err)
		}
		return len(out.Verify)
	}
	checks := 0
	for v := range bft.View(1_000) {
		checks += step(1, v)
	}
	if checks > 64 {
		t.Errorf("%d checks wait for one peer, want at most 64", checks)
	}
	if n := step(2, 0); n != 1 {
		t.Errorf("another peer's vote leads to %d checks, want 1", n)
	}
}

// A certificate takes as many checks as there are validators, and anybody may show
// one: a crowd's wait in a short line, and a validator's vote behind few of them.
func TestAFloodOfManyPeersCostsBoundedChecks(t *testing.T) {
	f := newFed(t, 4, 40)
	f.on(0, 1, 2, 3)
	f.quiet()
	m, block := f.members[0], f.genesis.Tip().ID
	checks := 0
	step := func(in replica.Input) {
		out, err := m.replica.Step(f.now, in)
		if err != nil {
			t.Fatal(err)
		}
		checks += len(out.Verify)
	}
	for _, o := range f.members[4:] {
		step(replica.Disconnected{Peer: f.members[4].id}) // coming back does not shorten the line
		step(replica.Connected{Peer: o.id})
		for v := range bft.View(10) {
			step(replica.Received{From: o.id, Message: &bft.CommitCert{Height: 1, View: v, Block: block, Signers: bft.Bitmap{7}, Signatures: make([]bft.Signature, 3)}})
		}
	}
	if checks == 0 || checks > 32 {
		t.Errorf("%d checks wait for strangers, want 1 to 32", checks)
	}
	checks = 0
	step(replica.Received{From: f.members[1].id, Message: &bft.Vote{Kind: bft.KindPrepare, Height: 1, Block: block, Signer: f.members[1].id}})
	if checks != 1 {
		t.Errorf("a validator's vote leads to %d checks, want 1", checks)
	}
}

func TestWhoBoastsOfAHeightIsAskedAFewTimesAlone(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	boast := &bft.Status{Height: 1 << 62, FinalHeight: 1<<62 - 1, FinalID: f.genesis.Tip().ID}
	m := f.members[0]
	m.take(replica.Received{From: f.members[3].id, Message: boast})
	for range 100 {
		f.quiet()
		f.now += 10_000
		f.fire(replica.TimerFetch)
	}
	if n := len(m.fetches); n == 0 || n > 8 {
		t.Errorf("asked %d times, want 1 to 8", n)
	}
	f.submit(1, f.pay(1, 0))
	f.quiet()
	f.wantHeights(1, 1, 1, 1)
}

func TestAStatusThatContradictsItselfIsBlamed(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	m := f.members[0]
	m.take(replica.Received{From: f.members[3].id, Message: &bft.Status{Height: 1, FinalHeight: 9, FinalID: f.genesis.Tip().ID}})
	if len(m.faults) != 1 || m.faults[0].Peer != f.members[3].id {
		t.Errorf("faults: %+v, want one of member 3", m.faults)
	}
}

func TestAVoteThatAnotherSendsIsBlamedOnTheSender(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	m := f.members[0]
	m.take(replica.Received{From: f.members[3].id, Message: &bft.Vote{Kind: bft.KindPrepare, Height: 1, Block: f.genesis.Tip().ID, Signer: f.members[2].id}})
	if len(m.faults) != 1 || m.faults[0].Peer != f.members[3].id {
		t.Errorf("faults: %+v, want one of member 3", m.faults)
	}
}

// A clock behind the chain runs on from the chain's time, and says so.
func TestAClockThatIsBehindRunsOn(t *testing.T) {
	f := newFed(t, 1, 0)
	f.now += 1_000_000
	f.on(0)
	f.submit(0, f.pay(0, 0))
	f.quiet()
	f.now -= 900_000 // the battery of the clock is empty
	f.submit(0, f.pay(0, 1))
	f.quiet()
	f.wantHeights(2)
	m := f.members[0]
	if a, b := m.finals[0].Block.Header.Time, m.finals[1].Block.Header.Time; b <= a || b > a+10 {
		t.Errorf("block times %d and %d, want the second just after the first", a, b)
	}
	if len(m.alarms) != 1 || m.alarms[0].Kind != replica.AlarmClock {
		t.Errorf("alarms: %+v, want one about the clock", m.alarms)
	}
}

// A clock that ran on from the chain's time, and is set right, is right: it does
// not go as far ahead as it was behind.
func TestAClockThatIsSetRightIsRight(t *testing.T) {
	f := newFed(t, 1, 0)
	f.now += 1_000_000
	f.on(0)
	f.submit(0, f.pay(0, 0))
	f.quiet()
	f.now -= 900_000 // the battery of the clock is empty
	f.submit(0, f.pay(0, 1))
	f.quiet()
	f.now += 905_000 // NTP
	m := f.members[0]
	m.take(replica.ClockSet{By: 905_000})
	f.submit(0, f.pay(0, 2))
	f.quiet()
	f.wantHeights(3)
	if got := m.finals[2].Block.Header.Time; got < f.now || got > f.now.Add(1_000) {
		t.Errorf("the block's time is %d, want that of the clock, %d", got, f.now)
	}
}

// A validator refuses its PREPARE to a fresh block that is far from its clock,
// and accepts it once others have certified it.
func TestAnUntimelyBlockIsNotPreparedWhileItIsFresh(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	leader := f.leads(1, 0)
	f.submit(leader, f.pay(leader, 0))
	f.now = f.now.Add(20 * atp.Second) // the Proposal is that late
	f.quiet()
	f.wantHeights(0, 0, 0, 0)
	for i, m := range f.members {
		if i != leader && m.record.Prepared != bft.NoView {
			t.Errorf("member %d prepared a block that is twenty seconds old", i)
		}
	}
}

func TestDurationsGrowAndAreCapped(t *testing.T) {
	for _, tt := range []struct {
		timer replica.Timer
		want  atp.Span
	}{
		{replica.Timer{Kind: replica.TimerView}, 300},
		{replica.Timer{Kind: replica.TimerHalf}, 150},
		{replica.Timer{Kind: replica.TimerView, View: 1}, 450},
		{replica.Timer{Kind: replica.TimerView, View: 2}, 675},
		{replica.Timer{Kind: replica.TimerView, View: 1 << 40}, replica.MaxView},
		{replica.Timer{Kind: replica.TimerRepeat, Attempt: 1}, 450},
		{replica.Timer{Kind: replica.TimerRepeat, Attempt: 1 << 30}, replica.MaxView},
		{replica.Timer{Kind: replica.TimerStatus}, 10 * atp.Second},
		{replica.Timer{Kind: replica.TimerDue, Wait: 7}, 7},
	} {
		if got := tt.timer.After(300); got != tt.want {
			t.Errorf("%+v runs for %d ms, want %d", tt.timer, got, tt.want)
		}
	}
}

// A board boots with a clock that is ahead, its first requests fail but for one
// that is never answered, and NTP sets the clock back: nobody rests, or is waited
// for, until the wrong time comes round.
func TestAClockSetBackDoesNotStopTheFetching(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2)
	f.quiet()
	for n := range uint64(5) {
		f.submit(0, f.pay(0, n))
		f.settle(int(n) + 1)
	}
	m := f.members[3]
	m.boot()
	right := f.now
	tell := func(i int) {
		m.take(replica.Received{From: f.members[i].id, Message: &bft.Status{
			Height: 6, FinalHeight: 5, FinalID: f.members[0].finals[4].Cert.Block, Clock: bft.UnixMillis(f.now),
		}})
	}
	f.now = right.Add(3_600 * atp.Second)
	for i := range 3 {
		m.take(replica.Connected{Peer: f.members[i].id})
		tell(i)
	}
	for n := range 2 {
		m.take(replica.Fetched{Fetch: m.fetches[n]}) // with nothing
	}
	f.mail = nil
	f.now = right
	f.fire(replica.TimerFetch)
	f.quiet()
	f.fire(replica.TimerFetch)
	f.quiet()
	f.wantHeights(5, 5, 5, 5)
}

// A peer serves a block with a forged certificate; a transaction comes while
// that is being checked.
func TestAForgedBlockDoesNotStrandATransaction(t *testing.T) {
	f, other := newFed(t, 1, 1), newFed(t, 1, 1)
	other.on(0)
	other.submit(0, other.pay(0, 0))
	other.quiet()
	forged := other.members[0].finals[0]
	forged.Cert.Signatures = []bft.Signature{{1}}

	f.on(0, 1)
	f.quiet()
	m, id := f.members[0], f.members[1].id
	step := func(in replica.Input) replica.Output {
		t.Helper()
		out, err := m.replica.Step(f.now, in)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	asked := step(replica.Received{From: id, Message: &bft.Status{Height: 6, FinalHeight: 5, FinalID: forged.Cert.Block}}).Fetch[0]
	job := step(replica.Fetched{Fetch: asked, Blocks: []replica.FetchedBlock{{Block: forged.Block, Cert: &forged.Cert}}}).Verify[0]
	m.take(replica.Transactions{Txs: []chain.VerifiedTx{f.pay(0, 0)}, Local: true})
	m.take(replica.Verified{Job: job, Err: bft.ErrInvalid})
	f.wantHeights(1)
}

// J7: checks of the signatures that a peer shows under our name are bounded too.
func TestAFloodOfForgedMemoriesCostsBoundedChecks(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	m, checks := f.members[0], 0
	for v := range bft.View(1_000) {
		newest := bft.Signed{Statement: bft.Statement{Kind: bft.KindTimeout, Height: 7, View: v, HighView: bft.NoView}, Signer: m.id}
		out, err := m.replica.Step(f.now, replica.Received{From: f.members[1].id, Message: &bft.Status{Height: 1, Newest: &newest}})
		if err != nil {
			t.Fatal(err)
		}
		checks += len(out.Verify)
	}
	if checks > 64 {
		t.Errorf("%d checks wait for one peer, want at most 64", checks)
	}
}

// Of the peers only the proposer is known to hold the block. That the others do
// not is no failure of theirs, for which they would rest ever longer.
func TestWhoNeverHeldABlockIsNotDistrustedForIt(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	leader, other := f.leads(1, 0), f.leads(1, 1)
	m := f.members[f.leads(1, 2)]
	f.cut = func(_, to int, msg bft.Message) bool { return msg == nil || to != m.index }
	f.submit(leader, f.pay(leader, 0))
	f.round() // the Proposal arrives, its transaction does not
	asked := 0
	for range 20 {
		for n := 0; n < len(m.fetches); n++ {
			if m.fetches[n].Peer == f.members[other].id {
				asked++
			}
			m.take(replica.Fetched{Fetch: m.fetches[n]}) // with nothing
		}
		m.fetches, f.mail = nil, nil
		f.fire(replica.TimerFetch)
	}
	if asked < 15 {
		t.Errorf("asked %d times in 20 seconds, want every second", asked)
	}
}
