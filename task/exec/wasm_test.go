package exec_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sage-p2p/sage-p2p/task/exec"
)

// withoutElapsed compares what two runs of one job must agree on, and the logs.
var withoutElapsed = cmpopts.IgnoreFields(exec.Result{}, "Elapsed")

func TestProgramReadsInputAndWritesOutput(t *testing.T) {
	text := strings.Repeat("all of standard input, in one buffer\n", 100_000)
	got := run(t, job(t, program(t, "probe"), "echo\n"+text))
	if got.Failed || string(got.Output) != text {
		t.Errorf("failed = %v with %d bytes of output, want %d as they were", got.Failed, len(got.Output), len(text))
	}
}

// E1: the same job gives the same output and the same memory, whatever is in
// the cache, whatever else runs, and whatever ran before.
func TestSameJobTwiceIsTheSame(t *testing.T) {
	probe := program(t, "probe")
	for _, input := range []string{"echo\nhello", "clock", "sleep 3h", "random", "map", "nan", "world", "logs", "exit 3", "panic", "hog"} {
		t.Run(input, func(t *testing.T) {
			t.Parallel()
			first := run(t, job(t, probe, input))
			second := run(t, job(t, probe, input))
			if d := cmp.Diff(first, second, withoutElapsed); d != "" {
				t.Errorf("two runs differ (-first +second):\n%s", d)
			}
			if first.MemoryHash == (exec.MemoryHash{}) {
				t.Error("the memory hash is zero")
			}
		})
	}
}

func TestOutputDoesNotDependOnTheCache(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, file string)
	}{
		{"warm", func(*testing.T, string) {}},
		{"damaged", func(t *testing.T, file string) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)/2] ^= 1
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"cut short", func(t *testing.T, file string) {
			if err := os.Truncate(file, 100); err != nil {
				t.Fatal(err)
			}
		}},
		{"gone", func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			rt := runtimeIn(t, dir)
			j := job(t, storeAndWrite(), "")
			cold, err := rt.Run(t.Context(), j)
			if err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, onlyCacheFile(t, dir))
			again, err := rt.Run(t.Context(), j)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(cold, again, withoutElapsed); d != "" {
				t.Errorf("the second run differs (-first +second):\n%s", d)
			}
		})
	}
}

// onlyCacheFile returns the file in which the only program's code is cached.
func onlyCacheFile(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "cache", "*", "*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("have %d cached files (%v), want 1", len(files), err)
	}
	return files[0]
}

// These bytes are the same on every machine and in every release: witnesses
// compare them. A change of this test is a change of the protocol.
func TestMemoryHashIsPartOfTheProtocol(t *testing.T) {
	got := run(t, job(t, storeAndWrite(), ""))
	memory := make([]byte, exec.PageSize)
	copy(memory, []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x7f}) // a canonical NaN
	copy(memory[8:], []byte{0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0})
	want := exec.Result{Output: memory[:8], MemoryHash: sha256.Sum256(memory)}
	if d := cmp.Diff(want, got, withoutElapsed); d != "" {
		t.Errorf("result (-want +got):\n%s", d)
	}
}

// storeAndWrite is a program that stores a NaN at 0, an iovec for its 8 bytes
// at 8, and writes it; fd_write's count goes to 16.
func storeAndWrite() []byte {
	return exec.Module(
		exec.Section(1, exec.Vector([]byte{0x60, 0, 0}, []byte{0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f})),
		exec.Section(2, exec.Vector(exec.Import("wasi_snapshot_preview1", "fd_write", 1))),
		exec.OneFunction, exec.OnePage,
		exec.Section(7, exec.Vector(exec.Export("memory", 2, 0), exec.Export("_start", 0, 1))),
		exec.Section(10, exec.Vector(exec.Body(
			0x41, 0, 0x44, 1, 0, 0, 0, 0, 0, 0xf8, 0xff, 0x39, 3, 0, // f64.store 0: an odd NaN
			0x41, 12, 0x41, 8, 0x36, 2, 0, // i32.store 12: 8 bytes, from 0
			0x41, 1, 0x41, 8, 0x41, 1, 0x41, 16, 0x10, 0, 0x1a, // fd_write(1, 8, 1, 16)
		))),
	)
}

func TestClocksStartAtTheAcceptTimeAndMoveByBeingRead(t *testing.T) {
	const (
		wall, monotonic = 0, 1
		micro           = 1000 // nanoseconds
	)
	j := job(t, readClocks(monotonic, wall, wall, monotonic), "")
	j.AcceptTime = 1_700_000_000_123
	var want []byte
	for _, ns := range []uint64{1e9, 1_700_000_000_123e6 + 1*micro, 1_700_000_000_123e6 + 2*micro, 1e9 + 3*micro} {
		want = binary.LittleEndian.AppendUint64(want, ns)
	}
	if got := run(t, j).Output; !bytes.Equal(got, want) {
		t.Errorf("clocks = %x, want %x", got, want)
	}
}

