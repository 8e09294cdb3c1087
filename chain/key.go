package chain

import (
	"errors"
	"fmt"
	"math"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// A platform whose key was stolen, or whose signer was rolled back, takes another
// key (KEY_ROTATE): account, name, society, reputation and seat go over at once,
// and the next set has the new key. The old one is spent: its account's nonce is
// one that no transaction has.
//
// What is open is not moved: who has a lock or a task open, or a bond that is not
// its seat's, is refused. Tasks and locks name their parties by key, for witnesses,
// streams and proofs too; they end by themselves within their deadlines, and a key
// that is lost for good loses nothing by waiting for them. A lock whose payee has
// another key by then pays the newest one.
//
// Reputation stays under the first key that a platform had, and is found by it.

// spentNonce is the nonce of the account of a key that was replaced.
const spentNonce = math.MaxUint64

// ErrKey reports a KEY_ROTATE that cannot be, or a key that was replaced.
var ErrKey = fmt.Errorf("chain: %w: key", atp.ErrRefused)

// keyRecord is what is known of a key that was replaced, or has replaced one: two
// steps lead from any key of a platform to its newest.
type keyRecord struct {
	First  atp.ID         // the first key of the platform
	Newest atp.OptionalID // of the first key alone: the one that counts
	Until  bft.Height     // the last height of which it speaks for the platform; 0: it is the newest
}

// keyRing reads who has which key.
type keyRing struct {
	count uint64 // 0: nobody ever had another
	get   func(key string) (keyRecord, bool, error)
}

func (d *draft) ring() keyRing { return keyRing{d.root.Census.Keys, d.keys.get} }

// first returns the first key of the platform that has, or had, a key.
func (k keyRing) first(id atp.ID) (atp.ID, error) {
	if k.count == 0 {
		return id, nil
	}
	r, known, err := k.get(accountKey(id))
	if err != nil || !known {
		return id, err
	}
	return r.First, nil
}

// newest returns the key that the owner of a key has now.
func (k keyRing) newest(id atp.ID) (atp.ID, error) {
	first, err := k.first(id)
	if err != nil || k.count == 0 {
		return id, err
	}
	r, known, err := k.get(accountKey(first))
	if err != nil || !known {
		return id, err
	}
	return r.Newest.ID, nil
}

// spoke reports whether a key spoke for its owner at a height: one that was
// stolen is of no use to the thief once it was replaced.
func (k keyRing) spoke(id atp.ID, at bft.Height) (bool, error) {
	if k.count == 0 {
		return true, nil
	}
	r, _, err := k.get(accountKey(id))
	return r.Until == 0 || at <= r.Until, err
}

func (d *draft) first(id atp.ID) (atp.ID, error)  { return d.ring().first(id) }
func (d *draft) newest(id atp.ID) (atp.ID, error) { return d.ring().newest(id) }

func (s State) ring() keyRing {
	return keyRing{s.root.Census.Keys, newTable[keyRecord](newOverlay(s.nodes), s.root.Keys).get}
}

func (s State) firstKey(id atp.ID) (atp.ID, error) { return s.ring().first(id) }

// Newest returns the key of the platform that has, or had, this one: itself,
// unless it was replaced.
func (s State) Newest(id atp.ID) (atp.ID, error) { return s.ring().newest(id) }

// payable refuses a key that was replaced: nobody could spend what it is given.
func (d *draft) payable(id atp.ID) error {
	now, err := d.newest(id)
	if err == nil && now != id {
		err = fmt.Errorf("%w: %s was replaced: name %s", ErrKey, id, now)
	}
	return err
}

// rotate is KEY_ROTATE. That the new key agrees was checked with the transaction
// ([attested]).
func (e *execution) rotate(old atp.ID, a *KeyRotate) ([]Event, error) {
	account, err := e.Account(old)
	if err != nil {
		return nil, err
	}
	fresh, err := e.fresh(a.To)
	if err != nil {
		return nil, err
	}
	if err := e.unburdened(old, account); err != nil {
		return nil, err
	}
	moved := account
	moved.Nonce = 0
	if moved.Available, err = moved.Available.Add(fresh.Available); err != nil {
		return nil, err
	}
	if err := e.SetAccount(a.To, moved); err != nil {
		return nil, err
	}
	if err := e.SetAccount(old, atp.Account{Nonce: spentNonce}); err != nil {
		return nil, err
	}
	for _, move := range []func(old, to atp.ID) error{e.moveName, e.moveSeat, e.moveHeld, e.noteKey} {
		if err := move(old, a.To); err != nil {
			return nil, err
		}
	}
	return told(nil, &KeyRotated{old, a.To, account.Available})
}

// fresh returns the account of a key that nobody has used here; it may have been
// given something.
func (e *execution) fresh(id atp.ID) (atp.Account, error) {
	account, err := e.Account(id)
	if err != nil {
		return account, err
	}
	_, known, err := e.keys.get(accountKey(id))
	if err != nil {
		return account, err
	}
	_, platform, err := e.platforms.get(accountKey(id))
	if err != nil {
		return account, err
	}
	if known || platform || account.Nonce != 0 || account.Locked != 0 || account.Bonded != 0 {
		return account, fmt.Errorf("%w: %s is in use here, or was: make a new one", ErrKey, id)
	}
	return account, nil
}

// Burden returns what keeps a platform from taking another key, or nil.
func (s State) Burden(id atp.ID) (why, err error) {
	account, err := s.Account(id)
	if err != nil {
		return nil, err
	}
	e := &execution{draft: newDraft(newOverlay(s.nodes), s.root, s.constants), parent: s}
	if why = e.unburdened(id, account); errors.Is(why, ErrKey) {
		return why, nil
	}
	return nil, why
}

// unburdened refuses who has something open that names its key.
func (e *execution) unburdened(id atp.ID, account atp.Account) error {
	s, err := e.stakeOf(id)
	if err != nil {
		return err
	}
	bond, _ := s.bond()
	_, witness, err := e.Stake(id)
	if err != nil {
		return err
	}
	switch {
	case account.Locked > 0:
		return fmt.Errorf("%w: %s ATP of %s are in open locks and tasks: once they have ended it can take another", ErrKey, account.Locked, id)
	case account.Bonded > bond:
		return fmt.Errorf("%w: %s ATP of %s are set aside for tasks, or staked: once they are back it can take another", ErrKey, account.Bonded-bond, id)
	case witness:
		return fmt.Errorf("%w: %s has a seat as a witness: once that task has ended it can take another", ErrKey, id)
	}
	return nil
}

func (e *execution) moveName(old, to atp.ID) error {
	p, known, err := e.platforms.get(accountKey(old))
	if err != nil || !known {
		return err
	}
	if p.Name != "" {
		if err := e.names.set(string(p.Name), to); err != nil {
			return err
		}
	}
	if err := e.platforms.remove(accountKey(old)); err != nil {
		return err
	}
	return e.platforms.set(accountKey(to), p)
}

// moveSeat gives the vote, or the wish for one, to the new key, from the next
// height on; for the beacon it is young then.
func (e *execution) moveSeat(old, to atp.ID) error {
	from, next := accountKey(old), accountKey(to)
	if c, waits, err := e.candidates.get(from); err != nil || waits {
		if err != nil {
			return err
		}
		if err := e.candidates.remove(from); err != nil {
			return err
		}
		return e.candidates.set(next, c)
	}
	v, votes, err := e.validators.get(from)
	if err != nil || !votes {
		return err
	}
	ballot, err := e.ballotOf(old)
	if err != nil {
		return err
	}
	waits := v.Leaving
	if err := e.unseat(old, v); err != nil {
		return err
	}
	e.root.Census.Validators++
	if waits != 0 {
		e.root.Census.Leaving++
	}
	v.Joined = e.header.Height + 1
	if err := e.validators.set(next, v); err != nil {
		return err
	}
	return e.cast(to, ballot)
}

func (e *execution) moveHeld(old, to atp.ID) error {
	h, has, err := e.heldBy(old)
	if err != nil || !has {
		return err
	}
	if err := e.letGo(h); err != nil {
		return err
	}
	h.ID = to
	return e.hold(h)
}

// noteKey remembers whose the keys are.
func (e *execution) noteKey(old, to atp.ID) error {
	first, err := e.first(old)
	if err != nil {
		return err
	}
	if first == old {
		e.root.Census.Keys++
	}
	e.root.Census.Keys++
	if err := e.keys.set(accountKey(old), keyRecord{First: first, Until: e.header.Height}); err != nil {
		return err
	}
	if err := e.keys.set(accountKey(to), keyRecord{First: first}); err != nil {
		return err
	}
	r, _, err := e.keys.get(accountKey(first))
	if err != nil {
		return err
	}
	r.Newest.ID = to
	return e.keys.set(accountKey(first), r)
}
