package bft

import (
	"fmt"
	"testing"
)

func qcAt(v View, block string) *QC { return &QC{Height: 1, View: v, Block: testBlock(block)} }

func tcAt(v View, qc *QC) *TC { return &TC{Height: 1, View: v, QC: qc} }

func TestWhatMayBeSaidAfterWhat(t *testing.T) {
	n := NoView
	for _, tt := range []struct {
		name                               string
		marks                              Marks
		view                               View
		propose, prepare, commit, timedOut bool
	}{
		{"nothing said", Marks{n, n, n, n, nil}, 0, true, true, true, true},
		{"proposed here", Marks{2, n, n, n, nil}, 2, false, true, true, true},
		{"proposed above", Marks{3, n, n, n, nil}, 2, false, true, true, true},
		{"prepared here", Marks{n, 2, n, n, nil}, 2, true, false, true, true},
		{"prepared above", Marks{n, 3, n, n, nil}, 2, true, false, true, true},
		{"prepared below", Marks{n, 1, n, n, nil}, 2, true, true, true, true},
		{"committed here", Marks{n, n, 2, n, nil}, 2, true, true, false, true},
		{"committed above", Marks{n, n, 3, n, nil}, 2, true, true, false, true},
		{"given up here", Marks{n, n, n, 2, nil}, 2, false, false, false, false},
		{"given up above", Marks{n, n, n, 3, nil}, 2, false, false, false, false},
		{"given up below", Marks{n, n, n, 1, nil}, 2, true, true, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, may := range []struct {
				name      string
				got, want bool
			}{
				{"propose", tt.marks.mayPropose(tt.view), tt.propose},
				{"prepare", tt.marks.mayPrepare(tt.view), tt.prepare},
				{"commit", tt.marks.mayCommit(tt.view), tt.commit},
				{"time out", tt.marks.mayTimeOut(tt.view), tt.timedOut},
			} {
				if may.got != may.want {
					t.Errorf("may %s in view %d = %v, want %v", may.name, tt.view, may.got, may.want)
				}
			}
		})
	}
}

func TestARestartResumesAtTheHighestViewSpokenInOrLockedOn(t *testing.T) {
	n := NoView
	for _, tt := range []struct {
		marks Marks
		want  View
	}{
		{Marks{n, n, n, n, nil}, 0},
		{Marks{5, 1, 1, 1, qcAt(1, "a")}, 5},
		{Marks{1, 5, 1, 1, qcAt(1, "a")}, 5},
		{Marks{1, 1, 5, 1, qcAt(1, "a")}, 5},
		{Marks{1, 1, 1, 5, qcAt(1, "a")}, 5},
		{Marks{1, 1, 1, 1, qcAt(5, "a")}, 5},
	} {
		if got := tt.marks.resumeView(); got != tt.want {
			t.Errorf("%+v resumes in view %d, want %d", tt.marks, got, tt.want)
		}
	}
}

func TestTheLockOnlyRises(t *testing.T) {
	low, high, rival := qcAt(1, "a"), qcAt(2, "b"), qcAt(2, "c")
	m := noMarks().seen(low).seen(high)
	if m.HighQC != high {
		t.Errorf("highQC of view %d, want %d", m.HighQC.View, high.View)
	}
	for _, qc := range []*QC{low, rival, nil} {
		if m.seen(qc).HighQC != high {
			t.Errorf("a QC of view %d replaced the highQC of view %d", viewOf(qc), high.View)
		}
	}
}

func TestWhatALeaderProposes(t *testing.T) {
	a := testBlock("a")
	for _, tt := range []struct {
		name  string
		view  View
		work  bool
		tc    *TC
		ok    bool
		reuse bool
	}{
		{"view 0 without work", 0, false, nil, false, false},
		{"view 0 with work", 0, true, nil, true, false},
		{"view 0 needs no TC", 0, true, tcAt(3, nil), true, false},
		{"without the TC it is silent", 2, true, nil, false, false},
		{"with an older TC it is silent", 2, true, tcAt(0, nil), false, false},
		{"with a newer TC it is silent", 2, true, tcAt(2, nil), false, false},
		{"a fresh block if the TC has no QC", 2, false, tcAt(1, nil), true, false},
		{"the block of the TC's QC", 2, true, tcAt(1, qcAt(0, "a")), true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := proposable(tt.view, tt.work, tt.tc)
			if ok != tt.ok || got.Defined() != tt.reuse || tt.reuse && got != a {
				t.Errorf("proposable = %v, %v, want %v, reuse %v", got, ok, tt.ok, tt.reuse)
			}
		})
	}
}

