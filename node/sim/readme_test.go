package sim

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	lawRow     = regexp.MustCompile(`(?m)^\| \*\*(\w+)\*\* \|[^|]*\|([^|]*)\|([^|]*)\|$`)
	ruleRow    = regexp.MustCompile(`(?m)^\| ([SL]\d+) \|([^|]*)\|$`)
	ruleOfBFT  = regexp.MustCompile(`(?m)^//\t([SL]\d+) `)
	namedTest  = regexp.MustCompile("`(?:([a-z/]+)\\.)?(Test\\w+)`")
	ofTheReal  = regexp.MustCompile(`([a-z][a-z0-9/]*)\.(Test\w+)`)
	namedBreak = regexp.MustCompile(`"([^"]+)"`)
)

// The README says of every law which tests guard it and which mutants prove
// them, and all of these exist.
func TestEveryLawIsGuarded(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	laws := make(map[string]bool)
	for _, row := range lawRow.FindAllStringSubmatch(string(readme), -1) {
		law, tests, breaks := row[1], namedTest.FindAllStringSubmatch(row[2], -1), namedBreak.FindAllStringSubmatch(row[3], -1)
		laws[law] = true
		if len(tests) == 0 || len(breaks) == 0 && !strings.Contains(row[3], "none: ") {
			t.Errorf("%s: %d tests and %d mutants", law, len(tests), len(breaks))
		}
		for _, name := range tests {
			dir := "."
			if name[1] != "" {
				dir = filepath.Join("../..", name[1])
			}
			if !inTests(t, dir, "func "+name[2]+"(") {
				t.Errorf("%s: there is no %s in %s", law, name[2], dir)
			}
		}
		for _, name := range breaks {
			if !isMutant(name[1]) {
				t.Errorf("%s: no mutant is called %q", law, name[1])
			}
		}
	}
	for _, law := range []string{"A1", "A2", "A3", "A4", "A5", "A6", "A7"} {
		if !laws[law] {
			t.Errorf("the README says nothing of %s", law)
		}
	}
}

// The README names for every invariant of package bft a mutant that breaks it.
func TestEveryInvariantIsBroken(t *testing.T) {
	var texts [2]string
	for i, file := range []string{"README.md", "../../bft/doc.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
	}
	rows := make(map[string]bool)
	for _, row := range ruleRow.FindAllStringSubmatch(texts[0], -1) {
		breaks := namedBreak.FindAllStringSubmatch(row[2], -1)
		rows[row[1]] = len(breaks) > 0
		for _, name := range breaks {
			if !isMutant(name[1]) {
				t.Errorf("%s: no mutant is called %q", row[1], name[1])
			}
		}
	}
	stated := ruleOfBFT.FindAllStringSubmatch(texts[1], -1)
	for _, rule := range stated {
		if !rows[rule[1]] {
			t.Errorf("the README names no mutant that breaks %s", rule[1])
		}
	}
	if len(rows) != len(stated) {
		t.Errorf("the README has %d invariants of bft, want %d", len(rows), len(stated))
	}
}

func isMutant(name string) bool {
	return slices.ContainsFunc(mutants(), func(m mutant) bool { return m.name == name })
}

// What the simulator puts a stand-in for has tests of its own, and all that the
// package comment names exist.
func TestStandInsAreTestedElsewhere(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	names := ofTheReal.FindAllStringSubmatch(string(doc), -1)
	for _, name := range names {
		if !inTests(t, filepath.Join("../..", name[1]), "func "+name[2]+"(") {
			t.Errorf("there is no %s in %s", name[2], name[1])
		}
	}
	for _, dir := range []string{"node", "node/signer", "chain/store"} {
		if !slices.ContainsFunc(names, func(name []string) bool { return name[1] == dir }) {
			t.Errorf("of what is real in %s no test is named", dir)
		}
	}
}

// inTests reports whether a test file of a folder has a text.
func inTests(t *testing.T, dir, text string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), text) {
			return true
		}
	}
	return false
}
