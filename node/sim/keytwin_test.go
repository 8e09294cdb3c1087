package sim

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
)

// newTwinScript returns four machines, of which the leader of height 1 has a twin
// from a height on.
func newTwinScript(t *testing.T, late bft.Height) (*script, *keyTwin, int) {
	t.Helper()
	const leader = 1 // of view 0 at height 1
	k := &keyTwin{drawn: true, late: late}
	s := stageScript(t, Plan{Validators: 4, Base: 300, MaxDelay: 5, Adversaries: map[int]func() Behaviour{
		leader: func() Behaviour { return k },
	}})
	if s.cast.state.Validators().Leader(1, 0) != s.machines[leader].id() {
		t.Fatal("the script has the wrong leader")
	}
	return s, k, leader
}

// everyone reports whether all correct machines have a height.
func (s *script) everyone(h bft.Height) func() bool {
	return func() bool {
		for _, m := range s.machines {
			if m.correct() && m.store.height() < h {
				return false
			}
		}
		return true
	}
}

// Two machines with one key, both of correct code, start together on empty disks:
// neither can know of the other before it speaks. What they say is proof against
// their key, and against no other; the others agree.
func TestTwinsThatStartTogetherAreProvenToBeTwo(t *testing.T) {
	s, k, leader := newTwinScript(t, 0)
	s.wait("the second machine runs", func() bool { return k.second != nil && k.second.up })
	s.pay(leader, 1)
	s.wait("somebody holds proof", func() bool { return s.judge.seen[seenEvidence] > 0 })
	s.pay(0, 1)
	s.wait("the others go on", s.everyone(2))
	s.wait("one of the two finds out", func() bool { return s.judge.seen[seenAlarm] > 0 })
}

// A second machine with a key that is in use starts later, on an empty disk, and is
// asked for its vote before it is told of what it has forgotten: it listens first, and
// finds out before it has signed anything.
func TestATwinThatComesLaterFindsOutBeforeItSpeaks(t *testing.T) {
	const late = 3
	s, k, leader := newTwinScript(t, late)
	tempted := false
	s.pass = func(_, to int, m bft.Message) bool {
		if to != leader || s.machines[leader].replica.Height() < late {
			return true
		} // else the second machine runs, or starts with this and hears it
		at := m.Position()
		if k.second != nil && at.Kind == bft.KindProposal && at.Height == k.second.replica.Height() {
			tempted = true
		}
		return at.Kind != bft.KindStatus || tempted
	}
	for i := range 12 {
		s.pay([]int{0, 2, 3}[i%3], 1)
		s.wait("the others go on", s.everyone(bft.Height(i+1)))
	}
	if !tempted || s.judge.seen[seenAlarm] == 0 {
		t.Fatalf("the second machine: asked for a vote: %v, has found out: %v", tempted, s.judge.seen[seenAlarm] > 0)
	}
	if h, ok := k.second.behaviour.(*half); !ok || h.spoke > 0 {
		t.Errorf("the second machine has said %d things", h.spoke)
	}
	if n := s.judge.seen[seenEvidence]; n > 0 {
		t.Errorf("there is proof of %d contradictions", n)
	}
}
