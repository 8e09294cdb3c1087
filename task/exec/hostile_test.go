package exec_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/task/exec"
)

// E2: what a program does to itself is its result.
func TestFailedProgramHasAResultOfItsOwn(t *testing.T) {
	recursive := func(depth byte) []byte { // unreachable after some calls
		return exec.Program(0x41, depth, 0x04, 0x40, 0x00, 0x0b)
	}
	probe := program(t, "probe")
	for _, tt := range []struct {
		name   string
		module []byte
		input  string
		code   int64
		logs   string
	}{
		{"exit code", probe, "exit 3", 3, ""},
		{"a code of 32 bits", probe, "exit 4294967295", 1<<32 - 1, ""},
		{"panic of Go", probe, "panic", 2, "panic: as asked"},
		{"trap", recursive(1), "", exec.TrapCode, "trap: wasm error: unreachable"},
		{"no memory left", probe, "hog", 2, "out of memory"},
		{"too much output", probe, "flood", exec.TrapCode, "trap: standard output is over its limit"},
		{"data outside the memory", exec.Module(exec.TypeNone, exec.OneFunction, exec.OnePage, exec.Exports,
			exec.Section(10, exec.Vector(exec.Body())),
			exec.Section(11, exec.Vector([]byte{0, 0x41, 0x80, 0x80, 4, 0x0b, 1, 'x'}))), "", exec.TrapCode, "trap: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, job(t, tt.module, tt.input))
			if !got.Failed || !bytes.Equal(got.Output, exec.EncodeFailed(tt.code)) {
				t.Errorf("failed = %v with %x, want %x", got.Failed, got.Output, exec.EncodeFailed(tt.code))
			}
			if !strings.Contains(string(got.Logs), tt.logs) {
				t.Errorf("logs = %q, want %q in them", got.Logs, tt.logs)
			}
		})
	}
}

func TestOutputLimitIsExact(t *testing.T) {
	for _, tt := range []struct {
		limit  uint32
		failed bool
	}{{8, false}, {7, true}} {
		j := job(t, storeAndWrite(), "") // it writes 8 bytes
		j.OutputLimit = tt.limit
		if got := run(t, j); got.Failed != tt.failed {
			t.Errorf("limit %d: failed = %v, want %v", tt.limit, got.Failed, tt.failed)
		}
	}
}

func TestLogsAreCutAndTheProgramGoesOn(t *testing.T) {
	got := run(t, job(t, program(t, "probe"), "logs"))
	if string(got.Output) != "done\n" || len(got.Logs) != exec.MaxLogs {
		t.Errorf("output = %q with %d bytes of logs, want done with %d", got.Output, len(got.Logs), exec.MaxLogs)
	}
}

// E3: what depends on the machine is no result.
func TestResourceLimits(t *testing.T) {
	run(t, job(t, program(t, "probe"), "echo\n"))                  // so that its code is in the cache
	tables := bytes.Repeat([]byte{0x70, 0, 0x80, 0x80, 0x40}, 400) // of 2^20 entries each: 3.2 GB
	count := []byte{0x90, 3}                                       // 400
	for _, tt := range []struct {
		name   string
		module []byte
		input  string
		limit  time.Duration
		want   string
		logs   string
	}{
		{"time", program(t, "probe"), "loop", 3 * time.Second, "the program did not end within 3s", "into the loop\n"},
		{"time, not even started", program(t, "probe"), "loop", 1, "the program did not end within 1ns", ""},
		{"native stack", exec.Program(0x10, 0), "", time.Minute, "the program's calls are nested too deeply", ""},
		{"address space", exec.Module(exec.TypeNone, exec.OneFunction, exec.Section(4, append(count, tables...)),
			exec.OnePage, exec.Exports, exec.Section(10, exec.Vector(exec.Body()))), "", time.Minute, "more address space", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := job(t, tt.module, tt.input)
			j.TimeLimit = tt.limit
			got, err := newRuntime(t).Run(t.Context(), j)
			if !errors.Is(err, exec.ErrResourceLimit) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %q", err, tt.want)
			}
			if string(got.Logs) != tt.logs || got.Output != nil || got.Failed {
				t.Errorf("result = %+v, want only the logs %q", got, tt.logs)
			}
			nothingIsLeft(t)
		})
	}
}

