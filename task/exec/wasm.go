package exec

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
)

// WASMName is how tasks name the wasm runtime.
const WASMName = "wasm"

// addressSpace is what a child may have besides the program's memory, in bytes:
// compiler and code (a module of 14 MB took 270 MB), input, output and native
// stack.
const addressSpace = 1 << 30

// maxStderr bounds what is kept of a child's own last words, in bytes.
const maxStderr = 8 << 10

// WASM runs WebAssembly programs (WASI preview 1, started at _start), each in
// a child process of this binary, deterministically ("wasm-det"):
//
//   - WebAssembly 2.0 without SIMD, no threads. NaNs are canonical wherever
//     their bits could be seen (see rewrite).
//   - Standard input is the input, standard output the result, standard error
//     the logs. One argument, "program"; no environment, files or sockets.
//   - The wall clock starts at the job's accept time, the monotonic clock at
//     1 s. Each reading advances both by 1 µs, a sleep by its length.
//   - Random bytes are those of HKDF-SHA256 of the task's ID (see randomness).
//   - Memory that cannot grow beyond the job's limit, more output than the job
//     allows, a trap, an exit code: the program's own end, alike everywhere.
type WASM struct {
	cache      compilationCache
	dir        string // of the children's working directories
	executable string // of the children
}

// An Option replaces a part of the runtime that most callers leave alone.
type Option func(*WASM)

// WithExecutable makes the children processes of the program at path instead
// of this one. A test under the race detector, which makes compiling thirty
// times slower, gives one that was built without it.
func WithExecutable(path string) Option { return func(w *WASM) { w.executable = path } }

// NewWASM returns the wasm runtime, which keeps compiled code below dir. The first
// run creates dir if need be. The main function of the children's program must
// call [ChildMain] first.
func NewWASM(dir string, options ...Option) (*WASM, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("exec: directory of the wasm runtime: %w", err)
	}
	w := &WASM{cache: compilationCache{filepath.Join(dir, "cache")}, dir: dir, executable: thisProgram}
	for _, option := range options {
		option(w)
	}
	return w, nil
}

// Name returns [WASMName].
func (*WASM) Name() string { return WASMName }

// Check reports whether a program is a module that this runtime accepts, as
// far as can be told without compiling it.
func (*WASM) Check(program []byte) error {
	_, err := rewrite(program, MaxMemoryPages)
	return err
}

// errTimeLimit is the cause of the end of a run at its time limit.
var errTimeLimit = errors.New("time limit")

// Run runs the job in a child process and waits for its end.
func (w *WASM) Run(ctx context.Context, job Job) (Result, error) {
	if err := job.Validate(); err != nil {
		return Result{}, err
	}
	started := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, job.TimeLimit, errTimeLimit)
	defer cancel()

	hash := sha256.Sum256(job.Program)
	cache, err := w.cache.entry(hex.EncodeToString(hash[:]))
	if err != nil {
		return Result{}, fmt.Errorf("%w: compilation cache: %w", ErrHost, err)
	}
	var result Result
	var thread errgroup.Group
	thread.Go(func() error {
		// The child inherits what its parent thread gave up, and dies with that
		// thread. So it gets one of its own, which lives as long as this
		// goroutine and, never unlocked, is not used for anything else after.
		runtime.LockOSThread()
		if err := confineThread(); err != nil {
			return fmt.Errorf("%w: %w", ErrHost, err)
		}
		result, err = w.runChild(ctx, job, cache)
		return err
	})
	err = thread.Wait()
	result.Elapsed = time.Since(started)
	return result, err
}

// runChild starts a child, gives it the job and waits for answer and end.
func (w *WASM) runChild(ctx context.Context, job Job, cache string) (Result, error) {
	cmd := osexec.CommandContext(ctx, w.executable, childArg)
	cmd.Env = []string{}
	cmd.SysProcAttr = confinedAttr()
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = time.Second // if the child handed its pipes to someone
	stderr := &head{most: maxStderr}
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return Result{}, fmt.Errorf("%w: start the child: %w", ErrHost, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return Result{}, fmt.Errorf("%w: start the child: %w", ErrHost, err)
	}
	if err := w.startChild(cmd); err != nil {
		return Result{}, cmp.Or(stopped(ctx, job), fmt.Errorf("%w: start the child: %w", ErrHost, err))
	}
	var sending errgroup.Group
	sending.Go(func() error {
		defer stdin.Close()
		return writeJob(stdin, job, cache)
	})
	result, answer := readAnswer(stdout, job.OutputLimit, job.Listen)
	silent := errors.Is(answer, io.EOF) || errors.Is(answer, io.ErrUnexpectedEOF)
	if !silent {
		killGroup(cmd.Process.Pid) // it has said its last word
	}
	sent := sending.Wait()
	ended := cmd.Wait()
	if silent {
		answer = cmp.Or(stopped(ctx, job), silence(job, ended, sent, stderr.kept))
	}
	return result, answer
}

// startChild starts a child in a directory that is removed at once: the child
// stays in it, and nobody can put anything there.
func (w *WASM) startChild(cmd *osexec.Cmd) error {
	dir, err := os.MkdirTemp(w.dir, "run-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	cmd.Dir = dir
	return cmd.Start()
}

// stopped explains a run that its context ended; it is nil if none did.
func stopped(ctx context.Context, job Job) error {
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return nil
	case errors.Is(cause, errTimeLimit):
		return fmt.Errorf("%w: the program did not end within %s", ErrResourceLimit, job.TimeLimit)
	default:
		return fmt.Errorf("exec: run stopped: %w", cause)
	}
}

// silence explains why a child ended without an answer.
func silence(job Job, ended, sent error, stderr []byte) error {
	if outOfAddressSpace(stderr) {
		return fmt.Errorf("%w: the program needs more address space than its memory of %d pages and %d MiB besides",
			ErrResourceLimit, job.MemoryPages, addressSpace>>20)
	}
	line, _, _ := bytes.Cut(stderr, []byte("\n"))
	return fmt.Errorf("%w: the child ended without an answer: %w; its last words: %q", ErrHost, errors.Join(ended, sent), line)
}

// outOfAddressSpace reports whether these are the last words of a Go process
// that was refused memory or a thread.
func outOfAddressSpace(stderr []byte) bool {
	for _, words := range []string{
		"out of memory", "cannot allocate memory", "cannot map pages", "newosproc", "pthread_create failed",
	} {
		if bytes.Contains(stderr, []byte(words)) {
			return true
		}
	}
	return false
}

// head keeps the first bytes written to it and drops the rest.
type head struct {
	kept []byte
	most int
}

func (h *head) Write(p []byte) (int, error) {
	h.kept = append(h.kept, p[:min(len(p), h.most-len(h.kept))]...)
	return len(p), nil
}
