package atp

import (
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
)

// ErrBroken reports that A2 does not hold. No operation leads there: the
// state itself is damaged, and nothing more may be built on it.
var ErrBroken = errors.New("atp: supply is not conserved")

// Account is what one ID holds.
type Account struct {
	Available Amount // to spend
	Locked    Amount // the sum of its open locks, as payer
	Bonded    Amount // set aside as bonds and stakes
	Nonce     uint64 // of the next transaction; the ledger leaves it alone
}

// Lock is an amount that a payer has set aside. It ends exactly once (A3).
type Lock struct {
	ID       cid.Cid
	Payer    ID
	Payee    OptionalID // nobody: a task's lock that no one has accepted
	Amount   Amount
	Deadline Millis // zero for a task's lock, whose deadlines are the task's
	Task     bool   // only the settlement of its task ends it
}

// Totals are the sums over the whole state.
type Totals struct {
	Supply     Amount // fixed by the genesis
	Available  Amount // of all accounts
	Locked     Amount // of all accounts, and of all locks
	Bonded     Amount // of all accounts
	Pool       Amount // common funds
	Discharged Amount // spent as energy: counted, not destroyed
}

// Check returns [ErrBroken] unless the parts make up the supply (A2).
func (t Totals) Check() error {
	var sum Amount
	for _, part := range []Amount{t.Available, t.Locked, t.Bonded, t.Pool, t.Discharged} {
		var err error
		if sum, err = sum.Add(part); err != nil {
			return fmt.Errorf("%w: %w", ErrBroken, err)
		}
	}
	if sum != t.Supply {
		return fmt.Errorf("%w: have %s ATP, want %s ATP", ErrBroken, sum, t.Supply)
	}
	return nil
}

// State is where a [Ledger] keeps everything. An absent account is the zero
// Account. A genesis state has its whole supply in the pool, from which
// [Ledger.Grant] pays the allocations.
type State interface {
	Account(ID) (Account, error)
	SetAccount(ID, Account) error
	Lock(cid.Cid) (Lock, bool, error)
	SetLock(Lock) error
	DeleteLock(cid.Cid) error
	Totals() Totals
	SetTotals(Totals)
	Due
}

// Due is the index of deadlines: what must be looked at, and when, though
// nobody asks. In the first block whose parent's time is past a deadline its
// IDs are handed to [Ledger.Expire] (or to the task they name).
type Due interface {
	SetDue(Millis, cid.Cid) error
	DeleteDue(Millis, cid.Cid) error
}
