// Package exec does the work of a task: it runs a program on an input and
// returns what the program said. It knows tasks only as a [Job]; what a result
// is worth, and to whom, is decided elsewhere.
//
// # What two machines must agree on
//
// A witness re-executes what an executor did and compares. So for a runtime
// that is deterministic (wasm is; a language model, see [Model], is not):
//
//	E1  Output and MemoryHash depend on nothing but the Job: not on the
//	    machine, the processor, the time of day, or what ran before.
//	E2  A program that fails still has a result, its own: see [EncodeFailed].
//	E3  What does depend on the machine (time, native stack, address space) is
//	    never a result. It is [ErrResourceLimit].
//
// # What a program can do to us
//
//	E4  Nothing outside its own child process: it has no file, socket,
//	    environment or process, and its memory and time are bounded.
//	E5  When Run returns, the child is dead and reaped, and no file of the
//	    run remains but the compiled code in the cache.
package exec

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Sizes that hold on every machine, because what exceeds them must fail on
// every machine. All but MaxMemoryPages are in bytes.
const (
	MaxProgram = 32 << 20 // a program, as posted
	MaxInput   = 64 << 20 // an input
	MaxOutput  = 64 << 20 // an output, whatever the job asks for
	MaxLogs    = 64 << 10 // of standard error, the rest is dropped

	PageSize       = 64 << 10 // of a program's memory
	MaxMemoryPages = 65536    // 4 GiB, all that 32-bit addresses reach
)

// The classes of errors of [Runtime.Run] and [Runtime.Check]. They say whose
// fault it was and so what to do now.
var (
	// ErrInvalid reports a job that no machine will ever run. Its author is to
	// blame; do not accept it. Every more specific refusal wraps it.
	ErrInvalid = errors.New("exec: invalid job")

	// ErrNotWASM reports a program that is not a WebAssembly module.
	ErrNotWASM = fmt.Errorf("%w: not a WebAssembly module", ErrInvalid)

	// ErrTooLarge reports a program or an input over its limit.
	ErrTooLarge = fmt.Errorf("%w: too large", ErrInvalid)

	// ErrProgram reports a module that breaks the rules of its runtime, for
	// example by an import that is not offered or by SIMD.
	ErrProgram = fmt.Errorf("%w: program refused", ErrInvalid)

	// ErrResourceLimit reports a run stopped by the time limit, the native
	// stack or the address space. The requester chose program and window; it
	// is no evidence about anyone's work.
	ErrResourceLimit = errors.New("exec: resource limit")

	// ErrHost reports that this machine failed to run the job: a child killed
	// from outside, a full disk. It says nothing about the job; try again.
	ErrHost = errors.New("exec: this machine failed")

	// ErrUnknownRuntime reports a runtime that this node does not have.
	ErrUnknownRuntime = errors.New("exec: unknown runtime")
)

// A Job is everything that a result may depend on, and who listens meanwhile.
type Job struct {
	Task        cid.Cid       // seeds the program's randomness
	Program     []byte        // at most MaxProgram
	Input       []byte        // the whole of standard input, at most MaxInput
	AcceptTime  atp.Millis    // block time of TASK_ACCEPT: where the program's wall clock starts
	MemoryPages uint32        // the most memory that the program may have, in pages of PageSize
	OutputLimit uint32        // bytes of standard output, at most MaxOutput; one more is a trap
	TimeLimit   time.Duration // of this run, from the start of the child: the machine's own time
	Listen      Listener      // no part of what a result depends on
}

// A Listener is told what a run says while it goes on. Either function may be
// nil; it must not keep the piece, nor block.
type Listener struct {
	Text func(piece []byte) // of an answer that is a text, in order; the result is what counts
	Logs func(piece []byte) // of standard error, what Result.Logs will have of it
}

func (l Listener) text(piece []byte) {
	if l.Text != nil && len(piece) > 0 {
		l.Text(piece)
	}
}

