package atp_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/sage-p2p/sage-p2p/atp"
)

// crowd is a ledger under whatever may be asked of it, and what must then hold.
type crowd struct {
	m      *memory
	ledger atp.Ledger
	now    atp.Millis
	opened map[cid.Cid]int
	ended  map[cid.Cid]int
	bonds  map[cid.Cid]atp.Payment
}

// try does something that may be refused, and then must have changed nothing.
func (c *crowd) try(t *rapid.T, do func() error) bool {
	before := c.m.clone()
	err := do()
	switch {
	case err == nil:
		return true
	case !errors.Is(err, atp.ErrRefused):
		t.Fatalf("failed: %v", err)
	case !c.m.equal(before):
		t.Fatalf("the state changed, though it was refused: %v", err)
	}
	return false
}

func (c *crowd) clock() atp.Clock { return atp.Clock{Parent: c.now, Block: c.now + 1} }

// TestSupplyIsConservedAndEveryLockEndsOnce is A2 and A3: whatever is asked of
// it, and by whom, a ledger neither makes nor loses, and no lock ends twice.
func TestSupplyIsConservedAndEveryLockEndsOnce(t *testing.T) {
	who := rapid.Map(rapid.ByteRange('a', 'd'), platform)
	name := rapid.Map(rapid.ByteRange('1', '5'), lockID)
	amount := rapid.Map(rapid.OneOf(rapid.Uint64Max(120_000_000), rapid.Uint64()), func(a uint64) atp.Amount { return atp.Amount(a) })
	rapid.Check(t, func(t *rapid.T) {
		m := newMemory(t, platform('a'), platform('b'), platform('c'))
		c := &crowd{m, atp.Ledger{State: m}, 1, make(map[cid.Cid]int), make(map[cid.Cid]int), make(map[cid.Cid]atp.Payment)}
		t.Repeat(map[string]func(*rapid.T){
			"move": func(t *rapid.T) {
				from, to, x := who.Draw(t, "from"), who.Draw(t, "to"), amount.Draw(t, "amount")
				c.try(t, func() error {
					switch rapid.IntRange(0, 4).Draw(t, "kind") {
					case 0:
						return c.ledger.Fee(from, x/100)
					case 1:
						return c.ledger.Grant(to, x/100)
					default:
						return c.ledger.Transfer(from, to, x)
					}
				})
			},
			"lock": func(t *rapid.T) {
				l := atp.Lock{ID: name.Draw(t, "id"), Payer: who.Draw(t, "payer"), Payee: atp.OptionalID{ID: who.Draw(t, "payee")},
					Amount: amount.Draw(t, "amount"), Deadline: c.now + atp.Millis(rapid.Uint64Max(20).Draw(t, "window"))}
				if c.try(t, func() error { return c.ledger.Lock(l, c.clock()) }) {
					c.opened[l.ID]++
				}
			},
			"end": func(t *rapid.T) {
				id, by := name.Draw(t, "id"), who.Draw(t, "by")
				if c.try(t, func() error {
					switch rapid.IntRange(0, 2).Draw(t, "kind") {
					case 0:
						return c.ledger.Commit(id, by, c.clock())
					case 1:
						return c.ledger.Rollback(id, by, c.clock())
					default:
						return c.ledger.Expire(id, c.clock())
					}
				}) {
					c.ended[id]++
				}
			},
			"task": func(t *rapid.T) {
				id, payer, payee := name.Draw(t, "id"), who.Draw(t, "payer"), who.Draw(t, "payee")
				x, bond := amount.Draw(t, "amount"), amount.Draw(t, "bond")
				if c.try(t, func() error { return c.ledger.LockTask(id, payer, x) }) {
					c.opened[id]++
				}
				if _, engaged := c.bonds[id]; !engaged && c.try(t, func() error {
					return c.ledger.Engage(atp.Engagement{Task: id, Payee: payee, Bond: bond, Discharged: x / 100, ToPool: x / 50})
				}) {
					c.bonds[id] = atp.Payment{Who: payee, Amount: bond}
				}
			},
			"settle": func(t *rapid.T) {
				id, to := name.Draw(t, "id"), who.Draw(t, "to")
				lock, _, err := m.Lock(id)
				if err != nil {
					t.Fatal(err)
				}
				held := lock.Amount + c.bonds[id].Amount
				s := atp.Settlement{Task: id, Payments: []atp.Payment{{Who: to, Amount: held / 3}}, ToPool: held - held/3}
				if bond, ok := c.bonds[id]; ok {
					s.Bonds = []atp.Payment{bond}
				}
				if c.try(t, func() error { return c.ledger.Settle(s) }) {
					delete(c.bonds, id)
					c.ended[id]++
				}
			},
			"wait": func(t *rapid.T) { c.now += atp.Millis(rapid.Uint64Max(15).Draw(t, "ms")) },
			"":     func(t *rapid.T) { c.hold(t) },
		})
	})
}

