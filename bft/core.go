package bft

import "github.com/ipfs/go-cid"

// Config is what a Core is made of.
type Config struct {
	Height Height
	Set    ValidatorSet // the validators of Height, as the block below fixes them (S12)
	Self   ID           // a member of Set votes; anyone else observes
	Record Record       // what Self has said so far, at whatever height
}

// Core decides one height. Make one for each height with [NewCore], give it
// Start, and then whatever happens; each call returns what must be done.
type Core struct {
	cfg     Config
	set     ValidatorSet
	self    int  // index in set, if voting
	voting  bool // false: observe
	marks   Marks
	view    View
	armed   bool // the timer of the view runs, or ran
	work    bool // the application has something to do
	tc      *TC  // the newest
	held    collector
	arrived []Arrival // of held.proposals
	gone    Bitmap    // validators that the transport has lost
	accused Bitmap    // validators whose evidence is out

	stored   *Signed   // the newest Proposal, from before a restart, not sent again yet
	building Build     // the newest asked for
	asked    View      // the last view in which a Check went out
	checking *Proposal // the Proposal whose Check is unanswered, or nil
	final    *CommitCert
}

// NewCore returns the state machine of a height, resumed from the record (S10).
// A platform whose record is beyond the height (its chain travelled back in
// time, or it was recovered) observes.
func NewCore(cfg Config) *Core {
	n := cfg.Set.Len()
	c := &Core{
		cfg: cfg, set: cfg.Set, held: newCollector(cfg.Set), arrived: make([]Arrival, n),
		gone: newBitmap(n), accused: newBitmap(n), asked: NoView, building: Build{View: NoView},
	}
	self, member := cfg.Set.Index(cfg.Self)
	beyond := cfg.Record.Height > cfg.Height || cfg.Record.silent(cfg.Height)
	c.self, c.voting = self, member && !beyond
	c.marks = noMarks()
	if c.voting {
		c.marks = cfg.Record.at(cfg.Height).Marks
	}
	c.view = c.marks.resumeView()
	return c
}

// Start must be the first call: it sends again what the record holds of this
// height, the same bytes, and takes up where it ended (S10).
func (c *Core) Start() Output {
	out := Output{Status: true}
	if !c.voting {
		return out
	}
	r := c.cfg.Record.at(c.cfg.Height)
	if c.view > 0 || r.Timeout != nil {
		c.arm(&out)
	}
	if c.stored = r.Proposal; c.stored != nil {
		c.arm(&out)
		c.repeatProposal(&out)
	}
	for _, s := range []*Signed{r.Prepare, r.Commit} {
		if s != nil {
			v := &Vote{s.Kind, s.Height, s.View, s.Block, c.cfg.Self, s.Signature}
			out.Send = append(out.Send, Envelope{Message: v})
			c.vote(v, &out)
		}
	}
	if r.Timeout != nil {
		out.Send = append(out.Send, Envelope{Message: r.Timeout})
		c.timeout(r.Timeout, &out)
	}
	return out
}

// Message takes a verified message of this height; arrived is handed back in
// Check. It fails with [ErrStale] or [ErrAhead] for another height.
func (c *Core) Message(m Verified, arrived Arrival) (Output, error) {
	var out Output
	if m == nil || !m.verified() {
		return out, invalidf("message that nobody has verified")
	}
	switch h := m.Message().Position().Height; {
	case h < c.cfg.Height:
		return out, ErrStale
	case h > c.cfg.Height:
		return out, ErrAhead
	}
	if c.final != nil {
		c.lateCommit(m)
		return out, nil
	}
	switch m := m.(type) {
	case VerifiedProposal:
		c.proposal(m.p, arrived, &out)
	case VerifiedVote:
		c.vote(m.v, &out)
	case VerifiedTimeout:
		c.timeout(m.t, &out)
	case VerifiedStatus:
		c.certificates(m.s.HighQC, m.s.TC, &out)
	case VerifiedCommitCert:
		c.decide(m.c, &out)
	}
	return out, nil
}

// certificates takes certificates however they arrived (L5).
func (c *Core) certificates(qc *QC, tc *TC, out *Output) {
	if qc != nil {
		c.lock(qc, out)
	}
	if tc != nil {
		c.certificates(tc.QC, nil, out)
		c.nextView(tc, out)
	}
}

