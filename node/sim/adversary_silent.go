package sim

import (
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// silent listens and never says anything: it withholds its votes, its turns as
// leader, its Timeouts, and what it is asked for.
type silent struct{ honest }

// Send implements [Behaviour].
func (s *silent) Send(from, _ *machine, m bft.Message) []bft.Message {
	s.act(from, "keeps its %s to itself", called(m))
	return nil
}

// Serve implements [Behaviour].
func (s *silent) Serve(at *machine, w replica.Want, _ replica.Fetched) (replica.Fetched, bool) {
	s.act(at, "does not answer who asks for %s", wanted(w))
	return replica.Fetched{}, false
}
