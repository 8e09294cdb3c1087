package node_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// says reports whether a doctor found something.
func says(d view.Doctor, about string, v view.Verdict, text string) bool {
	return slices.ContainsFunc(d.Findings, func(f view.Finding) bool {
		return f.About == about && f.Verdict == v && strings.Contains(f.Text, text)
	})
}

func TestAHomeIsExaminedWithoutANode(t *testing.T) {
	t.Parallel()
	p := up(t, "alone", func(*node.Config) {})
	p.wait(t, "up", func(s view.Status) bool { return s.Genesis != "" })
	p.end(t)
	cfg := p.cfg
	cfg.APIAddr = "127.0.0.1:0"
	before := listing(t, cfg.Home)
	d := node.Examine(cfg)
	if d.Verdict == view.VerdictProblem || !says(d, "genesis", view.VerdictOK, `"test", `) || !says(d, "identity", view.VerdictOK, "the key is this user's alone") {
		t.Errorf("a sound home: %+v", d)
	}
	if after := listing(t, cfg.Home); !slices.Equal(before, after) {
		t.Errorf("looking changed the home from %v to %v", before, after)
	}
	in := func(name string) string { return filepath.Join(cfg.Home, name) }
	for _, tt := range []struct {
		name        string
		harm        func() error
		about, text string
	}{
		{"a key that others can read", func() error { return os.Chmod(in("key"), 0o644) }, "identity", "the key " + in("key") + " can be read by others (mode 0644)"},
		{"a key that is none", func() error {
			return errors.Join(os.Chmod(in("key"), 0o600), os.WriteFile(in("key"), []byte("xx"), 0o600))
		}, "identity", in("key") + " is no key file"},
		{"a damaged genesis", func() error { return os.WriteFile(in(node.GenesisFile), []byte("{"), 0o600) }, "genesis", "genesis.json cannot be used: unexpected EOF"},
		{"a lost key", func() error { return os.Remove(in("key")) }, "identity", "is missing, and the home has a chain"},
	} {
		if err := tt.harm(); err != nil {
			t.Fatal(err)
		}
		if d := node.Examine(cfg); d.Verdict != view.VerdictProblem || !says(d, tt.about, view.VerdictProblem, tt.text) {
			t.Errorf("%s: %+v", tt.name, d)
		}
	}
}

func TestWhatIsNoHomeIsSaidToBeNone(t *testing.T) {
	t.Parallel()
	cfg := node.DefaultConfig()
	cfg.APIAddr = "127.0.0.1:0"
	cfg.Home = filepath.Join(t.TempDir(), "not", "there")
	if d := node.Examine(cfg); !says(d, "home", view.VerdictOK, "does not exist yet") || !says(d, "disk", view.VerdictOK, "GiB") && !says(d, "disk", view.VerdictWarning, "GiB") {
		t.Errorf("no home: %+v", d)
	}
	if _, err := os.Stat(filepath.Dir(cfg.Home)); err == nil {
		t.Error("looking made the home")
	}
	cfg.Home = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(cfg.Home, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if d := node.Examine(cfg); !says(d, "home", view.VerdictProblem, "is no folder") {
		t.Errorf("a file: %+v", d)
	}
}

// listing is every file of a folder with its size and mode.
func listing(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			all = append(all, path+" "+info.Mode().String()+" "+info.ModTime().String())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
