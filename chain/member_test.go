package chain

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// newFederation is a world of n registered founders, of whom the first key
// validates.
func newFederation(t testing.TB, n int, change ...func(*Genesis)) *world {
	t.Helper()
	w := newWorld(t, n, change...)
	var txs []VerifiedTx
	for i := range n {
		txs = append(txs, w.tx(i, &PlatformRegister{Platform: registration(task.Name(fmt.Sprintf("founder-%d", i)))}))
	}
	for _, r := range w.block(txs...).Receipts {
		if !r.OK() {
			t.Fatal(r.Detail)
		}
	}
	return w
}

// join signs a VALIDATOR_JOIN that lasts so long after the tip.
func (w *world) join(i int, lasts atp.Span) VerifiedTx {
	w.t.Helper()
	return w.signed(i, Transaction{Expires: w.state.Tip().Time.Add(lasts)}, &ValidatorJoin{})
}

func (w *world) leave(i int) VerifiedTx {
	w.t.Helper()
	return w.tx(i, &ValidatorLeave{})
}

// votes lists the keys with a vote, in their order.
func (w *world) votes() (list []int) {
	for i, k := range w.keys {
		if w.state.Validators().Contains(bft.ID(k.id)) {
			list = append(list, i)
		}
	}
	return list
}

func (w *world) wantVotes(want ...int) {
	w.t.Helper()
	if got := w.votes(); !slices.Equal(got, want) {
		w.t.Errorf("height %d is decided by %v, want %v", w.state.Tip().Height+1, got, want)
	}
}

func (w *world) bonded(i int) atp.Amount {
	w.t.Helper()
	a, err := w.state.Account(w.keys[i].id)
	must(w.t, err)
	return a.Bonded
}

const bond = 100 * atp.ATP

func TestASetGrowsFromOneToThreeToFour(t *testing.T) {
	w := newFederation(t, 4)
	w.block(w.join(1, 60_000))
	w.wantVotes(0)
	if got := w.bonded(1); got != bond {
		t.Errorf("a candidate has bonded %s ATP, want %s ATP", got, bond)
	}
	before := w.state.Tip().Height
	r := w.block(w.join(2, 60_000))
	w.wantVotes(0, 1, 2)
	for i := 1; i < 3; i++ {
		v, ok, err := w.state.Validator(w.keys[i].id)
		if err != nil || !ok || v != (Validator{Joined: before + 2, Bond: bond, Since: w.state.Tip().Height - bft.Height(2-i) + 1}) {
			t.Errorf("validator %d is %+v, %v, %v", i, v, ok, err)
		}
	}
	if c := w.state.Census(); c.Candidates != 0 {
		t.Errorf("%d candidates are left", c.Candidates)
	}
	last := r.Receipts[len(r.Receipts)-1]
	if len(r.Receipts) != 2 || !last.OK() || len(last.Events) != 2 || last.Events[0].Name() != "VALIDATOR_JOINED" {
		t.Errorf("the block tells of the change in %+v", last)
	}
	w.block(w.join(3, 60_000))
	w.wantVotes(0, 1, 2, 3)
}

// The header covers the set of the next height, and nobody votes earlier.
func TestTheNewSetBeginsAtTheNextHeight(t *testing.T) {
	w := newFederation(t, 3)
	w.block(w.join(1, 60_000))
	below := w.state
	b, r, err := Assemble(below, w.header(1_000), []VerifiedTx{w.join(2, 60_000)})
	must(t, err)
	if b.Header.ValidatorsHash != r.State.Validators().Hash() || r.State.Validators().Len() != 3 {
		t.Errorf("the header names %x, the next set of %d is %x", b.Header.ValidatorsHash, r.State.Validators().Len(), r.State.Validators().Hash())
	}
	if _, _, err := Assemble(below, headerOn(below, w.keys[1], 1_000), nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("a candidate proposes: %v", err)
	}
	if _, _, err := Assemble(r.State, headerOn(r.State, w.keys[1], 1_000), nil); err != nil {
		t.Errorf("a new validator's block: %v", err)
	}
}

// A key that is younger than 32 heights does not move the beacon, and an old one
// does.
func TestTheKeyOfANewValidatorIsYoung(t *testing.T) {
	w := newFederation(t, 3)
	w.block(w.join(1, 60_000), w.join(2, 60_000))
	for range 40 {
		h := headerOn(w.state, w.keys[1], 1_000)
		b, r, err := Assemble(w.state, h, nil)
		must(t, err)
		v, _, err := w.state.Validator(w.keys[1].id)
		must(t, err)
		young := b.Header.Height < v.Joined+32
		want, err := bft.NextBeacon(bft.ECVRF{}, w.state.Beacon(), b.Header.Height, h.Proposer, h.BeaconProof, young)
		if err != nil || r.State.Beacon() != want {
			t.Errorf("height %d, young %v: %v", b.Header.Height, young, err)
		}
		w.block()
	}
}