func (c *Core) leader() ID { return c.set.Leader(c.cfg.Height, c.view) }

func (c *Core) leads() bool { return c.voting && c.leader() == c.cfg.Self }

// say lets this validator make a statement: marked here at once, so that no
// later rule of the same step overlooks it, and out as soon as it is durable.
func (c *Core) say(u Unsigned, out *Output) {
	c.marks = c.marks.with(u)
	if u.Kind == KindProposal {
		c.stored = nil // sent again now, or overtaken
	}
	out.Sign = append(out.Sign, u)
}

func (c *Core) statement(k Kind, v View, block cid.Cid) Statement {
	return Statement{k, c.cfg.Height, v, block, NoView}
}

// accuse reports a contradiction, once for each validator.
func (c *Core) accuse(i int, s Signed, out *Output) {
	if e, found := c.held.conflict(i, s); found && !c.accused.Has(i) {
		c.accused.set(i)
		out.Evidence = append(out.Evidence, e)
	}
}

// Work tells that the application has something to do. Told again, it asks
// again for a block that has not come.
func (c *Core) Work() Output {
	var out Output
	if c.final == nil {
		c.work = true
		c.arm(&out)
		c.propose(&out)
	}
	return out
}

// propose is R1.
func (c *Core) propose(out *Output) {
	if !c.leads() || !c.marks.mayPropose(c.view) {
		return
	}
	if reuse, ok := proposable(c.view, c.work, c.tc); ok {
		c.building = Build{c.cfg.Height, c.view, reuse, !reuse.Defined()}
		b := c.building
		out.Build = &b
	}
}

// repeatProposal sends a Proposal from before the restart again, if a TC that
// justifies it is at hand, and when its body is; otherwise it stays unsent.
func (c *Core) repeatProposal(out *Output) {
	s := c.stored
	if s == nil {
		return
	}
	p := &Proposal{Height: s.Height, View: s.View, Block: s.Block}
	if s.View > 0 {
		p.TC = c.tc
	}
	if carriesItsTC(p) && justified(p) {
		out.Build = &Build{c.cfg.Height, s.View, s.Block, fresh(p)}
	}
}

// Built gives the application's answer to a Build. One that has come too late
// is ignored. It fails with [ErrInvalid] if it is not what was asked for.
func (c *Core) Built(v View, block cid.Cid, payload []byte) (Output, error) {
	var out Output
	if c.final != nil || !c.voting {
		return out, nil
	}
	u := Unsigned{Statement: c.statement(KindProposal, v, block), Payload: payload}
	if v > 0 && c.tc != nil && c.tc.View == v-1 {
		u.TC = c.tc
	}
	again := c.stored != nil && c.stored.View == v
	if !again && (v != c.view || v != c.building.View || !c.marks.mayPropose(v)) || v > 0 && u.TC == nil {
		return out, nil
	}
	want := c.building.Reuse
	if again {
		want = c.stored.Block
	}
	if err := checkBuilt(u, want); err != nil {
		return out, err
	}
	c.say(u, &out)
	if fresh := !again && !want.Defined(); fresh && c.marks.mayPrepare(v) {
		// R2 of our own block, with nothing to judge: the application has made
		// and executed it, and the TC that justifies it names no other. One
		// update of the record keeps both statements.
		c.asked = v
		c.say(Unsigned{Statement: c.statement(KindPrepare, v, block)}, &out)
	}
	return out, nil
}

func checkBuilt(u Unsigned, want cid.Cid) error {
	if want.Defined() && u.Block != want {
		return invalidf("built block %s, want %s", u.Block, want)
	}
	return (&Proposal{u.Height, u.View, u.Block, u.Payload, u.TC, Signature{}}).check()
}

// proposal takes a Proposal of any view: its TC counts at once, itself when its
// view comes (L3).
func (c *Core) proposal(p *Proposal, arrived Arrival, out *Output) {
	i, ok := c.set.Index(c.set.Leader(p.Height, p.View))
	if !ok {
		return
	}
	c.accuse(i, p.Signed(c.set.ID(i)), out)
	if c.held.proposals.keep(i, p) {
		c.arrived[i] = arrived
	}
	c.certificates(nil, p.TC, out)
	c.arm(out)
	c.consider(out)
}

