package sim

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
)

// One validator alone has the decision of view 0 and is cut off; the others are
// locked on it. The leader of view 1 hides that from the TC and proposes another
// block: nobody may follow it (S7).
func TestALeaderThatHidesAQCIsNotFollowed(t *testing.T) {
	const (
		leader = 1 // of view 0
		liar   = 2 // leads view 1
		knows  = 3 // alone has the decision of view 0
	)
	s := stageScript(t, Plan{Validators: 4, Base: 300, MaxDelay: 5, Adversaries: map[int]func() Behaviour{
		liar: func() Behaviour { return new(highLiar) },
	}})
	if set := s.cast.state.Validators(); set.Leader(1, 0) != s.machines[leader].id() || set.Leader(1, 1) != s.machines[liar].id() {
		t.Fatal("the script has the wrong leaders")
	}
	told := func(m bft.Message) bool {
		p := m.Position()
		return p.Kind == bft.KindStatus || p.Kind == bft.KindCommit && p.View == 0
	}
	s.pass = func(from, to int, m bft.Message) bool { return from != knows && (!told(m) || to == knows) }
	s.pay(leader, 1)
	s.wait("one machine alone has the decision", func() bool { return s.machines[knows].store.height() == 1 })

	s.pass = func(from, to int, m bft.Message) bool {
		return from != knows && to != knows && !told(m)
	}
	s.wait("the liar has proposed another block", func() bool { return s.judge.seen[seenBlame] > 0 && s.record(liar).Proposed == 1 })
	s.until(s.World.Now().Add(2_000), func() bool { return false })

	s.pass = nil
	s.net.renew(1, 50)
	s.wait("everyone has the block of view 0", s.everyone(1))
}
