package exec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"pgregory.net/rapid"
)

func TestJobCrossesThePipe(t *testing.T) {
	task, err := cid.V1Builder{Codec: cid.DagCBOR, MhType: multihash.SHA2_256}.Sum([]byte("a task"))
	if err != nil {
		t.Fatal(err)
	}
	job := Job{Task: task, Program: []byte("program"), Input: []byte("input"), AcceptTime: 1 << 63, MemoryPages: 7, OutputLimit: 9}
	var pipe bytes.Buffer
	if err := writeJob(&pipe, job, "/a/cache"); err != nil {
		t.Fatal(err)
	}
	head, program, input, err := readJob(&pipe)
	if err != nil {
		t.Fatal(err)
	}
	want := childJob{task.Bytes(), 1 << 63, 7, 9, "/a/cache"}
	if d := cmp.Diff(want, head); d != "" || string(program) != "program" || string(input) != "input" {
		t.Errorf("%q on %q, job (-want +got):\n%s", program, input, d)
	}
}

func TestErrorKeepsItsClassAcrossThePipe(t *testing.T) {
	for _, class := range []error{ErrHost, ErrNotWASM, ErrTooLarge, ErrProgram, ErrInvalid, ErrResourceLimit} {
		sent := fmt.Errorf("%w: for a reason", class)
		var pipe bytes.Buffer
		if err := writeAnswer(&pipe, Result{}, sent); err != nil {
			t.Fatal(err)
		}
		_, got := readAnswer(&pipe, 0, Listener{})
		if got.Error() != sent.Error() {
			t.Errorf("error = %q, want %q", got, sent)
		}
		for _, other := range []error{ErrHost, ErrNotWASM, ErrTooLarge, ErrProgram, ErrInvalid, ErrResourceLimit} {
			if errors.Is(got, other) != errors.Is(sent, other) {
				t.Errorf("%v is %v: %v, want %v", got, other, errors.Is(got, other), errors.Is(sent, other))
			}
		}
	}
	var pipe bytes.Buffer
	if err := writeAnswer(&pipe, Result{}, errors.New(strings.Repeat("long ", 10_000))); err != nil {
		t.Fatal(err)
	}
	if _, err := readAnswer(&pipe, 0, Listener{}); !errors.Is(err, ErrHost) || len(err.Error()) > maxReason {
		t.Errorf("an error of no class comes as one of %d bytes, %v", len(err.Error()), errors.Is(err, ErrHost))
	}
}

// A child runs hostile code, which may have taken it over. Nothing that it
// can send is more than an error of this machine.
func TestChildThatBreaksTheProtocol(t *testing.T) {
	frame := func(kind byte, payload ...byte) string {
		var b bytes.Buffer
		writeFrame(&b, kind, payload)
		return b.String()
	}
	zeros := make([]byte, 32)
	for _, tt := range []struct {
		name string
		sent string
	}{
		{"a kind of its own", frame('x', 1)},
		{"a frame that only the parent sends", frame(frameInput, 1)},
		{"a length of 4 GiB", "r\xff\xff\xff\xff"},
		{"an output over the limit", frame(frameResult, append(append([]byte{0}, zeros...), make([]byte, 100)...)...)},
		{"logs over the limit", frame(frameLogs, make([]byte, MaxLogs+1)...)},
		{"a result without a hash", frame(frameResult, 0, 1, 2)},
		{"neither success nor failure", frame(frameResult, append([]byte{2}, zeros...)...)},
		{"a failure with another output", frame(frameResult, append(append([]byte{1}, zeros...), "fine"...)...)},
		{"a refusal of no class", frame(frameRefusal)},
		{"a refusal of an unknown class", frame(frameRefusal, 200)},
	} {
		result, err := readAnswer(strings.NewReader(tt.sent), 99, Listener{})
		if !errors.Is(err, ErrHost) || result.Output != nil {
			t.Errorf("%s: %v with output %q, want %v", tt.name, err, result.Output, ErrHost)
		}
	}
	for _, sent := range []string{"", "r\x00", "l\x00\x00\x00\x05ab", frame(frameLogs, 'a')} {
		if _, err := readAnswer(strings.NewReader(sent), 99, Listener{}); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("silence after %q: %v, want the end of input", sent, err)
		}
	}
}

func TestLogsAreCapped(t *testing.T) {
	var pipe bytes.Buffer
	for range 3 {
		if err := writeFrame(&pipe, frameLogs, bytes.Repeat([]byte{'x'}, MaxLogs-1)); err != nil {
			t.Fatal(err)
		}
	}
	if result, _ := readAnswer(&pipe, 0, Listener{}); len(result.Logs) != MaxLogs {
		t.Errorf("%d bytes of logs, want %d", len(result.Logs), MaxLogs)
	}
}

// Whatever a child sends, the parent ends with a result that could be sent
// again or an error, and keeps no more than the limits allow.
func FuzzChildProtocol(f *testing.F) {
	for _, err := range append(refusals, nil) {
		var pipe bytes.Buffer
		writeFrame(&pipe, frameLogs, []byte("hello"))
		writeAnswer(&pipe, Result{Output: []byte("output")}, err)
		f.Add(pipe.Bytes())
	}
	f.Add([]byte("r\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		const limit = 64
		result, err := readAnswer(bytes.NewReader(sent), limit, Listener{})
		if len(result.Logs) > MaxLogs || len(result.Output) > limit {
			t.Fatalf("kept %d bytes of logs and %d of output", len(result.Logs), len(result.Output))
		}
		if err != nil {
			return
		}
		var pipe bytes.Buffer
		if err := writeAnswer(&pipe, result, nil); err != nil {
			t.Fatal(err)
		}
		again, err := readAnswer(&pipe, limit, Listener{})
		again.Logs = result.Logs
		if d := cmp.Diff(result, again); d != "" || err != nil {
			t.Fatalf("%v, the result sent again (-first +second):\n%s", err, d)
		}
	})
}

func TestFailedIsDAGCBOR(t *testing.T) {
	for code, want := range map[int64]string{
		TrapCode:  "\x82\x66failed\x20",
		3:         "\x82\x66failed\x03",
		24:        "\x82\x66failed\x18\x18",
		1<<32 - 1: "\x82\x66failed\x1a\xff\xff\xff\xff",
	} {
		if got := string(EncodeFailed(code)); got != want {
			t.Errorf("EncodeFailed(%d) = %x, want %x", code, got, want)
		}
	}
	for _, other := range []string{
		"", "fine", "\x82\x66failed", "\x82\x66failed\x00", "\x82\x66failed\x18\x03", "\x82\x66failed\x21",
		"\x82\x66failed\x03\x00", "\x83\x66failed\x03", "\x82\x66failed\x1b\x00\x00\x00\x01\x00\x00\x00\x00",
	} {
		if code, failed := DecodeFailed([]byte(other)); failed {
			t.Errorf("DecodeFailed(%x) = %d, want no failure", other, code)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.OneOf(rapid.Just[int64](TrapCode), rapid.Int64Range(1, 1<<32-1)).Draw(t, "code")
		encoded := EncodeFailed(want)
		if got, failed := DecodeFailed(encoded); !failed || got != want {
			t.Fatalf("decoded %d, %v, want %d", got, failed, want)
		}
		if len(encoded) > maxFailed {
			t.Fatalf("%d bytes, want at most %d", len(encoded), maxFailed)
		}
	})
}
