package exec

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/sage-p2p/sage-p2p/task/exec/programs"
)

var rewriteSame = flag.Bool("rewrite", false, "write testdata/outputs.json anew: an example program says something else")

// TestExamplesSayTheSameEverywhere runs the example programs on their samples,
// in this process, by what a child does with a job. What they say is on file
// (E1). Their memories depend on the toolchain that compiled them besides, so
// those are printed: the stage "other processors" of .ci/run compares what two
// processors print.
func TestExamplesSayTheSameEverywhere(t *testing.T) {
	const file = "testdata/outputs.json"
	task, err := cid.V1Builder{Codec: cid.DagCBOR, MhType: multihash.SHA2_256}.Sum([]byte("a task"))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, name := range programs.Names() {
		program, err := programs.Load(t.Context(), name)
		if errors.Is(err, programs.ErrNoToolchain) {
			t.Skip("this test compiles its programs, and there is no Go toolchain in PATH")
		}
		if err != nil {
			t.Fatal(err)
		}
		input, err := programs.Sample(name)
		if err != nil {
			t.Fatal(err)
		}
		head := childJob{Task: task.Bytes(), AcceptTime: 1_700_000_000_123, MemoryPages: 1024, OutputLimit: 16 << 20, Cache: filepath.Join(t.TempDir(), "cache")}
		var first Result
		for range 2 { // compiled, then from the cache
			result, err := run(head, program, input, io.Discard)
			if err != nil || result.Failed {
				t.Fatalf("%s: failed %v: %v", name, result.Failed, err)
			}
			if first.Output == nil {
				first = result
			}
			if result.MemoryHash != first.MemoryHash {
				t.Errorf("%s: memory %s, then %s", name, first.MemoryHash, result.MemoryHash)
			}
		}
		sum := sha256.Sum256(first.Output)
		got[name] = MemoryHash(sum).String()
		t.Logf("same: %s, compiled to %x: output %x, memory %s", name, sha256.Sum256(program), sum, first.MemoryHash)
	}
	if *rewriteSame {
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
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if got[name] != want[name] {
			t.Errorf("%s on %s: the output is %s, want %s", name, runtime.GOARCH, got[name], want[name])
		}
	}
}
