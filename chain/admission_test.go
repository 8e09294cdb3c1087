package chain

import (
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
)

// voting is a federation of n validators that admits by vote, and a newcomer that
// has nothing.
func voting(t testing.TB, n int) (w *world, newcomer int) {
	t.Helper()
	w = validating(t, n, func(g *Genesis) {
		g.Params = DefaultParams(AdmitVote)
		g.Params.MinFee = 0
	})
	w.keys = append(w.keys, newKey("newcomer"))
	return w, n
}

func (w *world) vote(by, on int, grant atp.Amount, of string) VerifiedTx {
	w.t.Helper()
	return w.tx(by, &ValidatorVote{Platform: w.keys[on].id, Grant: grant, Society: of})
}

// A newcomer without a µATP is voted in by three of four, registers with what the
// vote grants, and joins.
func TestAPlatformIsVotedIn(t *testing.T) {
	w, n := voting(t, 4)
	grant := 300 * atp.ATP
	r := w.block(w.vote(0, n, grant, "north"), w.vote(1, n, grant, "north"))
	if cast, ok := r.Receipts[1].Events[0].Fact.(*VoteCast); !ok || cast.Votes != 2 || cast.Needed != 3 {
		t.Errorf("the second vote tells %+v", r.Receipts[1])
	}
	if may, _, _ := w.state.Admitted(w.keys[n].id); may || w.available(n) != 0 {
		t.Error("two of four have admitted it")
	}
	pool := w.state.Totals().Pool
	w.block(w.vote(3, n, grant, "north"))
	may, of, err := w.state.Admitted(w.keys[n].id)
	if err != nil || !may || of != "north" || w.available(n) != grant || pool-w.state.Totals().Pool != grant {
		t.Errorf("admitted: %v, of %q, with %s ATP: %v", may, of, w.available(n), err)
	}
	for i := range 4 {
		if b, _ := w.state.Ballot(w.keys[i].id); len(b.Votes) > 0 {
			t.Errorf("validator %d has a vote on what is settled: %+v", i, b)
		}
	}
	societies := w.state.Census().Societies
	if r := w.block(w.tx(n, &PlatformRegister{Platform: registration("newcomer")})).Receipts[0]; !r.OK() {
		t.Fatal(r.Detail)
	}
	if got := w.state.Census().Societies; got != societies+1 {
		t.Errorf("%d societies, want %d", got, societies+1)
	}
	w.block(w.join(n, 60_000))
	w.wantVotes(0, 1, 2, 3, n)
	if r := w.block(w.vote(0, n, grant, "north")).Receipts[0]; r.Code != CodeVote {
		t.Errorf("voted in again: %v", r.Code)
	}
}

// Votes on other terms do not count together; one replaces the voter's last.
func TestVotesCountOnTheSameTerms(t *testing.T) {
	w, n := voting(t, 4)
	w.block(w.vote(0, n, 5, ""), w.vote(1, n, 6, ""), w.vote(2, n, 5, "north"), w.vote(3, n, 5, ""))
	if may, _, _ := w.state.Admitted(w.keys[n].id); may {
		t.Error("four votes for three different things admit")
	}
	w.block(w.vote(1, n, 5, ""))
	if may, _, _ := w.state.Admitted(w.keys[n].id); !may || w.available(n) != 5 {
		t.Error("three votes on the same terms do not admit")
	}
}

// Votes are counted by today's validators, as long as they last.
func TestOldVotesDoNotCount(t *testing.T) {
	t.Run("of a validator that has left", func(t *testing.T) {
		w, n := voting(t, 5)
		w.block(w.vote(0, n, 5, ""), w.vote(1, n, 5, ""))
		w.block(w.leave(0))
		w.wantVotes(1, 2, 3, 4)
		w.block(w.vote(2, n, 5, ""))
		if may, _, _ := w.state.Admitted(w.keys[n].id); may {
			t.Error("two of four, and one who left, admit")
		}
		w.block(w.vote(3, n, 5, ""))
		if may, _, _ := w.state.Admitted(w.keys[n].id); !may {
			t.Error("three of four do not admit")
		}
	})
	t.Run("whose time is over", func(t *testing.T) {
		w, n := voting(t, 4)
		w.block(w.vote(0, n, 5, ""), w.vote(1, n, 5, ""))
		w.blockAfter(60*atp.Second+1, w.vote(2, n, 5, ""))
		if may, _, _ := w.state.Admitted(w.keys[n].id); may {
			t.Error("votes count after their time")
		}
	})
	t.Run("that were taken back", func(t *testing.T) {
		w, n := voting(t, 4)
		w.block(w.vote(0, n, 5, ""), w.vote(1, n, 5, ""))
		w.block(w.tx(0, &ValidatorVote{Platform: w.keys[n].id, Against: true}), w.vote(2, n, 5, ""))
		if may, _, _ := w.state.Admitted(w.keys[n].id); may {
			t.Error("a vote that was taken back counts")
		}
	})
}

