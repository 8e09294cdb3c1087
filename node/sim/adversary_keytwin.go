package sim

import (
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// keyTwin is a key on two machines, each with correct code and a disk of its own: the
// second hears everything that comes to the first, and says what it thinks. One
// speaks to the machines of even number, the other to those of odd number, and both
// to every third.
type keyTwin struct {
	honest
	second *machine
	drawn  bool
	late   bft.Height // the second starts when this height is being agreed on
	handed int        // transactions of the user that the second has too
}

func (*keyTwin) twin() {}
func (*half) twin()    {}

// Hear implements [Behaviour].
func (k *keyTwin) Hear(at, from *machine, m bft.Message) {
	if !k.drawn {
		k.drawn, k.late = true, bft.Height(at.sim.World.Rand.IntN(2)*3)
	}
	if k.second == nil && at.replica.Height() >= k.late {
		k.begin(at)
	}
	if k.second == nil || !k.second.up {
		return
	}
	if txs := at.store.local; len(txs) > k.handed {
		k.second.feed(replica.Transactions{From: from.id(), Txs: txs[k.handed:]})
		k.handed = len(txs)
	}
	k.second.meet(from)
	k.second.hear(from, from.id(), m)
}

// begin starts the second machine, on an empty disk.
func (k *keyTwin) begin(at *machine) {
	second, err := newMachine(at.sim, at.index)
	if err != nil {
		at.sim.judge.fail("machine %d: its twin: %v", at.index, err)
		return
	}
	second.skew = at.skew + 1 // so that they do not make the same block
	second.behaviour = &half{of: k}
	k.second = second
	at.sim.twins = append(at.sim.twins, second)
	at.sim.lies(at, "uses its key on a second machine, too")
	second.start()
}

// meet connects a twin with a machine that the network does not know it to be
// connected with.
func (m *machine) meet(from *machine) {
	if h, ok := m.behaviour.(*half); ok && !h.met[from.index] {
		if h.met == nil {
			h.met = make(map[int]bool)
		}
		h.met[from.index] = true
		m.feed(replica.Connected{Peer: from.id()})
	}
}

// Send implements [Behaviour]: what the first of the two says.
func (k *keyTwin) Send(_, to *machine, m bft.Message) []bft.Message {
	if k.second != nil && to.index%3 != 0 && to.index%2 == 1 {
		return nil
	}
	return []bft.Message{m}
}

// half is the second of the two.
type half struct {
	honest
	of    *keyTwin
	met   map[int]bool
	spoke int // signed messages to one machine each
}

// Send implements [Behaviour].
func (h *half) Send(from, to *machine, m bft.Message) []bft.Message {
	if m.Position().Kind <= bft.KindTimeout {
		h.spoke++
	}
	if to.index%3 != 0 && to.index%2 == 0 {
		return nil
	}
	h.of.acted(from, 1, "sends this %s under the same key", called(m))
	return []bft.Message{m}
}
