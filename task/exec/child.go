package exec

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/ipfs/go-cid"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// features of WebAssembly that a program may use: 2.0 without SIMD.
const features = api.CoreFeaturesV2 &^ api.CoreFeatureSIMD

// childArg is the only argument of a child.
const childArg = "__wasm"

// ChildMain turns this process into the child that runs one program, if it was
// started as one; it does not return then. Call it first in main, and first in
// TestMain of a package whose tests run programs.
func ChildMain() {
	if len(os.Args) == 2 && os.Args[1] == childArg {
		os.Exit(serveOnce(os.Stdin, os.Stdout))
	}
}

// serveOnce runs one job from in and answers to out.
func serveOnce(in io.Reader, out io.Writer) (exitCode int) {
	result, err := confineAndRun(bufio.NewReader(in), out)
	if err := writeAnswer(out, result, err); err != nil {
		fmt.Fprintln(os.Stderr, "exec: answer:", err)
		return 1
	}
	return 0
}

func confineAndRun(in io.Reader, out io.Writer) (Result, error) {
	if err := confineProcess(); err != nil {
		return Result{}, err
	}
	head, program, input, err := readJob(in)
	if err != nil {
		return Result{}, fmt.Errorf("%w: read the job: %w", ErrHost, err)
	}
	if err := confineMemory(uint64(head.MemoryPages) * PageSize); err != nil {
		return Result{}, err
	}
	return run(head, program, input, &logWriter{out: out})
}

// run compiles and runs a program in this process.
func run(head childJob, program, input []byte, logs io.Writer) (Result, error) {
	task, err := cid.Cast(head.Task)
	if err != nil {
		return Result{}, fmt.Errorf("%w: task ID: %w", ErrInvalid, err)
	}
	module, err := rewrite(program, head.MemoryPages)
	if err != nil {
		return Result{}, err
	}
	ctx := context.Background()
	rt, compiled, err := compile(ctx, module, head.Cache)
	if err != nil {
		return Result{}, err
	}
	if err := link(ctx, rt, compiled); err != nil {
		return Result{}, err
	}
	clock := clock{accepted: head.AcceptTime}
	stdout := output{limit: int(head.OutputLimit)}
	config := wazero.NewModuleConfig().
		WithName("").
		WithArgs("program").
		WithStdin(bytes.NewReader(input)).
		WithStdout(&stdout).
		WithStderr(logs).
		WithWalltime(clock.wall, tick).
		WithNanotime(clock.monotonic, tick).
		WithNanosleep(clock.sleep).
		WithRandSource(&randomness{task: task}).
		WithStartFunctions() // _start is called below
	memory, ended := start(ctx, rt, compiled, config)
	code, err := exitCode(ended)
	if err != nil {
		return Result{}, err
	}
	if code == TrapCode {
		reason, _, _ := strings.Cut(ended.Error(), "\n") // below it is a stack trace
		fmt.Fprintln(logs, "trap:", reason)
	}
	result := Result{Output: stdout.written, MemoryHash: hashMemory(memory)}
	if code != 0 {
		result.Failed, result.Output = true, EncodeFailed(code)
	}
	return result, nil
}

// compile returns the module's code, from the cache or for it. A cache that is
// damaged, full or gone costs time, never a result.
func compile(ctx context.Context, module []byte, cacheDir string) (wazero.Runtime, wazero.CompiledModule, error) {
	config := wazero.NewRuntimeConfig().
		WithCoreFeatures(features).
		WithMemoryCapacityFromMax(true). // so that growing never fails for want of a bigger piece
		WithDebugInfoEnabled(false)
	if cache, err := wazero.NewCompilationCacheWithDir(cacheDir); err == nil {
		rt := wazero.NewRuntimeWithConfig(ctx, config.WithCompilationCache(cache))
		if compiled, err := rt.CompileModule(ctx, module); err == nil {
			return rt, compiled, nil
		}
	}
	rt := wazero.NewRuntimeWithConfig(ctx, config)
	compiled, err := rt.CompileModule(ctx, module)
	switch {
	case errors.Is(err, syscall.ENOMEM):
		return nil, nil, fmt.Errorf("%w: address space: %w", ErrResourceLimit, err)
	case err != nil:
		return nil, nil, fmt.Errorf("%w: it does not compile: %w", ErrProgram, err)
	}
	os.RemoveAll(cacheDir) // whatever was wrong with it
	return rt, compiled, nil
}

