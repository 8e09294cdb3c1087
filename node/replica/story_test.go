package replica_test

import (
	"errors"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/mempool"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

func TestABlockIsFinalAfterThreeMessageDelays(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	f.submit(f.leads(1, 0), f.pay(0, 0)) // the Proposal goes out with the transaction
	for _, what := range []string{"Proposal", "PREPARE"} {
		f.round()
		for i, m := range f.members {
			if len(m.finals) != 0 {
				t.Fatalf("member %d is final after the %s", i, what)
			}
		}
	}
	f.round() // COMMIT
	f.wantHeights(1, 1, 1, 1)
	f.quiet()
	f.wantHeights(1, 1, 1, 1)
	if n := len(f.members[0].finals[0].Block.Txs); n != 1 {
		t.Errorf("the block holds %d transactions, want 1", n)
	}
}

// J6: once everything is final, no timer leads to another message.
func TestAnIdleFederationIsSilent(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	f.submit(2, f.pay(2, 0))
	f.quiet()
	f.wantHeights(1, 1, 1, 1)
	sent := 0
	for _, m := range f.members {
		sent -= m.sent
	}
	for range 3 {
		for k := replica.TimerView; k <= replica.TimerFetch; k++ {
			f.fire(k)
			f.quiet()
		}
	}
	for i, m := range f.members {
		sent += m.sent
		if len(m.timers) > 0 {
			t.Errorf("member %d still has timers: %v", i, m.timers)
		}
	}
	if sent > 0 {
		t.Errorf("%d messages were sent, want 0", sent)
	}
}

// J1: whoever lacks a transaction asks the proposer for it by address.
func TestAMissingTransactionIsFetchedFromTheProposer(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	leader := f.leads(1, 0)
	f.cut = func(from, to int, m bft.Message) bool { return m == nil } // gossip is lost
	tx := f.pay(leader, 0)
	f.submit(leader, tx)
	f.quiet()
	f.wantHeights(1, 1, 1, 1)
	for i, m := range f.members {
		if i == leader {
			continue
		}
		if len(m.fetches) != 1 || m.fetches[0].Peer != f.members[leader].id || len(m.fetches[0].Want.Txs) != 1 || m.fetches[0].Want.Txs[0] != tx.Address() {
			t.Errorf("member %d asked %+v, want the transaction, of the proposer", i, m.fetches)
		}
	}
}

// Of two signatures under one transaction only one makes the block; who has the
// other one fetches it.
func TestAnotherSignatureOfATransactionDoesNotStopTheBlock(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	leader := f.leads(1, 0)
	f.cut = func(_, _ int, m bft.Message) bool { return m == nil }
	for i, m := range f.members {
		if i != leader {
			m.take(replica.Transactions{Txs: []chain.VerifiedTx{f.sign(leader, 0, 1)}})
		}
	}
	f.submit(leader, f.sign(leader, 0, 2))
	f.quiet()
	f.wantHeights(1, 1, 1, 1)
}

func TestALostTransactionIsSharedWhenTheTimerFires(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	holder := f.leads(1, 2)
	f.cut = func(_, _ int, m bft.Message) bool { return m == nil }
	f.submit(holder, f.pay(holder, 0))
	f.quiet()
	f.wantHeights(0, 0, 0, 0) // the leader has never heard of it
	f.fire(replica.TimerView)
	f.quiet()
	f.wantHeights(1, 1, 1, 1)
}

func TestAValidatorThatWasOffCatchesUp(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2)
	f.quiet()
	for n := range uint64(5) {
		f.submit(0, f.pay(0, n))
		f.settle(int(n) + 1)
	}
	f.on(3)
	f.quiet()
	f.fire(replica.TimerFetch)
	f.quiet()
	f.wantHeights(5, 5, 5, 5)
}

// settle fires view timers until the first three have so many final blocks.
func (f *fed) settle(want int) {
	f.t.Helper()
	f.quiet()
	for range 10 {
		if len(f.members[0].finals) >= want && len(f.members[1].finals) >= want && len(f.members[2].finals) >= want {
			return
		}
		f.fire(replica.TimerView)
		f.quiet()
		f.fire(replica.TimerRepeat)
		f.quiet()
	}
	f.t.Fatalf("not final after ten views: want %d blocks", want)
}

func TestAnObserverThatJoinsLateSyncsFromTheGenesisAndFollows(t *testing.T) {
	f := newFed(t, 1, 1)
	f.on(0)
	for n := range uint64(100) {
		f.submit(0, f.pay(0, n))
	}
	f.quiet()
	f.wantHeights(100)
	f.on(1)
	f.quiet()
	f.fire(replica.TimerFetch)
	f.quiet()
	f.wantHeights(100, 100)
	for _, q := range f.members[1].fetches {
		if r := q.Want.Range; r.To-r.From >= replica.MaxRange {
			t.Errorf("asked for heights %d to %d, want at most %d of them", r.From, r.To, replica.MaxRange)
		}
	}
	f.submit(1, f.pay(1, 0)) // and what it submits becomes final
	f.quiet()
	f.fire(replica.TimerFetch)
	f.quiet()
	f.wantHeights(101, 101)
}