// hold fails unless the laws hold.
func (c *crowd) hold(t *rapid.T) {
	if err := c.m.check(); err != nil {
		t.Fatal(err)
	}
	for id, opened := range c.opened {
		_, open, err := c.m.Lock(id)
		if err != nil {
			t.Fatal(err)
		}
		want := opened
		if open {
			want--
		}
		if c.ended[id] != want {
			t.Fatalf("lock %s was opened %d times and ended %d times, want %d", id, opened, c.ended[id], want)
		}
	}
}

// TestALedgerReadsEverythingBeforeItWrites fails every read in turn: whichever
// fails, nothing has been written by then.
func TestALedgerReadsEverythingBeforeItWrites(t *testing.T) {
	for name, do := range map[string]func(atp.Ledger) error{
		"transfer": func(l atp.Ledger) error { return l.Transfer(alice, bob, 1) },
		"lock": func(l atp.Ledger) error {
			p := payment
			p.ID = lockID('2')
			return l.Lock(p, at(0))
		},
		"commit":   func(l atp.Ledger) error { return l.Commit(lock1, alice, at(0)) },
		"rollback": func(l atp.Ledger) error { return l.Rollback(lock1, bob, at(0)) },
		"expire":   func(l atp.Ledger) error { return l.Expire(lock1, at(1001)) },
		"engage": func(l atp.Ledger) error {
			return l.Engage(atp.Engagement{Task: lockID('t'), Payee: bob, Bond: 1, Discharged: 1, ToPool: 1})
		},
		"settle": func(l atp.Ledger) error {
			return l.Settle(atp.Settlement{Task: lockID('t'), Payments: []atp.Payment{{Who: bob, Amount: 10 * atp.ATP}}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			for failing := 1; ; failing++ {
				m := newMemory(t, alice, bob)
				l := atp.Ledger{State: m}
				if err := errors.Join(l.Lock(payment, at(0)), l.LockTask(lockID('t'), alice, 10*atp.ATP)); err != nil {
					t.Fatal(err)
				}
				m.reads, m.writes, m.failRead = 0, 0, failing
				err := do(l)
				if err == nil {
					if failing == 1 {
						t.Fatal("no read ever failed")
					}
					return
				}
				if !errors.Is(err, errDisk) || errors.Is(err, atp.ErrRefused) {
					t.Fatalf("read %d: have %v, want %v and no refusal", failing, err, errDisk)
				}
				if m.writes != 0 {
					t.Fatalf("read %d failed after %d writes, want none", failing, m.writes)
				}
			}
		})
	}
}

func TestTotalsThatDoNotAddUpAreBroken(t *testing.T) {
	for _, totals := range []atp.Totals{
		{Supply: 10, Available: 4, Locked: 3, Bonded: 2},
		{Supply: 10, Available: 4, Locked: 3, Bonded: 2, Pool: 1, Discharged: 1},
		{Supply: 1, Available: atp.MaxAmount, Pool: 2},
	} {
		if err := totals.Check(); !errors.Is(err, atp.ErrBroken) {
			t.Errorf("%s: have %v, want %v", fmt.Sprint(totals), err, atp.ErrBroken)
		}
	}
	if err := (atp.Totals{Supply: 10, Available: 4, Locked: 3, Bonded: 1, Pool: 1, Discharged: 1}).Check(); err != nil {
		t.Error(err)
	}
}