func TestWhatJustifiesAProposal(t *testing.T) {
	a := testBlock("a")
	for _, tt := range []struct {
		name      string
		p         Proposal
		carries   bool
		justified bool
		fresh     bool
	}{
		{"view 0", Proposal{View: 0, Block: a}, true, true, true},
		{"view 0 with a TC", Proposal{View: 0, Block: a, TC: tcAt(0, nil)}, false, true, true},
		{"view 1 without TC", Proposal{View: 1, Block: a}, false, true, true},
		{"TC of the same view", Proposal{View: 1, Block: a, TC: tcAt(1, nil)}, false, true, true},
		{"TC two views below", Proposal{View: 3, Block: a, TC: tcAt(1, nil)}, false, true, true},
		{"TC without QC", Proposal{View: 1, Block: a, TC: tcAt(0, nil)}, true, true, true},
		{"TC with a QC for it", Proposal{View: 1, Block: a, TC: tcAt(0, qcAt(0, "a"))}, true, true, false},
		{"TC with a QC for another", Proposal{View: 1, Block: a, TC: tcAt(0, qcAt(0, "b"))}, true, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := carriesItsTC(&tt.p); got != tt.carries {
				t.Errorf("carriesItsTC = %v, want %v", got, tt.carries)
			}
			if got := justified(&tt.p); got != tt.justified {
				t.Errorf("justified = %v, want %v", got, tt.justified)
			}
			if got := fresh(&tt.p); got != tt.fresh {
				t.Errorf("fresh = %v, want %v", got, tt.fresh)
			}
		})
	}
}

func TestTheClockHasASayInFreshBlocksOnly(t *testing.T) {
	fresh := &Proposal{}
	again := &Proposal{View: 1, TC: tcAt(0, qcAt(0, "a"))}
	for _, tt := range []struct {
		p    *Proposal
		v    Verdict
		want bool
	}{
		{fresh, Valid, true}, {fresh, Untimely, false}, {fresh, Invalid, false},
		{again, Valid, true}, {again, Untimely, true}, {again, Invalid, false},
	} {
		if got := acceptable(tt.p, tt.v); got != tt.want {
			t.Errorf("verdict %d, view %d: acceptable = %v, want %v", tt.v, tt.p.View, got, tt.want)
		}
	}
}

func TestWhenToJoinSkipAndEnter(t *testing.T) {
	for _, tt := range []struct {
		w, view, timedOut View
		want              bool
	}{
		{NoView, 0, NoView, false}, {0, 0, NoView, true}, {0, 0, 0, false},
		{2, 0, NoView, true}, {2, 0, 1, true}, {1, 2, NoView, false}, {2, 2, 1, true},
	} {
		if got := joins(tt.w, tt.view, Marks{TimedOut: tt.timedOut}); got != tt.want {
			t.Errorf("joins(%d) in view %d, timed out %d = %v, want %v", tt.w, tt.view, tt.timedOut, got, tt.want)
		}
	}
	for _, tt := range []struct {
		v    View
		f    int
		want bool
	}{{0, 0, true}, {1, 0, false}, {1, 1, true}, {2, 1, false}} {
		if got := maySkip(tt.v, tt.f); got != tt.want {
			t.Errorf("maySkip(%d, %d) = %v, want %v", tt.v, tt.f, got, tt.want)
		}
	}
	for tc, want := range map[View]bool{1: false, 2: true, 5: true} {
		if got := entersAfter(tcAt(tc, nil), 2); got != want {
			t.Errorf("TC(%d) moves view 2 = %v, want %v", tc, got, want)
		}
	}
}

func TestATimeoutViewIsThatOfEnoughValidators(t *testing.T) {
	for _, tt := range []struct {
		n        int
		views    []View // NoView: no Timeout
		join, tc View
	}{
		{4, []View{-1, -1, -1, -1}, -1, -1},
		{4, []View{5, -1, -1, -1}, -1, -1},
		{4, []View{5, 2, -1, -1}, 2, -1},
		{4, []View{5, 2, 2, -1}, 2, 2},
		{4, []View{0, 0, 1, -1}, 0, 0},
		{4, []View{3, 1, 2, -1}, 2, 1},
		{4, []View{3, 1, 2, 0}, 2, 1},
		{1, []View{4}, 4, 4},
		{2, []View{4, 3}, 4, 3},
		{3, []View{4, -1, 3}, 4, 3},
		{7, []View{6, 5, 4, 3, 2, 1, 0}, 4, 2},
	} {
		c := newCollector(testSet(tt.n))
		for i, v := range tt.views {
			if v != NoView {
				c.timeouts.keep(i, &Timeout{View: v})
			}
		}
		if join, tc := c.joinView(), c.tcView(); join != tt.join || tc != tt.tc {
			t.Errorf("n = %d, Timeouts %v: join %d, TC %d, want %d, %d", tt.n, tt.views, join, tc, tt.join, tt.tc)
		}
	}
}

