package signer

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
)

// rotating is a home whose key has voted and is silenced, and whose next key is
// made.
func rotating(t *testing.T) (home string, old, next bft.ID) {
	t.Helper()
	home = t.TempDir()
	s, err := OpenOrCreate(home)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Bind(bft.GenesisHash{7}); err != nil {
		t.Fatal(err)
	}
	old = s.ID()
	made, err := s.NextKey()
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.NextKey()
	if err != nil || again.ID() != made.ID() || !s.HasNextKey(made.ID()) || s.HasNextKey(old) {
		t.Errorf("another next key, %s after %s: %v", again.ID(), made.ID(), err)
	}
	if err := s.Silence("for a test"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return home, old, made.ID()
}

// opens returns the key that a home has, and closes it.
func opens(t *testing.T, home string) (id bft.ID, silenced string, genesis bft.GenesisHash) {
	t.Helper()
	s, err := Open(home)
	if err != nil {
		t.Fatal(err)
	}
	id, silenced, genesis = s.ID(), s.Silenced(), s.Genesis()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return id, silenced, genesis
}

func replaced(t *testing.T, home string) {
	t.Helper()
	s, err := Open(home)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Replaced(); err != nil {
		t.Fatal(err)
	}
	if s.Silenced() == "" {
		t.Error("a key that was replaced would sign")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Wherever a crash interrupts it, one key is in use: the old one until the chain is
// known to have the new one, and that from then on.
func TestACrashWhileAKeyIsReplacedLeavesOneKey(t *testing.T) {
	path := func(home, name string) string { return filepath.Join(home, name) }
	for _, tt := range []struct {
		name  string
		crash func(t *testing.T, home string) // what was done before it
		next  bool                            // whose key it is then
	}{
		{"before anything", func(*testing.T, string) {}, false},
		{"while the new record is written", func(t *testing.T, home string) {
			if err := os.WriteFile(path(home, nextRecordFile+".new"), []byte("torn"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"when the chain is known to have it", replaced, true},
		{"when the old key is kept aside", func(t *testing.T, home string) {
			replaced(t, home)
			if err := os.Link(path(home, KeyFile), path(home, OldKeyFile)); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"when the new key is in its place", func(t *testing.T, home string) {
			replaced(t, home)
			h := files{home: home}
			if err := h.swapKeys(); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"when it may speak again", func(t *testing.T, home string) {
			replaced(t, home)
			h := files{home: home}
			if err := errors.Join(h.swapKeys(), removeSilence(home)); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			home, old, next := rotating(t)
			before, err := os.ReadFile(path(home, KeyFile))
			if err != nil {
				t.Fatal(err)
			}
			tt.crash(t, home)
			want, silent := old, true
			if tt.next {
				want, silent = next, false
			}
			for range 2 { // and again after that
				id, silenced, genesis := opens(t, home)
				if id != want || (silenced != "") != silent || genesis != (bft.GenesisHash{7}) {
					t.Errorf("opens as %s, want %s; silenced %q, of the chain %v", id, want, silenced, genesis)
				}
			}
			if !tt.next {
				return
			}
			if aside, err := os.ReadFile(path(home, OldKeyFile)); err != nil || !bytes.Equal(aside, before) {
				t.Errorf("the old key is not kept: %v", err)
			}
			for _, name := range []string{NextKeyFile, nextRecordFile, SilenceFile} {
				if _, err := os.Stat(path(home, name)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is left: %v", name, err)
				}
			}
			replacedAgain(t, home, next)
		})
	}
}

// replacedAgain replaces the key of a home that had another before.
func replacedAgain(t *testing.T, home string, before bft.ID) {
	t.Helper()
	s, err := Open(home)
	if err != nil {
		t.Fatal(err)
	}
	third, err := s.NextKey()
	if err == nil {
		err = errors.Join(s.Replaced(), s.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if id, _, _ := opens(t, home); id != third.ID() || id == before {
		t.Errorf("after a second time it is %s, want %s", id, third.ID())
	}
}
