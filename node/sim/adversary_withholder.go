package sim

import "github.com/sage-p2p/sage-p2p/bft"

// withholder has one validator alone know of decisions and of views given up: its
// COMMITs, Timeouts and certificates go to that one, another at each height.
type withholder struct{ honest }

// Send implements [Behaviour].
func (w *withholder) Send(from, to *machine, m bft.Message) []bft.Message {
	at := m.Position()
	n := from.sim.plan.Validators
	if to.index == (from.index+1+int(at.Height%bft.Height(n)))%n {
		return []bft.Message{m}
	}
	switch m := m.(type) {
	case *bft.Proposal:
		if m.TC == nil {
			return []bft.Message{m}
		}
	case *bft.Vote:
		if m.Kind == bft.KindPrepare {
			return []bft.Message{m}
		}
	case *bft.Status:
		if m.HighQC == nil && m.TC == nil {
			return []bft.Message{m}
		}
		poor := *m
		poor.HighQC, poor.TC = nil, nil
		w.act(from, "hides its certificates from all but one when it says where it stands")
		return []bft.Message{&poor}
	}
	w.act(from, "sends its %s to one alone", called(m))
	return nil
}
