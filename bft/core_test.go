package bft

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// alone is one core of n = 4 that is fed by hand; its leaders are 0, 1, 2, ….
type alone struct {
	*cluster
	*member
	i int
}

func newAlone(t *testing.T, i int) alone {
	c := newCluster(t, 4)
	m := c.members[i]
	m.mute = true
	c.start(i)
	return alone{c, m, i}
}

func (a alone) hear(v Verified) Output {
	a.t.(*testing.T).Helper()
	out, err := a.core.Message(v, 0)
	if err != nil {
		a.t.Fatalf("Message: %v", err)
	}
	return out
}

// vote is a vote of validator i.
func (a alone) vote(k Kind, i int, v View, block string) Verified {
	return a.forge(i, Unsigned{Statement: Statement{Kind: k, View: v, Block: a.block(block)}})
}

func (a alone) proposal(v View, block string, tc *TC) Verified {
	return a.forge(int(v)%4, Unsigned{Statement: Statement{Kind: KindProposal, View: v, Block: a.block(block)}, TC: tc, Payload: []byte("p")})
}

func (a alone) timeout(i int, v View, qc *QC) Verified {
	return a.forge(i, Unsigned{Statement: Statement{Kind: KindTimeout, View: v}, QC: qc})
}

func said(out Output) (kinds []string) {
	for _, u := range out.Sign {
		kinds = append(kinds, u.Kind.String())
	}
	return kinds
}

func TestNothingRunsInAnIdleHeight(t *testing.T) {
	a := newAlone(t, 2)
	if len(a.timers) > 0 || len(a.sent) > 0 || len(a.builds) > 0 {
		t.Errorf("at the start: timers %v, said %v, builds %v", a.timers, a.sent, a.builds)
	}
	if out := a.core.TimerFired(Timer{4, 0, TimerView, 0}); len(out.Sign) > 0 {
		t.Errorf("says %v by a timer that does not run", said(out))
	}
}

func TestWhatStartsTheTimerOfAHeight(t *testing.T) {
	qc := func(a alone) *QC {
		var last *Vote
		held := newCollector(a.set)
		for i := range 3 {
			last = a.vote(KindPrepare, i, 0, "x").(VerifiedVote).v
			held.prepares.keep(i, last)
		}
		return held.qc(last)
	}
	want := []Timer{{4, 0, TimerView, 0}, {4, 0, TimerHalf, 0}}
	for name, start := range map[string]func(alone) Output{
		"work":     func(a alone) Output { return a.core.Work() },
		"Proposal": func(a alone) Output { return a.hear(a.proposal(0, "x", nil)) },
		"PREPARE":  func(a alone) Output { return a.hear(a.vote(KindPrepare, 0, 0, "x")) },
		"COMMIT":   func(a alone) Output { return a.hear(a.vote(KindCommit, 0, 0, "x")) },
		"QC": func(a alone) Output {
			return a.hear(VerifiedStatus{&Status{Height: 4, HighQC: qc(a)}})
		},
	} {
		a := newAlone(t, 2)
		if d := cmp.Diff(want, start(a).Timers); d != "" {
			t.Errorf("%s: timers (-want +have):\n%s", name, d)
		}
		if out := a.core.Work(); len(out.Timers) > 0 {
			t.Errorf("%s: then work starts %v again", name, out.Timers)
		}
	}
	a := newAlone(t, 2)
	if out := a.hear(a.timeout(0, 0, nil)); len(out.Timers) > 0 {
		t.Errorf("one Timeout starts %v", out.Timers)
	}
}