// consider is R2 up to the application's judgement, which it asks for once in
// each view.
func (c *Core) consider(out *Output) {
	i, ok := c.set.Index(c.leader())
	if !ok || !c.voting || c.asked >= c.view {
		return
	}
	p := c.held.proposals[i]
	if p == nil || p.View != c.view || !c.marks.mayPrepare(p.View) || !carriesItsTC(p) || !justified(p) {
		return
	}
	c.asked, c.checking = c.view, p
	out.Check = &Check{p.Height, p.View, p.Block, p.Payload, fresh(p), c.set.ID(i), c.arrived[i]}
}

// Checked gives the application's answer to a Check. It completes R2. An
// answer that has come too late is ignored.
func (c *Core) Checked(v View, block cid.Cid, verdict Verdict) Output {
	var out Output
	p := c.checking
	if c.final != nil || p == nil || p.View != v || p.Block != block || v != c.view {
		return out
	}
	c.checking = nil
	if acceptable(p, verdict) && c.marks.mayPrepare(v) {
		c.say(Unsigned{Statement: c.statement(KindPrepare, v, block)}, &out)
	}
	return out
}

// vote takes a PREPARE or COMMIT of any view.
func (c *Core) vote(v *Vote, out *Output) {
	i, ok := c.set.Index(v.Signer)
	if !ok {
		return
	}
	c.accuse(i, v.Signed(), out)
	if !c.held.votes(v.Kind).keep(i, v) {
		return
	}
	c.arm(out)
	if v.Kind == KindCommit {
		if cert := c.held.commitCert(v); cert != nil {
			c.decide(cert, out)
		}
		return
	}
	if qc := c.held.qc(v); qc != nil {
		c.lock(qc, out)
	}
}

// lock is R3: highQC, the view and the COMMIT that a QC gives, whether or not
// the block's body is at hand. The COMMIT comes first, because entering a view
// whose leader is gone gives it up. It keeps S4, S5 and S6.
func (c *Core) lock(qc *QC, out *Output) {
	c.marks = c.marks.seen(qc)
	if c.voting && c.marks.mayCommit(qc.View) {
		c.say(Unsigned{Statement: c.statement(KindCommit, qc.View, qc.Block), QC: qc}, out)
	}
	if qc.View > c.view {
		c.enter(qc.View, out)
	}
	c.arm(out)
}

// decide is R4, from any view. It keeps S11.
func (c *Core) decide(cert *CommitCert, out *Output) {
	c.final = cert
	out.Final = &Final{Cert: cert}
	if c.voting {
		out.Final.Tell = c.held.uncounted(cert, c.cfg.Self)
	}
}

// lateCommit collects a COMMIT after the decision, for [Core.Certificate].
func (c *Core) lateCommit(m Verified) {
	v, ok := m.(VerifiedVote)
	if !ok || v.v.Kind != KindCommit {
		return
	}
	if i, member := c.set.Index(v.v.Signer); member {
		c.held.commits.keep(i, v.v)
	}
}

// Certificate returns the decision with every COMMIT held for it, late ones
// too, for the next block's LastCommit; nil before the decision.
func (c *Core) Certificate() *CommitCert {
	if c.final == nil {
		return nil
	}
	return c.held.complete(c.final)
}

// Vouches reports whether cert decides this height by nothing but COMMITs that are
// held, and so were verified one by one: then it needs no check of its own. Any
// other may hold too. It keeps S2.
func (c *Core) Vouches(cert *CommitCert) bool {
	return c.final != nil && cert.check() == nil && cert.Signers.fits(c.set.Len()) &&
		cert.Height == c.cfg.Height && cert.View == c.final.View && cert.Block == c.final.Block && c.held.vouches(cert)
}

// Status returns what Status tells about this height. The caller adds the
// final block, its clock, and the newest statement held from the receiver.
func (c *Core) Status() *Status {
	return &Status{Height: c.cfg.Height, View: c.view, HighQC: c.marks.HighQC, TC: c.tc}
}

// View returns the current view.
func (c *Core) View() View { return c.view }
