package sim

import (
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// silent listens and never says anything: it withholds its votes, its turns as
// leader, its Timeouts, and what it is asked for.
type silent struct{ honest }

// Send implements [Behaviour].
func (s *silent) Send(_, _ *machine, _ bft.Message) []bft.Message {
	s.acts++
	return nil
}

// Serve implements [Behaviour].
func (s *silent) Serve(*machine, replica.Want, replica.Fetched) (replica.Fetched, bool) {
	s.acts++
	return replica.Fetched{}, false
}
