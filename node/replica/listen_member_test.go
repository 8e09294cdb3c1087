package replica_test

import (
	"slices"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// An image of the disk from before the platform had a vote is found out too.
func TestAnImageFromBeforeItsFirstVoteIsFoundOut(t *testing.T) {
	f := newMembers(t, 4)
	m := f.members[3]
	image, finals := m.record, len(m.finals)
	f.join(1, 2, 3)
	for i := range 4 {
		f.pay(i)
	}
	if m.record.Height == 0 {
		t.Fatal("it has not voted")
	}
	f.off(3)
	m.record, m.finals = image, m.finals[:finals]
	f.on(3)
	f.everywhere(f.top())
	if len(m.alarms) != 1 || m.alarms[0].Kind != replica.AlarmRolled {
		t.Errorf("alarms: have %+v, want that of a restored image", m.alarms)
	}
	f.pay(0)
	if m.record.Height != image.Height {
		t.Errorf("it signs at height %d", m.record.Height)
	}
}

// The founder's disk is restored as it was when it was alone. Alone it could
// decide, and fork the chain that the others went on with.
func TestAFounderOnAnImageFromWhenItWasAloneDecidesNothing(t *testing.T) {
	f := newMembers(t, 4)
	m := f.members[0]
	image, finals := m.record, len(m.finals)
	f.join(1, 2, 3)
	f.pay(1)
	f.off(0)
	m.record, m.finals, m.local = image, m.finals[:finals], nil
	for id := range m.bodies {
		if !slices.ContainsFunc(m.finals, func(b replica.Final) bool { return b.Cert.Block == id }) {
			delete(m.bodies, id)
		}
	}
	m.boot()
	m.take(replica.Transactions{Txs: []chain.VerifiedTx{f.signed(0, &chain.Transfer{To: atp.ID(f.members[1].id), Amount: 7})}, Local: true})
	for i := 1; i < 4; i++ {
		m.take(replica.Connected{Peer: f.members[i].id})
		f.members[i].take(replica.Connected{Peer: m.id})
	}
	f.everywhere(f.top())
	f.pay(2)
	if m.record.Height > image.Height {
		t.Errorf("it says something of height %d", m.record.Height)
	}
	if len(m.alarms) == 0 {
		t.Error("nobody is told")
	}
}

// The founder's disk is restored as it was before its first block, or it was copied
// then: it looks as new as at the founding, and would decide at once.
func TestAFounderOnAnImageFromBeforeItsFirstBlockDecidesNothing(t *testing.T) {
	f := newMembers(t, 4)
	m := f.members[0]
	f.join(1, 2, 3)
	f.pay(1)
	f.off(0)
	m.record, m.finals, m.local = bft.NewRecord(), nil, nil
	m.record.BootCount = 1 // this start's
	clear(m.bodies)
	m.boot()
	f.nonces[0] = 0
	m.take(replica.Transactions{Txs: []chain.VerifiedTx{f.signed(0, &chain.Transfer{To: atp.ID(f.members[1].id), Amount: 7})}, Local: true})
	for i := 1; i < 4; i++ {
		m.take(replica.Connected{Peer: f.members[i].id})
		f.members[i].take(replica.Connected{Peer: m.id})
	}
	f.everywhere(f.top())
	if m.record.Height > 0 {
		t.Errorf("it says something of height %d", m.record.Height)
	}
	if len(m.alarms) == 0 {
		t.Error("nobody is told")
	}
}

// A founder that is alone, and whom nobody knows to be behind, waits for two
// timeouts and no more.
func TestALoneValidatorGoesOnAfterItsPatience(t *testing.T) {
	f := newFed(t, 1, 0)
	f.on(0)
	f.submit(0, f.pay(0, 0))
	f.drain()
	f.wantHeights(1) // it begins, and waits for nobody
	f.off(0)
	f.on(0)
	f.submit(0, f.pay(0, 1))
	f.drain()
	f.wantHeights(1)
	f.fire(replica.TimerListen)
	f.wantHeights(2)
}

// A liar keeps a lone validator from its work for a moment only.
func TestALoneValidatorIsNotHeldUpByABoaster(t *testing.T) {
	f := newFed(t, 1, 1)
	m, liar := f.members[0], f.members[1]
	f.on(0)
	f.submit(0, f.pay(0, 0))
	f.off(0)
	m.boot()
	m.take(replica.Connected{Peer: liar.id})
	f.submit(0, f.pay(0, 1))
	for range 9 {
		m.take(replica.Received{From: liar.id, Message: &bft.Status{Height: 9, FinalHeight: 8, FinalID: atp.Sum(nil)}})
		f.wantHeights(1)
		f.fire(replica.TimerListen)
	}
	f.wantHeights(2)
}

// Its disk is an image from before it had a vote, and it hears of the chain from
// an observer alone, who knows of no statement: it says nothing until those who
// could know have told.
func TestANewValidatorListensBeforeItsFirstVote(t *testing.T) {
	f := newMembers(t, 5)
	m := f.members[3]
	image, finals := m.record, len(m.finals)
	f.join(1, 2, 3)
	for m.replica.State().Validators().Leader(bft.Height(f.top()+1), 0) != m.id {
		f.pay(0)
	}
	f.cut = func(from, _ int, _ bft.Message) bool { return from == 3 }
	f.submit(3, f.signed(3, &chain.Transfer{To: atp.ID(f.members[0].id), Amount: 1}))
	f.quiet()
	if m.record.Proposal == nil || int(m.record.Height) != f.top()+1 {
		t.Fatal("it has proposed nothing that it could contradict")
	}
	f.off(3)
	f.cut = nil
	m.record, m.finals, m.local = image, m.finals[:finals], nil
	m.boot()
	m.take(replica.Connected{Peer: f.members[4].id})
	f.members[4].take(replica.Connected{Peer: m.id})
	f.quiet()
	f.fire(replica.TimerFetch)
	f.quiet()
	if len(m.finals) != f.top() {
		t.Fatalf("it has %d final blocks, want %d", len(m.finals), f.top())
	}
	f.nonces[3]-- // what it proposed is in no block
	m.take(replica.Transactions{Txs: []chain.VerifiedTx{f.signed(3, &chain.Transfer{To: atp.ID(f.members[1].id), Amount: 2})}, Local: true})
	f.quiet()
	if m.record.Height != image.Height {
		t.Errorf("it signs for height %d before a validator was heard", m.record.Height)
	}
}

// Alone, and one block behind: that block is fetched before a timeout ends the
// listening.
func TestALoneValidatorOneBlockBehindDecidesNoOther(t *testing.T) {
	f := newMembers(t, 2)
	m := f.members[0]
	image, finals := m.record, len(m.finals)
	f.join(1)
	f.off(0)
	m.record, m.finals, m.local = image, m.finals[:finals], nil
	m.boot()
	m.take(replica.Transactions{Txs: []chain.VerifiedTx{f.signed(0, &chain.Transfer{To: atp.ID(f.members[1].id), Amount: 7})}, Local: true})
	m.take(replica.Connected{Peer: f.members[1].id})
	f.members[1].take(replica.Connected{Peer: m.id})
	f.cut = func(_, _ int, m bft.Message) bool { return m != nil && m.Position().Kind == bft.KindCommitCert }
	f.drain()
	f.fire(replica.TimerListen)
	f.drain()
	if m.record.Height > image.Height {
		t.Fatalf("it says something of height %d", m.record.Height)
	}
	f.fire(replica.TimerFetch)
	f.drain()
	f.everywhere(f.top() + 1) // then it goes on
}

// A validator has left, and its disk is an image from when it had a vote: the
// others still know what it said last.
func TestWhoHasLeftIsRememberedByTheOthers(t *testing.T) {
	f := newMembers(t, 5)
	f.join(1, 2, 3)
	m := f.members[3]
	f.pay(0)
	image, finals := m.record, len(m.finals)
	f.pay(1)
	f.do(3, &chain.ValidatorLeave{})
	f.pay(0)
	f.off(3)
	m.record, m.finals, m.local = image, m.finals[:finals], nil
	f.on(3)
	f.everywhere(f.top())
	if len(m.alarms) != 1 || m.alarms[0].Kind != replica.AlarmRolled {
		t.Errorf("alarms: have %+v, want that of a restored image", m.alarms)
	}
}

// Its patience is over when the first peer comes, and with it a transaction,
// before its Status.
func TestALoneValidatorHearsWhoComesLate(t *testing.T) {
	f := newMembers(t, 2)
	m := f.members[0]
	image, finals := m.record, len(m.finals)
	f.join(1)
	f.off(0)
	m.record, m.finals, m.local = image, m.finals[:finals], nil
	m.boot()
	f.fire(replica.TimerListen)
	m.take(replica.Connected{Peer: f.members[1].id})
	m.take(replica.Transactions{From: f.members[1].id, Txs: []chain.VerifiedTx{f.signed(0, &chain.Transfer{To: atp.ID(f.members[1].id), Amount: 7})}})
	if m.record.Height > image.Height {
		t.Errorf("it says something of height %d before the peer was heard", m.record.Height)
	}
}

// Its disk is an image from when others had votes than now. Those it had them with
// are connected, and know of nothing that it said since: it goes on listening until
// it has caught up, and one of those is there who could know.
func TestWhoIsOnAnOldImageListensToTheValidatorsOfToday(t *testing.T) {
	f := newMembers(t, 5)
	m := f.members[0]
	f.join(1, 2)
	image, finals := m.record, len(m.finals)
	f.off(0)
	f.join(3, 4)
	f.do(1, &chain.ValidatorLeave{})
	f.do(2, &chain.ValidatorLeave{})
	f.on(0)
	f.everywhere(f.top())
	f.wantVotes(0, 3, 4)
	for m.replica.State().Validators().Leader(bft.Height(f.top()+1), 0) != m.id {
		f.pay(3)
	}
	f.cut = func(_, _ int, m bft.Message) bool { return m != nil && m.Position().Kind == bft.KindCommit }
	f.submit(0, f.signed(0, &chain.Transfer{To: atp.ID(f.members[1].id), Amount: 1}))
	f.quiet()
	if m.record.Prepare == nil || int(m.record.Height) != f.top()+1 {
		t.Fatal("it has said nothing that it could contradict")
	}
	f.off(0)
	f.cut, f.mail = nil, nil
	m.record, m.finals, m.local = image, m.finals[:finals], nil
	m.boot()
	for _, i := range []int{1, 2} {
		m.take(replica.Connected{Peer: f.members[i].id})
		f.members[i].take(replica.Connected{Peer: m.id})
	}
	f.nonces[0]-- // what it proposed is in no block
	m.take(replica.Transactions{Txs: []chain.VerifiedTx{f.signed(0, &chain.Transfer{To: atp.ID(f.members[1].id), Amount: 2})}, Local: true})
	f.quiet()
	for range 3 {
		f.fire(replica.TimerFetch)
		f.quiet()
	}
	if len(m.finals) != f.top() {
		t.Fatalf("it has %d final blocks, want %d", len(m.finals), f.top())
	}
	if m.record.Height != image.Height {
		t.Errorf("it signs for height %d before a validator of it was heard", m.record.Height)
	}
	f.members[3].take(replica.Connected{Peer: m.id})
	m.take(replica.Connected{Peer: f.members[3].id})
	f.drain()
	if len(m.alarms) != 1 || m.alarms[0].Kind != replica.AlarmRolled {
		t.Errorf("alarms: have %+v, want that of a restored image", m.alarms)
	}
}
