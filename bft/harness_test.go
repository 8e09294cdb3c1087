package bft

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
)

var testGenesis = GenesisHash{'t', 'e', 's', 't'}

// testBlock returns the block ID that stands for a name.
func testBlock(name string) cid.Cid {
	h, err := multihash.Sum([]byte(name), multihash.SHA2_256, -1)
	if err != nil {
		panic(err)
	}
	return cid.NewCidV1(cid.DagCBOR, h)
}

// testSet returns n validators, in the order of their index.
func testSet(n int) ValidatorSet {
	ids := make([]ID, n)
	for i := range ids {
		ids[i] = IDFromKey(sha256.Sum256([]byte{byte(i)}))
	}
	slices.SortFunc(ids, ID.Compare)
	set, err := NewValidatorSet(ids...)
	if err != nil {
		panic(err)
	}
	return set
}

// member is one machine of a cluster: a core, its signer's record, and what it
// waits for.
type member struct {
	name   string
	index  int // of its key in the set
	core   *Core
	record Record
	down   bool
	timers []Timer // running, newest last
	builds []Build // unanswered, if answers are withheld
	checks []Check
	mute   bool // withhold answers
	final  *Final
}

// parcel is a message on its way.
type parcel struct {
	from, to int
	message  Verified
}

// cluster is machines at one height and a network that delivers what it is told
// to, in order. Its leaders are 0, 1, 2, … by view.
type cluster struct {
	t        failer
	set      ValidatorSet
	verifier Verifier
	members  []*member
	queue    []parcel
	sent     []Verified // everything ever signed, for forgers
	names    map[cid.Cid]string
	trace    *strings.Builder // nil: keep none
	evidence []Evidence
	replies  bool // those who have decided answer the others (R4)
	commits  map[Statement]map[ID]bool
	decision cid.Cid // the block that a quorum of the COMMITs ever signed names
}

// failer is what the cluster needs of a test, by testing or rapid.
type failer interface {
	Fatalf(format string, args ...any)
}

func newCluster(t failer, n int) *cluster {
	set := testSet(n)
	height := Height(n)
	c := &cluster{
		t: t, set: set, names: map[cid.Cid]string{}, commits: map[Statement]map[ID]bool{},
		verifier: Verifier{Scheme: InsecureSimulation{}, Genesis: testGenesis, Height: height, Set: set},
	}
	for i := range n {
		c.members = append(c.members, &member{name: fmt.Sprint(i), index: i, record: NewRecord()})
	}
	return c
}

func (c *cluster) id(m *member) ID { return c.set.ID(m.index) }

func (c *cluster) block(name string) cid.Cid {
	b := testBlock(name)
	c.names[b] = name
	return b
}

func (c *cluster) logf(m *member, format string, args ...any) {
	if c.trace != nil {
		fmt.Fprintf(c.trace, "%s %s\n", m.name, fmt.Sprintf(format, args...))
	}
}

// start makes or remakes a member's core from its record.
func (c *cluster) start(i int) {
	m := c.members[i]
	m.down, m.timers, m.builds, m.checks = false, nil, nil, nil
	m.core = NewCore(Config{c.verifier.Height, c.set, c.id(m), m.record})
	c.handle(i, m.core.Start())
}

func (c *cluster) startAll() {
	for i := range c.members {
		c.start(i)
	}
}

// handle does what an Output asks for, in its order.
func (c *cluster) handle(i int, out Output) {
	m := c.members[i]
	var own []Verified
	for _, u := range out.Sign {
		own = append(own, c.sign(m, u))
	}
	for _, v := range own {
		c.broadcast(i, v)
	}
	for _, e := range out.Send {
		c.logf(m, "again %s", c.show(e.Message))
		v, err := c.verifier.Verify(e.Message)
		if err != nil {
			c.t.Fatalf("%s sends what does not verify: %v", m.name, err)
		}
		c.broadcast(i, v)
	}
	m.timers = append(m.timers, out.Timers...)
	for _, t := range out.Timers {
		if t.Kind == TimerView && t.View > 0 {
			c.logf(m, "enters view %d", t.View)
		}
	}
	for _, e := range out.Evidence {
		c.evidence = append(c.evidence, e)
		c.logf(m, "has evidence against %s", c.nameOf(e.First.Signer))
	}
	if out.Final != nil {
		c.decided(m, out.Final)
		c.tell(i, out.Final)
	}
	for _, v := range own {
		c.give(i, v)
	}
	c.answer(i, out)
}