func TestABlockIsJudgedOncePerViewAndAnsweredLateInVain(t *testing.T) {
	a := newAlone(t, 2)
	out, err := a.core.Message(a.proposal(0, "x", nil), 77)
	if err != nil {
		t.Fatal(err)
	}
	want := &Check{4, 0, testBlock("x"), []byte("p"), true, a.set.ID(0), 77}
	if d := cmp.Diff(want, out.Check, equalBlocks, cmp.Comparer(func(a, b ID) bool { return a == b })); d != "" {
		t.Fatalf("Check (-want +have):\n%s", d)
	}
	if out := a.hear(a.proposal(0, "x", nil)); out.Check != nil {
		t.Error("the same Proposal is judged twice")
	}
	if out := a.hear(a.proposal(0, "y", nil)); out.Check != nil || len(out.Evidence) != 1 {
		t.Errorf("a second Proposal of the view: Check %v, %d evidence, want none and one", out.Check, len(out.Evidence))
	}
	if out := a.hear(a.proposal(0, "z", nil)); len(out.Evidence) != 0 {
		t.Error("one validator is accused twice")
	}
	if out := a.core.Checked(0, testBlock("y"), Valid); len(out.Sign) > 0 {
		t.Errorf("says %v on the answer to another block", said(out))
	}
	if out := a.core.Checked(0, testBlock("x"), Valid); !slices.Equal(said(out), []string{"PREPARE"}) {
		t.Errorf("says %v, want PREPARE", said(out))
	}
	if out := a.core.Checked(0, testBlock("x"), Valid); len(out.Sign) > 0 {
		t.Errorf("says %v when answered twice", said(out))
	}

	b := newAlone(t, 2)
	b.hear(b.proposal(0, "x", nil))
	b.core.TimerFired(Timer{4, 0, TimerView, 0})
	if out := b.core.Checked(0, testBlock("x"), Valid); len(out.Sign) > 0 {
		t.Errorf("says %v in a view given up", said(out))
	}
}

func TestAnInvalidBlockIsNotPrepared(t *testing.T) {
	a := newAlone(t, 2)
	a.hear(a.proposal(0, "x", nil))
	if out := a.core.Checked(0, testBlock("x"), Invalid); len(out.Sign) > 0 {
		t.Errorf("says %v for an invalid block", said(out))
	}
}

func TestAProposalWaitsForItsView(t *testing.T) {
	a := newAlone(t, 2)
	held := newCollector(a.set)
	for i := range 3 {
		held.timeouts.keep(i, a.timeout(i, 2, nil).(VerifiedTimeout).t)
	}
	if out := a.hear(a.proposal(3, "x", held.tc(2))); a.core.View() != 3 || out.Check == nil {
		t.Errorf("its TC leads to view %d, Check %v, want 3 and one", a.core.View(), out.Check)
	}

	b := newAlone(t, 2)
	b.hear(b.vote(KindPrepare, 0, 900, "x"))
	b.hear(b.vote(KindPrepare, 1, 900, "x"))
	out := b.hear(b.vote(KindPrepare, 3, 900, "x"))
	if b.core.View() != 900 || !slices.Equal(said(out), []string{"COMMIT"}) {
		t.Errorf("q PREPAREs far above: view %d, says %v, want 900 and COMMIT", b.core.View(), said(out))
	}
}

// L5: the QC counts even of a Timeout that is too old to count itself.
func TestAQCInATimeoutCounts(t *testing.T) {
	a := newAlone(t, 2)
	held := newCollector(a.set)
	var last *Vote
	for _, i := range []int{0, 1, 3} {
		last = a.vote(KindPrepare, i, 1, "x").(VerifiedVote).v
		held.prepares.keep(i, last)
	}
	a.hear(a.timeout(0, 8, nil))
	out := a.hear(a.timeout(0, 3, held.qc(last)))
	if a.core.View() != 1 || !slices.Equal(said(out), []string{"COMMIT"}) {
		t.Errorf("view %d, says %v, want 1 and COMMIT", a.core.View(), said(out))
	}
}

// R3 holds in a view already left, without the block, but not in one given up.
func TestACommitInAViewAlreadyLeft(t *testing.T) {
	prepares := func(a alone) Output {
		for i := range 3 {
			if i != a.i {
				a.hear(a.vote(KindPrepare, i, 0, "x"))
			}
		}
		return a.hear(a.vote(KindPrepare, 3, 0, "x"))
	}
	tc := func(a alone) *TC {
		held := newCollector(a.set)
		for _, i := range []int{0, 1, 3} {
			held.timeouts.keep(i, a.timeout(i, 0, nil).(VerifiedTimeout).t)
		}
		return held.tc(0)
	}
	left := newAlone(t, 2)
	left.hear(VerifiedStatus{&Status{Height: 4, TC: tc(left)}})
	if out := prepares(left); left.core.View() != 1 || !slices.Equal(said(out), []string{"COMMIT"}) || out.Sign[0].View != 0 {
		t.Errorf("view %d, says %v, want COMMIT of view 0 in view 1", left.core.View(), said(out))
	}

	given := newAlone(t, 2)
	given.core.Work()
	given.core.TimerFired(Timer{4, 0, TimerView, 0})
	if out := prepares(given); len(out.Sign) > 0 {
		t.Errorf("says %v in a view given up", said(out))
	}
	if got := viewOf(given.core.Status().HighQC); got != 0 {
		t.Errorf("highQC is of view %d, want 0 all the same", got)
	}
}

