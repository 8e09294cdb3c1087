package sim

import "github.com/sage-p2p/sage-p2p/bft"

// timeoutSpammer gives up: at whatever it hears of a height it sends Timeouts of
// this view and of many more, with no QC, however it has voted.
type timeoutSpammer struct {
	honest
	at   bft.Height
	sent int
}

// maxSpam is how many Timeouts a height is worth.
const maxSpam = 60

// Hear implements [Behaviour].
func (s *timeoutSpammer) Hear(at, _ *machine, m bft.Message) {
	if h := at.replica.Height(); h != s.at {
		s.at, s.sent = h, 0
	}
	if m.Position().Height != s.at || m.Position().Kind == bft.KindStatus {
		return
	}
	for d := bft.View(0); d < 5 && s.sent < maxSpam; d++ {
		s.sent++
		s.acted(at, 1, "gives up view %d of height %d, however it has voted", at.replica.View()+d, s.at)
		at.shout(at.say(timeout(s.at, at.replica.View()+d, nil)))
	}
}
