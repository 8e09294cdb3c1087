package replica

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sage-p2p/sage-p2p/bft"
)

// absorb takes over what the core of the height in progress asks for, in the
// order of [bft.Output].
func (r *Replica) absorb(o bft.Output) error {
	for _, u := range o.Sign {
		if err := r.sign(u); err != nil {
			return err
		}
	}
	for _, e := range o.Send {
		r.send(e.To, e.Message)
	}
	for _, t := range o.Timers {
		r.active = true
		if t.Kind == bft.TimerView {
			r.spoke, r.waited = nil, r.pool.Arrivals()
		}
		r.arm(Timer{Kind: TimerKind(t.Kind), Height: t.Height, View: t.View, Attempt: t.Attempt})
	}
	if o.Status {
		r.tell(r.others)
	}
	if o.ShareWork {
		r.shareWork()
	}
	r.out.Publish.Evidence = append(r.out.Publish.Evidence, o.Evidence...)
	if o.Final != nil {
		return r.decided(o.Final)
	}
	if o.Check != nil {
		if err := r.check(*o.Check); err != nil {
			return err
		}
	}
	if o.Build != nil {
		return r.build(*o.Build)
	}
	return nil
}

// sign asks for a signature, at once or when the listening ends. It keeps J1:
// what a Proposal or a PREPARE speaks for is in Persist first.
func (r *Replica) sign(u bft.Unsigned) error {
	if r.mute || u.Height <= r.record.Watermark {
		return nil
	}
	if u.Kind == bft.KindProposal || u.Kind == bft.KindPrepare {
		if err := r.keepBody(u.Block); err != nil {
			return fmt.Errorf("%v of view %d: %w", u.Kind, u.View, err)
		}
	}
	if r.listening.on {
		r.listening.waiting = append(r.listening.waiting, u)
		return nil
	}
	r.out.Sign = append(r.out.Sign, u)
	return nil
}

// send puts a message into the outboxes: of one peer, or of every validator.
func (r *Replica) send(to bft.ID, m bft.Message) {
	all := r.others
	if !to.IsZero() {
		all = []bft.ID{to}
	}
	if len(all) > 0 {
		r.out.Send = append(r.out.Send, Envelope{all, m})
	}
}

// arm starts a timer, and with the first one of a height that of Status.
func (r *Replica) arm(t Timer) {
	r.out.Timers = append(r.out.Timers, t)
	if !r.ticking && t.Kind != TimerStatus && t.Kind != TimerDue {
		r.ticking = true
		r.arm(Timer{Kind: TimerStatus})
	}
}

// signed takes our own statements once they are durable: they go to every
// validator, and count like everyone's.
func (r *Replica) signed(in Signed) error {
	for _, v := range in.Messages {
		m := v.Message()
		r.record = remember(r.record, m, r.self)
		r.send(bft.ID{}, m)
	}
	for _, v := range in.Messages {
		if err := r.deliver(v, bft.Arrival(r.clock.now())); err != nil {
			return err
		}
	}
	return nil
}

// deliver gives a verified message to the core of its height. It keeps J5: the
// cores refuse any other.
func (r *Replica) deliver(v bft.Verified, arrived bft.Arrival) error {
	switch r.height() {
	case v.Message().Position().Height:
		r.wake()
		out, err := r.core.Message(v, arrived)
		if err != nil {
			return err
		}
		return r.absorb(out)
	case v.Message().Position().Height + 1:
		if r.below.core == nil {
			return nil
		}
		_, err := r.below.core.Message(v, arrived) // collects late COMMITs alone
		return err
	}
	return nil
}

