package store_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/chain/store/storetest"
)

// TestChangesOfTheValidatorsAreFound writes blocks whose headers name a set or
// another, and looks for the heights again after a restart.
func TestChangesOfTheValidatorsAreFound(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	w := storetest.NewWorld(t, "sets")
	s := openDisk(t, dir, store.Edge)
	w.Found(s)
	same := w.State().Validators().Hash()
	var below cid.Cid
	for i, set := range []bft.SetHash{same, {1}, {1}, same, {2}} {
		f := w.Block()
		f.Block.Header.ValidatorsHash = set
		if i > 0 {
			f.Block.Header.Parent = below
		}
		var err error
		if below, err = f.Block.Header.ID(); err != nil {
			t.Fatal(err)
		}
		f.Cert.Block = below
		if err := s.Commit(f); err != nil {
			t.Fatal(err)
		}
	}
	check := func(s *store.Store) {
		t.Helper()
		for _, tt := range []struct {
			upTo  bft.Height
			limit int
			want  []bft.Height
		}{
			{5, 9, []bft.Height{2, 4, 5}}, {100, 9, []bft.Height{2, 4, 5}}, {4, 9, []bft.Height{2, 4}},
			{5, 2, []bft.Height{2, 4}}, {1, 9, nil}, {5, 0, nil},
		} {
			if got, err := s.SetChanges(tt.upTo, tt.limit); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("changes up to %d, at most %d: have %v, want %v: %v", tt.upTo, tt.limit, got, tt.want, err)
			}
		}
	}
	check(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openDisk(t, dir, store.Edge)
	check(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAFirstBlockMayChangeTheValidators of the genesis.
func TestAFirstBlockMayChangeTheValidators(t *testing.T) {
	w := storetest.NewWorld(t, "sets")
	s := open(t, store.NewMemory())
	w.Found(s)
	f := w.Block()
	f.Block.Header.ValidatorsHash = bft.SetHash{1}
	id, err := f.Block.Header.ID()
	if err != nil {
		t.Fatal(err)
	}
	f.Cert.Block = id
	if err := s.Commit(f); err != nil {
		t.Fatal(err)
	}
	if got, err := s.SetChanges(1, 1); err != nil || !slices.Equal(got, []bft.Height{1}) {
		t.Errorf("have %v, want the first block: %v", got, err)
	}
}
