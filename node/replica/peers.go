package replica

import (
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// peer is what is remembered of one connected peer.
type peer struct {
	id    bft.ID
	claim bft.Height // the highest height it called final: a claim, never a goal
	jobs  int        // unanswered signature checks, at most maxJobs
	busy  int        // unanswered fetches
	rests atp.Millis // not asked for anything before this time

	// The heights whose certificate it was sent in this second, at most
	// maxAnswers: R4 answers once per sender, height and second.
	second   atp.Millis
	answered []bft.Height
}

// mayAnswer reports whether the certificate of h may be sent to p now, and
// takes note that it is.
func (p *peer) mayAnswer(now atp.Millis, h bft.Height) bool {
	if s := now / atp.Millis(atp.Second); s != p.second {
		p.second, p.answered = s, p.answered[:0]
	}
	if len(p.answered) >= maxAnswers || slices.Contains(p.answered, h) {
		return false
	}
	p.answered = append(p.answered, h)
	return true
}

// failed takes note that p did not give what it was asked for.
func (p *peer) failed(now atp.Millis) {
	p.claim = 0
	p.rests = now.Add(restAfterFailure)
}

// peers are the connected ones, by ID: at most MaxPeers and the validators.
type peers []*peer

func (ps peers) find(id bft.ID) (int, bool) {
	return slices.BinarySearchFunc(ps, id, func(p *peer, id bft.ID) int { return p.id.Compare(id) })
}

// get returns the peer named id, nil if it is not connected.
func (ps peers) get(id bft.ID) *peer {
	if i, ok := ps.find(id); ok {
		return ps[i]
	}
	return nil
}

func (ps *peers) add(id bft.ID) *peer {
	i, ok := ps.find(id)
	if !ok {
		*ps = slices.Insert(*ps, i, &peer{id: id})
	}
	return (*ps)[i]
}

func (ps *peers) remove(id bft.ID) {
	if i, ok := ps.find(id); ok {
		*ps = slices.Delete(*ps, i, i+1)
	}
}
