package task

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
)

// TestTheTableByBruteForce settles every path for all combinations of prices,
// numbers of witnesses, bonds, what the seats earned and what the pool holds:
// what is held is paid, nothing is negative, the requester gets at most what it
// gave, the executor at most the price on top of it, and where the executor has failed
// nobody but the seats and the pool has more than before.
func TestTheTableByBruteForce(t *testing.T) {
	e := DefaultEconomy()
	settled := 0
	for _, price := range []atp.Amount{
		atp.ATP, atp.ATP + 1, 3_000_001, 9_999_999, 10 * atp.ATP, 18 * atp.ATP, 50*atp.ATP + 7, 99_999_999, 100 * atp.ATP, 1_000 * atp.ATP, 1 << 50,
	} {
		for _, eligible := range []uint64{2, 3, 4, 5, 6, 7, 26} {
			c := e.Charges(price, eligible)
			least := c.MinBond(Recompute)
			for _, bond := range []atp.Amount{least, least + 1, price, 9 * price, 1 << 52} {
				if bond < least {
					continue
				}
				p := e.AuditProbability(price, bond)
				for _, earned := range []atp.Amount{0, 1, c.SeatFee, c.Pay/2 + 1, c.Pay - 1, c.Pay} {
					for _, pool := range []atp.Amount{0, 1, earned / 3, earned, 1 << 60} {
						s := Stakes{
							Price: price, Fee: c.Fee, Bond: bond, Late: c.Late, Dispute: c.Dispute, Appeal: c.Appeal,
							Earned: earned, PoolShare: e.PoolShare(earned, p, pool),
						}
						if s.PoolShare > pool {
							t.Fatalf("%+v: the pool of %s ATP pays %s ATP", s, pool, s.PoolShare)
						}
						settled += settleAll(t, s)
					}
				}
			}
		}
	}
	t.Logf("%d settlements", settled)
}

// settleAll checks the settlement of every path.
func settleAll(t *testing.T, s Stakes) int {
	t.Helper()
	for _, r := range rows {
		legs, err := s.Legs(r.path)
		if err != nil {
			t.Fatalf("%s: %+v: %v", r.path, s, err)
		}
		held, _, err := r.held.of(s)
		if err != nil {
			t.Fatal(err)
		}
		if out := legs.Requester + legs.Executor + legs.Seats + legs.ToPool; out != held+legs.FromPool {
			t.Fatalf("%s: %+v: %s ATP held, %s ATP paid", r.path, s, held+legs.FromPool, out)
		}
		own, has := s.Price+s.Fee, r.sign(r.held.B)*s.Bond // of the requester, of the executor
		if r.held.D > 0 {
			own += s.Dispute
		}
		appeal := r.sign(r.held.A) * s.Appeal
		if legs.Requester > own+appeal || legs.Executor > has+appeal+s.Price {
			t.Fatalf("%s: %+v: the requester gets %s ATP of %s ATP, the executor %s ATP of %s ATP",
				r.path, s, legs.Requester, own+appeal, legs.Executor, has+appeal)
		}
		if legs.Outcome != Commit && legs.Executor > has {
			t.Fatalf("%s: %+v: the executor gains %s ATP without being paid", r.path, s, legs.Executor-has)
		}
	}
	return len(rows)
}
