package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/task/exec"
	"github.com/sage-p2p/sage-p2p/task/exec/programs"
)

func TestMain(m *testing.M) {
	exec.ChildMain()
	dir, err := os.MkdirTemp("", "sage-node-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shared.dir = dir
	goleak.VerifyTestMain(m,
		// Badger leaves these two behind when it finds damage as it opens.
		goleak.IgnoreAnyFunction("github.com/dgraph-io/badger/v4.(*DB).monitorCache"),
		goleak.IgnoreAnyFunction("github.com/dgraph-io/ristretto/v2/z.(*AllocatorPool).freeupAllocators"),
		goleak.Cleanup(func(code int) {
			os.RemoveAll(dir)
			os.Exit(code)
		}))
}

// shared is what all tests of this binary use: programs are compiled once.
var shared struct {
	dir   string
	child sync.Once
}

// raceDetector reports whether this binary was built with it.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool {
		return s.Key == "-race" && s.Value == "true"
	})
}

// wasm is the real runtime. Its children are processes of this binary, or of
// one that the race detector does not slow down.
func wasm(t *testing.T) exec.Runtime {
	t.Helper()
	var options []exec.Option
	if raceDetector() {
		child := filepath.Join(shared.dir, "child")
		shared.child.Do(func() {
			output, err := osexec.Command("go", "build", "-o", child, "../task/exec/testdata/child").CombinedOutput()
			if err != nil {
				t.Fatalf("build the child: %v\n%s", err, output)
			}
		})
		options = append(options, exec.WithExecutable(child))
	}
	rt, err := exec.NewWASM(filepath.Join(shared.dir, "wasm"), options...)
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// program returns an example program and an input for it.
func program(t *testing.T, name string) (module, input []byte) {
	t.Helper()
	module, err := programs.Load(t.Context(), name)
	if errors.Is(err, programs.ErrNoToolchain) {
		t.Skip("compiles programs; put a Go toolchain in PATH")
	}
	if err != nil {
		t.Fatal(err)
	}
	if input, err = programs.Sample(name); err != nil {
		t.Fatal(err)
	}
	return module, input
}

// scripted is a runtime whose runs are what a test says. It offers itself as
// wasm, and takes any program that does not begin with "bad".
type scripted struct {
	runs atomic.Int32
	run  func(context.Context, exec.Job) (exec.Result, error)
}

func (s *scripted) Name() string { return exec.WASMName }

func (s *scripted) Check(program []byte) error {
	if len(program) > 2 && string(program[:3]) == "bad" {
		return exec.ErrNotWASM
	}
	return nil
}

func (s *scripted) Run(ctx context.Context, j exec.Job) (exec.Result, error) {
	s.runs.Add(1)
	return s.run(ctx, j)
}

// echoing answers with the input.
func echoing() *scripted {
	return &scripted{run: func(_ context.Context, j exec.Job) (exec.Result, error) {
		return exec.Result{Output: append([]byte("done: "), j.Input...)}, nil
	}}
}

// offering has a platform offer a runtime.
func offering(t *testing.T, rt exec.Runtime) node.Option {
	t.Helper()
	r, err := exec.NewRegistry(rt)
	if err != nil {
		t.Fatal(err)
	}
	return node.WithRuntimes(r)
}
