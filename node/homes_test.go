package node_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// alone starts a federation of one, and ends it. Its home is left.
func alone(t *testing.T, change func(*node.Config)) *platform {
	t.Helper()
	p := up(t, "alone", change)
	p.wait(t, "in its own federation", func(s view.Status) bool { return s.Validators == 1 })
	p.end(t)
	return p
}

// copied returns a copy of a home, to be damaged.
func copied(t *testing.T, home string) string {
	t.Helper()
	dir := t.TempDir()
	err := filepath.WalkDir(home, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(home, path)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, rel)
		if e.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, raw, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAHomeThatDoesNotFitIsSaidInOneSentence(t *testing.T) {
	mine, other := alone(t, func(*node.Config) {}), alone(t, func(c *node.Config) { c.Name = "other" })
	mineGenesis, otherGenesis := filepath.Join(mine.cfg.Home, node.GenesisFile), filepath.Join(other.cfg.Home, node.GenesisFile)
	rewrite := func(t *testing.T, home string, change func([]byte) []byte) {
		t.Helper()
		path := filepath.Join(home, node.GenesisFile)
		raw, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, change(raw), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, home string, c *node.Config)
		class  error // nil: node.ErrGenesis
		want   []string
	}{
		{"a genesis cut short", func(t *testing.T, home string, _ *node.Config) {
			rewrite(t, home, func(raw []byte) []byte { return raw[:len(raw)/2] })
		}, nil, []string{"genesis.json", "get it anew from a platform"}},
		{"a genesis that somebody edited", func(t *testing.T, home string, _ *node.Config) {
			rewrite(t, home, func(raw []byte) []byte { return bytes.Replace(raw, []byte("1000000000"), []byte("9000000000"), 1) })
		}, nil, []string{"does not hold", "get it anew"}},
		{"a genesis of another federation", func(t *testing.T, home string, _ *node.Config) {
			foreign, err := os.ReadFile(otherGenesis)
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, home, func([]byte) []byte { return foreign })
		}, signer.ErrForeign, []string{"put back the genesis.json", "--home"}},
		{"no genesis", func(t *testing.T, home string, _ *node.Config) {
			if err := os.Remove(filepath.Join(home, node.GenesisFile)); err != nil {
				t.Fatal(err)
			}
		}, nil, []string{"holds a chain but no genesis.json", "put it back"}},
		{"another network", func(_ *testing.T, _ string, c *node.Config) { c.Network = "elsewhere" }, nil, []string{`"test"`, "--network test"}},
		{"another genesis given", func(_ *testing.T, _ string, c *node.Config) { c.GenesisFile = otherGenesis }, nil, []string{"leave out --genesis"}},
		{"a genesis given that is not there", func(_ *testing.T, _ string, c *node.Config) { c.GenesisFile = "nowhere.json" }, fs.ErrNotExist, []string{"nowhere.json"}},
		{"no record of what was signed", func(t *testing.T, home string, _ *node.Config) {
			if err := os.Remove(filepath.Join(home, signer.RecordFile)); err != nil {
				t.Fatal(err)
			}
		}, signer.ErrNeedsRecovery, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := mine.cfg
			cfg.Home = copied(t, mine.cfg.Home)
			cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
			tt.change(t, cfg.Home, &cfg)
			err := start(t, cfg).fails(t)
			want := tt.class
			if want == nil {
				want = node.ErrGenesis
			}
			if !errors.Is(err, want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("Run: %v, want one line of class %v", err, want)
			}
			for _, text := range tt.want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("Run: %v, want it to say %q", err, text)
				}
			}
		})
	}
	t.Run("the same genesis given", func(t *testing.T) {
		cfg := mine.cfg
		cfg.GenesisFile = mineGenesis
		start(t, cfg).wait(t, "back", func(s view.Status) bool { return s.Validators == 1 })
	})
}

