package chain

import (
	"fmt"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// A proof walks across every way in which the set changes: evidence, keys that are
// replaced, absence, and the way back. It holds with the genesis alone.
func TestProofsWalkAcrossEveryChangeOfMembers(t *testing.T) {
	all := func(g *Genesis) {
		quick(g)
		g.Validators = nil
		for _, f := range g.Founders {
			g.Validators = append(g.Validators, f.ID)
		}
	}
	g, _ := signedGenesis(t, 5, all)
	w := newWorld(t, 5, all)
	everybody := append([]key{newKey("new 1")}, w.keys...)
	var s *shelf
	s = newShelf(w, func(h bft.Height) (set []key) {
		state := w.state
		if s != nil && int(h) <= len(s.states) {
			state = s.states[h-1]
		}
		for _, k := range everybody {
			if state.Validators().Contains(bft.ID(k.id)) {
				set = append(set, k)
			}
		}
		return set
	})
	for i := range 5 {
		s.add(atp.Second, w.tx(i, &PlatformRegister{Platform: registration(task.Name(fmt.Sprintf("founder-%d", i)))}))
	}
	s.add(atp.Second, w.tx(0, w.doubleVote(w.keys[3], 2)))
	s.add(atp.Second, w.join(3, 50_000))
	s.add(atp.Second, w.rotation(1, everybody[0]))
	w.keys[1] = everybody[0]
	for range 6 { // whose certificates have one signer
		s.add(10 * atp.Second)
	}
	s.add(atp.Second, w.tx(1, &Transfer{To: w.keys[0].id, Amount: 7}))

	if n := w.state.Validators().Len(); n != 4 {
		t.Fatalf("%d validate in the end", n)
	}
	got := verified(t, s.account(w.keys[1].id), g)
	var sizes []int
	for _, b := range got.Blocks {
		sizes = append(sizes, b.Validators)
	}
	if fmt.Sprint(sizes) != "[5 4 5 5 4]" {
		t.Errorf("walked over sets of %v", sizes)
	}
	if a := got.Account; !a.Known || a.Account.Bonded != bond || a.Account.Nonce != 1 {
		t.Errorf("account of the new key: %+v", a)
	}
	for _, k := range firstKeys(5) {
		if a := verified(t, s.account(k.id), g).Account; a.Account.Nonce == spentNonce && a.Account.Available+a.Account.Bonded != 0 {
			t.Errorf("a spent key has %+v", a.Account)
		}
	}
}

// firstKeys are the keys that founders begin with.
func firstKeys(n int) (keys []key) {
	for i := range n {
		keys = append(keys, newKey(fmt.Sprint(i)))
	}
	return keys
}
