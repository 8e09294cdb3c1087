package bft

import "github.com/ipfs/go-cid"

// Marks are the views a validator must not fall behind, and the highest QC it
// knows, of one height. They only grow (S1, S6).
type Marks struct {
	Proposed  View // the last Proposal
	Prepared  View // the last PREPARE
	Committed View // the last COMMIT
	TimedOut  View // the last Timeout
	HighQC    *QC  // nil at the start of a height
}

func noMarks() Marks { return Marks{NoView, NoView, NoView, NoView, nil} }

// of returns the view of the last statement of a kind.
func (m Marks) of(k Kind) View {
	switch k {
	case KindProposal:
		return m.Proposed
	case KindPrepare:
		return m.Prepared
	case KindCommit:
		return m.Committed
	case KindTimeout:
		return m.TimedOut
	}
	return NoView
}

// mayPropose is R1's half that the signer keeps too. It keeps S1 and S3.
func (m Marks) mayPropose(v View) bool { return v > m.Proposed && v > m.TimedOut }

// mayPrepare is R2's half that the signer keeps too. It keeps S1 and S3.
func (m Marks) mayPrepare(v View) bool { return v > m.Prepared && v > m.TimedOut }

// mayCommit is R3: also in a view already left, never after giving up v or a
// later view. It keeps S1 and S5.
func (m Marks) mayCommit(v View) bool { return v > m.Committed && v > m.TimedOut }

// mayTimeOut is R5. It keeps S1.
func (m Marks) mayTimeOut(v View) bool { return v > m.TimedOut }

// certified is what a COMMIT stands on. It keeps S4.
func certified(u Unsigned) bool {
	return u.QC != nil && u.QC.Height == u.Height && u.QC.View == u.View && u.QC.Block == u.Block
}

// declaresHighest is what a Timeout must declare. It keeps S6.
func (m Marks) declaresHighest(u Unsigned) bool {
	return u.HighView == viewOf(u.QC) && u.HighView >= viewOf(m.HighQC) &&
		(u.QC == nil || u.QC.Height == u.Height)
}

// allows answers whether a statement may be signed after those remembered.
func (m Marks) allows(u Unsigned) bool {
	switch u.Kind {
	case KindProposal:
		return m.mayPropose(u.View)
	case KindPrepare:
		return m.mayPrepare(u.View)
	case KindCommit:
		return m.mayCommit(u.View) && certified(u)
	case KindTimeout:
		return m.mayTimeOut(u.View) && m.declaresHighest(u)
	}
	return false
}

// with returns the marks once u is said.
func (m Marks) with(u Unsigned) Marks {
	switch u.Kind {
	case KindProposal:
		m.Proposed = max(m.Proposed, u.View)
	case KindPrepare:
		m.Prepared = max(m.Prepared, u.View)
	case KindCommit:
		m.Committed = max(m.Committed, u.View)
	case KindTimeout:
		m.TimedOut = max(m.TimedOut, u.View)
	}
	return m.seen(u.QC)
}

// seen returns the marks once a QC is known: R3's lock. It keeps S6.
func (m Marks) seen(qc *QC) Marks {
	if viewOf(qc) > viewOf(m.HighQC) {
		m.HighQC = qc
	}
	return m
}

// resumeView is where a restart takes up: never below anything said. It keeps
// S10.
func (m Marks) resumeView() View {
	return max(0, m.Proposed, m.Prepared, m.Committed, m.TimedOut, viewOf(m.HighQC))
}

// carriesItsTC reports whether a Proposal comes with the TC of the view before,
// and in view 0 with none. It keeps S8.
func carriesItsTC(p *Proposal) bool {
	if p.View == 0 {
		return p.TC == nil
	}
	return p.TC != nil && p.TC.View == p.View-1
}

// reachesItsView reports whether all of a TC's signers gave up its view or a
// later one, and no more than that. It keeps S7.
func reachesItsView(t *TC) bool { return t.lowest() == t.View }

// carriesHighest reports whether a TC's QC is exactly of the highest view that
// its signers declare, absent only if all declare none. It keeps S7.
func carriesHighest(t *TC) bool { return viewOf(t.QC) == t.highest() }

// Answered reports whether a message of a height at or below our final one is
// answered with that height's CommitCert, given the block that is final there:
// not a CommitCert, or two platforms would play ping-pong; not a COMMIT for the
// final block, whose sender is about to know (R4). The caller answers each
// sender at most once per height and second.
func Answered(m Message, final *CommitCert) bool {
	switch m := m.(type) {
	case *CommitCert:
		return false
	case *Vote:
		return m.Kind != KindCommit || m.Block != final.Block
	}
	return true
}

// proposable answers whether the leader of view v has something to propose, and
// which block: R1. Above view 0 that is the block of the QC of TC(h, v−1), or a
// fresh one (undefined) if it has none; without that TC the leader is silent.
// It keeps S8.
func proposable(v View, work bool, tc *TC) (reuse cid.Cid, ok bool) {
	if v == 0 {
		return cid.Undef, work
	}
	if viewOfTC(tc) != v-1 {
		return cid.Undef, false
	}
	if tc.QC != nil {
		reuse = tc.QC.Block
	}
	return reuse, true
}

// justified reports whether the TC of a Proposal leaves its block free, or
// names it: R2's last condition. It keeps S8.
func justified(p *Proposal) bool { return fresh(p) || p.TC.QC.Block == p.Block }

// fresh reports whether a Proposal's block is its leader's own choice.
func fresh(p *Proposal) bool { return p.TC == nil || p.TC.QC == nil }

// acceptable reports whether a judged block may be PREPAREd. The clock has a
// say in fresh blocks only. It keeps S9.
func acceptable(p *Proposal, v Verdict) bool { return v == Valid || v == Untimely && !fresh(p) }

// joins answers whether to give up view w, which f+1 validators have: R5. It
// keeps L1.
func joins(w, view View, m Marks) bool { return w >= view && m.mayTimeOut(w) }

// entersAfter answers whether a TC moves us on: R6.
func entersAfter(tc *TC, view View) bool { return tc.View >= view }

// maySkip answers whether view v of a height may be given up just because its
// leader is gone: only the first f+1, or a flapping link skips views at will
// (L7).
func maySkip(v View, f int) bool { return v <= View(f) }

// viewOfTC returns the view of tc, or NoView if there is none.
func viewOfTC(tc *TC) View {
	if tc == nil {
		return NoView
	}
	return tc.View
}
