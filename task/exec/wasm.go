package exec

import (
	"context"
	"fmt"
)

// WASMName is how tasks name the wasm runtime.
const WASMName = "wasm"

// WASM runs WebAssembly programs (WASI preview 1, started at _start), each in
// a child process of this binary, deterministically.
type WASM struct {
	dir string // of the compilation cache and of the children's working directories
}

// NewWASM returns the wasm runtime, which keeps compiled code below dir. The
// main function of the binary must call [ChildMain] first.
func NewWASM(dir string) (*WASM, error) { return &WASM{dir: dir}, nil }

// Name returns [WASMName].
func (*WASM) Name() string { return WASMName }

// Check reports whether a program is a module that this runtime accepts.
func (*WASM) Check(program []byte) error { return fmt.Errorf("%w: not implemented", ErrHost) }

// Run runs the job in a child process and waits for its end.
func (w *WASM) Run(ctx context.Context, job Job) (Result, error) {
	return Result{}, fmt.Errorf("%w: not implemented", ErrHost)
}

// ChildMain turns this process into the child that runs one program, if it was
// started as one; it does not return then. Call it first in main, and first in
// TestMain of a package whose tests run programs.
func ChildMain() {}
