package chain

import (
	"errors"
	"fmt"

	"github.com/filecoin-project/go-amt-ipld/v4"
	"github.com/ipfs/go-cid"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/sage-p2p/sage-p2p/atp"
)

// recorder writes down the nodes that are read, in order: a path.
type recorder struct {
	from Nodes
	path [][]byte
}

// Get implements [Nodes].
func (r *recorder) Get(id cid.Cid) ([]byte, error) {
	data, err := r.from.Get(id)
	if err == nil {
		r.path = append(r.path, data)
	}
	return data, err
}

// follower reads the nodes of a path. Each must be the one that is asked for,
// and so the one that the node above it names.
type follower struct {
	path [][]byte
	next int
	err  error // the first
}

// Get implements [Nodes].
func (f *follower) Get(id cid.Cid) ([]byte, error) {
	if f.err == nil {
		f.err = f.check(id)
	}
	if f.err != nil {
		return nil, f.err
	}
	f.next++
	return f.path[f.next-1], nil
}

func (f *follower) check(id cid.Cid) error {
	if f.next == len(f.path) {
		return fmt.Errorf("its path ends after %d nodes, before %s", f.next, id)
	}
	if !atp.Names(id, f.path[f.next]) {
		return fmt.Errorf("node %d of its path is %s, what is above it names %s", f.next+1, atp.Sum(f.path[f.next]), id)
	}
	if err := checkShape(f.path[f.next]); err != nil {
		return fmt.Errorf("node %d of its path: %w", f.next+1, err)
	}
	return nil
}

// outcome judges a walk that ended with err. What the walk's own error says of
// a state that cannot be read is no news here.
func (f *follower) outcome(err error) error {
	switch {
	case f.err != nil:
		return f.err
	case err != nil:
		return fmt.Errorf("its path: %v", err) // %v: it is not our disk's fault
	case f.next < len(f.path):
		return fmt.Errorf("its path has %d nodes, of which %d lead there", len(f.path), f.next)
	}
	return nil
}

// listPath returns the path from the root of a list to its i-th address.
func listPath(ids []cid.Cid, i uint64) ([][]byte, error) {
	o := newOverlay(nil)
	root, err := writeList(o, ids)
	if err != nil {
		return nil, err
	}
	r := &recorder{from: o.reader()}
	have, found, err := listAt(r, root, i)
	if err == nil && (!found || have != ids[i]) {
		err = fmt.Errorf("%w: address %d of a list", ErrBroken, i)
	}
	return r.path, err
}

// followList checks that a path leads from root to an address at place i.
func followList(root cid.Cid, i uint64, path [][]byte, want cid.Cid) error {
	f := &follower{path: path}
	have, found, err := listAt(f, root, i)
	if err := f.outcome(err); err != nil {
		return err
	}
	switch {
	case !found:
		return errors.New("the list has no such place")
	case have != want:
		return fmt.Errorf("its path leads to %s", have)
	}
	return nil
}

// listAt reads the i-th address of a list, and whether it has so many.
func listAt(nodes Nodes, root cid.Cid, i uint64) (cid.Cid, bool, error) {
	list, err := amt.LoadAMT(background(), newOverlay(nodes), root, amt.UseTreeBitWidth(treeBitWidth))
	if err != nil {
		return cid.Undef, false, stored(err)
	}
	var link cbg.CborCid
	found, err := list.Get(background(), i, &link)
	return cid.Cid(link), found, stored(err)
}

// accountPath returns the path from the root of s to an account, or to where
// it would be.
func (s State) accountPath(id atp.ID) (atp.Account, [][]byte, error) {
	r := &recorder{from: s.nodes}
	a, err := accountAt(r, s.id, id)
	return a, r.path, err
}

// followAccount returns the account to which a path leads from a state's root.
func followAccount(root cid.Cid, id atp.ID, path [][]byte) (atp.Account, error) {
	f := &follower{path: path}
	a, err := accountAt(f, root, id)
	return a, f.outcome(err)
}

// accountAt reads an account of the state with a root.
func accountAt(nodes Nodes, root cid.Cid, id atp.ID) (atp.Account, error) {
	o := newOverlay(nodes)
	var s stateRoot
	if err := o.Get(background(), root, &s); err != nil {
		return atp.Account{}, err
	}
	a, _, err := newTable[atp.Account](o, s.Accounts).get(accountKey(id))
	return a, err
}
