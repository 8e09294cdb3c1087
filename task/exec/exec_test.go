package exec_test

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
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/sage-p2p/sage-p2p/task/exec"
	"github.com/sage-p2p/sage-p2p/task/exec/programs"
)

func TestMain(m *testing.M) {
	exec.ChildMain()
	if dir := os.Getenv(asParent); dir != "" {
		shared.dir = dir
		fmt.Fprintln(os.Stderr, runForEver())
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "sage-exec-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shared.dir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// shared is what all tests of this binary use. Everything in it is compiled
// once.
var shared struct {
	dir      string
	programs sync.Map // name to func() ([]byte, error)
	child    sync.Once
}

// raceDetector reports whether this binary was built with it.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool {
		return s.Key == "-race" && s.Value == "true"
	})
}

// newWASM returns a wasm runtime. Its children are processes of this binary,
// or of testdata/child when this one is slowed down by the race detector.
func newWASM(dir string) (*exec.WASM, error) {
	if !raceDetector() {
		return exec.NewWASM(dir)
	}
	var err error
	child := filepath.Join(shared.dir, "child")
	shared.child.Do(func() {
		if _, statErr := os.Stat(child); statErr == nil {
			return // the parent of this process has built it
		}
		var output []byte
		if output, err = osexec.Command("go", "build", "-o", child, "./testdata/child").CombinedOutput(); err != nil {
			err = fmt.Errorf("build testdata/child: %w\n%s", err, output)
		}
	})
	if err != nil {
		return nil, err
	}
	return exec.NewWASM(dir, exec.WithExecutable(child))
}

// program returns an example program, or the probe of testdata.
func program(t testing.TB, name string) []byte {
	t.Helper()
	compile := func() ([]byte, error) {
		if name != "probe" && name != "checker" {
			return programs.Load(context.Background(), name)
		}
		target := filepath.Join(shared.dir, name+".wasm")
		if err := programs.Compile(context.Background(), "testdata/"+name, target); err != nil {
			return nil, err
		}
		return os.ReadFile(target)
	}
	once, _ := shared.programs.LoadOrStore(name, sync.OnceValues(compile))
	module, err := once.(func() ([]byte, error))()
	if errors.Is(err, programs.ErrNoToolchain) {
		t.Skip("compiles programs; put a Go toolchain in PATH")
	}
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// newRuntime returns the wasm runtime with the compilation cache of all tests.
func newRuntime(t testing.TB) *exec.WASM {
	t.Helper()
	return runtimeIn(t, filepath.Join(shared.dir, "wasm"))
}

// runtimeIn returns a wasm runtime with a directory of its own.
func runtimeIn(t testing.TB, dir string) *exec.WASM {
	t.Helper()
	rt, err := newWASM(dir)
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

func taskID(name string) cid.Cid {
	id, err := cid.V1Builder{Codec: cid.DagCBOR, MhType: multihash.SHA2_256}.Sum([]byte(name))
	if err != nil {
		panic(err)
	}
	return id
}

// job is a job with room enough for any honest program.
func job(t testing.TB, module []byte, input string) exec.Job {
	t.Helper()
	return exec.Job{
		Task:        taskID("a task"),
		Program:     module,
		Input:       []byte(input),
		AcceptTime:  1_700_000_000_123,
		MemoryPages: 4096,
		OutputLimit: 16 << 20,
		TimeLimit:   2 * time.Minute,
	}
}

// run runs a job that must succeed in running, whatever the program makes of it.
func run(t testing.TB, job exec.Job) exec.Result {
	t.Helper()
	result, err := newRuntime(t).Run(t.Context(), job)
	if err != nil {
		t.Fatalf("Run: %v\nlogs: %s", err, result.Logs)
	}
	return result
}
