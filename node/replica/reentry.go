package replica

import (
	"fmt"
	"slices"

	"github.com/sage-p2p/sage-p2p/bft"
)

// reentry is how one that is mute comes to sign again without the operator: it
// finds out above which height it can have said nothing, and is silent until the
// others have gone further without it. It keeps J9.
//
// # Why it is safe
//
// Every Status of a mute platform carries a challenge, drawn at its start, and who
// knows where it stands answers. Call heard at height e that enough validators of
// the set of e+1 have answered, all with a final height of at most e.
//
// Let us be heard at e, and e+1 and e+2 be decided by one set, of n with the quorum
// q. If we ever spoke at a height above e+2, then before our start, with the block
// of e+2 final: a quorum had sent COMMIT for that, q − 1 of the n − 1 others at
// least. Those who have answered are n − q + f + 1 of the same, so that f + 1 are
// in both, and one of these is correct. It sent its COMMIT for e+2 when e+1 was
// final with it, and before it was challenged: it cannot have answered e. Hence
// W = e+2 is a height above which we have said nothing, and at and below which
// nothing is ever said again (bft.Record.Watermark).
//
// The others need a quorum without us to get there: with one or two validators
// only the operator can bring a platform back. Of the others, f may lie or be on
// an old image themselves; one that is mute, listens or has less than its own
// record knows answers nothing.
//
// # A key that is alive elsewhere
//
// Then the above is worth nothing: what was not said before the challenge is said
// after it. So a height above W has to become final without us, and enough have to
// answer after that and to hold nothing of ours from above W. If anybody does, the
// key stays silent for as long as this process runs.
type reentry struct {
	barred    bool // something of ours is from above the watermark
	heard     bool
	at        bft.Height // if heard: e
	set       bft.SetHash
	watermark bft.Height // W; zero while it is not known
}

// challenge is what our Status asks for: zero, unless we are to come back.
func (r *Replica) challenge() uint64 {
	if !r.mute || r.back.barred {
		return 0
	}
	return r.nonce
}

// knows reports whether we know where we stand, so that others may rely on it.
func (r *Replica) knows() bool {
	return !r.mute && !r.listening.on && r.record.FinalHeight <= r.head().Height && r.record.Height <= r.height()
}

// replied takes a peer's Status that may answer our challenge.
func (r *Replica) replied(p *peer, s *bft.Status) error {
	if c := r.challenge(); c == 0 || s.Answer != c {
		return nil
	}
	if !p.replied {
		p.replied, p.first = true, s.FinalHeight
	}
	p.last = s.FinalHeight
	return r.comeBack()
}

// enoughReplied reports whether enough of the others have answered, and so.
func (r *Replica) enoughReplied(so func(*peer) bool) bool {
	n := 0
	for _, p := range r.peers {
		if p.replied && r.set.Contains(p.id) && so(p) {
			n++
		}
	}
	return n >= enough(r.set)
}

// comeBack looks whether one that is mute has come a step further: at each new
// height, and with each answer.
func (r *Replica) comeBack() error {
	b, e := &r.back, r.head().Height
	if r.challenge() == 0 || !r.set.Contains(r.self) || len(r.others) == 0 {
		return nil
	}
	if b.watermark == 0 {
		if b.heard && b.at+1 == e && b.set == r.set.Hash() {
			b.watermark = max(e+1, r.record.Height)
		} else if r.enoughReplied(func(p *peer) bool { return p.first <= e }) {
			b.heard, b.at, b.set = true, e, r.set.Hash()
		}
		return nil
	}
	if e > b.watermark && r.enoughReplied(func(p *peer) bool { return p.last > b.watermark }) {
		return r.unmute()
	}
	return nil
}

// unmute has us sign again. The height in progress, which began without us, is
// begun anew, unless it is decided.
func (r *Replica) unmute() error {
	r.record.Watermark = max(r.record.Watermark, r.back.watermark)
	r.mute, r.back = false, reentry{}
	r.out.Persist.Return = r.record.Watermark
	r.alarm(Alarm{AlarmReturned, fmt.Sprintf("what this platform may have said before is behind it, by the word of enough validators: "+
		"it signs again above height %d", r.record.Watermark)})
	if r.final != nil {
		return nil
	}
	if err := r.begin(); err != nil {
		return err
	}
	return r.resume()
}

// without bars the way back if a block above the watermark has our COMMIT.
func (r *Replica) without(cert *bft.CommitCert) {
	if r.mute && r.back.watermark > 0 && cert.Height > r.back.watermark && slices.Contains(r.signers(cert.Signers), r.self) {
		r.bar(bft.KindCommit, cert.Height)
	}
}

// bar ends the way back: the key is alive elsewhere.
func (r *Replica) bar(k bft.Kind, h bft.Height) {
	if !r.back.barred {
		r.back.barred = true
		r.alarm(Alarm{AlarmRolled, fmt.Sprintf("a %v of height %d has our signature, and was made after this platform fell silent: "+
			"the key is in use elsewhere. Nothing is signed", k, h)})
	}
}

// forgot reports whether s, if we signed it, is what we must not have: unknown to
// our record or, once the watermark is known, above it.
func (r *Replica) forgot(s bft.Signed) bool {
	if r.mute {
		return r.back.watermark > 0 && s.Height > r.back.watermark
	}
	return r.record.Forgot(s)
}
