package replica

import (
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// peer is what is remembered of one connected peer.
type peer struct {
	id    bft.ID
	claim bft.Height // the highest height it called final: a hint where to ask, never a goal
	jobs  int        // unanswered signature checks of its messages, at most maxJobs
	told  bool       // its Status came, and knows nothing of ours that we forgot

	came        bool       // no Status has come since it did
	challenge   uint64     // its newest
	answering   atp.Millis // the second in which it was answered last
	showing     atp.Millis // the second in which it was shown last that it is far below
	replied     bool       // it has answered ours
	first, last bft.Height // if so: what was final with it when it first did, and when it last did

	served   bool       // it has given what it was asked for since it came
	failures atp.Span   // requests in a row that brought nothing
	rests    atp.Millis // not asked for anything before this time

	// The heights whose certificate it was sent in this second, at most
	// maxAnswers: R4 answers once per sender, height and second.
	second   atp.Millis
	answered []bft.Height
}

// claims takes note of a height that p says, or implies, is final.
func (p *peer) claims(h bft.Height) { p.claim = max(p.claim, h) }

// gave takes note of whether p had what it was asked for. One that never has
// is no longer believed to.
func (p *peer) gave(something bool, now atp.Millis) {
	if something {
		p.served, p.failures = true, 0
		return
	}
	p.failures = min(p.failures+1, maxFailures)
	p.rest(now, p.failures*restAfterFailure)
	if p.failures == maxFailures {
		p.claim = 0
	}
}

// trust is how much is expected of a peer that is asked. Anybody can come with a
// new key and claim any height: a validator, or one that has served, is asked
// first, and has a place that no others take.
type trust int

const (
	shirking trust = iota // did not serve what it was asked for last
	untried               // nothing is known of it
	lapsed                // a validator that did not serve last
	proven                // a validator, or has served what it was asked for last
)

func (r *Replica) trust(p *peer) trust {
	validator := r.set.Contains(p.id)
	switch {
	case p.failures == 0 && (validator || p.served):
		return proven
	case validator:
		return lapsed
	case p.failures == 0:
		return untried
	}
	return shirking
}

// shirker is a peer that did not serve, and has gone: coming back makes nobody
// fresh.
type shirker struct {
	id       bft.ID
	failures atp.Span
}

// rest has p not asked for a while.
func (p *peer) rest(now atp.Millis, d atp.Span) { p.rests = now.Add(d) }

// resting reports whether p is not to be asked yet. A rest that is longer than
// any began before the clock was set back, and does not count.
func (p *peer) resting(now atp.Millis) bool {
	return p.rests > now && p.rests <= now.Add(maxFailures*restAfterFailure)
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

func (ps *peers) add(id bft.ID) {
	if i, ok := ps.find(id); !ok {
		*ps = slices.Insert(*ps, i, &peer{id: id})
	}
}

func (ps *peers) remove(id bft.ID) {
	if i, ok := ps.find(id); ok {
		*ps = slices.Delete(*ps, i, i+1)
	}
}

// claimed returns the highest height that a peer calls final.
func (ps peers) claimed() (h bft.Height) {
	for _, p := range ps {
		h = max(h, p.claim)
	}
	return h
}

// believed returns the highest height that those say is final who are worth it: the
// proven or, when none of them is connected, anyone.
func (r *Replica) believed() (h bft.Height) {
	known := false
	for _, p := range r.peers {
		if r.trust(p) >= lapsed {
			known, h = true, max(h, p.claim)
		}
	}
	if !known {
		return r.peers.claimed()
	}
	return h
}

// connected greets a peer with our Status.
func (r *Replica) connected(id bft.ID) error {
	validator := r.set.Contains(id)
	if id == r.self || len(r.peers) >= MaxPeers+bft.MaxValidators || len(r.peers) >= MaxPeers && !validator {
		return nil
	}
	r.peers.add(id)
	p := r.peers.get(id)
	p.came = true
	if i := slices.IndexFunc(r.shirkers, func(s shirker) bool { return s.id == id }); i >= 0 {
		p.failures = max(p.failures, r.shirkers[i].failures)
		r.shirkers = slices.Delete(r.shirkers, i, i+1)
	}
	if validator {
		r.patient()
		r.hear(id)
	}
	r.greeted()
	if i := slices.Index(r.gone, id); i >= 0 {
		r.gone = slices.Delete(r.gone, i, i+1)
		r.core.LeaderBack(id)
	}
	r.tell([]bft.ID{id})
	return nil
}

// disconnected forgets a peer. A validator that is gone is not waited for when
// it leads (L7).
func (r *Replica) disconnected(id bft.ID) error {
	if p := r.peers.get(id); p != nil && p.failures > 0 {
		r.shirkers = append(r.shirkers, shirker{id, p.failures})
		r.shirkers = r.shirkers[max(0, len(r.shirkers)-maxShirkers):]
	}
	r.peers.remove(id)
	if !r.set.Contains(id) || slices.Contains(r.gone, id) {
		return nil
	}
	r.gone = append(r.gone, id)
	return r.absorb(r.core.LeaderGone(id))
}

// hear takes note that a validator is there.
func (r *Replica) hear(id bft.ID) {
	if !r.set.Contains(id) || slices.Contains(r.spoke, id) {
		return
	}
	r.spoke = append(r.spoke, id)
	if i := slices.Index(r.silent, id); i >= 0 {
		r.silent = slices.Delete(r.silent, i, i+1)
		if !slices.Contains(r.gone, id) {
			r.core.LeaderBack(id)
		}
	}
}

// doubts reports whether the leader of the view whose timer has fired has said
// nothing since that was armed, not even where it stands. It counts as gone until
// it is heard: the transport may not know yet that it has lost it.
func (r *Replica) doubts(t Timer) (leader bft.ID, silent bool) {
	if t.Height != r.height() || t.View != r.core.View() || r.final != nil {
		return bft.ID{}, false
	}
	leader = r.set.Leader(t.Height, t.View)
	return leader, leader != r.self && !slices.Contains(r.spoke, leader) && !slices.Contains(r.silent, leader)
}
