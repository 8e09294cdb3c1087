package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var share = flag.String("mutants", "", "N/M: of every M mutants, those that leave N; 0/1 is all of them")

// mutant is a build of the project with one rule broken. The sources on disk
// are not touched: the compiler is shown other ones (go help build, -overlay).
type mutant struct {
	name  string
	edits []edit
	pkg   string   // whose test must catch it; node/sim if empty
	test  string   // what must catch it; TestSchedules if empty
	args  []string // of that test
	want  string   // in its report, a regular expression; that the test fails, if empty
	also  *guard   // another that must catch it too; may be nil
}

// guard is a test that must catch a mutant; its fields are those of mutant.
type guard struct {
	pkg, test string
	args      []string
	want      string
}

// edit replaces one text of a file, which must be there exactly once.
type edit struct{ file, old, new string }

// unitShare is how many mutants a run of all tests leaves out, for each that it
// tries. Whoever names the test, or gives -mutants, gets what was asked for.
const unitShare = 8

// chosen returns which of n mutants are tried: every mth from first on.
func chosen(t *testing.T) (first, m int) {
	t.Helper()
	switch {
	case *share != "":
		if n, err := fmt.Sscanf(*share, "%d/%d", &first, &m); n != 2 || err != nil || m < 1 || first < 0 || first >= m {
			t.Fatalf("-mutants: have %q, want N/M with N below M", *share)
		}
		return first, m
	case strings.Contains(flag.Lookup("test.run").Value.String(), "Mutant"):
		return 0, 1
	}
	return 0, unitShare
}

// The judge is judged: every build with one rule broken is caught. Two are made
// and tried at a time.
func TestMutantsAreCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the project a dozen times over; leave out -short")
	}
	first, m := chosen(t)
	all, tried, start := mutants(), 0, time.Now()
	turn := make(chan struct{}, 2)
	t.Run("build", func(t *testing.T) {
		for i := first; i < len(all); i += m {
			tried++
			t.Run(all[i].name, func(t *testing.T) {
				t.Parallel()
				turn <- struct{}{}
				defer func() { <-turn }()
				all[i].judge(t)
			})
		}
	})
	t.Logf("%d of %d mutants in %v", tried, len(all), time.Since(start).Round(time.Second))
}

// A rule that is written in other words needs its mutant written anew, whether
// or not it is that one's turn.
func TestEveryMutantCanBeMade(t *testing.T) {
	names := make(map[string]bool)
	for _, m := range mutants() {
		if names[m.name] {
			t.Errorf("two mutants are called %q", m.name)
		}
		names[m.name] = true
		t.Run(m.name, func(t *testing.T) { m.overlay(t) })
	}
}

// judge demands that each test that guards the rule fails without it.
func (m mutant) judge(t *testing.T) {
	t.Helper()
	m.caught(t, guard{m.pkg, m.test, m.args, m.want})
	if m.also != nil {
		m.caught(t, *m.also)
	}
}

// caught makes the build and demands that a test fails, for the reason wanted.
func (m mutant) caught(t *testing.T, by guard) {
	t.Helper()
	if by.pkg == "" {
		by.pkg = "node/sim"
	}
	if by.test == "" {
		by.test, by.args = "TestSchedules", append([]string{"-seeds", "10000"}, by.args...)
	}
	if by.want == "" {
		by.want = "--- FAIL: " + by.test
	}
	binary := m.build(t, by.pkg)
	start := time.Now()
	args := append([]string{"-test.run", "^" + by.test + "$", "-test.timeout", "10m"}, by.args...)
	run := exec.CommandContext(t.Context(), binary, args...)
	run.Dir = filepath.Join(root(t), by.pkg)
	report, err := run.CombinedOutput()
	if err == nil {
		t.Fatalf("survives %s of %s:\n%s", by.test, by.pkg, report)
	}
	if !regexp.MustCompile(by.want).Match(report) {
		t.Fatalf("caught, but not by %q:\n%s", by.want, report)
	}
	t.Logf("caught by %s of %s in %v", by.test, by.pkg, time.Since(start).Round(time.Millisecond))
}

// build compiles the test of a package, and returns the program.
func (m mutant) build(t *testing.T, pkg string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "mutant.test")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", m.overlay(t), "-o", binary, "./"+pkg)
	build.Dir = root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("does not build: %v\n%s", err, out)
	}
	return binary
}

// overlay writes the broken sources, and the file that shows them to the compiler.
func (m mutant) overlay(t *testing.T) string {
	t.Helper()
	dir, replaced := t.TempDir(), make(map[string]string)
	for _, e := range m.edits {
		whole := filepath.Join(root(t), e.file)
		from := whole
		if again, ok := replaced[whole]; ok {
			from = again
		}
		source, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(source, []byte(e.old)); n != 1 {
			t.Fatalf("%s: %s has %d times what is to be broken, want 1:\n%s", m.name, e.file, n, e.old)
		}
		broken := filepath.Join(dir, strings.ReplaceAll(e.file, "/", "_"))
		if err := os.WriteFile(broken, bytes.Replace(source, []byte(e.old), []byte(e.new), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		replaced[whole] = broken
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// root is where the module's go.mod is.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