func TestATCIsMadeOfTheNewestTimeoutsAndTheirHighestQC(t *testing.T) {
	c := newCollector(testSet(4))
	for i, timeout := range []*Timeout{
		{View: 3, HighQC: qcAt(1, "a")}, {View: 2, HighQC: qcAt(2, "b")}, nil, {View: 4},
	} {
		if timeout != nil {
			c.timeouts.keep(i, timeout)
		}
	}
	tc := c.tc(c.tcView())
	if tc.View != 2 || fmt.Sprint(tc.Signers.indices()) != "[0 1 3]" || viewOf(tc.QC) != 2 || !carriesHighest(tc) {
		t.Errorf("TC(%d) of %v with QC of view %d, want TC(2) of [0 1 3] with QC of view 2", tc.View, tc.Signers.indices(), viewOf(tc.QC))
	}
}

func TestASlotKeepsTheHighestView(t *testing.T) {
	c := newCollector(testSet(4))
	for _, tt := range []struct {
		view View
		want bool
	}{{3, true}, {3, false}, {1, false}, {1000, true}, {4, false}} {
		if got := c.prepares.keep(2, &Vote{View: tt.view}); got != tt.want {
			t.Errorf("keep view %d = %v, want %v", tt.view, got, tt.want)
		}
	}
	if c.prepares[2].View != 1000 {
		t.Errorf("slot holds view %d, want 1000", c.prepares[2].View)
	}
}

func TestWhoContradictsItself(t *testing.T) {
	ids := testSet(4)
	say := func(k Kind, v, high View, block string) Signed {
		s := Signed{Statement: Statement{Kind: k, Height: 1, View: v, HighView: high}, Signer: ids.ID(0)}
		if block != "" {
			s.Block = testBlock(block)
		}
		return s
	}
	for _, tt := range []struct {
		name string
		a, b Signed
		want bool
	}{
		{"two Proposals", say(KindProposal, 1, -1, "a"), say(KindProposal, 1, -1, "b"), true},
		{"two PREPAREs", say(KindPrepare, 1, -1, "a"), say(KindPrepare, 1, -1, "b"), true},
		{"two COMMITs", say(KindCommit, 1, -1, "a"), say(KindCommit, 1, -1, "b"), true},
		{"one PREPARE twice", say(KindPrepare, 1, -1, "a"), say(KindPrepare, 1, -1, "a"), false},
		{"PREPAREs of two views", say(KindPrepare, 1, -1, "a"), say(KindPrepare, 2, -1, "b"), false},
		{"PREPARE and COMMIT", say(KindPrepare, 1, -1, "a"), say(KindCommit, 1, -1, "b"), false},
		{"PREPARE and Timeout of one view", say(KindPrepare, 1, -1, "a"), say(KindTimeout, 1, -1, ""), false},
		{"COMMIT forgotten by the Timeout of its view", say(KindCommit, 1, -1, "a"), say(KindTimeout, 1, 0, ""), true},
		{"COMMIT forgotten by a later Timeout", say(KindCommit, 1, -1, "a"), say(KindTimeout, 5, -1, ""), true},
		{"COMMIT declared", say(KindCommit, 1, -1, "a"), say(KindTimeout, 1, 1, ""), false},
		{"COMMIT after an earlier Timeout", say(KindCommit, 1, -1, "a"), say(KindTimeout, 0, -1, ""), false},
		{"two Timeouts", say(KindTimeout, 1, -1, ""), say(KindTimeout, 1, 0, ""), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if contradict(tt.a, tt.b) != tt.want || contradict(tt.b, tt.a) != tt.want {
				t.Errorf("contradict = %v, %v, want %v", contradict(tt.a, tt.b), contradict(tt.b, tt.a), tt.want)
			}
			other := tt.b
			other.Signer = ids.ID(1)
			if contradict(tt.a, other) {
				t.Error("two validators are taken for one")
			}
			other = tt.b
			other.Height = 2
			if contradict(tt.a, other) {
				t.Error("two heights are taken for one")
			}
		})
	}
}

func TestWhatIsAnsweredAtAFinalHeight(t *testing.T) {
	final := &CommitCert{Block: testBlock("a")}
	for _, tt := range []struct {
		m    Message
		want bool
	}{
		{&Proposal{}, true}, {&Status{}, true}, {&Timeout{}, true},
		{&Vote{Kind: KindPrepare, Block: testBlock("a")}, true},
		{&Vote{Kind: KindCommit, Block: testBlock("b")}, true},
		{&Vote{Kind: KindCommit, Block: testBlock("a")}, false},
		{&CommitCert{}, false},
	} {
		if got := Answered(tt.m, final); got != tt.want {
			t.Errorf("Answered(%v) = %v, want %v", tt.m.Position().Kind, got, tt.want)
		}
	}
}
