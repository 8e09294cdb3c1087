package exec_test

import (
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/task/exec"
	"github.com/sage-p2p/sage-p2p/task/exec/programs"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/outputs.json anew: an example program says something else")

// TestExamplesSayTheSameEverywhere runs the example programs on their samples.
// What they say is on file (E1). Their memories depend on the toolchain that
// compiled them besides, so those are printed: the stage "other processors" of
// .ci/run compares what two processors print.
func TestExamplesSayTheSameEverywhere(t *testing.T) {
	if raceDetector() {
		t.Skip("compiles for minutes under the race detector; leave out -race")
	}
	const file = "testdata/outputs.json"
	got := make(map[string]string)
	for _, name := range programs.Names() {
		job := job(t, program(t, name), sample(t, name))
		job.MemoryPages = 1024
		cache := filepath.Join(t.TempDir(), "cache")
		compiled, err := exec.RunHere(job, cache)
		if err != nil || compiled.Failed {
			t.Fatalf("%s: failed %v: %v", name, compiled.Failed, err)
		}
		again, err := exec.RunHere(job, cache)
		if err != nil || again.MemoryHash != compiled.MemoryHash || string(again.Output) != string(compiled.Output) {
			t.Errorf("%s from the cache: %v; memory %s, then %s", name, err, compiled.MemoryHash, again.MemoryHash)
		}
		got[name] = fmt.Sprintf("%x", sha256.Sum256(compiled.Output))
		t.Logf("same: %s of module %x: memory %s", name, sha256.Sum256(job.Program), compiled.MemoryHash)
	}
	if *rewrite {
		out, err := json.MarshalIndent(got, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(out, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]string
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("outputs on %s (-want +got):\n%s", runtime.GOARCH, d)
	}
}
