package chain

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// quick makes absences short, and bonds come back soon.
func quick(g *Genesis) {
	g.Params.Membership = Membership{AbsentBlocks: 5, AbsentTime: 10 * atp.Second, EvidenceSpan: 20, BondHold: 30 * atp.Second, AdmissionSpan: 60 * atp.Second}
}

// validating is a federation of n, all of whom validate.
func validating(t testing.TB, n int, change ...func(*Genesis)) *world {
	t.Helper()
	return newFederation(t, n, append(change, quick, func(g *Genesis) {
		g.Validators = nil
		for _, f := range g.Founders {
			g.Validators = append(g.Validators, f.ID)
		}
	})...)
}

// without returns a header whose certificate lacks these keys.
func (w *world) without(after atp.Span, keys ...int) Header {
	w.t.Helper()
	h := w.header(after)
	if h.LastCommit != nil {
		h.LastCommit.Signers = w.signers(keys...)
	}
	return h
}

// signers are those who decided on the tip but these keys.
func (w *world) signers(but ...int) bft.Bitmap {
	w.t.Helper()
	set, err := w.state.deciders()
	must(w.t, err)
	all := make(bft.Bitmap, (set.Len()+7)/8)
	for i := range set.Len() {
		all[i/8] |= 1 << (i % 8)
	}
	for _, k := range but {
		if i, ok := set.Index(bft.ID(w.keys[k].id)); ok {
			all[i/8] &^= 1 << (i % 8)
		}
	}
	return all
}

// pass makes n blocks, a time apart, whose certificates lack these keys.
func (w *world) pass(n int, after atp.Span, missing ...int) (last Result) {
	w.t.Helper()
	for range n {
		last = w.blockOf(w.without(after, missing...))
	}
	return last
}

// Five of whom one is gone become four when both the blocks and the time are over,
// and not before; its bond stays, and with it the way back.
func TestWhoIsMissingForLongHasNoVote(t *testing.T) {
	w := validating(t, 5)
	w.pass(1, 1_000)
	w.pass(4, 9_000, 4)
	w.wantVotes(0, 1, 2, 3, 4) // four blocks
	r := w.pass(1, 1, 4)
	w.wantVotes(0, 1, 2, 3)
	last := r.Receipts[len(r.Receipts)-1]
	if gone, ok := last.Events[0].Fact.(*ValidatorAbsent); !ok || gone.ID != w.keys[4].id || gone.Bond != bond || gone.From != w.state.Tip().Height+1 {
		t.Errorf("the block tells %+v", last)
	}
	if got := w.bonded(4); got != bond {
		t.Errorf("its bond is %s ATP", got)
	}
	if _, due, _ := w.state.NextDue(); due {
		t.Error("the bond of one that is absent has an end")
	}
	before := w.available(4)
	w.block(w.join(4, 60_000))
	w.wantVotes(0, 1, 2, 3, 4)
	if w.bonded(4) != bond || w.available(4) != before {
		t.Errorf("it is back with a bond of %s ATP, having paid %s ATP", w.bonded(4), before-w.available(4))
	}
	if _, held, _ := w.state.Held(w.keys[4].id); held {
		t.Error("its bond is held twice")
	}
}

// Many blocks in a short time are no absence, and neither is one block less.
func TestAnAbsenceTakesBlocksAndTime(t *testing.T) {
	w := validating(t, 5)
	w.pass(1, 1_000)
	w.pass(30, 300, 4)
	w.wantVotes(0, 1, 2, 3, 4)
	w.pass(1, 1_000) // it is there
	w.pass(4, 60_000, 4)
	w.wantVotes(0, 1, 2, 3, 4)
	w.pass(1, 60_000, 4)
	w.wantVotes(0, 1, 2, 3)
}

// Nobody goes if f would fall, or two would be left.
func TestAnAbsenceNeverLowersF(t *testing.T) {
	for n, want := range map[int]int{3: 3, 4: 4, 5: 4, 6: 5, 7: 7, 8: 7, 9: 8, 10: 10} {
		w := validating(t, n)
		w.pass(1, 1_000)
		w.pass(8, 10_000, n-1)
		if got := w.state.Validators().Len(); got != want {
			t.Errorf("of %d validators %d are left, want %d", n, got, want)
		}
	}
}

// One after the other, who is missing longest first, then by ID; each is judged on
// the set that is left.
func TestTheLongestAbsentGoesFirst(t *testing.T) {
	w := validating(t, 6)
	w.pass(1, 1_000)
	w.pass(1, 10_000, 5)
	w.pass(8, 10_000, 5, 3, 4)
	set := w.state.Validators()
	if set.Len() != 4 || set.Contains(bft.ID(w.keys[5].id)) {
		t.Fatalf("%d validate, the longest absent too: %v", set.Len(), set.Contains(bft.ID(w.keys[5].id)))
	}
	low, high := w.keys[3].id, w.keys[4].id
	if atp.Compare(low, high) > 0 {
		low, high = high, low
	}
	if set.Contains(bft.ID(low)) || !set.Contains(bft.ID(high)) {
		t.Error("of two that are missing for as long the first by ID does not go")
	}
}

// A JOIN of a validator that sees itself missing counts as alive.
func TestARenewingJoinCountsAsAlive(t *testing.T) {
	w := validating(t, 5)
	w.pass(1, 1_000)
	w.pass(4, 10_000, 4)
	w.blockOf(w.without(10_000, 4), w.join(4, 60_000))
	w.wantVotes(0, 1, 2, 3, 4)
	w.pass(3, 10_000, 4)
	a, missing, err := w.state.Absence(w.keys[4].id)
	if err != nil || !missing || a.Blocks(w.state.Tip().Height) != 4 {
		t.Errorf("it is missing from %d certificates: %v", a.Blocks(w.state.Tip().Height), err)
	}
	w.pass(1, 10_000, 4)
	w.wantVotes(0, 1, 2, 3)
}

// Who was absent may have its bond back for good.
func TestTheBondOfOneThatWasAbsentReturnsWhenItAsks(t *testing.T) {
	w := validating(t, 5)
	w.pass(1, 1_000)
	w.pass(6, 10_000, 4)
	w.wantVotes(0, 1, 2, 3)
	w.block(w.leave(4))
	w.blockAfter(30*atp.Second + 1)
	w.blockAfter(1)
	if got := w.bonded(4); got != 0 {
		t.Errorf("%s ATP are bonded", got)
	}
}

// A state that was read from the disk judges like the one that was executed.
func TestAStateFromTheDiskKnowsWhoDecidedIt(t *testing.T) {
	w := validating(t, 5)
	w.pass(3, 1_000)
	before := w.state
	h := w.without(1_000, 2)
	_, one, err := Assemble(before, h, nil)
	must(t, err)
	read, err := OpenState(w.nodes, before.Root(), before.Tip())
	must(t, err)
	_, two, err := Assemble(read, h, nil)
	must(t, err)
	if one.State.Root() != two.State.Root() {
		t.Error("two states of one root give two different blocks")
	}
}
