package store_test

import (
	"path/filepath"
	"testing"

	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/chain/store/storetest"
)

func TestStores(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) *store.Store { return open(t, store.NewMemory()) })
	})
	t.Run("volatile", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) *store.Store { return open(t, storetest.NewVolatile()) })
	})
	for _, p := range []store.Profile{store.Edge, store.Server} {
		t.Run(p.String(), func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) *store.Store { return openDisk(t, filepath.Join(t.TempDir(), "store"), p) })
		})
	}
}

func open(t testing.TB, db store.Datastore, options ...store.Option) *store.Store {
	t.Helper()
	s, err := store.New(db, options...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openDisk(t testing.TB, dir string, p store.Profile) *store.Store {
	t.Helper()
	s, err := store.Open(dir, p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