func TestARestartGoesOnWithWhatWasSigned(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	leader := f.leads(1, 0)
	f.cut = func(_, _ int, m bft.Message) bool { return m != nil && m.Position().Kind == bft.KindCommit }
	f.submit(leader, f.pay(leader, 0))
	f.quiet()
	f.wantHeights(0, 0, 0, 0)
	voted := f.members[leader].record.Commit
	f.cut = nil
	for i := range 4 {
		f.off(i)
	}
	f.mail = nil
	f.on(0, 1, 2, 3) // every COMMIT is sent again, the same bytes
	f.quiet()
	f.wantHeights(1, 1, 1, 1)
	if now := f.members[leader].record.Commit; *now != *voted {
		t.Errorf("the restarted leader's COMMIT is %+v, want %+v as before", now, voted)
	}
}

// J4: a store that fell behind the signer's record syncs before it signs.
func TestAStoreBehindItsRecordSyncsBeforeItSigns(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	for n := range uint64(3) {
		f.submit(0, f.pay(0, n))
		f.quiet()
	}
	f.wantHeights(3, 3, 3, 3)
	f.off(3)
	m := f.members[3]
	m.finals = m.finals[:1] // the disk has lost two heights
	before := m.record
	f.on(3)
	f.quiet()
	f.fire(replica.TimerFetch)
	f.quiet()
	f.wantHeights(3, 3, 3, 3)
	if m.record.Height != before.Height || m.record.Marks.Prepared != before.Marks.Prepared {
		t.Errorf("it signed while it was behind: record at %d, was at %d", m.record.Height, before.Height)
	}
	f.submit(0, f.pay(0, 3))
	f.settle(4)
	f.wantHeights(4, 4, 4, 4)
}

// Its own COMMIT, in the record, decides a lone validator's last height in the
// very step that ends the one below.
func TestALoneValidatorWithoutItsStoreComesBackFromItsObserver(t *testing.T) {
	f := newFed(t, 1, 1)
	f.on(0, 1)
	f.quiet()
	for n := range uint64(5) {
		f.submit(0, f.pay(0, n))
		f.quiet()
	}
	f.fire(replica.TimerFetch)
	f.quiet()
	f.wantHeights(5, 5)
	f.off(0)
	m := f.members[0]
	m.finals, m.bodies = nil, map[cid.Cid]chain.Block{}
	f.on(0)
	f.quiet()
	for range 5 {
		f.fire(replica.TimerFetch)
		f.quiet()
	}
	f.wantHeights(5, 5)
	f.submit(0, f.pay(0, 5))
	f.quiet()
	f.fire(replica.TimerFetch)
	f.quiet()
	f.wantHeights(6, 6)
}

func TestARestoredDiskImageIsFoundOutBeforeTheFirstSignature(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	f.submit(0, f.pay(0, 0))
	f.quiet()
	m := f.members[3]
	f.off(3)
	old := bft.NewRecord() // the image is from before the first block
	m.record, m.finals = old, nil
	f.on(3)
	f.quiet()
	if len(m.alarms) != 1 || m.alarms[0].Kind != replica.AlarmRolled {
		t.Errorf("alarms: have %+v, want that of a restored image", m.alarms)
	}
	f.submit(0, f.pay(0, 1))
	f.settle(2)
	if m.record.Height != old.Height {
		t.Errorf("it signed at height %d", m.record.Height)
	}
	f.off(3) // nor does it after a restart, though nobody tells it any more
	f.cut = func(_, to int, msg bft.Message) bool {
		return to == 3 && msg != nil && msg.Position().Kind == bft.KindStatus
	}
	f.on(3)
	f.quiet()
	f.submit(0, f.pay(0, 2))
	f.settle(3)
	if m.record.Height != old.Height {
		t.Errorf("after a restart it signed at height %d", m.record.Height)
	}
}

