package replica_test

import (
	"slices"
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// restored is a federation of four of which one is on an image of its disk from
// before it said what the others know of, and has been found out.
func restored(t *testing.T) (*fed, *member) {
	t.Helper()
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	m := f.members[3]
	image := m.record
	f.paid(0, 0)
	f.paid(0, 1)
	f.off(3)
	f.mail = nil
	m.record, m.finals = image, nil
	f.on(3)
	f.quiet()
	if m.mute == "" || len(m.alarms) != 1 {
		t.Fatalf("it is not found out: %+v", m.alarms)
	}
	f.finals(2)
	return f, m
}

// paid has a member's payment become final with all who are on.
func (f *fed) paid(by int, nonce uint64) {
	f.t.Helper()
	want := len(f.members[by].finals) + 1
	f.submit(by, f.pay(by, nonce))
	f.quiet()
	f.finals(want)
}

// finals lets timers fire until all who are on have so many final blocks.
func (f *fed) finals(want int) {
	f.t.Helper()
	behind := func(m *member) bool { return m.replica != nil && len(m.finals) < want }
	for range 20 {
		if !slices.ContainsFunc(f.members, behind) {
			return
		}
		for _, k := range []replica.TimerKind{replica.TimerFetch, replica.TimerView, replica.TimerRepeat, replica.TimerStatus} {
			f.fire(k)
			f.quiet()
		}
	}
	f.t.Fatalf("not everybody has %d final blocks", want)
}

func (m *member) returned() bool {
	return slices.ContainsFunc(m.alarms, func(a replica.Alarm) bool { return a.Kind == replica.AlarmReturned })
}

// It is silent at every height at which it may have said something, and at one
// more; then it votes again.
func TestOneOnAnOldImageComesBackWhenTheOthersHaveGoneFurther(t *testing.T) {
	f, m := restored(t)
	for nonce := uint64(2); nonce < 8; nonce++ {
		f.paid(0, nonce)
		if top := bft.Height(len(m.finals)); m.record.Height > 0 && m.record.Height <= m.record.Watermark || m.record.Watermark > top+1 {
			t.Fatalf("at height %d it has spoken at %d, above the watermark %d", top, m.record.Height, m.record.Watermark)
		}
	}
	if !m.returned() || m.mute != "" {
		t.Fatalf("it has not come back: %+v", m.alarms)
	}
	if m.record.Height != 8 {
		t.Errorf("its newest statement is of height %d, want 8", m.record.Height)
	}
	f.off(3) // nobody holds anything that it does not know
	f.on(3)
	f.quiet()
	f.fire(replica.TimerListen)
	f.paid(0, 8)
	if m.mute != "" || m.record.Height != 9 {
		t.Errorf("after a restart: mute for %q, newest statement of height %d", m.mute, m.record.Height)
	}
}

// A restart forgets how far it was on the way back, and nothing else.
func TestTheWayBackBeginsAnewWithARestart(t *testing.T) {
	f, m := restored(t)
	f.paid(0, 2)
	f.off(3)
	f.on(3)
	f.quiet()
	for nonce := uint64(3); nonce < 9; nonce++ {
		f.paid(0, nonce)
	}
	if !m.returned() || m.record.Height != 9 {
		t.Errorf("returned: %v, newest statement of height %d", m.returned(), m.record.Height)
	}
}

// Who has not answered may be the one that knows.
func TestTooFewAnswersBringNobodyBack(t *testing.T) {
	f, m := restored(t)
	f.cut = func(from, to int, m bft.Message) bool {
		s, ok := m.(*bft.Status)
		return ok && to == 3 && from == 0 && s.Answer != 0
	}
	for nonce := uint64(2); nonce < 8; nonce++ {
		f.paid(0, nonce)
	}
	if m.returned() || m.record.Height != 0 {
		t.Errorf("with two of three answers it is back: newest statement of height %d", m.record.Height)
	}
}

// An answer to a challenge of before its start tells nothing.
func TestAnOldAnswerCountsForNothing(t *testing.T) {
	f, m := restored(t)
	f.cut = func(_, to int, m bft.Message) bool {
		s, ok := m.(*bft.Status)
		if ok && to == 3 && s.Answer != 0 {
			s.Answer++
		}
		return false
	}
	for nonce := uint64(2); nonce < 8; nonce++ {
		f.paid(0, nonce)
	}
	if m.returned() {
		t.Error("it is back")
	}
}

// The key is alive elsewhere, and speaks while this platform is silent.
func TestAKeyThatSpeaksElsewhereStaysSilent(t *testing.T) {
	f, m := restored(t)
	for nonce := uint64(2); nonce < 4; nonce++ {
		f.paid(0, nonce)
	}
	if m.returned() {
		t.Fatal("it is back already")
	}
	u := bft.Unsigned{Statement: bft.Statement{Kind: bft.KindPrepare, Height: 5, Block: m.finals[0].Cert.Block, HighView: bft.NoView}}
	elsewhere := u.Message(m.id, bft.InsecureSimulation{}.Sign(m.id, u.SignedBytes(f.genesis.Genesis())))
	f.members[1].take(replica.Received{From: m.id, Message: elsewhere})
	for nonce := uint64(4); nonce < 10; nonce++ {
		f.paid(0, nonce)
	}
	if m.returned() || m.record.Height != 0 {
		t.Errorf("it is back: newest statement of height %d", m.record.Height)
	}
	if last := m.alarms[len(m.alarms)-1]; len(m.alarms) != 2 || last.Kind != replica.AlarmRolled {
		t.Errorf("alarms: %+v, want that the key is in use elsewhere", m.alarms)
	}
}

// Two on old images do not count for one another.
func TestWhoIsMuteAnswersNobody(t *testing.T) {
	f, m := restored(t)
	f.cut = func(from, to int, msg bft.Message) bool {
		s, ok := msg.(*bft.Status)
		if ok && from == 3 && s.Answer != 0 {
			t.Errorf("one that is mute answers %d", to)
		}
		return false
	}
	for _, o := range f.members[:3] {
		m.take(replica.Received{From: o.id, Message: &bft.Status{
			Height: 3, FinalHeight: 2, FinalID: o.finals[1].Cert.Block, Challenge: 77,
		}})
	}
	f.quiet()
}

// A correct peer answers a challenge at once, and once in a second.
func TestAChallengeIsAnswered(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	f.paid(0, 0)
	answers := 0
	f.cut = func(_, to int, m bft.Message) bool {
		if s, ok := m.(*bft.Status); ok && to == 3 && s.Answer == 77 {
			answers++
		}
		return false
	}
	ask := replica.Received{From: f.members[3].id, Message: &bft.Status{
		Height: 2, FinalHeight: 1, FinalID: f.members[3].finals[0].Cert.Block, Challenge: 77,
	}}
	f.members[0].take(ask)
	f.members[0].take(ask)
	f.now += 1000
	f.members[0].take(ask)
	if answers != 2 {
		t.Errorf("%d answers to three challenges in two seconds, want 2", answers)
	}
}

// Who answered has a vote at the height whose set does not decide the next: what they
// know says nothing of that, and the way back begins anew.
func TestTheWayBackBeginsAnewWhenTheSetChanges(t *testing.T) {
	f := newMembers(t, 5)
	f.join(1, 2, 3)
	m := f.members[3]
	image, finals := m.record, len(m.finals)
	f.pay(0)
	f.pay(1)
	f.off(3)
	m.record, m.finals, m.local = image, m.finals[:finals], nil
	f.on(3)
	f.everywhere(f.top())
	if m.mute == "" {
		t.Fatal("it is not found out")
	}
	e := bft.Height(f.top())
	f.join(4)
	if f.top() != int(e)+1 {
		t.Fatalf("the set changes with height %d, want %d", f.top(), e+1)
	}
	for range 4 {
		f.pay(0)
	}
	if m.mute != "" || m.record.Watermark != e+3 {
		t.Errorf("mute for %q, with the watermark %d, want %d", m.mute, m.record.Watermark, e+3)
	}
}
