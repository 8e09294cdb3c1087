package bft

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every invariant that the package comment states is named by the code that
// keeps it.
func TestEachInvariantIsNamedWhereItIsKept(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var code, doc string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case f == "doc.go":
			doc = string(b)
		case !strings.HasSuffix(f, "_test.go"):
			code += string(b)
		}
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^//\t([SL]\d+) `).FindAllStringSubmatch(doc, -1) {
		names = append(names, m[1])
	}
	if fmt.Sprint(names) != "[S1 S2 S3 S4 S5 S6 S7 S8 S9 S10 S11 S12 L1 L2 L3 L4 L5 L6 L7]" {
		t.Fatalf("doc.go states %v", names)
	}
	for _, name := range append(names, "R1", "R2", "R3", "R4", "R5", "R6") {
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(code) {
			t.Errorf("no code names %s", name)
		}
	}
}