// E4: there is no way out.
func TestProgramHasNoWayOut(t *testing.T) {
	t.Setenv("SAGE_SECRET", "of the node")
	got := run(t, job(t, program(t, "probe"), "world"))
	var want strings.Builder
	want.WriteString("arguments [program]\nenvironment []\n")
	for _, path := range []string{".", "/", "/etc/passwd", "/proc/self/environ", "secret"} {
		for _, verb := range []string{"read", "list", "write", "remove"} {
			want.WriteString(verb + " " + path + " refused\n")
		}
	}
	for _, fd := range []string{"3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"} {
		want.WriteString("descriptor " + fd + " refused\n")
	}
	want.WriteString("dial refused\nprocess refused\nfork refused\n")
	if d := cmp.Diff(want.String(), string(got.Output)); d != "" {
		t.Errorf("what a program can do (-want +got):\n%s", d)
	}
}

func TestProgramsThatAreRefused(t *testing.T) {
	probe := program(t, "probe")
	code := func(code ...byte) []byte { return exec.Program(code...) }
	with := func(sections ...[]byte) []byte {
		return exec.Module(append(sections, exec.Section(10, exec.Vector(exec.Body())))...)
	}
	imports := func(module, name string, functionType byte) []byte {
		return with(exec.TypeNone, exec.Section(2, exec.Vector(exec.Import(module, name, functionType))),
			exec.OneFunction, exec.OnePage, exec.Exports)
	}
	memory := func(limits ...byte) []byte {
		return with(exec.TypeNone, exec.OneFunction, exec.Section(5, exec.Vector(limits)), exec.Exports)
	}
	for _, tt := range []struct {
		name    string
		module  []byte
		class   error
		want    string
		compile bool // found by compiling only, so not by Check
	}{
		{"nothing", nil, exec.ErrNotWASM, "does not begin with", false},
		{"text", []byte("#!/bin/sh\nrm -rf /\n"), exec.ErrNotWASM, "does not begin with", false},
		{"a picture", []byte("\x89PNG\r\n\x1a\n"), exec.ErrNotWASM, "does not begin with", false},
		{"a component", []byte("\x00asm\x0d\x00\x01\x00"), exec.ErrNotWASM, "version 1", false},
		{"cut after the header", probe[:8], exec.ErrProgram, "no function _start", false},
		{"cut in half", probe[:len(probe)/2], exec.ErrProgram, "ends in the middle", false},
		{"cut by one byte", probe[:len(probe)-1], exec.ErrProgram, "ends in the middle", false},
		{"followed by something", append(slices.Clone(probe), 99), exec.ErrProgram, "ends in the middle", false},
		{"too large", append(slices.Clone(probe), make([]byte, exec.MaxProgram)...), exec.ErrTooLarge, "want at most 33554432", false},
		{"too large with canonical NaNs", code(bytes.Repeat([]byte{0xbd}, exec.MaxProgram/2)...), exec.ErrTooLarge, "canonical NaNs", false},
		{"SIMD instruction", code(0xfd, 0x0c), exec.ErrProgram, "SIMD", false},
		{"SIMD type", with(exec.Section(1, exec.Vector([]byte{0x60, 1, 0x7b, 0})), exec.OneFunction), exec.ErrProgram, "SIMD", false},
		{"atomic instruction", code(0xfe, 0x03, 0), exec.ErrProgram, "threads", false},
		{"shared memory", memory(3, 1, 1), exec.ErrProgram, "threads", false},
		{"64-bit memory", memory(4, 1), exec.ErrProgram, "unknown flags", false},
		{"tail call", code(0x12, 0), exec.ErrProgram, "not of WebAssembly 2.0", false},
		{"import from elsewhere", imports("env", "system", 0), exec.ErrProgram, `"system" from "env"`, false},
		{"unknown function of WASI", imports("wasi_snapshot_preview1", "proc_spawn", 0), exec.ErrProgram, `"proc_spawn"`, false},
		{"import of another type", imports("wasi_snapshot_preview1", "fd_read", 0), exec.ErrProgram, "another type", true},
		{"no memory", with(exec.TypeNone, exec.OneFunction, exec.Exports), exec.ErrProgram, "no memory", false},
		{"section twice", with(exec.TypeNone, exec.TypeNone), exec.ErrProgram, "repeated", false},
		{"not typed", code(0x41, 0), exec.ErrProgram, "does not compile", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rt := newRuntime(t)
			_, err := rt.Run(t.Context(), job(t, tt.module, ""))
			if !errors.Is(err, tt.class) || !errors.Is(err, exec.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Run: %v, want %v with %q", err, tt.class, tt.want)
			}
			checked := rt.Check(tt.module)
			if found := errors.Is(checked, tt.class); found == tt.compile {
				t.Errorf("Check: %v", checked)
			}
			nothingIsLeft(t)
		})
	}
	if err := newRuntime(t).Check(probe); err != nil {
		t.Errorf("Check of a good program: %v", err)
	}
}

func TestJobsThatAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(*exec.Job)
		class error
		want  string
	}{
		{"no task", func(j *exec.Job) { j.Task = exec.Job{}.Task }, exec.ErrInvalid, "no task ID"},
		{"input too large", func(j *exec.Job) { j.Input = make([]byte, exec.MaxInput+1) }, exec.ErrTooLarge, "input"},
		{"no memory", func(j *exec.Job) { j.MemoryPages = 0 }, exec.ErrInvalid, "have 0 pages"},
		{"too much memory", func(j *exec.Job) { j.MemoryPages = 65537 }, exec.ErrInvalid, "have 65537 pages"},
		{"less memory than it begins with", func(j *exec.Job) { j.MemoryPages = 2 }, exec.ErrProgram, "the most allowed is 2"},
		{"no output", func(j *exec.Job) { j.OutputLimit = 0 }, exec.ErrInvalid, "output limit"},
		{"no time", func(j *exec.Job) { j.TimeLimit = 0 }, exec.ErrInvalid, "time limit"},
	} {
		j := job(t, program(t, "probe"), "echo\n")
		tt.spoil(&j)
		if _, err := newRuntime(t).Run(t.Context(), j); !errors.Is(err, tt.class) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %v with %q", tt.name, err, tt.class, tt.want)
		}
	}
}

// All the memory that a program can address is there for it, though little of
// it is used.
func TestMostMemory(t *testing.T) {
	j := job(t, program(t, "probe"), "echo\nhello")
	j.MemoryPages = exec.MaxMemoryPages
	if got := run(t, j); string(got.Output) != "hello" {
		t.Errorf("output = %q, failed = %v", got.Output, got.Failed)
	}
}

// Growing needs no more than the memory itself: it is reserved from the start,
// so that the last page is as sure as the first.
func TestMemoryGrowsToItsLimit(t *testing.T) {
	grow := func(pages ...byte) []byte { // trap if memory.grow(pages) is -1
		return slices.Concat([]byte{0x41}, pages, []byte{0x40, 0, 0x41, 0x7f, 0x46, 0x04, 0x40, 0x00, 0x0b})
	}
	j := job(t, exec.Program(slices.Concat(grow(0xa0, 0x9c, 1), grow(0xdf, 0x23))...), "") // 20,000 and 4,575
	j.MemoryPages = 1 + 20_000 + 4_575
	if got := run(t, j); got.Failed {
		t.Errorf("memory did not grow to %d pages: %s", j.MemoryPages, got.Logs)
	}
	j.MemoryPages--
	if got := run(t, j); !got.Failed {
		t.Errorf("memory grew beyond %d pages", j.MemoryPages)
	}
}

func TestCancelledRunEndsWithItsCause(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the node is closing")
	_, done := loop(t, ctx)
	cancel(why)
	if err := <-done; !errors.Is(err, why) || errors.Is(err, exec.ErrResourceLimit) || errors.Is(err, exec.ErrHost) {
		t.Errorf("err = %v, want %v", err, why)
	}
	nothingIsLeft(t)
}

// nothingIsLeft checks E5: no child, running or unreaped, and no file of a run.
func nothingIsLeft(t *testing.T) {
	t.Helper()
	if left := children(t, os.Getpid()); len(left) != 0 {
		t.Errorf("children %v are left", left)
	}
	left, err := filepath.Glob(filepath.Join(shared.dir, "wasm", "run-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("%v are left (%v)", left, err)
	}
}