func TestAVoteIsRefusedWithItsReason(t *testing.T) {
	w, n := voting(t, 4)
	w.block(w.vote(0, n, 5, ""))
	for name, tt := range map[string]struct {
		tx   VerifiedTx
		says string
	}{
		"of no validator":       {w.vote(n, n, 5, ""), "no validator"},
		"for who is in already": {w.vote(0, 1, 5, ""), "admitted already"},
		"against, without one":  {w.tx(1, &ValidatorVote{Platform: w.keys[n].id, Against: true}), "has no vote for"},
	} {
		if r := w.block(tt.tx).Receipts[0]; r.Code != CodeVote || !strings.Contains(r.Detail, tt.says) {
			t.Errorf("%s: %v, %s", name, r.Code, r.Detail)
		}
	}
	var last Receipt
	for i := range MaxBallot {
		w.keys = append(w.keys, newKey(string(rune('a'+i))))
		last = w.block(w.vote(0, n+1+i, 5, "")).Receipts[0]
	}
	if last.Code != CodeVote || !strings.Contains(last.Detail, "8 platforms already") {
		t.Errorf("one vote too many: %v, %s", last.Code, last.Detail)
	}
	auto := newFederation(t, 2)
	if r := auto.block(auto.vote(0, 1, 5, "")).Receipts[0]; r.Code != CodeVote {
		t.Errorf("under auto: %v", r.Code)
	}
}

// Nobody is put into a society without the word of one of its own; and a vote that
// the pool cannot pay changes nothing.
func TestWhatAQuorumCannotDo(t *testing.T) {
	w, n := voting(t, 4)
	w.block(w.vote(0, n, 5, "founder-3"), w.vote(1, n, 5, "founder-3"), w.vote(2, n, 5, "founder-3"))
	if may, _, _ := w.state.Admitted(w.keys[n].id); may {
		t.Error("it is of a society that has not spoken")
	}
	w.block(w.vote(3, n, 5, "founder-3"))
	if may, of, _ := w.state.Admitted(w.keys[n].id); !may || of != "founder-3" {
		t.Errorf("admitted %v, of %q", may, of)
	}
	w.keys = append(w.keys, newKey("second"))
	rich := w.state.Totals().Pool + 1
	w.block(w.vote(0, n+1, rich, ""), w.vote(1, n+1, rich, ""))
	if r := w.block(w.vote(2, n+1, rich, "")).Receipts[0]; r.Code != CodeInsufficient {
		t.Errorf("more than the pool has: %v", r.Code)
	}
}

// Who was slashed takes a new vote to come back, and not only a new bond.
func TestWhoWasSlashedIsVotedOnAnew(t *testing.T) {
	w, _ := voting(t, 5)
	w.pass(2, 1_000)
	w.block(w.tx(0, w.doubleVote(w.keys[4], 2)))
	w.wantVotes(0, 1, 2, 3)
	if r := w.block(w.join(4, 60_000)).Receipts[0]; r.Code != CodeAdmission {
		t.Errorf("it joins: %v", r.Code)
	}
	w.block(w.vote(0, 4, 0, ""), w.vote(1, 4, 0, ""), w.vote(2, 4, 0, ""))
	w.block(w.join(4, 60_000))
	w.wantVotes(0, 1, 2, 3, 4)
	if _, of, _ := w.state.Admitted(w.keys[4].id); of != "founder-4" {
		t.Errorf("it is of %q", of)
	}
}

// Votes go with the key that cast them.
func TestAVoteFollowsTheKey(t *testing.T) {
	w, n := voting(t, 4)
	w.block(w.vote(0, n, 5, ""), w.vote(1, n, 5, ""))
	w.rotate(1, "new 1")
	w.block(w.vote(2, n, 5, ""))
	if may, _, _ := w.state.Admitted(w.keys[n].id); !may {
		t.Error("the vote of a key that was replaced is lost")
	}
}

// A validator whose key is replaced in the block of a vote has voted all the same,
// and what is settled there is settled for it too.
func TestAVoteCountsWhileItsKeyIsReplaced(t *testing.T) {
	w, n := voting(t, 4)
	w.block(w.vote(0, n, 5, ""), w.vote(1, n, 5, ""))
	to := newKey("new 1")
	w.block(w.rotation(1, to), w.vote(2, n, 5, ""))
	if may, _, _ := w.state.Admitted(w.keys[n].id); !may || w.available(n) != 5 {
		t.Error("three votes do not admit, of which one is of a new key")
	}
	if b, _ := w.state.Ballot(to.id); len(b.Votes) > 0 {
		t.Errorf("the new key has votes on what is settled: %+v", b)
	}
}
