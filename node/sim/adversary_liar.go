package sim

import (
	"slices"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// liar votes as it should, but whoever needs something of it is lied to: it
// calls heights final that nobody has reached, and serves blocks with forged
// certificates, the wrong blocks, or nothing.
type liar struct{ honest }

// Send implements [Behaviour].
func (l *liar) Send(from, _ *machine, m bft.Message) []bft.Message {
	s, ok := m.(*bft.Status)
	if !ok || s.FinalHeight == 0 {
		return []bft.Message{m}
	}
	boast := *s
	boast.FinalHeight += bft.Height(from.sim.World.Rand.Uint64N(1 << 40))
	l.acted(from, 1, "says that height %d is final", boast.FinalHeight)
	boast.Height = boast.FinalHeight + 1
	return []bft.Message{&boast}
}

// Serve implements [Behaviour].
func (l *liar) Serve(at *machine, w replica.Want, answer replica.Fetched) (replica.Fetched, bool) {
	l.acted(at, 1, "has a forged answer, or none, for who asks for %s", wanted(w))
	r := at.sim.World.Rand
	lie := replica.Fetched{Txs: answer.Txs, Blocks: slices.Clone(answer.Blocks)}
	for i, b := range lie.Blocks {
		switch {
		case b.Cert == nil:
			lie.Blocks[i].Block.Header.Time++
		case r.IntN(2) == 0:
			forged := *b.Cert
			forged.Signatures = slices.Clone(forged.Signatures)
			forged.Signatures[0][0] ^= 1
			lie.Blocks[i].Cert = &forged
		case r.IntN(2) == 0: // another block under its certificate
			lie.Blocks[i].Block.Header.Time++
		default:
			lie.Blocks[i] = lie.Blocks[0]
		}
	}
	if len(lie.Txs) > 0 {
		lie.Txs = lie.Txs[1:]
	}
	return lie, r.IntN(3) > 0
}

// Reply implements [garbler]: the lie is told already.
func (*liar) Reply(_ *machine, _ replica.Want, r wire.Reply) []byte { return encoded(r) }
