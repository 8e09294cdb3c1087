package chain

import (
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
)

// tally is nodes that count how often they are read.
type tally struct {
	Nodes
	reads int
}

func (c *tally) Get(id cid.Cid) ([]byte, error) {
	c.reads++
	return c.Nodes.Get(id)
}

func TestAccountsAreReadAsByTheStateWithTheirNodesDecodedOnce(t *testing.T) {
	w := newWorld(t, 40)
	nodes := &tally{Nodes: w.state.nodes}
	state := w.state.On(nodes)
	var ids []atp.ID
	if err := state.EachAccount(func(id atp.ID, _ atp.Account) error { ids = append(ids, id); return nil }); err != nil {
		t.Fatal(err)
	}
	ids = append(ids, atp.ID{ID: "nobody"})
	read := func(get func(atp.ID) (atp.Account, error)) (all []atp.Account, reads int) {
		nodes.reads = 0
		for range 3 {
			for _, id := range ids {
				a, err := get(id)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, a)
			}
		}
		return all, nodes.reads
	}
	want, each := read(state.Account)
	got, once := read(state.Accounts().Get)
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("account %d: %+v, want %+v", i, got[i], want[i])
		}
	}
	if once >= each {
		t.Errorf("%d nodes were read, and %d one account at a time", once, each)
	}
	long := state.Accounts()
	for range maxRead + 1 {
		if _, err := long.Get(ids[0]); err != nil {
			t.Fatal(err)
		}
	}
	if long.read > 1 {
		t.Errorf("after %d readings the nodes are still kept", maxRead+1)
	}
}
