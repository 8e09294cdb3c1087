package chain

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// FuzzStateNodes reads a state of which one node is not what was written, as a
// disk, or a peer that serves nodes, may give it. Whatever is asked is answered
// or fails with ErrStorage, and so does a block that is executed on it.
func FuzzStateNodes(f *testing.F) {
	_, s, id := grown(f)
	w := s.world
	all := slices.SortedFunc(maps.Keys(w.nodes), func(a, b cid.Cid) int { return slices.Compare(a.Bytes(), b.Bytes()) })
	for i, c := range all {
		if i%7 == 0 {
			f.Add(uint16(i), w.nodes[c])
		}
	}
	f.Add(uint16(1), []byte{0x82, 0x41, 0x01, 0x80})
	f.Add(uint16(2), []byte{0x84, 0x05, 0x00, 0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x83, 0x41, 0, 0x80, 0x80})
	pay := w.signed(0, Transaction{}, &Transfer{To: w.keys[1].id, Amount: 1})
	f.Fuzz(func(t *testing.T, which uint16, data []byte) {
		nodes := maps.Clone(w.nodes)
		nodes[all[int(which)%len(all)]] = data
		s, err := OpenState(nodes, w.state.Root(), w.state.Tip())
		ours(t, "opening", err)
		if err != nil {
			return
		}
		for _, k := range w.keys {
			_, err := s.Account(k.id)
			ours(t, "an account", err)
			_, _, err = s.Platform(k.id)
			ours(t, "a platform", err)
		}
		_, _, err = s.Task(id)
		ours(t, "a task", err)
		_, _, err = s.Lock(id)
		ours(t, "a lock", err)
		_, _, err = s.NextDue()
		ours(t, "the next deadline", err)
		ours(t, "all accounts", s.EachAccount(func(atp.ID, atp.Account) error { return nil }))
		ours(t, "all evidence", s.EachEvidence(func(task.Key, task.Evidence) error { return nil }))
		if s.validators.Len() == 0 {
			return
		}
		h := headerOn(s, w.keys[0], 200*atp.Second)
		if _, _, err := Assemble(s, h, []VerifiedTx{pay}); !errors.Is(err, ErrInvalid) {
			ours(t, "a block", err)
		}
	})
}

// ours fails for an error that is no fault of our disk.
func ours(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, ErrStorage) && !errors.Is(err, ErrBroken) {
		t.Fatalf("%s: fails by another class: %v", what, err)
	}
}