func (l Listener) logs(piece []byte) {
	if l.Logs != nil && len(piece) > 0 {
		l.Logs(piece)
	}
}

// MemoryHash is SHA-256 of a program's memory when it ended: what a witness
// knows who ran the program, and who copied the output does not.
type MemoryHash [32]byte

func (h MemoryHash) String() string { return hex.EncodeToString(h[:]) }

// A Result is what a program made of its input. Output, Failed and MemoryHash
// are E1's; the rest is for people.
type Result struct {
	Output     []byte // standard output, or [EncodeFailed]'s bytes
	Failed     bool   // the program trapped, or left with a code other than 0
	MemoryHash MemoryHash

	Logs    []byte        // standard error, its first MaxLogs bytes
	Elapsed time.Duration // of the whole run, compilation included
}

// A Runtime runs the programs of one kind.
type Runtime interface {
	// Name is how tasks name the runtime.
	Name() string

	// Check reports, without running it, whether a program can run here: nil
	// or an error that wraps [ErrInvalid]. It is cheap and safe on any bytes.
	Check(program []byte) error

	// Run runs the job and waits for its end. It may be called concurrently.
	// Errors wrap ErrInvalid, ErrResourceLimit or ErrHost, or, when ctx ended
	// the run, ctx's cause.
	Run(ctx context.Context, job Job) (Result, error)
}

// A Registry is the set of runtimes that a node offers. It never changes.
type Registry struct {
	byName map[string]Runtime
}

// NewRegistry returns the set of the given runtimes. Two of one name are an error.
func NewRegistry(runtimes ...Runtime) (Registry, error) {
	byName := make(map[string]Runtime, len(runtimes))
	for _, r := range runtimes {
		if _, taken := byName[r.Name()]; taken {
			return Registry{}, fmt.Errorf("exec: two runtimes are named %q", r.Name())
		}
		byName[r.Name()] = r
	}
	return Registry{byName}, nil
}

// Runtime returns the runtime of that name, or [ErrUnknownRuntime].
func (r Registry) Runtime(name string) (Runtime, error) {
	rt, ok := r.byName[name]
	if !ok {
		return nil, fmt.Errorf("%w: have %v, want %q", ErrUnknownRuntime, r.Names(), name)
	}
	return rt, nil
}

// Names returns the names of all runtimes, sorted.
func (r Registry) Names() []string { return slices.Sorted(maps.Keys(r.byName)) }

// Validate reports every problem of the job's own numbers. It does not look
// into the program: [Runtime.Check] does.
func (j Job) Validate() error {
	var errs []error
	if !j.Task.Defined() {
		errs = append(errs, fmt.Errorf("%w: no task ID", ErrInvalid))
	}
	if len(j.Program) > MaxProgram {
		errs = append(errs, tooLarge("program", len(j.Program), MaxProgram))
	}
	if len(j.Input) > MaxInput {
		errs = append(errs, tooLarge("input", len(j.Input), MaxInput))
	}
	if j.MemoryPages == 0 || j.MemoryPages > MaxMemoryPages {
		errs = append(errs, fmt.Errorf("%w: memory: have %d pages, want 1 to %d", ErrInvalid, j.MemoryPages, MaxMemoryPages))
	}
	if j.OutputLimit == 0 || j.OutputLimit > MaxOutput {
		errs = append(errs, fmt.Errorf("%w: output limit: have %d bytes, want 1 to %d", ErrInvalid, j.OutputLimit, MaxOutput))
	}
	if j.TimeLimit <= 0 {
		errs = append(errs, fmt.Errorf("%w: time limit: have %s, want more than 0", ErrInvalid, j.TimeLimit))
	}
	return errors.Join(errs...)
}

func tooLarge(what string, have, want int) error {
	return fmt.Errorf("%w: %s: have %d bytes, want at most %d", ErrTooLarge, what, have, want)
}
