package atp_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/atp"
)

var (
	alice = platform('a')
	bob   = platform('b')
	carol = platform('c') // holds nothing
	lock1 = lockID('1')
)

// at is the clock of a block whose parent has that time.
func at(parent atp.Millis) atp.Clock { return atp.Clock{Parent: parent, Block: parent + 1} }

// holds returns an account's available, locked and bonded amounts in whole ATP.
func holds(t *testing.T, m *memory, id atp.ID) [3]atp.Amount {
	t.Helper()
	a, err := m.Account(id)
	if err != nil {
		t.Fatal(err)
	}
	return [3]atp.Amount{a.Available / atp.ATP, a.Locked / atp.ATP, a.Bonded / atp.ATP}
}

func TestMovesOfTheLedger(t *testing.T) {
	for _, tt := range []struct {
		name  string
		move  func(atp.Ledger) error
		alice [3]atp.Amount
		want  atp.Totals // in whole ATP
	}{
		{"a transfer pays", func(l atp.Ledger) error { return l.Transfer(alice, bob, 30*atp.ATP) },
			[3]atp.Amount{70, 0, 0}, atp.Totals{Supply: 1000, Available: 200, Pool: 800}},
		{"a transfer to oneself changes nothing", func(l atp.Ledger) error { return l.Transfer(alice, alice, 30*atp.ATP) },
			[3]atp.Amount{100, 0, 0}, atp.Totals{Supply: 1000, Available: 200, Pool: 800}},
		{"a fee is discharged", func(l atp.Ledger) error { return l.Fee(alice, 30*atp.ATP) },
			[3]atp.Amount{70, 0, 0}, atp.Totals{Supply: 1000, Available: 170, Pool: 800, Discharged: 30}},
		{"no fee is free", func(l atp.Ledger) error { return l.Fee(alice, 0) },
			[3]atp.Amount{100, 0, 0}, atp.Totals{Supply: 1000, Available: 200, Pool: 800}},
		{"a grant comes from the pool", func(l atp.Ledger) error { return l.Grant(alice, 800*atp.ATP) },
			[3]atp.Amount{900, 0, 0}, atp.Totals{Supply: 1000, Available: 1000}},
		{"a bond is set aside", func(l atp.Ledger) error { return l.Bond(alice, 30*atp.ATP) },
			[3]atp.Amount{70, 0, 30}, atp.Totals{Supply: 1000, Available: 170, Bonded: 30, Pool: 800}},
		{"a lock is set aside", func(l atp.Ledger) error { return l.LockTask(lock1, alice, 30*atp.ATP) },
			[3]atp.Amount{70, 30, 0}, atp.Totals{Supply: 1000, Available: 170, Locked: 30, Pool: 800}},
		{"part of a bond comes back, part is slashed", func(l atp.Ledger) error {
			return errors.Join(l.Bond(alice, 30*atp.ATP), l.Unbond(alice, 5*atp.ATP), l.Slash(alice, 10*atp.ATP))
		}, [3]atp.Amount{75, 0, 15}, atp.Totals{Supply: 1000, Available: 175, Bonded: 15, Pool: 810}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory(t, alice, bob)
			if err := tt.move(atp.Ledger{State: m}); err != nil {
				t.Fatal(err)
			}
			if got := holds(t, m, alice); got != tt.alice {
				t.Errorf("alice has %d ATP available, locked, bonded, want %d", got, tt.alice)
			}
			got := m.totals
			for _, part := range []*atp.Amount{&got.Supply, &got.Available, &got.Locked, &got.Bonded, &got.Pool, &got.Discharged} {
				*part /= atp.ATP
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("totals (-want +got):\n%s", diff)
			}
			if err := m.check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// payment is a lock of alice's for bob until 1,000.
var payment = atp.Lock{ID: lock1, Payer: alice, Payee: atp.OptionalID{ID: bob}, Amount: 10 * atp.ATP, Deadline: 1000}

// TestWhoEndsALockAndWhen walks the edges of a deadline: the block whose
// parent's time is the deadline is in time, one millisecond later is late.
func TestWhoEndsALockAndWhen(t *testing.T) {
	commit := func(by atp.ID) func(atp.Ledger, atp.Clock) error {
		return func(l atp.Ledger, c atp.Clock) error { return l.Commit(lock1, by, c) }
	}
	rollback := func(by atp.ID) func(atp.Ledger, atp.Clock) error {
		return func(l atp.Ledger, c atp.Clock) error { return l.Rollback(lock1, by, c) }
	}
	expire := func(l atp.Ledger, c atp.Clock) error { return l.Expire(lock1, c) }
	for _, tt := range []struct {
		name string
		end  func(atp.Ledger, atp.Clock) error
		at   atp.Millis
		want error
		bob  atp.Amount // available afterwards, in whole ATP
	}{
		{"the payer commits at the deadline", commit(alice), 1000, nil, 110},
		{"the payer commits a millisecond late", commit(alice), 1001, atp.ErrTooLate, 100},
		{"the payee cannot commit", commit(bob), 500, atp.ErrNotYours, 100},
		{"a stranger cannot commit", commit(carol), 500, atp.ErrNotYours, 100},
		{"the payee rolls back early", rollback(bob), 500, nil, 100},
		{"the payer cannot roll back at the deadline", rollback(alice), 1000, atp.ErrTooEarly, 100},
		{"a stranger cannot roll back at the deadline", rollback(carol), 1000, atp.ErrTooEarly, 100},
		{"the payer rolls back a millisecond after", rollback(alice), 1001, nil, 100},
		{"a stranger rolls back a millisecond after", rollback(carol), 1001, nil, 100},
		{"it does not expire at the deadline", expire, 1000, atp.ErrTooEarly, 100},
		{"it expires a millisecond after, by itself", expire, 1001, nil, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory(t, alice, bob)
			l := atp.Ledger{State: m}
			if err := l.Lock(payment, at(0)); err != nil {
				t.Fatal(err)
			}
			before := m.clone()
			if err := tt.end(l, at(tt.at)); !errors.Is(err, tt.want) {
				t.Fatalf("at %d: have %v, want %v", tt.at, err, tt.want)
			}
			if tt.want != nil && !m.equal(before) {
				t.Errorf("the state changed, though it was refused")
			}
			if got := holds(t, m, bob)[0]; got != tt.bob {
				t.Errorf("bob has %d ATP, want %d", got, tt.bob)
			}
			if tt.want == nil {
				for name, end := range map[string]func(atp.Ledger, atp.Clock) error{
					"commit": commit(alice), "rollback": rollback(bob), "expire": expire,
				} {
					if err := end(l, at(tt.at)); !errors.Is(err, atp.ErrNoLock) {
						t.Errorf("%s of an ended lock: have %v, want %v", name, err, atp.ErrNoLock)
					}
				}
			}
			if err := m.check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWhatALedgerRefuses(t *testing.T) {
	with := func(change func(*atp.Lock)) atp.Lock {
		l := payment
		l.ID = lockID('2')
		change(&l)
		return l
	}
	for _, tt := range []struct {
		name string
		do   func(atp.Ledger) error
		want error
	}{
		{"a transfer of nothing", func(l atp.Ledger) error { return l.Transfer(alice, bob, 0) }, atp.ErrAmount},
		{"a transfer of more than there is", func(l atp.Ledger) error { return l.Transfer(alice, bob, 90*atp.ATP+1) }, atp.ErrInsufficient},
		{"a transfer from one who was never there", func(l atp.Ledger) error { return l.Transfer(carol, bob, 1) }, atp.ErrInsufficient},
		{"a fee above the balance", func(l atp.Ledger) error { return l.Fee(carol, 1) }, atp.ErrInsufficient},
		{"a grant above the pool", func(l atp.Ledger) error { return l.Grant(bob, atp.MaxAmount) }, atp.ErrInsufficient},
		{"a slash above the bond", func(l atp.Ledger) error { return l.Slash(alice, 1) }, atp.ErrInsufficient},
		{"a lock of nothing", func(l atp.Ledger) error {
			return l.Lock(with(func(l *atp.Lock) { l.Amount = 0 }), at(0))
		}, atp.ErrAmount},
		{"a lock of more than there is", func(l atp.Ledger) error {
			return l.Lock(with(func(l *atp.Lock) { l.Amount = 91 * atp.ATP }), at(0))
		}, atp.ErrInsufficient},
		{"a lock whose ID is taken", func(l atp.Ledger) error { return l.Lock(payment, at(0)) }, atp.ErrExists},
		{"a task's lock whose ID is taken", func(l atp.Ledger) error { return l.LockTask(lock1, alice, 1) }, atp.ErrExists},
		{"a lock for oneself", func(l atp.Ledger) error {
			return l.Lock(with(func(l *atp.Lock) { l.Payee.ID = alice }), at(0))
		}, atp.ErrPayee},
		{"a lock for nobody", func(l atp.Ledger) error {
			return l.Lock(with(func(l *atp.Lock) { l.Payee = atp.OptionalID{} }), at(0))
		}, atp.ErrPayee},
		{"a lock that poses as a task's", func(l atp.Ledger) error {
			return l.Lock(with(func(l *atp.Lock) { l.Task = true }), at(0))
		}, atp.ErrTaskLock},
		{"a lock whose deadline is the block's time", func(l atp.Ledger) error { return l.Lock(with(func(*atp.Lock) {}), at(999)) }, atp.ErrTooLate},
		{"a commit of a task's lock", func(l atp.Ledger) error { return l.Commit(lockID('t'), alice, at(0)) }, atp.ErrTaskLock},
		{"a rollback of a task's lock", func(l atp.Ledger) error { return l.Rollback(lockID('t'), bob, at(9999)) }, atp.ErrTaskLock},
		{"the expiry of a task's lock", func(l atp.Ledger) error { return l.Expire(lockID('t'), at(9999)) }, atp.ErrTaskLock},
		{"the settlement of a lock outside tasks", func(l atp.Ledger) error { return l.Settle(atp.Settlement{Task: lock1}) }, atp.ErrTaskLock},
		{"an engagement on a lock outside tasks", func(l atp.Ledger) error { return l.Engage(atp.Engagement{Task: lock1, Payee: bob}) }, atp.ErrTaskLock},
		{"an engagement whose fee is more than the lock", func(l atp.Ledger) error {
			return l.Engage(atp.Engagement{Task: lockID('t'), Payee: bob, ToPool: 1, Discharged: 10 * atp.ATP})
		}, atp.ErrInsufficient},
		{"an engagement whose fee overflows", func(l atp.Ledger) error {
			return l.Engage(atp.Engagement{Task: lockID('t'), Payee: bob, ToPool: 1, Discharged: atp.MaxAmount})
		}, atp.ErrOverflow},
		{"an engagement without the bond", func(l atp.Ledger) error {
			return l.Engage(atp.Engagement{Task: lockID('t'), Payee: carol, ToPool: 1, Bond: 1})
		}, atp.ErrInsufficient},
		{"a settlement that pays too little", func(l atp.Ledger) error {
			return l.Settle(atp.Settlement{Task: lockID('t'), Payments: []atp.Payment{{Who: alice, Amount: 10*atp.ATP - 1}}})
		}, atp.ErrUnbalanced},
		{"a settlement that pays too much", func(l atp.Ledger) error {
			return l.Settle(atp.Settlement{Task: lockID('t'), Payments: []atp.Payment{{Who: alice, Amount: 10*atp.ATP + 1}}})
		}, atp.ErrUnbalanced},
		{"a settlement that pays all there can be, and comes round to the right sum", func(l atp.Ledger) error {
			return l.Settle(atp.Settlement{Task: lockID('t'), Payments: []atp.Payment{{Who: carol, Amount: atp.MaxAmount}, {Who: alice, Amount: 10*atp.ATP + 1}}})
		}, atp.ErrUnbalanced},
		{"a settlement with a bond that is not there", func(l atp.Ledger) error {
			return l.Settle(atp.Settlement{Task: lockID('t'), Bonds: []atp.Payment{{Who: bob, Amount: 1}}, ToPool: 10*atp.ATP + 1})
		}, atp.ErrInsufficient},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory(t, alice, bob)
			l := atp.Ledger{State: m}
			if err := errors.Join(l.Lock(payment, at(0)), l.LockTask(lockID('t'), bob, 10*atp.ATP)); err != nil {
				t.Fatal(err)
			}
			before := m.clone()
			err := tt.do(l)
			if !errors.Is(err, tt.want) {
				t.Errorf("have %v, want %v", err, tt.want)
			}
			if refused := tt.want != atp.ErrUnbalanced; errors.Is(err, atp.ErrRefused) != refused {
				t.Errorf("%v is a refusal: have %v, want %v", err, !refused, refused)
			}
			if !m.equal(before) {
				t.Error("the state changed, though it was refused")
			}
		})
	}
}

func TestATaskTakesItsFeeAndSettlesAsAWhole(t *testing.T) {
	m := newMemory(t, alice, bob)
	l := atp.Ledger{State: m}
	if err := errors.Join(
		l.LockTask(lock1, alice, 53*atp.ATP),
		l.Engage(atp.Engagement{Task: lock1, Payee: bob, Bond: 20 * atp.ATP, Discharged: 1 * atp.ATP, ToPool: 2 * atp.ATP}),
	); err != nil {
		t.Fatal(err)
	}
	if lock, _, err := m.Lock(lock1); err != nil || lock.Amount != 50*atp.ATP || lock.Payee.ID != bob {
		t.Errorf("the lock is %+v, %v, want 50 ATP for bob", lock, err)
	}
	if got, want := holds(t, m, alice), [3]atp.Amount{47, 50, 0}; got != want {
		t.Errorf("alice has %d once engaged, want %d", got, want)
	}
	if got, want := holds(t, m, bob), [3]atp.Amount{80, 0, 20}; got != want {
		t.Errorf("bob has %d once engaged, want %d", got, want)
	}
	if err := l.Settle(atp.Settlement{
		Task: lock1, Bonds: []atp.Payment{{Who: bob, Amount: 20 * atp.ATP}}, FromPool: 1 * atp.ATP,
		Payments: []atp.Payment{{Who: alice, Amount: 5 * atp.ATP}, {Who: bob, Amount: 62 * atp.ATP}, {Who: carol}},
		ToPool:   4 * atp.ATP,
	}); err != nil {
		t.Fatal(err)
	}
	if got, want := holds(t, m, alice), [3]atp.Amount{52, 0, 0}; got != want {
		t.Errorf("alice has %d once settled, want %d", got, want)
	}
	if got, want := holds(t, m, bob), [3]atp.Amount{142, 0, 0}; got != want {
		t.Errorf("bob has %d once settled, want %d", got, want)
	}
	if _, ok := m.values["account/"+carol.String()]; ok {
		t.Error("one who was paid nothing got an account")
	}
	if err := l.Settle(atp.Settlement{Task: lock1}); !errors.Is(err, atp.ErrNoLock) {
		t.Errorf("settling twice: have %v, want %v", err, atp.ErrNoLock)
	}
	if err := m.check(); err != nil {
		t.Error(err)
	}
}