// A leader that is gone costs the view, never the COMMIT that its QC allows.
func TestAQCIsCommittedBeforeItsViewIsGivenUpForALostLeader(t *testing.T) {
	a := newAlone(t, 2)
	a.core.LeaderGone(a.set.ID(1))
	var out Output
	for _, i := range []int{0, 1, 3} {
		out = a.hear(a.vote(KindPrepare, i, 1, "x"))
	}
	if !slices.Equal(said(out), []string{"COMMIT", "Timeout"}) || viewOf(out.Sign[1].QC) != 1 {
		t.Errorf("says %v, want COMMIT, then Timeout with that QC", said(out))
	}
}

func TestALostLeaderThatIsBackIsWaitedFor(t *testing.T) {
	a := newAlone(t, 2)
	a.core.LeaderGone(a.set.ID(0))
	a.core.LeaderBack(a.set.ID(0))
	if out := a.core.Work(); len(out.Sign) > 0 {
		t.Errorf("says %v although the leader is back", said(out))
	}
	if out := a.core.LeaderGone(a.set.ID(3)); len(out.Sign) > 0 {
		t.Errorf("says %v because another than the leader is gone", said(out))
	}
	if out := a.core.LeaderGone(a.set.ID(0)); !slices.Equal(said(out), []string{"Timeout"}) {
		t.Errorf("says %v, want Timeout", said(out))
	}
}

func TestALostLeaderThatLeftItsProposalIsNotSkipped(t *testing.T) {
	a := newAlone(t, 2)
	a.hear(a.proposal(0, "x", nil))
	if out := a.core.LeaderGone(a.set.ID(0)); len(out.Sign) > 0 {
		t.Errorf("says %v, though the others can decide without the leader", said(out))
	}
}

func TestARestartInViewZeroGoesOnRepeatingItsTimeout(t *testing.T) {
	a := newAlone(t, 2)
	a.handle(2, a.core.Work())
	a.handle(2, a.core.TimerFired(Timer{4, 0, TimerView, 0}))
	a.start(2)
	if d := cmp.Diff([]Timer{{4, 0, TimerRepeat, 0}}, a.timers); d != "" {
		t.Errorf("timers (-want +have):\n%s", d)
	}
}

func TestTheNewestTimeoutIsRepeatedWhileStuck(t *testing.T) {
	a := newAlone(t, 2)
	a.handle(2, a.core.Work())
	a.handle(2, a.core.TimerFired(Timer{4, 0, TimerView, 0}))
	first := a.sent[len(a.sent)-1].Message()
	for attempt := range 3 {
		out := a.core.TimerFired(Timer{4, 0, TimerRepeat, attempt})
		if len(out.Send) != 1 || out.Send[0].Message != first || !out.ShareWork || len(out.Sign) > 0 {
			t.Fatalf("repetition %d sends %v, signs %v", attempt, out.Send, said(out))
		}
		if d := cmp.Diff([]Timer{{4, 0, TimerRepeat, attempt + 1}}, out.Timers); d != "" {
			t.Errorf("timers (-want +have):\n%s", d)
		}
	}
	a.handle(2, a.hear(a.timeout(0, 0, nil)))
	a.handle(2, a.hear(a.timeout(1, 0, nil)))
	if out := a.core.TimerFired(Timer{4, 0, TimerRepeat, 3}); len(out.Send)+len(out.Timers) > 0 {
		t.Errorf("in view %d it still repeats %v", a.core.View(), out.Send)
	}
}

// What the core declares in a Timeout is in the record that admits it.
func TestTheLockIsInTheRecordBeforeCommitAndTimeoutLeave(t *testing.T) {
	a := newAlone(t, 2)
	for _, i := range []int{0, 1, 3} {
		a.handle(2, a.hear(a.vote(KindPrepare, i, 0, "x")))
	}
	if a.record.Committed != 0 || viewOf(a.record.HighQC) != 0 {
		t.Fatalf("after COMMIT the record holds committed %d, highQC %d, want 0, 0", a.record.Committed, viewOf(a.record.HighQC))
	}
	a.start(2) // nothing but the record is left
	a.handle(2, a.core.TimerFired(Timer{4, 0, TimerView, 0}))
	if got := a.record.Timeout; got == nil || got.HighView() != 0 || viewOf(a.record.HighQC) != 0 {
		t.Errorf("after the restart its Timeout is %+v, want one that declares view 0", got)
	}
}