func TestACandidacyEndsByTheTimeOfABlock(t *testing.T) {
	w := newFederation(t, 3)
	w.block(w.join(1, 60_000))
	until, _, err := w.state.Candidate(w.keys[1].id)
	must(t, err)
	// In its last millisecond it is one still, in the next it is not.
	late := w.state
	r := w.blockAfter(atp.Span(until.Until-late.Tip().Time), w.join(2, 90_000))
	w.wantVotes(0, 1, 2)
	if !r.Receipts[0].OK() {
		t.Error(r.Receipts[0].Detail)
	}
	w.state = late
	w.nonce[w.keys[2].id]--
	w.blockAfter(atp.Span(until.Until-late.Tip().Time)+1, w.join(2, 90_000))
	w.wantVotes(0)
	if got := w.bonded(1); got != 0 {
		t.Errorf("%s ATP of an expired candidate are bonded", got)
	}
	if _, ok, _ := w.state.Candidate(w.keys[1].id); ok {
		t.Error("it is a candidate still")
	}
	w.block(w.join(1, 60_000))
	w.wantVotes(0, 1, 2)
}

// A candidacy wakes nobody: with two machines the second observes in silence.
func TestAnEndingCandidacyIsNoWork(t *testing.T) {
	w := newFederation(t, 2)
	w.block(w.join(1, 60_000))
	if at, ok, err := w.state.NextDue(); ok || err != nil {
		t.Errorf("something is due at %d: %v", at, err)
	}
}

func TestAJoinAgainMakesACandidacyLonger(t *testing.T) {
	w := newFederation(t, 3)
	w.block(w.join(1, 10_000))
	w.blockAfter(5_000, w.join(1, 60_000))
	if got := w.bonded(1); got != bond {
		t.Errorf("a renewed candidate has bonded %s ATP, want %s ATP", got, bond)
	}
	w.blockAfter(20_000, w.join(2, 60_000))
	w.wantVotes(0, 1, 2)
	r := w.block(w.join(1, 10_000))
	w.wantVotes(0, 1, 2)
	if len(r.Receipts) != 1 || r.Receipts[0].Events[0].Name() != "VALIDATOR_STAYS" || w.bonded(1) != bond {
		t.Errorf("a validator joins again: %+v, %s ATP bonded", r.Receipts[0], w.bonded(1))
	}
}

func TestALeaveThatWouldLeaveTwoWaits(t *testing.T) {
	three := func() *world {
		w := newFederation(t, 5)
		w.block(w.join(1, 60_000), w.join(2, 60_000))
		w.wantVotes(0, 1, 2)
		w.block(w.leave(0))
		w.wantVotes(0, 1, 2)
		return w
	}
	t.Run("for the next admission", func(t *testing.T) {
		w := three()
		w.block(w.join(3, 60_000))
		w.wantVotes(1, 2, 3)
		if got := w.bonded(0); got != bond {
			t.Errorf("it has left, and may have lied: %s ATP are bonded", got)
		}
		w.blockAfter(3_600*atp.Second + 1)
		if r := w.blockAfter(1); len(r.Receipts) != 1 || r.Receipts[0].Events[0].Name() != "BOND_RETURNED" || w.bonded(0) != 0 {
			t.Errorf("an hour later %s ATP are bonded: %+v", w.bonded(0), r.Receipts)
		}
	})
	t.Run("for a second one that leaves", func(t *testing.T) {
		w := three()
		w.block(w.leave(2))
		w.wantVotes(1)
	})
	t.Run("until it stays after all", func(t *testing.T) {
		w := three()
		w.block(w.join(0, 60_000))
		w.block(w.join(3, 60_000))
		w.wantVotes(0, 1, 2, 3)
	})
	t.Run("and the last of three must stay", func(t *testing.T) {
		w := three()
		r := w.block(w.leave(1), w.leave(2))
		w.wantVotes(2)
		if c := r.Receipts[1].Code; c != CodeMember {
			t.Errorf("the LEAVE of the last has code %v", c)
		}
	})
	t.Run("two leave while one enters", func(t *testing.T) {
		w := three()
		w.block(w.leave(1), w.join(3, 60_000))
		w.wantVotes(1, 2, 3) // who asked first has left, the other waits
		w.block(w.join(4, 60_000))
		w.wantVotes(2, 3, 4)
	})
}

func TestOneOfFourLeavesAtOnce(t *testing.T) {
	w := newFederation(t, 4)
	w.block(w.join(1, 60_000), w.join(2, 60_000), w.join(3, 60_000))
	w.wantVotes(0, 1, 2, 3)
	r := w.block(w.leave(3))
	w.wantVotes(0, 1, 2)
	last := r.Receipts[len(r.Receipts)-1]
	if left, ok := last.Events[0].Fact.(*ValidatorLeft); !ok || left.Bond != bond || left.From != w.state.Tip().Height+1 {
		t.Errorf("the block tells %+v", last)
	}
	w.block(w.join(3, 60_000)) // its key is young again
	v, _, err := w.state.Validator(w.keys[3].id)
	if err != nil || v.Joined != w.state.Tip().Height+1 {
		t.Errorf("it is back as %+v: %v", v, err)
	}
}

