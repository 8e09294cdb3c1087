package sim

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// A platform on an old image hears of one alone, that was cut off for as long as the
// platform spoke with the others: what that one knows says nothing of how far it got.
// It stays silent until all three have answered (J9).
func TestOneAnswerBringsNobodyBack(t *testing.T) {
	const (
		apart = 0 // knows of heights 1 and 2 alone
		back  = 3 // whose disk is restored
	)
	s := newScript(t, 4)
	m := s.machines[back]
	m.copy()
	top := func(want bft.Height, machines ...int) func() bool {
		return func() bool {
			for _, i := range machines {
				if s.machines[i].store.height() < want {
					return false
				}
			}
			return true
		}
	}
	s.pay(1, 1)
	s.wait("height 1", top(1, 0, 1, 2, 3))

	// The three others go on without the one that is apart, and nobody is told.
	s.apart([]int{1, 0, 0, 0})
	for h := bft.Height(2); h <= 6; h++ {
		s.pay(1, atp.Amount(h))
		s.wait("the next height", top(h, 1, 2, back))
	}
	s.pass = func(_, _ int, m bft.Message) bool { return m.Position().Kind != bft.KindCommit }
	s.pay(1, 7)
	s.wait("it has sent its COMMIT for height 7", func() bool { return s.record(back).Height == 7 && s.record(back).Committed == 0 })

	// Its disk is restored, and it hears of the one that was apart, which then
	// catches up with the others, and tells it.
	m.crash()
	s.pass = nil
	m.file.set(m.images[0].record)
	m.setStore(m.images[0].store)
	m.pending = &bond{knows: s.machines[apart]}
	s.apart([]int{0, 1, 1, 0})
	s.restart(m)
	s.wait("it is found out", func() bool { return m.mute != "" })
	s.until(s.World.Now().Add(2*atp.Second), func() bool { return false })
	s.apart([]int{1, 1, 1, 0})
	s.net.meet(s.machines[apart], s.machines[1])
	s.net.meet(s.machines[apart], s.machines[2])
	s.wait("the one that was apart has caught up", top(6, apart))
	s.apart([]int{0, 1, 1, 0})
	s.pay(apart, 8)
	s.wait("it has heard of height 6", top(6, back))
	s.until(s.World.Now().Add(30*atp.Second), func() bool { return false })
	if s.judge.err != nil {
		t.Fatal(s.judge.err)
	}
	if m.mute == "" {
		t.Fatal("it is back")
	}

	// All three answer: the others go further, and it comes back.
	s.apart(make([]int, 4))
	s.net.renew(1, 50)
	for h := bft.Height(8); m.mute != "" && h < 20; h++ {
		s.wait("everyone has the next height", top(h, 0, 1, 2, 3))
		s.pay(1, atp.Amount(h))
	}
	s.wait("it is back", func() bool { return m.mute == "" })
}

// apart lets nothing pass between machines that are not on one side.
func (s *script) apart(sides []int) {
	for i := range sides {
		for j := range sides {
			s.net.cut[i][j] = 0
			if sides[i] != sides[j] {
				s.net.cut[i][j] = 1
			}
		}
	}
}
