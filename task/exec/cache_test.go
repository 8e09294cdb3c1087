package exec

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

func TestCacheForgetsWhatWasNotUsedForLongest(t *testing.T) {
	c := compilationCache{t.TempDir()}
	now := time.Now()
	for age, program := range []string{"newest", "newer", "older", "oldest"} {
		path, err := c.entry(program)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "code"), make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
		used := now.Add(-time.Duration(age) * time.Hour)
		if err := os.Chtimes(path, used, used); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		most int64
		want []string
	}{
		{400, []string{"newer", "newest", "older", "oldest"}},
		{399, []string{"newer", "newest", "older"}},
		{100, []string{"newest"}},
		{99, nil},
	} {
		if err := c.trim(tt.most); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, kept(t, c)); d != "" {
			t.Errorf("kept in %d bytes (-want +got):\n%s", tt.most, d)
		}
	}
}

func TestUsingAnEntryMakesItTheNewest(t *testing.T) {
	c := compilationCache{t.TempDir()}
	for _, program := range []string{"a", "b"} {
		path, err := c.entry(program)
		if err != nil {
			t.Fatal(err)
		}
		long := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "code"), make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.entry("a"); err != nil {
		t.Fatal(err)
	}
	if err := c.trim(100); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a"}, kept(t, c)); d != "" {
		t.Errorf("kept (-want +got):\n%s", d)
	}
}

func kept(t *testing.T, c compilationCache) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// The list of functions that a program may import is what wazero offers.
func TestAllOfWASIIsOffered(t *testing.T) {
	rt := wazero.NewRuntime(t.Context())
	defer rt.Close(t.Context())
	wasi, err := wasi_snapshot_preview1.NewBuilder(rt).Compile(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var offered []string
	for name := range wasi.ExportedFunctions() {
		offered = append(offered, name)
	}
	slices.Sort(offered)
	if d := cmp.Diff(offered, wasiFunctions); d != "" {
		t.Errorf("functions (-wazero's +ours):\n%s", d)
	}
}
