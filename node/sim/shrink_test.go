package sim

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// scripts returns the schedules that are kept, by the names of their files.
func scripts(t *testing.T) map[string]Script {
	t.Helper()
	files, err := filepath.Glob("testdata/scripts/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("scripts: %d, %v", len(files), err)
	}
	all := make(map[string]Script)
	for _, file := range files {
		if all[filepath.Base(file)], err = ReadScript(file); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// Schedules that once broke a law break none, whatever the seed draws besides.
func TestScripts(t *testing.T) {
	for file, s := range scripts(t) {
		t.Run(file, func(t *testing.T) {
			var theatre Theatre
			for i := range uint64(tries) {
				if r := theatre.Play(s.Seed+i, s.Plan); r.Err != nil {
					t.Fatal(r.Err)
				}
			}
		})
	}
}

// A script is kept for a mutant: the build with the rule broken does not play it.
func TestMutantsFailTheirScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the project anew for each script; leave out -short")
	}
	all := mutants()
	for file, s := range scripts(t) {
		t.Run(file, func(t *testing.T) {
			i := slices.IndexFunc(all, func(m mutant) bool { return m.name == s.Kills })
			if i < 0 {
				t.Fatalf("no mutant is called %q", s.Kills)
			}
			all[i].caught(t, guard{test: "TestScripts$/^" + regexp.QuoteMeta(file), want: "--- FAIL"}) // between ^ and $
		})
	}
}

// A schedule that breaks a law shrinks to one of few faults that breaks it too,
// and is read again from its file.
func TestAScheduleThatFailsShrinks(t *testing.T) {
	var theatre Theatre
	p := Plan{
		Validators: 4, Observers: 1, Base: 300, MaxDelay: 20, Faults: 6_000, Submissions: 4, Duplicates: 5, Skew: 100,
		Script: []Fault{
			{Kind: FaultCrash, On: []int{2}, At: 500, For: 500, By: 3},
			{Kind: FaultPartition, On: []int{1, 4}, At: 700, For: 900},
			{Kind: FaultSlow, On: []int{3}, At: 100, For: 3_000, By: 20},
		},
		// Two liars of four are more than f: no law is promised.
		Adversaries: map[int]func() Behaviour{0: named(t, "equivocating leader"), 1: named(t, "double voter")},
	}
	long := NewScript("two liars", 1, p)
	for Law(theatre.Play(long.Seed, p).Err) != "A1" {
		if long.Seed++; long.Seed > 300 {
			t.Fatal("no schedule with two liars of four forks")
		}
	}
	short := theatre.Shrink(long)
	t.Logf("of size %d, then %d", long.Size(), short.Size())
	if got := Law(theatre.Play(short.Seed, short.Plan).Err); got != "A1" {
		t.Errorf("the shrunk script breaks %q, want A1", got)
	}
	if short.Size() >= long.Size() {
		t.Errorf("of size %d is left %d", long.Size(), short.Size())
	}
	raw, err := short.Encode()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "script.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := ReadScript(file)
	if err != nil {
		t.Fatal(err)
	}
	one, two := theatre.Play(short.Seed, short.Plan), theatre.Play(again.Seed, again.Plan)
	if one.Trace != two.Trace {
		t.Errorf("the script's trace is %016x, and %016x from its file", one.Trace, two.Trace)
	}
}

// named returns the behaviour with a name.
func named(t *testing.T, name string) func() Behaviour {
	t.Helper()
	for _, b := range behaviours() {
		if nameOf(b()) == name {
			return b
		}
	}
	t.Fatalf("no behaviour is called %q", name)
	return nil
}