// tell is what R4 asks of the caller.
func (c *cluster) tell(i int, f *Final) {
	for _, id := range f.Tell {
		for j, other := range c.members {
			if c.id(other) == id && j != i {
				c.queue = append(c.queue, parcel{i, j, VerifiedCommitCert{f.Cert}})
			}
		}
	}
}

func (c *cluster) answer(i int, out Output) {
	m := c.members[i]
	if out.Build != nil {
		m.builds = append(m.builds, *out.Build)
	}
	if out.Check != nil {
		m.checks = append(m.checks, *out.Check)
	}
	if !m.mute {
		c.answers(i, Valid)
	}
}

// answers gives the answers that are due.
func (c *cluster) answers(i int, verdict Verdict) {
	m := c.members[i]
	for len(m.builds) > 0 {
		b := m.builds[0]
		m.builds = m.builds[1:]
		block := b.Reuse
		if !block.Defined() {
			block = c.block(fmt.Sprintf("b%s.%d", m.name, b.View))
		}
		out, err := m.core.Built(b.View, block, []byte("payload"))
		if err != nil {
			c.t.Fatalf("%s: Built: %v", m.name, err)
		}
		c.handle(i, out)
	}
	for len(m.checks) > 0 {
		k := m.checks[0]
		m.checks = m.checks[1:]
		c.handle(i, m.core.Checked(k.View, k.Block, verdict))
	}
}

// sign is the signer: admitted, durable, signed.
func (c *cluster) sign(m *member, u Unsigned) Verified {
	stored, err := m.record.Admit(u)
	if err != nil {
		c.t.Fatalf("%s: the record refuses what the core says: %v", m.name, err)
	}
	s := InsecureSimulation{}.Sign(c.id(m), u.SignedBytes(testGenesis))
	if stored != nil {
		s = stored.Signature
	} else {
		m.record = m.record.Keep(u, c.id(m), s)
	}
	v, err := c.verifier.Seal(u, c.id(m), s)
	if err != nil {
		c.t.Fatalf("%s: %v", m.name, err)
	}
	if _, err := c.verifier.Verify(v.Message()); err != nil {
		c.t.Fatalf("%s says what others reject: %v", m.name, err)
	}
	c.logf(m, "says %s", c.show(v.Message()))
	return v
}

// note remembers what is signed. If that makes a decision, seen by anyone or
// not, it fails the test unless it is the only one.
func (c *cluster) note(m Verified) {
	c.sent = append(c.sent, m)
	v, ok := m.(VerifiedVote)
	if !ok || v.v.Kind != KindCommit {
		return
	}
	s := v.v.Signed()
	if c.commits[s.Statement] == nil {
		c.commits[s.Statement] = map[ID]bool{}
	}
	c.commits[s.Statement][s.Signer] = true
	quorums := [...]int{0, 1, 2, 2, 3, 4, 4, 5} // written out, as q is on trial
	if len(c.commits[s.Statement]) < quorums[len(c.members)] {
		return
	}
	if c.decision.Defined() && c.decision != s.Block {
		c.t.Fatalf("fork: %s and %s are decided", c.names[c.decision], c.names[s.Block])
	}
	c.decision = s.Block
}

func (c *cluster) broadcast(i int, v Verified) {
	c.note(v)
	for j := range c.members {
		if j != i {
			c.queue = append(c.queue, parcel{i, j, v})
		}
	}
}

// give hands a message to a member that runs.
func (c *cluster) give(i int, v Verified) {
	m := c.members[i]
	if m.down || m.core == nil {
		return
	}
	if c.replies && m.final != nil && Answered(v.Message(), m.final.Cert) {
		for j := range c.members {
			if j != i && c.members[j].final == nil {
				c.queue = append(c.queue, parcel{i, j, VerifiedCommitCert{m.final.Cert}})
			}
		}
		return
	}
	out, err := m.core.Message(v, 0)
	if err != nil {
		c.t.Fatalf("%s: Message: %v", m.name, err)
	}
	c.handle(i, out)
}