func TestARestartSendsTheSameBytesAgain(t *testing.T) {
	c := newCluster(t, 4)
	c.startAll()
	c.handle(0, c.members[0].core.Work())
	c.deliver(func(p parcel) bool { return p.message.Message().Position().Kind != KindCommit })
	c.fire(0, TimerView)
	var before [][]byte
	for _, v := range c.sent {
		if at := v.Message(); slices.Contains([]ID{signerOf(at, c.set)}, c.set.ID(0)) {
			before = append(before, Encode(at))
		}
	}
	c.sent, c.queue = nil, nil
	c.start(0)
	var after [][]byte
	for _, v := range c.sent {
		after = append(after, Encode(v.Message()))
	}
	if len(before) != 4 || len(after) != 4 {
		t.Fatalf("sent %d messages before the restart and %d after, want Proposal, PREPARE, COMMIT and Timeout", len(before), len(after))
	}
	for _, b := range before {
		if !slices.ContainsFunc(after, func(a []byte) bool { return slices.Equal(a, b) }) {
			t.Errorf("%x is not sent again", b[:8])
		}
	}
}

func signerOf(m Message, set ValidatorSet) ID {
	switch m := m.(type) {
	case *Proposal:
		return set.Leader(m.Height, m.View)
	case *Vote:
		return m.Signer
	case *Timeout:
		return m.Signer
	}
	return ID{}
}

func TestARestartedLeaderWithoutItsTCIsSilentUntilItHasIt(t *testing.T) {
	c := newCluster(t, 4)
	c.members[0].down = true
	for i := 1; i < 4; i++ {
		c.start(i)
		c.handle(i, c.members[i].core.Work())
	}
	for i := 1; i < 4; i++ {
		c.fire(i, TimerView)
	}
	c.deliver(func(p parcel) bool { return p.to == 1 && p.message.Message().Position().Kind == KindTimeout })
	tc, proposal := c.members[1].core.tc, c.members[1].record.Proposal
	if tc == nil || proposal == nil {
		t.Fatal("1 has not proposed in view 1")
	}
	c.sent, c.queue = nil, nil
	c.start(1)
	has := func(k Kind) bool {
		return slices.ContainsFunc(c.sent, func(v Verified) bool { return v.Message().Position().Kind == k })
	}
	if has(KindProposal) || c.members[1].core.View() != 1 {
		t.Fatalf("restarted in view %d, proposes: %v, want silence in view 1", c.members[1].core.View(), has(KindProposal))
	}
	c.give(1, VerifiedStatus{&Status{Height: 4, TC: tc}})
	i := slices.IndexFunc(c.sent, func(v Verified) bool { return v.Message().Position().Kind == KindProposal })
	if i < 0 || c.sent[i].Message().(*Proposal).Signature != proposal.Signature {
		t.Error("with the TC it does not send the same Proposal again")
	}
}

func TestARestartedLeaderDoesNotRepeatItsBlockOnATCThatNamesAnother(t *testing.T) {
	c := newCluster(t, 4)
	a := alone{c, c.members[1], 1}
	r := NewRecord()
	u := Unsigned{Statement: statement(KindProposal, 1, "x")}
	a.record = r.Keep(u, c.set.ID(1), InsecureSimulation{}.Sign(c.set.ID(1), u.SignedBytes(testGenesis)))
	c.start(1)
	held := newCollector(c.set)
	var last *Vote
	for _, i := range []int{0, 2, 3} {
		last = a.vote(KindPrepare, i, 0, "y").(VerifiedVote).v
		held.prepares.keep(i, last)
	}
	for _, i := range []int{0, 2, 3} {
		held.timeouts.keep(i, a.timeout(i, 0, held.qc(last)).(VerifiedTimeout).t)
	}
	if out := a.hear(VerifiedStatus{&Status{Height: 4, TC: held.tc(0)}}); out.Build != nil {
		t.Errorf("asks for %+v, want silence", *out.Build)
	}
}

