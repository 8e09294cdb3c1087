package programs_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sage-p2p/sage-p2p/task/exec/programs"
)

func needsGo(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("compiles programs; put a Go toolchain in PATH")
	}
}

func TestBuildIsReproducible(t *testing.T) {
	needsGo(t)
	var built [2][]byte
	for i := range built {
		t.Setenv("GOFLAGS", []string{"", "-tags=other"}[i])
		file, err := programs.Build(t.Context(), programs.TextStats, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) != "textstats.wasm" {
			t.Errorf("built %s", file)
		}
		if built[i], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(built[0], built[1]) {
		t.Error("two builds of one source differ")
	}
	loaded, err := programs.Load(t.Context(), programs.TextStats)
	if err != nil || !bytes.Equal(loaded, built[0]) {
		t.Errorf("Load gives %d bytes (%v), want the %d that Build gives", len(loaded), err, len(built[0]))
	}
	if bytes.Contains(built[0], []byte(os.TempDir())) {
		t.Error("the program tells where it was built")
	}
}

func TestBuildSaysWhatIsWrong(t *testing.T) {
	if _, err := programs.Build(t.Context(), "minesweeper", t.TempDir()); !errors.Is(err, programs.ErrUnknown) {
		t.Errorf("unknown program: %v", err)
	}
	if _, err := programs.Load(t.Context(), "../programs"); !errors.Is(err, programs.ErrUnknown) {
		t.Errorf("a path for a name: %v", err)
	}
	if _, err := programs.Sample("minesweeper"); !errors.Is(err, programs.ErrUnknown) {
		t.Errorf("sample of an unknown program: %v", err)
	}
	if err := programs.Compile(t.Context(), t.TempDir(), "out.wasm"); err == nil {
		t.Error("an empty directory was compiled")
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := programs.Build(t.Context(), programs.Edges, t.TempDir()); !errors.Is(err, programs.ErrNoToolchain) {
		t.Errorf("without a toolchain: %v", err)
	}
}

func TestCompilerErrorsAreShown(t *testing.T) {
	needsGo(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\nfunc main() { mistake() }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := programs.Compile(t.Context(), dir, filepath.Join(dir, "out.wasm"))
	if err == nil || !bytes.Contains([]byte(err.Error()), []byte("undefined: mistake")) {
		t.Errorf("err = %v, want the compiler's words", err)
	}
}

func TestEveryProgramHasASample(t *testing.T) {
	for _, name := range programs.Names() {
		if data, err := programs.Sample(name); err != nil || len(data) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
}
