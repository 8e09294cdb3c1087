package sim

import "github.com/sage-p2p/sage-p2p/bft"

// highLiar lies about the highest QC. Its Timeouts carry a forged one, one from
// above their own view, or another than they sign; when it leads, it hides the QC
// of the TC and proposes a block of its own.
type highLiar struct {
	honest
	made drafts
}

// Send implements [Behaviour].
func (l *highLiar) Send(from, to *machine, m bft.Message) []bft.Message {
	if t, ok := m.(*bft.Timeout); ok {
		l.acts++ // told where it lies
		return []bft.Message{l.lie(from, to, t)}
	}
	return l.made.speak(from, m, &l.honest, func(p *bft.Proposal) draft {
		return draft{l.hidden(from, p), "and hides the QC of the TC"}
	})
}

// lie tells each of the others another one.
func (l *highLiar) lie(from, to *machine, t *bft.Timeout) bft.Message {
	switch (to.index + int(t.View)) % 3 {
	case 0:
		from.sim.lies(from, "shows some a forged QC in its %s", called(t))
		return from.say(timeout(t.Height, t.View, l.forged(from, t.Height, t.View)))
	case 1:
		from.sim.lies(from, "shows some a forged QC of the view after in its %s", called(t))
		return from.say(timeout(t.Height, t.View, l.forged(from, t.Height, t.View+1)))
	}
	from.sim.lies(from, "signs for some another QC than is in its %s", called(t))
	u := timeout(t.Height, t.View, t.HighQC)
	u.HighView = t.View // signed, whatever it carries
	if t.HighQC != nil && t.HighQC.View == t.View {
		u.QC = nil
	}
	return from.say(u)
}

// forged is a QC that nobody else signed, on the newest block of its own disk.
func (l *highLiar) forged(from *machine, h bft.Height, v bft.View) *bft.QC {
	set := from.replica.State().Validators()
	qc := &bft.QC{Height: h, View: v, Block: from.replica.State().Tip().ID, Signers: make(bft.Bitmap, (set.Len()+7)/8)}
	signature := from.key.Sign(vote(bft.KindPrepare, bft.Position{Height: h, View: v}, qc.Block).SignedBytes(from.sim.cast.Genesis))
	for i := range set.Quorum() {
		qc.Signers[i/8] |= 1 << (i % 8)
		qc.Signatures = append(qc.Signatures, signature)
	}
	return qc
}

// hidden proposes a fresh block on a TC that names another.
func (l *highLiar) hidden(from *machine, p *bft.Proposal) *bft.Proposal {
	if p.TC == nil || p.TC.QC == nil {
		return nil
	}
	tc := *p.TC
	tc.QC = nil
	return ownBlock(from, p, &tc)
}