func (c *cluster) decided(m *member, f *Final) {
	if err := c.verifier.CommitCert(f.Cert); err != nil {
		c.t.Fatalf("%s decides on an invalid certificate: %v", m.name, err)
	}
	m.final = f
	if !c.decision.Defined() {
		c.decision = f.Cert.Block
	}
	if c.decision != f.Cert.Block {
		c.t.Fatalf("fork: %s decides %s, %s is decided", m.name, c.names[f.Cert.Block], c.names[c.decision])
	}
	var tell []string
	for _, id := range f.Tell {
		tell = append(tell, c.nameOf(id))
	}
	c.logf(m, "decides %s in view %d, tells [%s]", c.names[f.Cert.Block], f.Cert.View, strings.Join(tell, " "))
}

func (c *cluster) nameOf(id ID) string {
	i, _ := c.set.Index(id)
	return fmt.Sprint(i)
}

func (c *cluster) nameQC(qc *QC) string {
	if qc == nil {
		return "none"
	}
	return fmt.Sprintf("%d:%s", qc.View, c.names[qc.Block])
}

func (c *cluster) nameTC(tc *TC) string {
	if tc == nil {
		return "none"
	}
	var views []string
	for k, i := range tc.Signers.indices() {
		views = append(views, fmt.Sprintf("%d@%d", i, tc.Timeouts[k].View))
	}
	return fmt.Sprintf("%d {%s} qc %s", tc.View, strings.Join(views, " "), c.nameQC(tc.QC))
}

func (c *cluster) show(m Message) string {
	p := m.Position()
	switch m := m.(type) {
	case *Proposal:
		s := fmt.Sprintf("Proposal %d %s", p.View, c.names[m.Block])
		if m.TC != nil {
			s += " on TC " + c.nameTC(m.TC)
		}
		return s
	case *Vote:
		return fmt.Sprintf("%v %d %s", p.Kind, p.View, c.names[m.Block])
	case *Timeout:
		return fmt.Sprintf("Timeout %d highQC %s", p.View, c.nameQC(m.HighQC))
	case *CommitCert:
		return fmt.Sprintf("CommitCert %d %s", p.View, c.names[m.Block])
	}
	return p.Kind.String()
}

// deliver hands out what matches, and what that brings about, until nothing
// that matches is left; the rest stays queued.
func (c *cluster) deliver(match func(parcel) bool) {
	for {
		i := slices.IndexFunc(c.queue, match)
		if i < 0 {
			return
		}
		p := c.queue[i]
		c.queue = slices.Delete(c.queue, i, i+1)
		c.give(p.to, p.message)
	}
}

func (c *cluster) drop(match func(parcel) bool) {
	c.queue = slices.DeleteFunc(c.queue, match)
}

func all(parcel) bool { return true }

// fire lets a member's timers of one kind run out.
func (c *cluster) fire(i int, kind TimerKind) {
	m := c.members[i]
	if m.down {
		return
	}
	var due []Timer
	m.timers = slices.DeleteFunc(m.timers, func(t Timer) bool {
		if t.Kind == kind {
			due = append(due, t)
		}
		return t.Kind == kind
	})
	for _, t := range due {
		out := m.core.TimerFired(t)
		if out.Status {
			c.status(i)
		}
		c.handle(i, out)
	}
}

// status sends a member's Status to everyone.
func (c *cluster) status(i int) {
	v, err := c.verifier.Verify(c.members[i].core.Status())
	if err != nil {
		c.t.Fatalf("%s: Status: %v", c.members[i].name, err)
	}
	for j := range c.members {
		if j != i {
			c.queue = append(c.queue, parcel{i, j, v})
		}
	}
}

// agree fails the test if two members have decided differently.
func (c *cluster) agree() {
	var first *member
	for _, m := range c.members {
		switch {
		case m.final == nil:
		case first == nil:
			first = m
		case first.final.Cert.Block != m.final.Cert.Block:
			c.t.Fatalf("fork: %s decided %s, %s decided %s", first.name, c.names[first.final.Cert.Block], m.name, c.names[m.final.Cert.Block])
		}
	}
}

// forge signs anything for anyone, as a byzantine validator does for itself.
func (c *cluster) forge(signer int, u Unsigned) Verified {
	u.Height = c.verifier.Height
	if u.Kind == KindTimeout {
		u.HighView = viewOf(u.QC)
	} else {
		u.HighView = NoView
	}
	id := c.set.ID(signer)
	m := u.Message(id, InsecureSimulation{}.Sign(id, u.SignedBytes(testGenesis)))
	v, err := c.verifier.Verify(m)
	if err != nil {
		c.t.Fatalf("forged %s: %v", c.show(m), err)
	}
	c.note(v)
	return v
}