// link offers WASI to the program and compares the two. What can still go
// wrong after it is the program's own doing.
func link(ctx context.Context, rt wazero.Runtime, compiled wazero.CompiledModule) error {
	wasi, err := wasi_snapshot_preview1.NewBuilder(rt).Compile(ctx)
	if err == nil {
		_, err = rt.InstantiateModule(ctx, wasi, wazero.NewModuleConfig())
	}
	if err != nil {
		return fmt.Errorf("%w: WASI: %w", ErrHost, err)
	}
	offered := wasi.ExportedFunctions()
	for _, f := range compiled.ImportedFunctions() {
		_, name, _ := f.Import()
		if offer, ok := offered[name]; !ok || !sameType(f, offer) {
			return fmt.Errorf("%w: it imports %s with another type than WASI's", ErrProgram, name)
		}
	}
	if f := compiled.ExportedFunctions()["_start"]; len(f.ParamTypes()) != 0 || len(f.ResultTypes()) != 0 {
		return fmt.Errorf("%w: its function _start takes or returns values", ErrProgram)
	}
	return nil
}

func sameType(a, b api.FunctionDefinition) bool {
	return slices.Equal(a.ParamTypes(), b.ParamTypes()) && slices.Equal(a.ResultTypes(), b.ResultTypes())
}

// start runs the program to its end and returns its memory, which is nil if it
// ended before it had one.
func start(ctx context.Context, rt wazero.Runtime, compiled wazero.CompiledModule, config wazero.ModuleConfig) (api.Memory, error) {
	mod, err := rt.InstantiateModule(ctx, compiled, config)
	if err != nil {
		return nil, err
	}
	memory := mod.Memory() // it outlives the module, which proc_exit closes
	_, err = mod.ExportedFunction("_start").Call(ctx)
	return memory, err
}

// exitCode reads how a program ended: its exit code, or TrapCode. The error
// wraps ErrResourceLimit.
func exitCode(ended error) (int64, error) {
	var exit *sys.ExitError
	switch {
	case ended == nil:
		return 0, nil
	case errors.As(ended, &exit):
		return int64(exit.ExitCode()), nil
	case rootCause(ended).Error() == "stack overflow": // wazero keeps the value internal
		return 0, fmt.Errorf("%w: the program's calls are nested too deeply for the native stack", ErrResourceLimit)
	}
	return TrapCode, nil
}

func rootCause(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}

// hashMemory returns SHA-256 of all of a memory.
func hashMemory(memory api.Memory) (sum MemoryHash) {
	h := sha256.New()
	if memory != nil {
		pages, _ := memory.Grow(0) // Size is 0 for 4 GiB
		for page := range pages {
			contents, _ := memory.Read(page*PageSize, PageSize)
			h.Write(contents)
		}
	}
	h.Sum(sum[:0])
	return sum
}

// logWriter sends a program's standard error to the parent, up to MaxLogs. It
// tells the program that all was written, always: what the program can see
// must not depend on us.
type logWriter struct {
	out  io.Writer
	sent int
}

func (l *logWriter) Write(p []byte) (int, error) {
	if piece := p[:min(len(p), MaxLogs-l.sent)]; len(piece) > 0 {
		l.sent += len(piece)
		if err := writeFrame(l.out, frameLogs, piece); err != nil {
			os.Exit(1) // the parent is gone
		}
	}
	return len(p), nil
}