// A TC of the view before that leaves the block free would justify nothing but
// a block of the leader's own, which the application alone can tell.
func TestARestartedLeaderSaysWhetherItsBlockMustBeItsOwn(t *testing.T) {
	c := newCluster(t, 4)
	m := c.members[1]
	m.mute = true
	u := Unsigned{Statement: Statement{KindProposal, 4, 1, c.block("of leader 0"), NoView}}
	m.record = m.record.Keep(u, c.id(m), InsecureSimulation{}.Sign(c.id(m), u.SignedBytes(testGenesis)))
	a := alone{c, m, 1}
	c.start(1)
	free := newCollector(c.set)
	for _, i := range []int{0, 2, 3} {
		free.timeouts.keep(i, a.timeout(i, 0, nil).(VerifiedTimeout).t)
	}
	out := a.hear(VerifiedStatus{&Status{Height: 4, TC: free.tc(0)}})
	if want := (Build{4, 1, u.Block, true}); out.Build == nil || *out.Build != want {
		t.Errorf("Build is %+v, want %+v", out.Build, want)
	}
}

// The body of a Proposal to be sent again comes when its leader has proposed in
// a later view.
func TestALateAnswerToARepeatedProposalIsIgnored(t *testing.T) {
	c := newCluster(t, 4)
	m := c.members[0]
	m.mute = true
	u := Unsigned{Statement: Statement{KindProposal, 4, 0, c.block("b"), NoView}}
	m.record = m.record.Keep(u, c.id(m), InsecureSimulation{}.Sign(c.id(m), u.SignedBytes(testGenesis)))
	a := alone{c, m, 0}
	c.start(0)
	late := m.builds[0]
	for i := 1; i < 4; i++ {
		a.hear(a.timeout(i, 3, nil))
	}
	if out, err := m.core.Built(4, c.block("fresh"), nil); err != nil || !slices.Equal(said(out), []string{"Proposal", "PREPARE"}) {
		t.Fatalf("in view 4 it says %v, %v, want a Proposal and a PREPARE", said(out), err)
	}
	if out, err := m.core.Built(late.View, late.Reuse, nil); err != nil || len(out.Sign) > 0 {
		t.Errorf("of view 0 it then says %v, %v", said(out), err)
	}
}

// A leader's fresh block is its own to judge, another's is not: that is proposed
// again first, and PREPAREd when the application has found it valid.
func TestALeaderVotesForItsFreshBlockAtOnce(t *testing.T) {
	for _, reuse := range []bool{false, true} {
		c := newCluster(t, 4)
		m := c.members[0] // leads view 0 of height 4
		m.mute = true
		a := alone{c, m, 0}
		c.start(0)
		want := []string{"Proposal", "PREPARE"}
		block, v := c.block("fresh"), View(0)
		if reuse {
			v, block, want = 4, c.block("theirs"), want[:1]
			held := newCollector(c.set)
			for i := 1; i < 4; i++ {
				held.prepares.keep(i, a.vote(KindPrepare, i, 2, "theirs").(VerifiedVote).v)
			}
			for i := 1; i < 4; i++ {
				a.hear(a.timeout(i, 3, held.qc(held.prepares[1])))
			}
		} else {
			m.core.Work()
		}
		out, err := m.core.Built(v, block, nil)
		if err != nil || !slices.Equal(said(out), want) {
			t.Errorf("another's block: %v: it says %v, %v, want %v", reuse, said(out), err, want)
		}
	}
}