// readClocks is a program that reads these clocks and writes what they say,
// 8 bytes each.
func readClocks(clocks ...byte) []byte {
	var code []byte
	for i, clock := range clocks { // clock_time_get(clock, 1, 8·i)
		code = append(code, 0x41, clock, 0x42, 1, 0x41, byte(8*i), 0x10, 0, 0x1a)
	}
	size := byte(8 * len(clocks))
	code = append(code,
		0x41, 52, 0x41, size, 0x36, 2, 0, // i32.store 52: the size; from 0
		0x41, 1, 0x41, 48, 0x41, 1, 0x41, 56, 0x10, 1, 0x1a) // fd_write(1, 48, 1, 56)
	return exec.Module(
		exec.Section(1, exec.Vector([]byte{0x60, 0, 0}, []byte{0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f}, []byte{0x60, 3, 0x7f, 0x7e, 0x7f, 1, 0x7f})),
		exec.Section(2, exec.Vector(
			exec.Import("wasi_snapshot_preview1", "clock_time_get", 2), exec.Import("wasi_snapshot_preview1", "fd_write", 1))),
		exec.OneFunction, exec.OnePage,
		exec.Section(7, exec.Vector(exec.Export("memory", 2, 0), exec.Export("_start", 0, 2))),
		exec.Section(10, exec.Vector(exec.Body(code...))),
	)
}

// A Go program sees the same: its time reads the wall clock and then the
// monotonic one, so that between two times there are 2 µs.
func TestGoProgramsSeeTheClocks(t *testing.T) {
	got := string(run(t, job(t, program(t, "probe"), "clock")).Output)
	if want := "2023-11-14T22:13:20.123Z 2000 2µs\n"; got != want {
		t.Errorf("clocks = %q, want %q", got, want)
	}
}

// A sleep passes at once for us and in full for the program: three hours of it
// end long before the time limit.
func TestSleepAdvancesTheClock(t *testing.T) {
	if got, want := string(run(t, job(t, program(t, "probe"), "sleep 3h")).Output), "3h0m0s\n"; got != want {
		t.Errorf("slept %q, want %q", got, want)
	}
}

// random draws the first bytes a program can get by random_get, across the
// border between two chunks.
func TestRandomnessIsHKDFOfTheTask(t *testing.T) {
	var stream []byte
	j := job(t, program(t, "probe"), "random")
	for chunk := range byte(2) {
		info := append([]byte("sage/wasm-random/1"), 0, 0, 0, 0, 0, 0, 0, chunk)
		next, err := hkdf.Key(sha256.New, j.Task.Bytes(), nil, string(info), 255*32)
		if err != nil {
			t.Fatal(err)
		}
		stream = append(stream, next...)
	}
	got := run(t, j).Output
	if len(got) != 10_000 || !bytes.Contains(stream, got) {
		t.Errorf("%d bytes that are not in the stream of the task", len(got))
	}
	j.Task = taskID("another task")
	if bytes.Equal(run(t, j).Output, got) {
		t.Error("two tasks have the same randomness")
	}
}

func TestProgramsSeeCanonicalNaNs(t *testing.T) {
	got := run(t, job(t, program(t, "probe"), "nan"))
	want := strings.Repeat("7ff8000000000000 7fc00000 3ff0000000000000 true\n", 6) +
		"-3 13832806255468478464 1067450368 1.4142135623730951\n"
	if d := cmp.Diff(want, string(got.Output)); d != "" {
		t.Errorf("bits (-want +got):\n%s", d)
	}
}

func TestRunsAtOnceDoNotMeet(t *testing.T) {
	probe, rt := program(t, "probe"), newRuntime(t)
	var wait sync.WaitGroup
	for _, word := range []string{"one", "two", "three", "four"} {
		wait.Go(func() {
			result, err := rt.Run(t.Context(), job(t, probe, "echo\n"+word))
			if err != nil || string(result.Output) != word {
				t.Errorf("output = %q, %v, want %q", result.Output, err, word)
			}
		})
	}
	wait.Wait()
}

// TestStart prints what starting a program costs; it asserts only that the
// second start is served by the cache.
func TestStart(t *testing.T) {
	dir := t.TempDir()
	rt := runtimeIn(t, dir)
	j := job(t, program(t, "probe"), "echo\nhello")
	var elapsed [2]time.Duration
	var cached [2]os.FileInfo
	for i := range elapsed {
		result, err := rt.Run(t.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		elapsed[i] = result.Elapsed
		cached[i], err = os.Stat(onlyCacheFile(t, dir))
		if err != nil {
			t.Fatal(err)
		}
	}
	if !cached[0].ModTime().Equal(cached[1].ModTime()) {
		t.Error("the second run compiled the program again")
	}
	t.Logf("a program of %d KiB: cold %s, warm %s", len(j.Program)>>10, elapsed[0], elapsed[1])
}

func BenchmarkRun(b *testing.B) {
	for _, bb := range []struct {
		name   string
		module []byte
	}{
		{"smallest program", exec.Program()},
		{"Go program", program(b, "probe")},
	} {
		b.Run(bb.name, func(b *testing.B) {
			rt := newRuntime(b)
			j := job(b, bb.module, "echo\nhello")
			run(b, j) // so that its code is in the cache
			for b.Loop() {
				if _, err := rt.Run(b.Context(), j); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	module := program(b, "probe")
	b.SetBytes(int64(len(module)))
	for b.Loop() {
		if err := newRuntime(b).Check(module); err != nil {
			b.Fatal(err)
		}
	}
}

// What a program writes to standard error is told while it runs: the whole of what
// its result has.
func TestLogsAreToldAsTheyCome(t *testing.T) {
	j := job(t, program(t, "probe"), "logs")
	var told []byte
	pieces := 0
	j.Listen.Logs = func(p []byte) { told, pieces = append(told, p...), pieces+1 }
	got := run(t, j)
	if !bytes.Equal(told, got.Logs) || len(told) != exec.MaxLogs || pieces < 2 {
		t.Errorf("told %d bytes in %d pieces, the result has %d", len(told), pieces, len(got.Logs))
	}
}
