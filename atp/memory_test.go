package atp_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/sage-p2p/sage-p2p/atp"
)

// memory is a State that keeps everything encoded, so that two of them can be
// compared byte for byte.
type memory struct {
	values map[string]string
	totals atp.Totals

	reads, writes int
	failRead      int // the read that fails, counted from 1
}

var errDisk = errors.New("disk failed")

// newMemory returns a state whose supply is in the pool, but for what the
// platforms hold: 100 ATP each.
func newMemory(t rapid.TB, ids ...atp.ID) *memory {
	t.Helper()
	supply := 1000 * atp.ATP
	m := &memory{values: make(map[string]string), totals: atp.Totals{Supply: supply, Pool: supply}}
	for _, id := range ids {
		if err := (atp.Ledger{State: m}).Grant(id, 100*atp.ATP); err != nil {
			t.Fatal(err)
		}
	}
	m.reads, m.writes = 0, 0
	return m
}

func (m *memory) clone() *memory { return &memory{values: maps.Clone(m.values), totals: m.totals} }

func (m *memory) equal(o *memory) bool { return maps.Equal(m.values, o.values) && m.totals == o.totals }

func (m *memory) get(key string, v atp.Value) (bool, error) {
	if m.reads++; m.reads == m.failRead {
		return false, errDisk
	}
	data, ok := m.values[key]
	if !ok {
		return false, nil
	}
	return true, atp.Decode([]byte(data), v)
}

func (m *memory) set(key string, v atp.Value) error {
	m.writes++
	data, err := atp.Encode(v)
	m.values[key] = string(data)
	return err
}

func (m *memory) delete(key string) error {
	m.writes++
	if _, ok := m.values[key]; !ok {
		return fmt.Errorf("delete %s: not there", key)
	}
	delete(m.values, key)
	return nil
}

func dueKey(at atp.Millis, id cid.Cid) string { return fmt.Sprintf("due/%020d/%s", at, id) }

func (m *memory) Account(id atp.ID) (a atp.Account, err error) {
	_, err = m.get("account/"+id.String(), &a)
	return a, err
}

func (m *memory) SetAccount(id atp.ID, a atp.Account) error { return m.set("account/"+id.String(), &a) }

func (m *memory) Lock(id cid.Cid) (l atp.Lock, ok bool, err error) {
	ok, err = m.get("lock/"+id.String(), &l)
	return l, ok, err
}

func (m *memory) SetLock(l atp.Lock) error                  { return m.set("lock/"+l.ID.String(), &l) }
func (m *memory) DeleteLock(id cid.Cid) error               { return m.delete("lock/" + id.String()) }
func (m *memory) Totals() atp.Totals                        { return m.totals }
func (m *memory) SetTotals(t atp.Totals)                    { m.writes++; m.totals = t }
func (m *memory) DeleteDue(at atp.Millis, id cid.Cid) error { return m.delete(dueKey(at, id)) }

func (m *memory) SetDue(at atp.Millis, id cid.Cid) error {
	m.writes++
	m.values[dueKey(at, id)] = ""
	return nil
}

// check compares the totals with what is really there.
func (m *memory) check() error {
	var sum, inLocks atp.Totals
	var locks, due int
	for key, data := range m.values {
		var a atp.Account
		var l atp.Lock
		switch kind, _, _ := strings.Cut(key, "/"); kind {
		case "account":
			if err := atp.Decode([]byte(data), &a); err != nil {
				return err
			}
			sum.Available += a.Available
			sum.Locked += a.Locked
			sum.Bonded += a.Bonded
		case "lock":
			if err := atp.Decode([]byte(data), &l); err != nil {
				return err
			}
			inLocks.Locked += l.Amount
			if !l.Task {
				locks++
			}
		case "due":
			due++
		}
	}
	have := m.totals
	switch {
	case have.Available != sum.Available || have.Locked != sum.Locked || have.Bonded != sum.Bonded:
		return fmt.Errorf("totals are %+v, the accounts hold %+v", have, sum)
	case inLocks.Locked != sum.Locked:
		return fmt.Errorf("accounts have %s ATP locked, the locks hold %s ATP", sum.Locked, inLocks.Locked)
	case locks != due:
		return fmt.Errorf("%d locks have a deadline, %d deadlines are due", locks, due)
	}
	return have.Check()
}

func platform(name byte) atp.ID { return atp.IDFromKey([32]byte{name}) }

func lockID(name byte) cid.Cid { return atp.Sum([]byte{name}) }
