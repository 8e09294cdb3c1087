package sim

import (
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// selective speaks to half of the others, another half in each view and of each
// kind, and serves every other question.
type selective struct {
	honest
	asked int
}

// Send implements [Behaviour].
func (s *selective) Send(from, to *machine, m bft.Message) []bft.Message {
	at := m.Position()
	if (uint64(to.index)+uint64(at.Height)+uint64(at.View)+uint64(at.Kind))%2 == 0 {
		return []bft.Message{m}
	}
	s.act(from, "sends its %s to a half of the others", called(m))
	return nil
}

// Serve implements [Behaviour].
func (s *selective) Serve(_ *machine, _ replica.Want, answer replica.Fetched) (replica.Fetched, bool) {
	s.asked++
	return answer, s.asked%2 == 0
}