func TestAnObserverFoundsNothing(t *testing.T) {
	p := up(t, "observer", func(c *node.Config) { c.Observer = true })
	if err := p.fails(t); !errors.Is(err, node.ErrGenesis) || !strings.Contains(err.Error(), "--bootstrap") {
		t.Errorf("Run: %v, want a hint at --bootstrap", err)
	}
	if _, err := os.Stat(filepath.Join(p.cfg.Home, node.GenesisFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it has a genesis: %v", err)
	}
}

func TestAFounderThatRestartsInTheMiddleFoundsTheSame(t *testing.T) {
	first := up(t, "node-0", func(c *node.Config) { c.Expect = 3 })
	where := first.wait(t, "listening", listening).Listen
	second := up(t, "node-1", func(c *node.Config) { c.Expect, c.Bootstrap = 3, where })
	for _, p := range []*platform{first, second} {
		p.wait(t, "waiting for the third", func(s view.Status) bool { return s.Waiting == "1 of 3 founders" })
	}
	second.end(t)
	if _, err := os.Stat(filepath.Join(second.cfg.Home, node.FoundingFile)); err != nil {
		t.Errorf("its wish is not on the disk: %v", err)
	}
	second = second.again(t)
	third := up(t, "node-2", func(c *node.Config) { c.Expect, c.Bootstrap = 3, where })
	all := []*platform{first, second, third}
	for _, p := range all {
		p.wait(t, "in a federation of three", func(s view.Status) bool { return s.Validators == 3 && s.Peers == 2 })
		if _, err := os.Stat(filepath.Join(p.cfg.Home, node.FoundingFile)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s still has its founding file: %v", p.cfg.Name, err)
		}
	}
	first.pays(t, second.id(t), 1)
	agree(t, all...)
}

// A founder that has signed, and was off when the others completed the genesis,
// finds it among them.
func TestAFounderThatMissedTheEndJoinsWhatItSigned(t *testing.T) {
	all := federation(t, 3)
	late := all[2]
	late.end(t)
	raw, err := os.ReadFile(filepath.Join(late.cfg.Home, node.GenesisFile))
	if err != nil {
		t.Fatal(err)
	}
	g, err := chain.ParseGenesis(raw)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range g.Founders {
		if f.Name != late.cfg.Name {
			g.Founders[i].Signature = chain.FounderSignature{}
		}
	}
	record, err := json.Marshal(map[string]any{"time_ms": g.Time, "draft": g})
	if err == nil {
		err = os.WriteFile(filepath.Join(late.cfg.Home, node.FoundingFile), record, 0o600)
	}
	if err := errors.Join(err, os.Remove(filepath.Join(late.cfg.Home, node.GenesisFile)), os.RemoveAll(filepath.Join(late.cfg.Home, "store"))); err != nil {
		t.Fatal(err)
	}
	all[2] = late.again(t)
	agree(t, all...)
	all[2].pays(t, all[0].id(t), 1)
	all[0].end(t) // two of three are the quorum
	all[1].pays(t, all[2].id(t), 1)
	agree(t, all[1:]...)
}

func TestOneFounderTooManyIsSaidAndWaitedOut(t *testing.T) {
	t.Parallel()
	first := up(t, "node-0", func(c *node.Config) { c.Expect = 2 })
	where := first.wait(t, "listening", listening).Listen
	hold := up(t, "too-many", func(c *node.Config) { c.Expect, c.Bootstrap = 3, where })
	hold.wait(t, "listening", listening)
	first.wait(t, "in disagreement", func(s view.Status) bool {
		return strings.HasPrefix(s.Waiting, fmt.Sprintf("too-many (%s, at /ip4/127.0.0.1/tcp/", hold.id(t))) &&
			strings.Contains(s.Waiting, "which expects 3 platforms, and this one 2")
	})
	second := up(t, "node-1", func(c *node.Config) { c.Expect, c.Bootstrap = 2, where })
	second.wait(t, "waiting for the first", func(s view.Status) bool { return strings.Contains(s.Waiting, "node-0 to hear of all founders") })
	hold.end(t)
	for _, p := range []*platform{first, second} {
		p.wait(t, "in a federation", func(s view.Status) bool { return s.Genesis != "" })
	}
	agree(t, first, second)
}

// A stranger who wants to found too holds up nobody once each founder is told who
// all the others are, as the message has it.
func TestFoundersWhoNameEachOtherCountNobodyElse(t *testing.T) {
	t.Parallel()
	all := []*platform{up(t, "node-0", func(c *node.Config) { c.Expect = 3 })}
	where := []string{all[0].wait(t, "listening", listening).Listen[0]}
	up(t, "stranger", func(c *node.Config) { c.Expect, c.Bootstrap = 5, where })
	all[0].wait(t, "in disagreement", func(s view.Status) bool { return strings.Contains(s.Waiting, "stranger (") })
	for _, name := range []string{"node-1", "node-2"} {
		p := up(t, name, func(c *node.Config) { c.Expect, c.Bootstrap = 3, where[:1] })
		all, where = append(all, p), append(where, p.wait(t, "listening", listening).Listen[0])
	}
	all[0].wait(t, "in disagreement", func(s view.Status) bool {
		return strings.Contains(s.Waiting, "stranger (") && strings.Contains(s.Waiting, "--bootstrap for every other one")
	})
	for i, p := range all {
		p.end(t)
		p.cfg.Bootstrap = slices.Delete(slices.Clone(where), i, i+1)
		all[i] = p.again(t)
	}
	for _, p := range all {
		p.wait(t, "in a federation of three", func(s view.Status) bool { return s.Validators == 3 })
	}
}

func TestAStoreThatEndsTheProcessIsSetAside(t *testing.T) {
	p := alone(t, func(*node.Config) {})
	if err := os.WriteFile(filepath.Join(p.cfg.Home, "store.suspect"), []byte("2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p = p.again(t)
	p.wait(t, "back", func(s view.Status) bool { return s.Validators == 1 })
	aside, err := filepath.Glob(filepath.Join(p.cfg.Home, "store.corrupt-*"))
	if err != nil || len(aside) != 1 {
		t.Errorf("set aside: %v, %v", aside, err)
	}
	if _, err := os.Stat(filepath.Join(p.cfg.Home, "store.suspect")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still suspected: %v", err)
	}
}

func TestAPlatformThatDoesNotWorkOffersNothing(t *testing.T) {
	p := up(t, "idle", func(c *node.Config) { c.NoWork = true }, offering(t, echoing()))
	p.wait(t, "current", func(view.Status) bool { return p.Current() })
	busy := up(t, "busy", func(c *node.Config) { c.Bootstrap = p.wait(t, "listening", listening).Listen }, offering(t, echoing()))
	registered(t, 1, p, busy)
	list, err := p.Platforms(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != "busy" {
		t.Errorf("platforms: %+v, %v, want busy alone", list, err)
	}
}

func TestAHomeIsReadableByItsOwnerOnly(t *testing.T) {
	p := alone(t, func(*node.Config) {})
	err := filepath.WalkDir(p.cfg.Home, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil || path == p.cfg.Home { // the test made the folder itself
			return err
		}
		if inStore := strings.Contains(path, string(filepath.Separator)+"store"+string(filepath.Separator)); info.Mode().Perm()&0o077 != 0 && !inStore && e.Name() != view.AddrFile {
			t.Errorf("%s has mode %v", path, info.Mode().Perm())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
