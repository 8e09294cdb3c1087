package atp

import "fmt"

// Ledger moves amounts in a State, and keeps A2 and A3.
type Ledger struct{ State State }

// Transfer pays amount from one account to another.
func (l Ledger) Transfer(from, to ID, amount Amount) error {
	return l.move(available(from), available(to), amount)
}

// Fee takes a fee, which may be zero, from what id has available. It is discharged.
func (l Ledger) Fee(id ID, fee Amount) error {
	if fee == 0 {
		return nil
	}
	return l.move(available(id), discharged, fee)
}

// Grant pays amount from the pool.
func (l Ledger) Grant(to ID, amount Amount) error {
	return l.move(pool, available(to), amount)
}

// Bond sets amount aside from what id has available.
func (l Ledger) Bond(id ID, amount Amount) error {
	return l.move(available(id), bonded(id), amount)
}

// Unbond gives back amount of what id has bonded.
func (l Ledger) Unbond(id ID, amount Amount) error {
	return l.move(bonded(id), available(id), amount)
}

// Slash moves amount of what id has bonded to the pool.
func (l Ledger) Slash(id ID, amount Amount) error {
	return l.move(bonded(id), pool, amount)
}

func (l Ledger) move(from, to place, amount Amount) error {
	if amount == 0 {
		return fmt.Errorf("%w: have 0, want something to move", ErrAmount)
	}
	return newChange(l.State).run(step{from, to, amount})
}

// A step moves an amount from one place to another.
type step struct {
	from, to place
	amount   Amount
}

// A place holds an amount: a field of an account, or of the totals.
type place struct {
	kind  kind
	owner ID // of an account's field
}

type kind uint8

const (
	kindAvailable kind = iota
	kindLocked
	kindBonded
	kindPool
	kindDischarged
)

func available(id ID) place { return place{kindAvailable, id} }
func locked(id ID) place    { return place{kindLocked, id} }
func bonded(id ID) place    { return place{kindBonded, id} }

var (
	pool       = place{kind: kindPool}
	discharged = place{kind: kindDischarged}
)

// A change gathers what one operation takes and puts, and writes it at the
// end. Only a change alters amounts, so A2 is kept by its empty hand alone.
type change struct {
	state    State
	accounts []holding // in the order they were first touched
	totals   Totals
	hand     Amount // taken and not yet put
}

type holding struct {
	id ID
	Account
}

func newChange(s State) *change { return &change{state: s, totals: s.Totals()} }

// run takes the steps in order and saves.
func (c *change) run(steps ...step) error {
	for _, s := range steps {
		if err := c.take(s.from, s.amount); err != nil {
			return err
		}
		if err := c.put(s.to, s.amount); err != nil {
			return err
		}
	}
	return c.save()
}

// take picks up amount from p. Nothing is touched where the amount is zero.
func (c *change) take(p place, amount Amount) error {
	if amount == 0 {
		return nil
	}
	field, total, err := c.fields(p)
	if err != nil {
		return err
	}
	hand, err := c.hand.Add(amount)
	if err != nil {
		return err
	}
	left, err := field.Sub(amount)
	if err != nil {
		return err
	}
	*field, c.hand = left, hand
	if total != field {
		if *total, err = total.Sub(amount); err != nil {
			return fmt.Errorf("%w: a total is below its part", ErrBroken)
		}
	}
	return nil
}

// put lays down amount at p. Nothing is touched where the amount is zero.
func (c *change) put(p place, amount Amount) error {
	switch {
	case amount == 0:
		return nil
	case amount > c.hand:
		return fmt.Errorf("%w: have %s ATP in hand, want to put %s ATP", ErrUnbalanced, c.hand, amount)
	}
	field, total, err := c.fields(p)
	if err != nil {
		return err
	}
	more, err := field.Add(amount)
	if err != nil {
		return err
	}
	*field, c.hand = more, c.hand-amount
	if total != field {
		*total += amount // cannot overflow: it is part of the supply
	}
	return nil
}

// fields returns where the amount at p is kept, and the total that it is part of.
func (c *change) fields(p place) (field, total *Amount, err error) {
	switch p.kind {
	case kindPool:
		return &c.totals.Pool, &c.totals.Pool, nil
	case kindDischarged:
		return &c.totals.Discharged, &c.totals.Discharged, nil
	}
	a, err := c.account(p.owner)
	if err != nil {
		return nil, nil, err
	}
	switch p.kind {
	case kindLocked:
		return &a.Locked, &c.totals.Locked, nil
	case kindBonded:
		return &a.Bonded, &c.totals.Bonded, nil
	default:
		return &a.Available, &c.totals.Available, nil
	}
}

// account returns the change's copy of an account, good until the next call.
func (c *change) account(id ID) (*Account, error) {
	for i := range c.accounts {
		if c.accounts[i].id == id {
			return &c.accounts[i].Account, nil
		}
	}
	a, err := c.state.Account(id)
	if err != nil {
		return nil, fmt.Errorf("atp: account %s: %w", id, err)
	}
	c.accounts = append(c.accounts, holding{id, a})
	return &c.accounts[len(c.accounts)-1].Account, nil
}

// save writes the change, if what was taken has all been put.
func (c *change) save() error {
	if c.hand != 0 {
		return fmt.Errorf("%w: have %s ATP left in hand, want none", ErrUnbalanced, c.hand)
	}
	for _, h := range c.accounts {
		if err := c.state.SetAccount(h.id, h.Account); err != nil {
			return fmt.Errorf("atp: account %s: %w", h.id, err)
		}
	}
	c.state.SetTotals(c.totals)
	return nil
}