func TestACandidateTakesItsBondBack(t *testing.T) {
	w := newFederation(t, 3)
	w.block(w.join(1, 60_000))
	w.block(w.leave(1))
	if got := w.bonded(1); got != 0 {
		t.Errorf("%s ATP are bonded", got)
	}
	w.block(w.join(2, 60_000))
	w.wantVotes(0)
}

func TestAJoinIsRefusedWithItsReason(t *testing.T) {
	byVote := func(g *Genesis) {
		g.Params = DefaultParams(AdmitVote)
		g.Params.MinFee = 0
	}
	for name, tt := range map[string]struct {
		change func(*Genesis)
		tx     func(*world) VerifiedTx
		code   Code
		says   string
	}{
		"under admission by vote":  {byVote, func(w *world) VerifiedTx { return w.join(1, 60_000) }, CodeAdmission, "the votes of 1 of the 1 validators"},
		"without an end":           {nil, func(w *world) VerifiedTx { return w.tx(1, &ValidatorJoin{}) }, CodeAdmission, "expires: have 0"},
		"that would last longer":   {nil, func(w *world) VerifiedTx { return w.join(1, 61_001) }, CodeAdmission, "a minute after the block"},
		"of no platform":           {nil, func(w *world) VerifiedTx { return w.join(2, 60_000) }, CodeAdmission, "has not registered"},
		"that cannot be bonded":    {func(g *Genesis) { g.Params.ValidatorBond = 1_000*atp.ATP - 1 }, func(w *world) VerifiedTx { return w.join(1, 60_000) }, CodeInsufficient, "insufficient"},
		"a leave of somebody else": {nil, func(w *world) VerifiedTx { return w.leave(1) }, CodeMember, "neither a validator nor a candidate"},
		"a leave of the only one":  {nil, func(w *world) VerifiedTx { return w.leave(0) }, CodeMember, "last validator"},
	} {
		t.Run(name, func(t *testing.T) {
			var change []func(*Genesis)
			if tt.change != nil {
				change = append(change, tt.change)
			}
			w := newWorld(t, 3, change...)
			w.block(w.tx(1, &PlatformRegister{Platform: registration("founder-1")}), w.tx(1, &Transfer{To: w.keys[2].id, Amount: atp.ATP}))
			before, root := w.state.Validators().Hash(), w.state.root
			receipt := w.only(w.block(tt.tx(w)))
			if receipt.Code != tt.code || !strings.Contains(receipt.Detail, tt.says) {
				t.Errorf("code %v, %q, want %v with %q", receipt.Code, receipt.Detail, tt.code, tt.says)
			}
			if w.state.Validators().Hash() != before || w.state.root.Candidates != root.Candidates || w.state.root.Census != root.Census {
				t.Error("it has changed something")
			}
		})
	}
}

// No set is too large, however many come at once; who finds no room loses
// nothing.
func TestASetIsNeverTooLarge(t *testing.T) {
	w := newFederation(t, 99)
	w.keys = append(w.keys, newKey("a"), newKey("b"), newKey("c"))
	var txs []VerifiedTx
	for i := range 3 {
		txs = append(txs, w.tx(0, &Transfer{To: w.keys[99+i].id, Amount: 200 * atp.ATP}),
			w.tx(99+i, &PlatformRegister{Platform: registration(task.Name(fmt.Sprintf("newcomer-%d", i)))}))
	}
	w.block(txs...)
	txs = nil
	for i := 1; i < 102; i++ {
		txs = append(txs, w.join(i, 60_000))
	}
	r := w.block(txs...)
	if got := w.state.Validators().Len(); got != bft.MaxValidators {
		t.Errorf("the set has %d members, want %d", got, bft.MaxValidators)
	}
	for _, receipt := range r.Receipts[len(txs)-2 : len(txs)] {
		if receipt.Code != CodeAdmission {
			t.Errorf("who finds no room is told %v", receipt.Code)
		}
	}
	if got := w.bonded(101); got != 0 {
		t.Errorf("%s ATP of it are bonded", got)
	}
}

func TestDeparturesMakeNoSetOfTwoAndNoEmptyOne(t *testing.T) {
	for n := 1; n <= 12; n++ {
		for leaving := range n + 1 {
			for candidates := range 6 {
				leave, move := departures(n, leaving, candidates)
				if next := n - leave + candidates; move && (next == 2 || n-leave < 1 || leave > leaving) {
					t.Errorf("of %d, %d leaving and %d candidates: %d leave, %d are left", n, leaving, candidates, leave, next)
				}
				for more := leave + 1; move && more <= leaving && more < n; more++ {
					if n-more+candidates != 2 {
						t.Errorf("of %d, %d leaving and %d candidates: %d leave, and %d could", n, leaving, candidates, leave, more)
					}
				}
				if !move && n+candidates != 2 {
					t.Errorf("of %d, %d leaving and %d candidates: nobody moves", n, leaving, candidates)
				}
			}
		}
	}
}