// A leader restarts that had proposed another's block on a TC that named it, and
// hears of another TC of that view, which names none: nobody would accept its
// Proposal on that, and they would blame it.
func TestARestartedLeaderDoesNotPassOffAnothersBlockAsFresh(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	f.cut = func(_, _ int, m bft.Message) bool { return m != nil && m.Position().Kind == bft.KindPrepare }
	f.submit(f.leads(1, 0), f.pay(0, 0))
	f.quiet() // everyone holds the block
	genesis, second := f.genesis.Genesis(), f.leads(1, 1)
	m := f.members[second]
	again := *m.record.Prepare
	again.Kind, again.View = bft.KindProposal, 1
	again.Signature = bft.InsecureSimulation{}.Sign(m.id, again.SignedBytes(genesis))
	f.off(second)
	m.record = m.record.Keep(bft.Unsigned{Statement: again.Statement}, m.id, again.Signature)
	f.mail = nil
	f.on(second)
	f.quiet()

	tc := bft.TC{Height: 1, Signers: bft.Bitmap{0b1111 &^ (1 << second)}}
	for i, o := range f.members {
		if i != second {
			s := bft.Statement{Kind: bft.KindTimeout, Height: 1, HighView: bft.NoView}
			tc.Timeouts = append(tc.Timeouts, bft.TimeoutMark{HighView: bft.NoView, Signature: bft.InsecureSimulation{}.Sign(o.id, s.SignedBytes(genesis))})
		}
	}
	proposals := 0
	f.cut = func(_, _ int, m bft.Message) bool {
		if m != nil && m.Position().Kind == bft.KindProposal {
			proposals++
		}
		return false
	}
	m.take(replica.Received{From: f.members[f.leads(1, 0)].id, Message: &bft.Status{Height: 1, TC: &tc}})
	if proposals > 0 {
		t.Error("it proposes another's block as its own")
	}
}

// A peer that shows what was said below the watermark tells nothing new.
func TestARecoveredValidatorVotesAboveItsWatermark(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	for n := range uint64(3) {
		f.submit(0, f.pay(0, n))
		f.quiet()
	}
	m := f.members[3]
	f.off(3)
	m.record = bft.NewRecord()
	m.record.Watermark = 5
	f.on(3)
	f.quiet()
	for n := uint64(3); n < 8; n++ {
		if h := m.record.Height; 0 < h && h <= 5 {
			t.Errorf("it votes at height %d", h)
		}
		f.submit(0, f.pay(0, n))
		f.settle(int(n) + 1)
	}
	f.quiet()
	if m.record.Height == 0 {
		t.Errorf("it never votes: %+v", m.alarms)
	}
}

func TestARecoveredLoneValidatorGoesOnFromItsHead(t *testing.T) {
	f := newFed(t, 1, 0)
	f.on(0)
	f.submit(0, f.pay(0, 0))
	f.quiet()
	f.off(0)
	m := f.members[0]
	m.record = bft.NewRecord()
	m.record.Watermark = 1
	f.on(0)
	f.submit(0, f.pay(0, 1))
	f.quiet()
	f.wantHeights(2)
}

// A leader that lost the body of its Proposal on the disk gets it from a peer.
func TestASpoiltBodyIsFetchedAnew(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	leader := f.leads(1, 0)
	f.cut = func(_, _ int, m bft.Message) bool { return m != nil && m.Position().Kind == bft.KindCommit }
	f.submit(leader, f.pay(leader, 0))
	f.quiet()
	m := f.members[leader]
	f.off(leader)
	m.spoilt = map[cid.Cid]bool{m.record.Commit.Block: true}
	f.cut, f.mail = nil, nil
	f.on(leader)
	f.quiet()
	f.settle(1)
	f.wantHeights(1, 1, 1, 1)
	if len(m.alarms) == 0 || m.alarms[0].Kind != replica.AlarmStore {
		t.Errorf("alarms %+v, want one of the store", m.alarms)
	}
}

func TestALeaderThatIsGoneCostsNoTimeout(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	leader := f.leads(1, 0)
	f.off(leader)
	holder := f.leads(1, 1)
	f.submit(holder, f.pay(holder, 0))
	f.quiet() // no timer was fired
	for i, m := range f.members {
		if i != leader && len(m.finals) != 1 {
			t.Errorf("member %d has %d final blocks, want 1", i, len(m.finals))
		}
	}
}

