package sim

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// detail is what differs between blames that are alike.
var detail = regexp.MustCompile(`[0-9a-f]*[0-9][0-9a-f]*`)

// classes are what errors begin with, and what a reader of a story knows without.
var classes = strings.NewReplacer("bft: invalid: ", "", "wire: ", "", "chain: ", "", "atp: ", "", "invalid: ", "", "malformed: ", "")

// blames tells that a machine blames another. Whoever does so for the like is folded
// with it.
func (s *Sim) blames(m *machine, f replica.Fault) {
	if s.tells() {
		text := s.plain(fmt.Sprintf("blames %s: %s", s.who(f.Peer), classes.Replace(f.Err.Error())))
		s.line(m, Line{like: s.who(f.Peer) + detail.ReplaceAllString(text, "#")}, "%s", text)
	}
}

// refuses tells that a machine does not take bytes of another, which are told as one.
func (s *Sim) refuses(m, from *machine, err error) {
	if s.tells() {
		s.line(m, Line{like: fmt.Sprint("bytes of ", from.index)}, "refuses bytes of %d: %s", from.index, classes.Replace(err.Error()))
	}
}

// tellEvidence tells of a proof that somebody has contradicted itself.
func (j *judge) tellEvidence(m *machine, e bft.Evidence) {
	if !j.sim.tells() {
		return
	}
	said := func(s bft.Signed) string {
		text := fmt.Sprintf("%v of view %d", s.Kind, s.View)
		switch {
		case s.Block.Defined():
			text += " for block " + short(s.Block.KeyString())
		case s.HighView != bft.NoView:
			text += fmt.Sprintf(" with a QC of view %d", s.HighView)
		case s.Kind == bft.KindTimeout:
			text += " without a QC"
		}
		return text
	}
	j.sim.happens(m, "has proof against %s, which has signed at height %d a %s and a %s",
		j.sim.who(e.First.Signer), e.First.Height, said(e.First), said(e.Second))
}

// tellFinal tells that a block is final, when it is on the disk: what follows from it
// may come before it is published.
func (m *machine) tellFinal(f replica.Final) {
	if m.sim.tells() {
		m.sim.happens(m, "height %d is final: block %s of view %d, with %s",
			f.Cert.Height, short(f.Cert.Block.KeyString()), f.Cert.View, several(len(f.Block.Txs), "transaction"))
	}
}

// tellFact tells what becomes of the set of validators.
func (j *judge) tellFact(h bft.Height, fact chain.Fact) {
	if !j.sim.tells() {
		return
	}
	var id atp.ID
	var text string
	switch e := fact.(type) {
	case *chain.ValidatorCandidate:
		id, text = e.ID, "waits for a vote"
	case *chain.ValidatorJoined:
		id, text = e.ID, fmt.Sprintf("has a vote from height %d on", e.From)
	case *chain.ValidatorLeft:
		id, text = e.ID, fmt.Sprintf("has left, and has no vote from height %d on", e.From)
	case *chain.ValidatorAbsent:
		id, text = e.ID, fmt.Sprintf("was missing for long, and has no vote from height %d on", e.From)
	case *chain.ValidatorSlashed:
		id, text = e.ID, fmt.Sprintf("is slashed for a contradiction at height %d", e.Height)
	case *chain.KeyRotated:
		id, text = e.Old, "has another key"
	default:
		return
	}
	j.sim.happens(nil, "by block %s of height %d, %s %s", short(j.finals[h-1].KeyString()), h, j.sim.who(bft.ID(id)), text)
}