func TestAReproposedBlockMustBeTheOneAskedFor(t *testing.T) {
	c := newCluster(t, 4)
	a := alone{c, c.members[1], 1}
	a.mute = true
	c.start(1)
	var qc *QC
	for _, i := range []int{0, 2, 3} {
		a.handle(1, a.hear(a.vote(KindPrepare, i, 0, "x")))
	}
	qc = a.core.Status().HighQC
	for _, i := range []int{0, 2, 3} {
		a.handle(1, a.hear(a.timeout(i, 0, qc)))
	}
	if len(a.builds) != 1 || a.builds[0] != (Build{4, 1, testBlock("x"), false}) {
		t.Fatalf("builds %v, want x again in view 1", a.builds)
	}
	if _, err := a.core.Built(1, testBlock("y"), nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("another block: have %v, want ErrInvalid", err)
	}
	if out, err := a.core.Built(0, testBlock("x"), nil); err != nil || len(out.Sign) > 0 {
		t.Errorf("an answer for another view: says %v, %v", said(out), err)
	}
	if _, err := a.core.Built(1, testBlock("x"), make([]byte, MaxPayload+1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("too large: have %v, want ErrInvalid", err)
	}
	out, err := a.core.Built(1, testBlock("x"), nil)
	if err != nil || !slices.Equal(said(out), []string{"Proposal"}) || out.Sign[0].TC == nil {
		t.Errorf("says %v, %v, want a Proposal with its TC", said(out), err)
	}
	if out, _ := a.core.Built(1, testBlock("x"), nil); len(out.Sign) > 0 {
		t.Errorf("answered twice it says %v", said(out))
	}
}

func TestAnObserverFollowsAndSaysNothing(t *testing.T) {
	c := newCluster(t, 4)
	stranger := IDFromKey([32]byte{1})
	beyond, recovered := NewRecord().at(9), NewRecord()
	recovered.Watermark = 4
	for name, core := range map[string]*Core{
		"not a validator":   NewCore(Config{4, c.set, stranger, NewRecord()}),
		"a record beyond":   NewCore(Config{4, c.set, c.set.ID(2), beyond}),
		"a watermark there": NewCore(Config{4, c.set, c.set.ID(2), recovered}),
		"a final at height": NewCore(Config{4, c.set, c.set.ID(2), NewRecord().Finalize(4, testBlock("f"))}),
	} {
		a := alone{c, &member{core: core}, 0}
		outs := []Output{core.Start(), core.Work(), core.LeaderGone(c.set.ID(0)), a.hear(a.proposal(0, "x", nil))}
		for i := range 3 {
			outs = append(outs, a.hear(a.vote(KindPrepare, i, 0, "x")))
		}
		outs = append(outs, core.TimerFired(Timer{4, 0, TimerView, 0}))
		for i := range 3 {
			outs = append(outs, a.hear(a.vote(KindCommit, i, 0, "x")))
		}
		for _, out := range outs {
			if len(out.Sign)+len(out.Send)+len(out.Timers) > 0 || out.Build != nil || out.Check != nil {
				t.Errorf("%s: says %v, sends %v, starts %v", name, said(out), out.Send, out.Timers)
			}
		}
		if f := outs[len(outs)-1].Final; f == nil || f.Cert.Block != testBlock("x") || len(f.Tell) > 0 {
			t.Errorf("%s: decides %+v, want x and nobody told", name, f)
		}
	}
}

func TestLateCommitsCompleteTheCertificate(t *testing.T) {
	a := newAlone(t, 2)
	if a.core.Certificate() != nil {
		t.Error("a certificate before the decision")
	}
	for _, i := range []int{0, 1, 3} {
		a.hear(a.vote(KindCommit, i, 0, "x"))
	}
	if n := a.core.Certificate().Signers.Count(); n != 3 {
		t.Errorf("%d COMMITs, want 3", n)
	}
	if out := a.hear(a.vote(KindCommit, 2, 0, "x")); out.Final != nil {
		t.Error("decides twice")
	}
	full := a.core.Certificate()
	if err := a.verifier.CommitCert(full); err != nil || full.Signers.Count() != 4 {
		t.Errorf("%d COMMITs, %v, want 4, valid", full.Signers.Count(), err)
	}
	for _, out := range []Output{a.core.Work(), a.core.TimerFired(Timer{4, 0, TimerView, 0}), a.core.LeaderGone(a.set.ID(0)), a.hear(a.proposal(0, "x", nil))} {
		if len(out.Sign)+len(out.Timers) > 0 || out.Check != nil || out.Build != nil {
			t.Errorf("goes on after the decision: %+v", out)
		}
	}
}

func TestACoreTakesVerifiedMessagesOfItsHeightOnly(t *testing.T) {
	core := NewCore(Config{4, testSet(4), testSet(4).ID(0), NewRecord()})
	for _, tt := range []struct {
		m    Verified
		want error
	}{
		{nil, ErrInvalid}, {VerifiedProposal{}, ErrInvalid}, {VerifiedVote{}, ErrInvalid}, {VerifiedTimeout{}, ErrInvalid},
		{VerifiedStatus{}, ErrInvalid}, {VerifiedCommitCert{}, ErrInvalid},
		{VerifiedVote{&Vote{Height: 3}}, ErrStale}, {VerifiedVote{&Vote{Height: 5}}, ErrAhead},
	} {
		if _, err := core.Message(tt.m, 0); !errors.Is(err, tt.want) {
			t.Errorf("%v: have %v, want %v", tt.m, err, tt.want)
		}
	}
}

func TestMessagesOfTheNextHeightWaitInTheirSendersSlots(t *testing.T) {
	set := testSet(4)
	a := NewAhead(4, set)
	vote := func(i int, h Height, v View) *Vote {
		return &Vote{Kind: KindPrepare, Height: h, View: v, Signer: set.ID(i)}
	}
	for _, tt := range []struct {
		name string
		from ID
		m    Message
		want bool
	}{
		{"of this height", set.ID(0), vote(0, 4, 0), false},
		{"too far ahead", set.ID(0), vote(0, 6, 0), false},
		{"a stranger's", IDFromKey([32]byte{9}), vote(0, 5, 0), false},
		{"in another's name", set.ID(1), vote(0, 5, 0), false},
		{"a Timeout in another's name", set.ID(1), &Timeout{Height: 5, Signer: set.ID(0)}, false},
		{"a Status", set.ID(1), &Status{Height: 5}, false},
		{"good", set.ID(0), vote(0, 5, 1), true},
		{"of a lower view", set.ID(0), vote(0, 5, 0), false},
		{"of a higher view", set.ID(0), vote(0, 5, 7), true},
		{"of another kind", set.ID(0), &Timeout{Height: 5, Signer: set.ID(0)}, true},
		{"a Proposal", set.ID(1), &Proposal{Height: 5}, true},
	} {
		if got := a.Hold(tt.from, tt.m, 3); got != tt.want {
			t.Errorf("%s: held = %v, want %v", tt.name, got, tt.want)
		}
	}
	var got []Position
	for _, h := range a.Take() {
		got = append(got, h.Message.Position())
	}
	want := []Position{{5, 0, KindProposal}, {5, 7, KindPrepare}, {5, 0, KindTimeout}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("held (-want +have):\n%s", d)
	}
	if len(a.Take()) > 0 {
		t.Error("taken twice")
	}
}

// A certificate of nothing but COMMITs that were verified one by one needs no
// check; change anything in it, and it does.
func TestACertificateOfKnownCommitsIsVouchedFor(t *testing.T) {
	a := newAlone(t, 1)
	held := newCollector(a.set)
	commits := map[int]Verified{}
	for i := range 4 {
		commits[i] = a.vote(KindCommit, i, 0, "x")
		held.commits.keep(i, commits[i].(VerifiedVote).v)
	}
	all := (*CommitCert)(held.agree(commits[0].(VerifiedVote).v, 4))
	three := *all
	three.Signers, three.Signatures = Bitmap{0b0111}, all.Signatures[:3]
	if a.core.Vouches(&three) {
		t.Error("before anything is known")
	}
	for i := range 3 {
		a.hear(commits[i])
	}
	if !a.core.Vouches(&three) || a.core.Vouches(all) {
		t.Errorf("with three COMMITs held: of them %v, of four %v; want true, false", a.core.Vouches(&three), a.core.Vouches(all))
	}
	a.hear(commits[3])
	if !a.core.Vouches(all) || !a.core.Vouches(&three) {
		t.Error("with all held, one of all or of three of them is not vouched for")
	}
	for name, change := range map[string]func(*CommitCert){
		"height":                  func(c *CommitCert) { c.Height++ },
		"view":                    func(c *CommitCert) { c.View++ },
		"block":                   func(c *CommitCert) { c.Block = a.block("y") },
		"a signature":             func(c *CommitCert) { c.Signatures[1][7] ^= 1 },
		"two signatures swapped":  func(c *CommitCert) { c.Signatures[0], c.Signatures[1] = c.Signatures[1], c.Signatures[0] },
		"a signer beyond the set": func(c *CommitCert) { c.Signers[0] |= 1 << 4 },
		"a signer less":           func(c *CommitCert) { c.Signers[0] &^= 1 },
		"a longer bitmap":         func(c *CommitCert) { c.Signers = append(c.Signers, 0) },
		"no quorum":               func(c *CommitCert) { c.Signers, c.Signatures = Bitmap{0b0011}, c.Signatures[:2] },
	} {
		changed := *all
		changed.Signers, changed.Signatures = slices.Clone(all.Signers), slices.Clone(all.Signatures)
		change(&changed)
		if a.core.Vouches(&changed) {
			t.Errorf("vouched for with another %s", name)
		}
	}
}