// lock returns a lock of a member's first transaction, until its deadline.
func (f *fed) lock(from int, wait atp.Span) chain.VerifiedTx {
	f.t.Helper()
	id := f.members[from].id
	tx := chain.Transaction{
		Version: chain.TxVersion, From: atp.ID(id),
		Ops: []chain.Op{{Action: &chain.TransferLock{Payee: atp.ID(f.members[1].id), Amount: 7_000, Deadline: f.now.Add(wait)}}},
	}
	lock, err := chain.SignTx(bft.InsecureSimulation{}, f.genesis.Genesis(), tx, func(message []byte) (bft.Signature, error) {
		return bft.InsecureSimulation{}.Sign(id, message), nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return lock
}

// A deadline needs one block that carries the time past it and one in which it
// fires, though nobody sends anything.
func TestADeadlineBringsTwoBlocks(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	f.submit(0, f.lock(0, 5*atp.Second))
	f.quiet()
	f.wantHeights(1, 1, 1, 1)
	for range 2 {
		f.fire(replica.TimerDue)
		f.quiet()
	}
	f.wantHeights(3, 3, 3, 3)
	if n := f.members[0].replica.State().Totals().Locked; n != 0 {
		t.Errorf("%v is still locked", n)
	}
}

// A validator whose clock is ahead gives a view up for a deadline; its clock is
// set right. It falls silent, with the rest, until the deadline has come.
func TestWhoGaveAViewUpForNothingFallsSilent(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	f.submit(0, f.lock(0, 3_600*atp.Second))
	f.quiet()
	f.wantHeights(1, 1, 1, 1)
	early := f.members[(f.leads(2, 0)+1)%4]
	due := early.timers[replica.TimerDue]
	f.now = f.now.Add(3_700 * atp.Second)
	early.take(replica.TimerFired{Timer: due})
	early.take(replica.TimerFired{Timer: early.timers[replica.TimerView]})
	if early.record.TimedOut != 0 {
		t.Fatalf("view %d is given up, want 0", early.record.TimedOut)
	}
	f.now -= 3_700_000
	early.take(replica.ClockSet{By: -3_700_000})
	f.quiet()
	running := []replica.TimerKind{replica.TimerView, replica.TimerHalf, replica.TimerRepeat, replica.TimerStatus}
	for _, k := range running { // those of a height that is over are not stopped
		f.fire(k)
		f.quiet()
	}
	for _, m := range f.members {
		for _, k := range running {
			if _, runs := m.timers[k]; runs {
				t.Errorf("member %d: the timer of kind %d runs", m.index, k)
			}
		}
	}
	f.now = f.now.Add(3_700 * atp.Second)
	for range 2 {
		for _, m := range f.members {
			m.take(replica.TimerFired{Timer: m.timers[replica.TimerDue]})
		}
		f.quiet()
	}
	f.wantHeights(3, 3, 3, 3)
}

// Who has fallen silent speaks again when another has a reason: nobody alone can
// leave the view of a leader that is gone.
func TestWhoFellSilentSpeaksAgain(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	f.submit(0, f.lock(0, 3_600*atp.Second))
	f.quiet()
	leader := f.leads(2, 0)
	f.cut = func(int, int, bft.Message) bool { return true }
	f.now = f.now.Add(3_700 * atp.Second)
	for i := range 2 { // neither has the other's Timeout
		early := f.members[(leader+1+i)%4]
		early.take(replica.TimerFired{Timer: early.timers[replica.TimerDue]})
		early.take(replica.TimerFired{Timer: early.timers[replica.TimerView]})
	}
	f.now -= 3_700_000
	for i := range 2 {
		f.members[(leader+1+i)%4].take(replica.ClockSet{By: -3_700_000})
	}
	f.quiet()
	f.fire(replica.TimerRepeat)
	f.cut = func(from, _ int, _ bft.Message) bool { return from == leader }
	tx := f.pay(0, 1)
	for i := range 3 {
		f.submit((leader+1+i)%4, tx)
	}
	for range 4 {
		f.quiet()
		f.fire(replica.TimerView)
		f.fire(replica.TimerRepeat)
	}
	f.quiet()
	for i, m := range f.members {
		if n := len(m.finals); i != leader && n < 2 {
			t.Errorf("member %d has %d final blocks, want the second", i, n)
		}
	}
}

func TestWhatTheMempoolRefusesIsTold(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	f.submit(0, f.pay(0, 1_000))
	m := f.members[0]
	if len(m.verdict) != 1 || !errors.Is(m.verdict[0].Err, mempool.ErrAhead) || len(m.local) != 0 {
		t.Errorf("verdicts %+v, journal %d; want ErrAhead and nothing kept", m.verdict, len(m.local))
	}
}

func TestAStaleMessageIsAnsweredOncePerSecond(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	f.submit(0, f.pay(0, 0))
	f.quiet()
	f.submit(0, f.pay(0, 1))
	f.quiet()
	m := f.members[2]
	before := m.sent
	for range 5 {
		m.take(replica.Received{From: f.members[1].id, Message: &bft.Timeout{Height: 1, View: 3, Signer: f.members[1].id}})
	}
	if n := m.sent - before; n != 1 {
		t.Errorf("%d answers in one second, want 1", n)
	}
	f.now += 1000
	m.take(replica.Received{From: f.members[1].id, Message: &bft.Timeout{Height: 1, View: 3, Signer: f.members[1].id}})
	if n := m.sent - before; n != 2 {
		t.Errorf("%d answers in two seconds, want 2", n)
	}
	m.take(replica.Received{From: f.members[1].id, Message: &m.finals[0].Cert})
	if n := m.sent - before; n != 2 {
		t.Errorf("a CommitCert was answered")
	}
}