// received sorts a message by its height.
func (r *Replica) received(in Received) error {
	p := r.peers.get(in.From)
	if p == nil {
		return nil // it has gone since
	}
	r.hear(p.id)
	h := in.Message.Position().Height
	if s, ok := in.Message.(*bft.Status); ok {
		if s.Height == 0 || s.FinalHeight != s.Height-1 {
			r.fault(p.id, fmt.Errorf("%w: Status at height %d, with %d final", bft.ErrInvalid, s.Height, s.FinalHeight))
			return nil
		}
		p.claims(s.FinalHeight)
		if err := r.status(p, s); err != nil {
			return err
		}
	}
	switch {
	case h < r.height():
		return r.answer(p, in.Message)
	case h > r.height():
		p.claims(h - 1)
		if _, ok := in.Message.(*bft.CommitCert); ok {
			p.claims(h)
		}
		r.ahead.Hold(p.id, in.Message, bft.Arrival(r.clock.now()))
		return r.chase(0)
	}
	if r.final != nil {
		if s, ok := statement(in.Message, p.id); ok && s.Kind == bft.KindCommit {
			r.verify(p, in.Message, 0)
			return nil
		}
		return r.answer(p, in.Message)
	}
	r.verify(p, in.Message, bft.Arrival(r.clock.now()))
	return nil
}

// answer is R4's: a message of a decided height is answered with its
// certificate. A late COMMIT for the head is collected.
func (r *Replica) answer(p *peer, m bft.Message) error {
	at := m.Position()
	if at.Kind == bft.KindCommitCert || at.Height == 0 {
		return nil
	}
	cert := r.below.cert
	switch {
	case r.final != nil && at.Height == r.height():
		cert = r.final.Cert
	case at.Height == r.head().Height:
		if at.Kind == bft.KindCommit && !bft.Answered(m, cert) && r.below.core != nil {
			r.verifyWith(p, Job{From: p.id, Height: at.Height, Set: r.below.set, Message: m})
		}
	default:
		if !p.mayAnswer(r.now, at.Height) {
			return nil
		}
		old, ok, err := r.store.Cert(at.Height)
		if err != nil {
			return fmt.Errorf("certificate of height %d: %w", at.Height, err)
		}
		if ok && bft.Answered(m, &old) {
			r.send(p.id, &old)
		}
		return nil // pruned heights are not answered
	}
	if bft.Answered(m, cert) && p.mayAnswer(r.now, at.Height) {
		r.send(p.id, cert)
	}
	return nil
}

// verify asks for the check of a message of this height, unless it tells
// nothing new.
func (r *Replica) verify(p *peer, m bft.Message, arrived bft.Arrival) {
	if s, ok := m.(*bft.Status); ok {
		if s = r.news(s); s == nil {
			return
		}
		m = s
	}
	at := m.Position()
	if s, ok := statement(m, r.set.Leader(at.Height, at.View)); ok {
		if s.Signer != p.id {
			r.fault(p.id, fmt.Errorf("%w: %v of %s from %s", bft.ErrInvalid, s.Kind, s.Signer, p.id))
			return
		}
		if slices.Contains(r.heard, s) {
			return
		}
	}
	r.verifyWith(p, Job{From: p.id, Height: r.height(), Set: r.set, Message: m, Arrived: arrived})
}

// verifyWith asks for the check of what a peer has sent unasked, if not too
// much of it is being checked.
func (r *Replica) verifyWith(p *peer, j Job) {
	if p.jobs < maxJobs && (r.set.Contains(p.id) || r.strange < maxStrange) {
		r.job(j)
	}
}

// job asks for a signature check.
func (r *Replica) job(j Job) {
	if p := r.peers.get(j.From); p != nil {
		p.jobs++
	}
	if j.strange = !r.set.Contains(j.From); j.strange {
		r.strange++
	}
	r.out.Verify = append(r.out.Verify, j)
}

