package sim

import (
	"math/rand/v2"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// flooder sends, beside everything it says, what is almost that: cut short,
// continued, with a byte changed, of another kind. Its questions and answers are
// like it.
type flooder struct{ honest }

// Send implements [Behaviour].
func (f *flooder) Send(from, to *machine, m bft.Message) []bft.Message {
	f.acted(from, 1, "sends what is almost its %s, and a spoilt question", called(m))
	r := from.sim.World.Rand
	from.sim.net.frame(from, to, spoilt(r, wire.MessageFrame(m)))
	q := wire.Question{From: 1, To: bft.Height(1 + r.Uint64N(40))}
	if raw, err := atp.Encode(&q); err == nil {
		from.sim.net.question(from, to, spoilt(r, raw))
	}
	return []bft.Message{m}
}

// Reply implements [garbler].
func (f *flooder) Reply(at *machine, w replica.Want, r wire.Reply) []byte {
	f.acted(at, 1, "spoils its answer to who asks for %s", wanted(w))
	return spoilt(at.sim.World.Rand, encoded(r))
}

// spoilt returns almost raw.
func spoilt(r *rand.Rand, raw []byte) []byte {
	raw = slices.Clone(raw)
	if len(raw) == 0 {
		return []byte{0xff}
	}
	i := r.IntN(len(raw))
	switch r.IntN(5) {
	case 0:
		return raw[:i]
	case 1:
		return append(raw, byte(r.IntN(256)))
	case 2:
		raw[i] ^= 1 << r.IntN(8)
	case 3:
		raw[0] += byte(1 + r.IntN(255))
	default: // a length that is not there
		return append(raw[:i], 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	}
	return raw
}
