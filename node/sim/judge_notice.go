package sim

import (
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// What correct machines notice of adversaries, and what they must never let one
// talk them into.

const (
	seenBlame     = "blame"
	seenRefusal   = "bytes are refused"
	seenEvidence  = "evidence"
	seenAlarm     = "a key is found in use elsewhere"
	seenForgotten = "a record is forgotten"
	seenFoundOut  = "an old image is found out"
	seenReturn    = "a return"

	seenForgottenLater = "a record of a new key is forgotten"
	seenReturnLater    = "a new key returns"
	seenForgottenAmid  = "a record is forgotten beside a liar, while the set changes"
	seenReturnAmid     = "a return beside a liar, while the set changes"
	seenTurnedOff      = "adversaries that talk on"
)

// notice is what the judge remembers to hold finals against.
type notice struct {
	sets  []bft.ValidatorSet // of heights 1, 2, …
	votes map[ballot]bool    // COMMITs of correct machines
	lead  int64              // of the correct clock that was ahead the furthest, in milliseconds
}

func newNotice(s *Sim) notice {
	return notice{sets: []bft.ValidatorSet{s.cast.state.Validators()}, votes: make(map[ballot]bool)}
}

// refused judges bytes that were not taken: no correct machine sends such.
func (j *judge) refused(m, from *machine, err error) {
	if from.correct() {
		j.fail("machine %d refuses bytes of machine %d, which is correct: %v", m.index, from.index, err)
	}
	j.sim.refuses(m, from, err)
	if m.correct() {
		j.seen[seenRefusal]++
	}
}

// evidence judges proof: it holds, and it is of nobody correct.
func (j *judge) evidence(m *machine, list []bft.Evidence) {
	if !m.correct() {
		return
	}
	for _, e := range list {
		j.seen[seenEvidence]++
		j.tellEvidence(m, e)
		if err := e.Verify(j.sim.cast.Scheme, j.sim.cast.Genesis); err != nil {
			j.fail("machine %d has evidence that does not hold: %v", m.index, err)
		}
		if culprit := j.sim.machine(e.First.Signer); culprit != nil && culprit.correct() {
			j.fail("A6: machine %d has evidence against machine %d, which is correct", m.index, culprit.index)
		}
	}
}

// maxLead is how far a block's time may be ahead of a clock that lets it pass, in
// milliseconds. Where clocks are wrong by a fault, they may run on from the chain's
// time, and nothing can be said of it.
const maxLead = 2_000

// reads takes note of how far a correct machine's clock is ahead.
func (j *judge) reads(m *machine) {
	if m.correct() {
		j.lead = max(j.lead, m.skew)
	}
}

// sound judges what a correct machine takes for final: its own look at the
// certificates, the bounds and the signatures, which shares no rule with bft and
// chain.
func (j *judge) sound(m *machine, f replica.Final) {
	j.reads(m)
	h := f.Block.Header
	if id, err := h.ID(); err != nil || id != f.Cert.Block {
		j.fail("A1: height %d: machine %d takes block %s for final on a certificate of %s: %v", h.Height, m.index, id, f.Cert.Block, err)
	}
	if root := f.Result.State.Root(); root != h.StateRoot {
		j.fail("A5: height %d: the state of machine %d is %s, the block says %s", h.Height, m.index, root, h.StateRoot)
	}
	if h.LastCommit != nil {
		j.spoken(m, *h.LastCommit)
	}
	j.spoken(m, f.Cert)
	clocks := slices.ContainsFunc(j.sim.plan.Script, func(f Fault) bool { return f.Kind == FaultClock })
	if ahead := int64(h.Time) - int64(j.sim.World.Now()); !clocks && ahead > j.lead+maxLead {
		j.fail("height %d: a final block's time is %d ms ahead, and no correct clock was by more than %d ms", h.Height, ahead, j.lead)
	}
	if below, _ := m.store.at(max(h.Height-1, 1)); h.Height > 1 && h.Time <= below.Header.Time {
		j.fail("height %d: a final block's time is %d, its parent's %d", h.Height, h.Time, below.Header.Time)
	}
	j.contents(f.Block)
}

// contents judges the transactions of a final block.
func (j *judge) contents(b chain.Block) {
	h := b.Header
	limits := j.sim.cast.state.Params().Limits
	if n := len(b.Txs); uint64(n) > limits.Txs {
		j.fail("height %d: a final block of %d transactions, want at most %d", h.Height, n, limits.Txs)
	}
	for _, tx := range b.Txs {
		if end := tx.Tx().Expires; end != 0 && end < h.Time {
			j.fail("height %d: transaction %s is final at %d, and expired at %d", h.Height, tx.ID(), h.Time, end)
		}
		sender := j.sim.machine(bft.ID(tx.Tx().From))
		if sender == nil || !sender.correct() || atp.ID(sender.id()) != tx.Tx().From { // replaced since
			continue
		}
		if sender.key.Sign(chain.SigningBytes(j.sim.cast.Genesis, tx.ID())) != tx.Tx().Signature {
			j.fail("A4: height %d: transaction %s was never signed by machine %d, which pays", h.Height, tx.ID(), sender.index)
		}
	}
}

// spoken is A1's ground: a quorum is named, each signer once, and of every correct
// one there is such a COMMIT. What nobody said proves nothing.
func (j *judge) spoken(m *machine, c bft.CommitCert) {
	set := j.sets[c.Height-1]
	named := 0
	for i := range set.Len() {
		if !c.Signers.Has(i) {
			continue
		}
		named++
		signer := j.sim.machine(set.ID(i))
		if signer != nil && signer.correct() && !j.votes[ballot{signer.index, c.Height, c.View, c.Block}] {
			j.fail("A1: height %d: machine %d believes that machine %d signed a COMMIT in view %d, which it never did",
				c.Height, m.index, signer.index, c.View)
		}
	}
	if named < quorumOf(set.Len()) || len(c.Signatures) != named {
		j.fail("A1: height %d: machine %d believes a certificate of %d of %d validators, with %d signatures", c.Height, m.index, named, set.Len(), len(c.Signatures))
	}
}

// ballot is a COMMIT.
type ballot struct {
	machine int
	height  bft.Height
	view    bft.View
	block   cid.Cid
}

// recorded takes note of a COMMIT that a machine finds in its record when it starts:
// the power failed before it was handed out, and it counts now.
func (j *judge) recorded(m *machine) {
	if c := m.signer.Record().Commit; c != nil {
		j.votes[ballot{m.index, c.Height, c.View, c.Block}] = true
	}
}
