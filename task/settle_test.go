package task

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/sage-p2p/sage-p2p/atp"
)

// drawStakes draws the quantities of a settlement as the rules allow them, for
// tasks from a least price.
func drawStakes(t *rapid.T, least uint64) Stakes {
	e := DefaultEconomy()
	e.LeastCharge = atp.Amount(rapid.Uint64Range(1, 5_000_000).Draw(t, "least charge"))
	price := atp.Amount(rapid.OneOf(rapid.Uint64Range(least, least+200), rapid.Uint64Range(least, 1<<52)).Draw(t, "price"))
	c := e.Charges(price, rapid.Uint64Range(2, 9).Draw(t, "eligible"))
	s := Stakes{
		Price: c.Price, Fee: c.Fee, Late: c.Late, Dispute: c.Dispute, Appeal: c.Appeal,
		Bond:   c.MinBond(Recompute) + atp.Amount(rapid.Uint64Max(uint64(price)).Draw(t, "more bond")),
		Earned: atp.Amount(rapid.Uint64Max(uint64(c.Pay)).Draw(t, "earned")),
	}
	pool := atp.Amount(rapid.Uint64Max(uint64(price)).Draw(t, "pool"))
	s.PoolShare = e.PoolShare(s.Earned, e.AuditProbability(price, s.Bond), pool)
	return s
}

// TestEverySettlementPaysOutWhatWasHeld is A2 for the whole table: what the
// lock and the bonds hold is what the four get, nothing is negative, the
// requester gets no more than it put in, the executor no more than the price.
func TestEverySettlementPaysOutWhatWasHeld(t *testing.T) {
	for _, r := range rows {
		least := uint64(1)
		if r.seats.W > 0 {
			least = uint64(witnessedPrice)
		}
		t.Run(string(r.path), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s := drawStakes(t, least)
				held, minus, err := r.held.of(s)
				if err != nil || minus != 0 {
					t.Fatalf("held: have %s ATP less %s ATP, %v, want a sum", held, minus, err)
				}
				legs, err := s.Legs(r.path)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := legs.Requester+legs.Executor+legs.Seats+legs.ToPool, held+legs.FromPool; got != want {
					t.Errorf("paid %s ATP, want %s ATP", got, want)
				}
				// The fee has left the lock, but for an offer that ends.
				if most := held - r.sign(r.held.B)*s.Bond + r.sign(1-r.held.F)*s.Fee; legs.Requester > most {
					t.Errorf("the requester gets %s ATP, want at most its own %s ATP", legs.Requester, most)
				}
				if most := r.sign(r.held.B)*(s.Price+s.Bond) + r.sign(r.held.A)*s.Appeal; legs.Executor > most {
					t.Errorf("the executor gets %s ATP, want at most %s ATP", legs.Executor, most)
				}
				if legs.Outcome == Rollback && legs.Executor > s.Bond {
					t.Errorf("a rollback pays the executor %s ATP, want at most its bond of %s ATP", legs.Executor, s.Bond)
				}
			})
		})
	}
}

// sign returns 1 for a quantity that is there.
func (row) sign(times int8) atp.Amount {
	if times > 0 {
		return 1
	}
	return 0
}

func TestStakesThatNoTaskHasAreAnError(t *testing.T) {
	for name, legs := range map[string]func() (Legs, error){
		"a late charge above the bond": func() (Legs, error) { return Stakes{Price: 5, Bond: 1, Late: 2}.Legs(Late) },
		"a sum that overflows":         func() (Legs, error) { return Stakes{Price: 1, Bond: atp.MaxAmount}.Legs(Unaudited) },
		"a path that is no row":        func() (Legs, error) { return Stakes{}.Legs("elsewhere") },
	} {
		if got, err := legs(); err == nil {
			t.Errorf("%s: have %+v, want an error", name, got)
		}
	}
}

// TestEveryStageEndsByItself is A3: every stage but the last has edges of
// nobody's, and whichever are taken, they lead on to the end. A level of everyone
// has the last word, so that a review comes back to its draw once.
func TestEveryStageEndsByItself(t *testing.T) {
	edges := make(map[Stage][]move)
	for _, m := range moves {
		if m.who == nobody || m.who == everySeat {
			edges[m.from] = append(edges[m.from], m)
		}
		byVerdict := m.path == "" && (m.from == Revealing || m.from == Decided)
		if _, ok := rowOf(m.path); ok != (m.to == Settled) && !byVerdict {
			t.Errorf("%s of %s: settles is %v, path is %q", m.op, m.from, m.to == Settled, m.path)
		}
	}
	var longest func(from Stage, widened bool) int
	longest = func(from Stage, widened bool) (steps int) {
		if from == Settled {
			return 0
		}
		if len(edges[from]) == 0 {
			t.Fatalf("%s has no edge of nobody's", from)
		}
		for _, m := range edges[from] {
			if m.op != OpWiden || !widened {
				steps = max(steps, 1+longest(m.to, widened || m.op == OpWiden))
			}
		}
		return steps
	}
	for stage, want := range map[Stage]int{
		Posted: 1, Accepted: 1, Proven: 1, Decided: 1, Revealing: 5, Committing: 6, Drawing: 7,
	} {
		if got := longest(stage, false); got != want {
			t.Errorf("from %s: %d steps to the end at most, want %d", stage, got, want)
		}
	}
}
