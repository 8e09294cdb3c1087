package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/signer"
	"github.com/sage-p2p/sage-p2p/p2p"
)

var (
	leftGenesis  = bft.GenesisHash{7}
	otherGenesis = p2p.Genesis{8}
)

// leavingHome is a home whose platform has decided to leave leftGenesis.
func leavingHome(t *testing.T) (home string, s *signer.Signer) {
	t.Helper()
	home = t.TempDir()
	s, err := signer.OpenOrCreate(home)
	if err == nil {
		err = s.Bind(leftGenesis)
	}
	put := func(name, text string) {
		err = errors.Join(err, os.WriteFile(filepath.Join(home, name), []byte(text), 0o600))
	}
	err = errors.Join(err, os.Mkdir(filepath.Join(home, "store"), 0o700))
	put(genesisFile, "the genesis")
	put("store/blocks", "the chain")
	put(leavingFile, fmt.Sprintf(`{"genesis": "%s", "aside": "aside-then", "for": "%s"}`, leftGenesis, otherGenesis))
	if err != nil {
		t.Fatal(err)
	}
	return home, s
}

// has checks that a file holds a text.
func has(t *testing.T, path, text string) {
	t.Helper()
	if b, err := os.ReadFile(path); err != nil || string(b) != text {
		t.Errorf("%s: %q, %v, want %q", path, b, err, text)
	}
}

// Power goes between any two steps, or in the middle of writing; whatever there is
// then, the next start ends in the same: the chain is whole in the folder beside
// the record of what was signed for it, and the key is bound to nothing.
func TestEveryCrashWhileLeavingIsFinishedByTheNextStart(t *testing.T) {
	steps := len(leavingSteps("", leaving{}, leftGenesis, nil))
	for done := range steps + 1 {
		for _, torn := range []bool{false, true} {
			t.Run(fmt.Sprintf("after %d of %d steps, torn %v", done, steps, torn), func(t *testing.T) {
				home, s := leavingHome(t)
				record := s.Record()
				l, left, _, err := readLeaving(must(os.ReadFile(filepath.Join(home, leavingFile))))
				if err != nil {
					t.Fatal(err)
				}
				for _, step := range leavingSteps(home, l, left, s)[:done] {
					if err := step(); err != nil {
						t.Fatal(err)
					}
				}
				if torn && done > 0 {
					if err := os.WriteFile(filepath.Join(home, "aside-then", unfinished+"1"), []byte("half a rec"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s, err = openSigner(home)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				heading, text, err := finishLeaving(home, s)
				if err != nil {
					t.Fatal(err)
				}
				if done < steps && (heading != otherGenesis || !strings.Contains(text, leftGenesis.String())) {
					t.Errorf("heading for %s: %q", heading, text)
				}
				aside := filepath.Join(home, "aside-then")
				has(t, filepath.Join(aside, genesisFile), "the genesis")
				has(t, filepath.Join(aside, "store", "blocks"), "the chain")
				for _, gone := range []string{genesisFile, "store", leavingFile} {
					if exists(filepath.Join(home, gone)) {
						t.Errorf("%s is still there", gone)
					}
				}
				if err := s.Bind(leftGenesis); !errors.Is(err, signer.ErrForeign) {
					t.Errorf("bound to the chain that was left: %v", err)
				}
				if err := s.Bind(bft.GenesisHash(otherGenesis)); err != nil {
					t.Error(err)
				}
				if now := s.Record(); now.BootCount <= record.BootCount {
					t.Errorf("starts are not counted on: %d after %d", now.BootCount, record.BootCount)
				}
				takeBack(t, home)
			})
		}
	}
}

// takeBack checks that with what was set aside the old chain could be taken up, by
// hand: the record knows what was signed there.
func takeBack(t *testing.T, home string) {
	t.Helper()
	old := t.TempDir()
	for from, to := range map[string]string{"key": "key", "aside-then/signer": "signer"} {
		raw := must(os.ReadFile(filepath.Join(home, from)))
		if err := os.WriteFile(filepath.Join(old, to), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := signer.Open(old)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Genesis() != leftGenesis {
		t.Errorf("the record that was kept is of %v", s.Genesis())
	}
}

func TestALeavingFileThatCannotBeReadIsSaidInOneSentence(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"cut short":      func(b []byte) []byte { return b[:len(b)/2] },
		"empty":          func([]byte) []byte { return nil },
		"half a hash":    func(b []byte) []byte { return bytes.Replace(b, []byte("0000"), nil, 1) },
		"another folder": func(b []byte) []byte { return bytes.Replace(b, []byte("aside-then"), []byte("../../etc"), 1) },
		"the home":       func(b []byte) []byte { return bytes.Replace(b, []byte("aside-then"), []byte("."), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			home, s := leavingHome(t)
			defer s.Close()
			path := filepath.Join(home, leavingFile)
			if err := os.WriteFile(path, change(must(os.ReadFile(path))), 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, err := finishLeaving(home, s)
			if err == nil || !strings.Contains(err.Error(), "is damaged") || !strings.Contains(err.Error(), "remove it") || strings.Contains(err.Error(), "\n") {
				t.Errorf("finishLeaving: %v, want one sentence with the cure", err)
			}
			has(t, filepath.Join(home, genesisFile), "the genesis")
			if s.Genesis() != leftGenesis {
				t.Error("the key was unbound")
			}
		})
	}
}

func TestAHomeThatLeavesNothingIsLeftAlone(t *testing.T) {
	home, s := leavingHome(t)
	defer s.Close()
	if err := os.Remove(filepath.Join(home, leavingFile)); err != nil {
		t.Fatal(err)
	}
	if heading, text, err := finishLeaving(home, s); err != nil || !heading.IsZero() || text != "" {
		t.Errorf("finishLeaving = %s, %q, %v", heading, text, err)
	}
	if _, err := os.Stat(filepath.Join(home, "aside-then")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder was made: %v", err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// What was asked for here and is not final yet counts as use: leaving would lose it.
func TestATransactionThatWaitsMakesAFederationAUsedOne(t *testing.T) {
	w := newWorld(t, 1)
	for _, tt := range []struct {
		name   string
		change func(*chain.Transaction)
		want   bool
	}{
		{"a transfer", nil, false},
		{"its own registration", func(tx *chain.Transaction) {
			tx.Ops = []chain.Op{{Action: &chain.PlatformRegister{Platform: platformOf("founder-0")}}}
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := store.Open(filepath.Join(t.TempDir(), "store"), store.Edge)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			first, nodes, err := w.genesis.State()
			if err == nil {
				err = s.Found(first, nodes)
			}
			if err == nil {
				err = s.PutLocal(w.tx(0, 0, tt.change))
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := unused(w.genesis, s, 0); err != nil || got != tt.want {
				t.Errorf("unused = %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}
