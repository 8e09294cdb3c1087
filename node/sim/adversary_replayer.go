package sim

import "github.com/sage-p2p/sage-p2p/bft"

// replayer says again what others said: at once in their name, at the next height as
// it was and as if it were of that height. It shows the decision of another chain,
// where the same platforms validate, as one of this, and each of the others a vote of
// theirs that they never cast, as if their disk had forgotten it.
type replayer struct {
	honest
	at   bft.Height
	kept []bft.Message
}

// maxKept bounds the messages of one height that are said again.
const maxKept = 20

// Hear implements [Behaviour].
func (r *replayer) Hear(at, _ *machine, m bft.Message) {
	h := at.replica.Height()
	if h > r.at {
		kept := r.kept
		r.at, r.kept = h, nil
		for _, old := range kept {
			r.acted(at, 2, "repeats a %s, as it was and as if it were of height %d", called(old), h)
			at.shout(old)
			at.shout(moved(old, h))
		}
	}
	if m.Position().Height != h || len(r.kept) == maxKept {
		return
	}
	switch m := m.(type) {
	case *bft.Proposal:
		r.kept = append(r.kept, m)
		r.acted(at, 1, "shows a decision for block %s that was signed on another chain", short(m.Block.KeyString()))
		at.shout(elsewhere(at, m))
	case *bft.Vote:
		r.kept = append(r.kept, m)
		r.acted(at, 2, "repeats what %s said, %s, and shows that one a vote that it never cast", at.sim.who(m.Signer), called(m))
		at.shout(m)
		r.slander(at, m)
	case *bft.Timeout:
		r.kept = append(r.kept, m)
		r.acted(at, 1, "repeats what %s said: %s", at.sim.who(m.Signer), called(m))
		at.shout(m)
	}
}

// slander shows the signer of a vote one of a later view, under the same signature
// and under that of another chain.
func (r *replayer) slander(at *machine, v *bft.Vote) {
	victim := at.sim.machine(v.Signer)
	if victim == nil || victim == at {
		return
	}
	later := v.Signed()
	later.View += 9
	foreign := later
	foreign.Signature = victim.key.Sign(later.SignedBytes(otherChain(at)))
	tip := at.replica.State().Tip()
	for _, forgotten := range []bft.Signed{later, foreign} {
		at.sim.net.pass(at, victim, &bft.Status{
			Height: tip.Height + 1, FinalHeight: tip.Height, FinalID: tip.ID, Clock: bft.UnixMillis(at.clock()), Newest: &forgotten,
		})
	}
}

func otherChain(at *machine) bft.GenesisHash {
	other := at.sim.cast.Genesis
	other[0] ^= 1
	return other
}

// moved returns a message as if it were of another height.
func moved(m bft.Message, h bft.Height) bft.Message {
	switch m := m.(type) {
	case *bft.Proposal:
		again := *m
		again.Height = h
		return &again
	case *bft.Vote:
		again := *m
		again.Height = h
		return &again
	case *bft.Timeout:
		again := *m
		again.Height = h
		return &again
	}
	return m
}

// elsewhere is a decision for p's block that everybody signed on another chain.
func elsewhere(at *machine, p *bft.Proposal) bft.Message {
	other := otherChain(at)
	set := at.replica.State().Validators()
	cert := &bft.CommitCert{Height: p.Height, View: p.View, Block: p.Block, Signers: make(bft.Bitmap, (set.Len()+7)/8)}
	statement := vote(bft.KindCommit, spot(p), p.Block)
	for i := range set.Len() {
		if signer := at.sim.machine(set.ID(i)); signer != nil {
			cert.Signers[i/8] |= 1 << (i % 8)
			cert.Signatures = append(cert.Signatures, signer.key.Sign(statement.SignedBytes(other)))
		}
	}
	return cert
}
