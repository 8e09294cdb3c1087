package chain

import (
	"cmp"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// Absence is since when a validator is missing from every certificate.
type Absence struct {
	Since bft.Height // of the first block whose LastCommit lacks it
	Time  atp.Millis // of that block
}

// Blocks returns how many certificates in a row lack the validator, as of the
// state after the block of a height.
func (a Absence) Blocks(at bft.Height) uint64 {
	return uint64(at+1) - min(uint64(a.Since), uint64(at+1))
}

// long reports whether the absence costs the vote in the block of a header.
func (m Membership) long(a Absence, h Header) bool {
	return a.Blocks(h.Height) >= m.AbsentBlocks && h.Time >= a.Time.Add(m.AbsentTime)
}

// Absence returns since when a validator is missing, if it is.
func (s State) Absence(id atp.ID) (Absence, bool, error) {
	return lookup[Absence](s.nodes, s.root.Absences, accountKey(id))
}

func (s State) eachAbsence(f func(atp.ID, Absence) error) error {
	if s.root.Census.Absent == 0 {
		return nil
	}
	return each[Absence](newOverlay(s.nodes), s.root.Absences, func(key string, a Absence) error {
		id, err := idFromKey(key)
		if err != nil {
			return err
		}
		return f(id, a)
	})
}

// deciders returns the set that agreed on the state's own block: the certificate
// of that block is by it.
func (s State) deciders() (bft.ValidatorSet, error) {
	if s.decided.Len() > 0 || s.tip.Height == 0 {
		return s.decided, nil
	}
	return loadValidators(newOverlay(s.nodes), s.root.Decided)
}

// eachDecider goes through the set that decided on the block below, and says of each
// whether it signed that block's certificate. Some may have no vote any more.
func (e *execution) eachDecider(f func(id atp.ID, signed bool) error) error {
	cert := e.header.LastCommit
	if cert == nil {
		return nil
	}
	set, err := e.parent.deciders()
	if err != nil {
		return err
	}
	for i, id := range set.IDs() {
		if err := f(atp.ID(id), cert.Signers.Has(i)); err != nil {
			return err
		}
	}
	return nil
}

// attend takes note of who is missing from the certificate of the block below, of
// those who have a vote at the next height.
func (e *execution) attend() error {
	return e.eachDecider(func(id atp.ID, signed bool) error {
		if signed {
			return e.present(accountKey(id))
		}
		return e.miss(accountKey(id))
	})
}

// miss begins an absence, unless it has begun, or the vote is gone.
func (e *execution) miss(key string) error {
	_, votes, err := e.validators.get(key)
	if err != nil || !votes {
		return err
	}
	_, missing, err := e.absences.get(key)
	if err != nil || missing {
		return err
	}
	e.root.Census.Absent++
	return e.absences.set(key, Absence{e.header.Height, e.header.Time})
}

// present ends an absence, if there is one.
func (e *execution) present(key string) error {
	if e.root.Census.Absent == 0 {
		return nil
	}
	_, missing, err := e.absences.get(key)
	if err != nil || !missing {
		return err
	}
	e.root.Census.Absent--
	return e.absences.remove(key)
}

// absent is a validator that is missing.
type absent struct {
	id atp.ID
	Absence
}

// excuse makes observers of those who are missing for too long, whose bonds stay:
// one after the other, who is missing longest first, then by ID, each only if the
// set that is left can do without.
func (e *execution) excuse() (events []Event, err error) {
	if e.root.Census.Absent == 0 {
		return nil, nil
	}
	keys, err := e.absences.keys()
	if err != nil {
		return nil, err
	}
	var list []absent
	for _, key := range keys {
		a, _, err := e.absences.get(key)
		if err != nil {
			return nil, err
		}
		id, err := idFromKey(key)
		if err != nil {
			return nil, err
		}
		if e.constants.Params.Membership.long(a, e.header) {
			list = append(list, absent{id, a})
		}
	}
	slices.SortStableFunc(list, func(a, b absent) int { return cmp.Compare(a.Since, b.Since) })
	for _, a := range list {
		if !canSpare(int(e.root.Census.Validators)) {
			break
		}
		v, _, err := e.validators.get(accountKey(a.id))
		if err != nil {
			return nil, err
		}
		if v.Leaving != 0 {
			continue // it goes its own way
		}
		if err := e.unseat(a.id, v); err != nil {
			return nil, err
		}
		if err := e.hold(Held{ID: a.id, Bond: v.Bond, Since: v.Since}); err != nil {
			return nil, err
		}
		events = append(events, Event{&ValidatorAbsent{a.id, e.header.Height + 1, v.Bond}})
	}
	return events, nil
}

// canSpare reports whether n validators bear as many faults with one less, and
// whether they are then neither none nor two.
func canSpare(n int) bool {
	return n > 1 && n-1 != 2 && bft.Faults(n-1) == bft.Faults(n)
}
