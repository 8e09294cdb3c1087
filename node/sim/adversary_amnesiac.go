package sim

import "github.com/sage-p2p/sage-p2p/bft"

// amnesiac forgets what it has said and what it is locked on. Its Timeouts know of
// no QC, and it prepares the Proposal of every view that it hears of, also after it
// has given the view up, whatever QCs there are.
type amnesiac struct {
	honest
	prepared map[bft.Position]bool
}

// Hear implements [Behaviour].
func (a *amnesiac) Hear(at, _ *machine, m bft.Message) {
	p, ok := m.(*bft.Proposal)
	if !ok || a.prepared[p.Position()] {
		return
	}
	if a.prepared == nil {
		a.prepared = make(map[bft.Position]bool)
	}
	a.prepared[p.Position()] = true
	if at.replica.Height() == p.Height && p.View < at.replica.View() {
		a.act(at, "prepares block %s of view %d, which it has given up", short(p.Block.KeyString()), p.View)
	}
	at.shout(at.say(vote(bft.KindPrepare, spot(p), p.Block)))
}

// Send implements [Behaviour].
func (a *amnesiac) Send(from, _ *machine, m bft.Message) []bft.Message {
	switch m := m.(type) {
	case *bft.Timeout:
		if m.HighQC != nil {
			a.act(from, "hides its QC of view %d in its %s", m.HighView(), called(m))
			return []bft.Message{from.say(timeout(m.Height, m.View, nil))}
		}
	case *bft.Status:
		empty := *m
		empty.HighQC, empty.TC = nil, nil
		return []bft.Message{&empty}
	}
	return []bft.Message{m}
}
