package sim

import (
	"math/rand/v2"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// network is the links between machines. Each message takes its own time, so
// that later ones overtake; some are lost, some come twice. A partition lets
// nothing through, whether or not anyone is told.
type network struct {
	sim   *Sim
	rand  *rand.Rand                                  // of its own, so that what links do to a message depends on little else
	calm  bool                                        // the faults have stopped
	cut   [][]int                                     // cut[i][j]: how many partitions let nothing pass from i to j
	burst []atp.Millis                                // of each machine's Wi-Fi: when it is over
	links [][]bool                                    // links[i][j]: machine i believes that it is connected to j
	last  [][]uint64                                  // last[i][j]: the number of the newest message of i that has arrived at j
	pick  func(from, to *machine, m bft.Message) bool // if set: what passes
	sent  uint64                                      // messages of any kind
	talk  int                                         // messages of consensus, since it was last read
}

func newNetwork(s *Sim, seed uint64) *network {
	count := s.plan.Machines()
	n := &network{sim: s, rand: rand.New(rand.NewPCG(seed, 0x11e7)), burst: make([]atp.Millis, count)}
	for range count {
		n.cut = append(n.cut, make([]int, count))
		n.links = append(n.links, make([]bool, count))
		n.last = append(n.last, make([]uint64, count))
	}
	return n
}

// open reports whether anything passes from one machine to another.
func (n *network) open(from, to *machine) bool {
	return n.cut[from.index][to.index] == 0 || n.sim.bonded(from, to)
}

// divide adds the cuts of a partition, or takes them away again.
func (n *network) divide(f Fault, by int) {
	for _, i := range f.On {
		for j := range n.cut {
			if slices.Contains(f.On, j) {
				continue
			}
			if f.Kind != FaultDeaf {
				n.cut[i][j] += by
			}
			if f.Kind != FaultOneWay {
				n.cut[j][i] += by
			}
		}
	}
}

// transmit runs deliver at the other end after the delay of the link: never,
// once or twice.
func (n *network) transmit(from, to *machine, deliver func()) {
	if n.sim.bonded(from, to) {
		n.sim.World.After(n.between(1, 50), func() {
			if to.up {
				deliver()
			}
		})
		return
	}
	copies := 1
	if !n.calm && n.chance(n.sim.plan.Duplicates) {
		copies++
		n.sim.judge.count(sawTwice)
	}
	n.sent++
	number := n.sent
	for range copies {
		d, lost := n.delay(from, to)
		if lost {
			n.sim.judge.count(sawLoss)
			continue
		}
		n.sim.World.After(d, func() {
			if !to.up || !n.open(from, to) {
				return
			}
			if last := &n.last[from.index][to.index]; *last > number {
				n.sim.judge.count(sawOvertaken)
			} else {
				*last = number
			}
			deliver()
		})
	}
}

// send passes a message of consensus on, if the sender's behaviour lets it.
func (n *network) send(from *machine, to bft.ID, m bft.Message) {
	target := n.sim.machine(to)
	if target == nil || target == from {
		return
	}
	n.talk++
	list := []bft.Message{m}
	if from.behaviour != nil {
		list = from.behaviour.Send(from, target, m)
	}
	for _, m := range list {
		n.pass(from, target, m)
	}
}

func (n *network) pass(from, to *machine, m bft.Message) {
	sender := from.id() // it may have another key when this arrives
	n.transmit(from, to, func() {
		if !n.links[to.index][from.index] || n.pick != nil && !n.pick(from, to, m) {
			return
		}
		if n.sim.plan.Encode || !from.correct() {
			to.takeFrame(from, sender, wire.MessageFrame(m))
			return
		}
		to.hear(from, sender, m)
	})
}

// gossip spreads transactions: to those named, or to everyone.
func (n *network) gossip(from *machine, g replica.Gossip) {
	to := g.To
	if len(to) == 0 {
		for _, m := range n.sim.machines {
			to = append(to, m.id())
		}
	}
	for _, id := range to {
		target := n.sim.machine(id)
		if target == nil || target == from { // nobody has that key yet
			continue
		}
		n.transmit(from, target, func() {
			target.feed(replica.Transactions{From: from.id(), Txs: g.Txs})
		})
	}
}

// fetchDeadline is how long a driver waits for an answer.
const fetchDeadline = 3 * atp.Second

// fetch asks a peer; the answer, or that there is none, comes exactly once.
func (n *network) fetch(from *machine, f replica.Fetch) {
	n.sim.judge.fetched(from, f)
	done := false
	finish := func(in replica.Fetched) {
		if !done {
			done = true
			in.Fetch = f
			from.feed(in)
		}
	}
	from.later(fetchDeadline, func() { finish(replica.Fetched{}) })
	boot, target := from.boot, n.sim.machine(f.Peer)
	if target == nil {
		return
	}
	n.transmit(from, target, func() {
		target.serve(from.id(), f.Want, func(in replica.Fetched) {
			if target.behaviour != nil {
				var answered bool
				if in, answered = target.behaviour.Serve(target, f.Want, in); !answered {
					return
				}
			}
			n.transmit(target, from, func() {
				switch {
				case from.boot != boot:
				case target.correct():
					finish(in)
				default:
					finish(from.takeReply(target, target.answers(f.Want, in)))
				}
			})
		})
	})
}

// meet makes two machines notice what their link is like.
func (n *network) meet(a, b *machine) {
	for _, pair := range [2][2]*machine{{a, b}, {b, a}} {
		n.notice(pair[0], pair[1])
	}
}

func (n *network) notice(a, b *machine) {
	is := a.up && b.up && n.open(a, b) && n.open(b, a)
	if !a.up || n.links[a.index][b.index] == is {
		return
	}
	n.links[a.index][b.index] = is
	if is {
		a.feed(replica.Connected{Peer: b.id()})
	} else {
		a.feed(replica.Disconnected{Peer: b.id()})
	}
}

// settle makes everyone notice the links as they are, each after a moment.
func (n *network) settle(soonest, latest atp.Span) {
	for i, a := range n.sim.machines {
		for _, b := range n.sim.machines[:i] {
			n.sim.World.After(n.sim.World.Between(soonest, latest), func() { n.meet(a, b) })
		}
	}
}

// renew breaks every stream and opens it again: one that has lost something is
// found out and closed by its transport, if only by the keep-alive.
func (n *network) renew(soonest, latest atp.Span) {
	for i, a := range n.sim.machines {
		for _, b := range n.sim.machines[:i] {
			n.sim.World.After(n.sim.World.Between(soonest, latest), func() {
				n.cut[a.index][b.index]++ // apart for a moment
				n.meet(a, b)
				n.cut[a.index][b.index]--
				n.meet(a, b)
			})
		}
	}
}

// lost forgets what a machine that has ended believed, and lets the others find
// out.
func (n *network) lost(m *machine) {
	clear(n.links[m.index])
	n.settle(20, 200)
}