// news returns the certificates of a Status that the core does not know, nil if
// there are none.
func (r *Replica) news(s *bft.Status) *bft.Status {
	mine := r.core.Status()
	fresh := &bft.Status{Height: s.Height, View: s.View, FinalHeight: s.FinalHeight, FinalID: s.FinalID, Clock: s.Clock}
	if s.HighQC != nil && (mine.HighQC == nil || s.HighQC.View > mine.HighQC.View) {
		fresh.HighQC = s.HighQC
	}
	if s.TC != nil && (mine.TC == nil || s.TC.View > mine.TC.View) {
		fresh.TC = s.TC
	}
	if fresh.HighQC == nil && fresh.TC == nil {
		return nil
	}
	return fresh
}

// verified takes the verdict on a message.
func (r *Replica) verified(in Verified) error {
	p := r.peers.get(in.Job.From)
	if p != nil && p.jobs > 0 {
		p.jobs--
	}
	if in.Job.strange {
		r.strange--
	}
	if done, err := r.parentJudged(in); done {
		return err
	}
	if in.Err != nil {
		if errors.Is(in.Err, bft.ErrInvalid) {
			r.fault(in.Job.From, in.Err)
		}
		r.backlog.refuse(in.Job.Height, in.Job.Message)
		if err := r.chase(0); err != nil {
			return err
		}
		return r.work() // it may have waited for what the backlog promised
	}
	if s, ok := in.Message.Message().(*bft.Status); ok && s.Newest != nil {
		r.rolledBack(*s.Newest)
		r.told(in.Job.From)
	}
	r.note(in)
	return r.deliver(in.Message, in.Job.Arrived)
}

// note remembers what a verified message tells beside the protocol: what its
// signer said last, and who holds a block. The set is that of the check: further
// heights may have been decided since, by others.
func (r *Replica) note(in Verified) {
	m := in.Message.Message()
	at := m.Position()
	s, ok := statement(m, in.Job.Set.Leader(at.Height, at.View))
	if !ok {
		return
	}
	r.keepNewest(s)
	if s.Height != r.height() {
		return
	}
	r.heard = newestOf(r.heard, s, func(o bft.Signed) bool { return o.Signer == s.Signer && o.Kind == s.Kind })
	if c := r.find(s.Block); c != nil && s.Kind == bft.KindPrepare {
		c.heldBy(s.Signer)
	}
}

// keepNewest remembers what a validator said last, also when it has left since:
// it may come back on an old image of its disk (A6).
func (r *Replica) keepNewest(s bft.Signed) {
	r.newest = newestOf(r.newest, s, func(o bft.Signed) bool { return o.Signer == s.Signer })
	if len(r.newest) > maxNewest { // twice as many as have a vote
		i := slices.IndexFunc(r.newest, func(o bft.Signed) bool { return !r.set.Contains(o.Signer) && !r.below.set.Contains(o.Signer) })
		r.newest = slices.Delete(r.newest, max(i, 0), max(i, 0)+1)
	}
}

// newestOf puts s in the place of the one entry that is its like, unless
// that is further on.
func newestOf(said []bft.Signed, s bft.Signed, like func(bft.Signed) bool) []bft.Signed {
	i := slices.IndexFunc(said, like)
	if i < 0 {
		return append(said, s)
	}
	if s.Position().After(said[i].Position()) {
		said[i] = s
	}
	return said
}

// statement returns the statement in m; leader is whose Proposal it would be.
func statement(m bft.Message, leader bft.ID) (bft.Signed, bool) {
	switch m := m.(type) {
	case *bft.Proposal:
		return m.Signed(leader), true
	case *bft.Vote:
		return m.Signed(), true
	case *bft.Timeout:
		return m.Signed(), true
	}
	return bft.Signed{}, false
}

// remember returns the record with a statement of ours in it, as the signer's
// holds it.
func remember(rec bft.Record, m bft.Message, self bft.ID) bft.Record {
	s, ok := statement(m, self)
	if !ok {
		return rec
	}
	u := bft.Unsigned{Statement: s.Statement}
	if t, ok := m.(*bft.Timeout); ok {
		u.QC = t.HighQC
	}
	return rec.Keep(u, self, s.Signature)
}
