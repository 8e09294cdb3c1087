package bft

import (
	"cmp"
	"slices"
)

// slots holds messages of one kind, one for each validator: that of its highest
// view, whatever our own view is (L3). What one validator sends costs bounded
// memory and displaces nobody else's.
type slots[M placed] []M

type placed interface {
	comparable
	Position() Position
}

// keep puts m into its sender's slot, and reports whether it is news there.
func (s slots[M]) keep(i int, m M) bool {
	var none M
	if s[i] != none && s[i].Position().View >= m.Position().View {
		return false
	}
	s[i] = m
	return true
}

// empty reports whether nobody has sent anything.
func (s slots[M]) empty() bool {
	var none M
	return !slices.ContainsFunc(s, func(m M) bool { return m != none })
}

// collector is everything held of one height.
type collector struct {
	set       ValidatorSet
	proposals slots[*Proposal]
	prepares  slots[*Vote]
	commits   slots[*Vote]
	timeouts  slots[*Timeout]
}

func newCollector(set ValidatorSet) collector {
	n := set.Len()
	return collector{set, make(slots[*Proposal], n), make(slots[*Vote], n), make(slots[*Vote], n), make(slots[*Timeout], n)}
}

// votes returns the slots for a kind of vote.
func (c *collector) votes(k Kind) slots[*Vote] {
	if k == KindPrepare {
		return c.prepares
	}
	return c.commits
}

// agree collects up to most votes for the block and view of v, or nil if they
// are no quorum. It keeps S2.
func (c *collector) agree(v *Vote, most int) *QC {
	same := func(w *Vote) bool { return w != nil && w.View == v.View && w.Block == v.Block }
	count := 0
	for _, w := range c.votes(v.Kind) {
		if same(w) {
			count++
		}
	}
	if count < c.set.Quorum() {
		return nil
	}
	qc := &QC{v.Height, v.View, v.Block, newBitmap(c.set.Len()), make([]Signature, 0, min(count, most))}
	for i, w := range c.votes(v.Kind) {
		if same(w) && len(qc.Signatures) < most {
			qc.Signers.set(i)
			qc.Signatures = append(qc.Signatures, w.Signature)
		}
	}
	return qc
}

// qc returns the QC that the PREPARE v completes, or nil.
func (c *collector) qc(v *Vote) *QC { return c.agree(v, c.set.Quorum()) }

// commitCert returns the CommitCert that the COMMIT v completes, or nil. It
// keeps S11.
func (c *collector) commitCert(v *Vote) *CommitCert { return (*CommitCert)(c.agree(v, c.set.Len())) }

// nthHighest returns the n-th highest view (n ≥ 1) of the validators' newest
// Timeouts, or NoView if fewer have sent one.
func (c *collector) nthHighest(n int) View {
	views := make([]View, 0, MaxValidators)
	for _, t := range c.timeouts {
		if t != nil {
			views = append(views, t.View)
		}
	}
	if len(views) < n {
		return NoView
	}
	slices.Sort(views)
	return views[len(views)-n]
}

// joinView is the view that f+1 validators have given up or gone beyond, so
// that a correct one has (L1).
func (c *collector) joinView() View { return c.nthHighest(c.set.F() + 1) }

// tcView is the view that q validators have given up or gone beyond: their
// Timeouts need not be of one view (L2).
func (c *collector) tcView() View { return c.nthHighest(c.set.Quorum()) }

// tc makes TC(h, v) of the q newest Timeouts, v being tcView. It keeps S7.
func (c *collector) tc(v View) *TC {
	var chosen []int
	for i, t := range c.timeouts {
		if t != nil && t.View >= v {
			chosen = append(chosen, i)
		}
	}
	slices.SortStableFunc(chosen, func(a, b int) int { return cmp.Compare(c.timeouts[b].View, c.timeouts[a].View) })
	chosen = chosen[:c.set.Quorum()]
	slices.Sort(chosen)

	tc := &TC{Height: c.timeouts[chosen[0]].Height, View: v, Signers: newBitmap(c.set.Len())}
	for _, i := range chosen {
		t := c.timeouts[i]
		tc.Signers.set(i)
		tc.Timeouts = append(tc.Timeouts, TimeoutMark{t.View, t.HighView(), t.Signature})
		if t.HighView() > viewOf(tc.QC) {
			tc.QC = t.HighQC
		}
	}
	return tc
}

// conflict returns proof, if the slots hold it, that s contradicts what its
// signer, at index i, said before.
func (c *collector) conflict(i int, s Signed) (Evidence, bool) {
	if p := c.proposals[i]; p != nil && s.Kind == KindProposal && contradict(p.Signed(s.Signer), s) {
		return Evidence{p.Signed(s.Signer), s}, true
	}
	for _, v := range []*Vote{c.prepares[i], c.commits[i]} {
		if v != nil && contradict(v.Signed(), s) {
			return Evidence{v.Signed(), s}, true
		}
	}
	if t := c.timeouts[i]; t != nil && contradict(t.Signed(), s) {
		return Evidence{t.Signed(), s}, true
	}
	return Evidence{}, false
}

// uncounted lists the validators but self from which neither the slots nor cert
// hold a COMMIT. The others voted, so their timers run, and they ask (L4).
func (c *collector) uncounted(cert *CommitCert, self ID) []ID {
	var list []ID
	for i, v := range c.commits {
		if v == nil && !cert.Signers.Has(i) && c.set.ID(i) != self {
			list = append(list, c.set.ID(i))
		}
	}
	return list
}

// vouches reports whether every signature of cert is one of a COMMIT that is held.
func (c *collector) vouches(cert *CommitCert) bool {
	next := 0 // of cert's signatures
	for i, v := range c.commits {
		if !cert.Signers.Has(i) {
			continue
		}
		if v == nil || v.View != cert.View || v.Block != cert.Block || next >= len(cert.Signatures) || v.Signature != cert.Signatures[next] {
			return false
		}
		next++
	}
	return next >= c.set.Quorum() && next == len(cert.Signatures)
}

// complete returns cert with every COMMIT held for its block and view.
func (c *collector) complete(cert *CommitCert) *CommitCert {
	full := *cert
	full.Signers, full.Signatures = newBitmap(c.set.Len()), nil
	next := 0 // of cert's signatures
	for i, v := range c.commits {
		var s *Signature
		switch {
		case cert.Signers.Has(i):
			s, next = &cert.Signatures[next], next+1
		case v != nil && v.View == cert.View && v.Block == cert.Block:
			s = &v.Signature
		default:
			continue
		}
		full.Signers.set(i)
		full.Signatures = append(full.Signatures, *s)
	}
	return &full
}
