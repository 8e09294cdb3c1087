package sim

import (
	"math/rand/v2"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// noise sends nothing that means anything: random bytes in place of every message,
// question and answer.
type noise struct{ honest }

// Send implements [Behaviour].
func (n *noise) Send(from, to *machine, m bft.Message) []bft.Message {
	n.acted(from, 1, "sends random bytes in place of its %s, and for a question", called(m))
	r := from.sim.World.Rand
	raw := randomBytes(r)
	if len(raw) > 0 && r.IntN(2) == 0 {
		raw[0] = byte(r.IntN(3)) // a kind of frame
	}
	from.sim.net.frame(from, to, raw)
	from.sim.net.question(from, to, randomBytes(r))
	return nil
}

// Reply implements [garbler].
func (n *noise) Reply(at *machine, w replica.Want, _ wire.Reply) []byte {
	n.acted(at, 1, "answers with random bytes who asks for %s", wanted(w))
	return randomBytes(at.sim.World.Rand)
}

func randomBytes(r *rand.Rand) []byte {
	raw := make([]byte, r.IntN(300))
	for i := range raw {
		raw[i] = byte(r.IntN(256))
	}
	return raw
}
