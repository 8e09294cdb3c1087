package sim

import "github.com/sage-p2p/sage-p2p/bft"

// viewJumper is always far ahead: at each height it gives up views that nobody
// will reach, votes and proposes in them, and says that it stands there.
type viewJumper struct {
	honest
	jumped bft.Height
}

// Send implements [Behaviour].
func (j *viewJumper) Send(from, _ *machine, m bft.Message) []bft.Message {
	s, ok := m.(*bft.Status)
	if !ok {
		j.jump(from, m.Position().Height)
		return []bft.Message{m}
	}
	j.act(from, "says that it stands in view %d", bft.MaxView)
	far := *s
	far.View = bft.MaxView
	return []bft.Message{&far}
}

// jump says all of it once at each height.
func (j *viewJumper) jump(from *machine, h bft.Height) {
	set := from.replica.State().Validators()
	if h <= j.jumped || !set.Contains(from.id()) {
		return
	}
	j.jumped = h
	n := bft.View(set.Len())
	for _, v := range []bft.View{1, n + 1, 1_000_000, bft.MaxView - n} {
		j.act(from, "is far ahead: gives up view %d of height %d, votes and proposes there", v, h)
		from.shout(from.say(timeout(h, v, nil)))
		block := from.replica.State().Tip().ID
		at := bft.Position{Height: h, View: v}
		from.shout(from.say(vote(bft.KindPrepare, at, block)))
		from.shout(from.say(vote(bft.KindCommit, at, block)))
		for set.Leader(h, v) != from.id() {
			v++
		}
		at.View = v
		u := vote(bft.KindProposal, at, block)
		u.TC = &bft.TC{Height: h, View: v - 1, Signers: make(bft.Bitmap, (n+7)/8)}
		from.shout(from.say(u))
	}
	from.shout(from.say(timeout(h, bft.MaxView, nil)))
}
