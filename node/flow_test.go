package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/multiformats/go-varint"

	"github.com/sage-p2p/sage-p2p/node/wire"
)

// begins is the first frame of a flow of this number.
func begins(begun uint64) []byte { return append([]byte{blobHere}, varint.ToUvarint(begun)...) }

// bit is a piece of a flow.
func bit(text string) []byte { return append([]byte{flowPiece}, text...) }

func TestAFlowIsHeardOnlyAsItShouldBe(t *testing.T) {
	const most = 8
	pause, end := []byte{flowPause}, []byte{flowEnd}
	for _, tt := range []struct {
		name   string
		in     [][]byte
		follow bool
		want   error
		heard  string
	}{
		{"from where it was", [][]byte{begins(7), bit("cd"), end}, true, nil, "abcd"},
		{"of another beginning", [][]byte{begins(8), bit("x"), end}, true, nil, "x"},
		{"as far as there is", [][]byte{begins(7), bit("c"), pause, bit("d")}, false, nil, "abc"},
		{"over pauses", [][]byte{begins(7), bit("c"), pause, pause, bit("d"), end}, true, nil, "abcd"},
		{"until it breaks off", [][]byte{begins(7), bit("c")}, true, io.EOF, "abc"},
		{"refused", [][]byte{append([]byte{blobRefused}, "no"...)}, true, errRefused, "ab"},
		{"an empty answer", [][]byte{{}}, true, errRefused, "ab"},
		{"without a number", [][]byte{{blobHere}}, true, errLied, "ab"},
		{"with more than a number", [][]byte{append(begins(7), 0)}, true, errLied, "ab"},
		{"more than there can be", [][]byte{begins(7), bit("123456"), bit("7")}, true, errLied, "ab123456"},
		{"an empty piece", [][]byte{begins(7), {flowPiece}}, true, errLied, "ab"},
		{"an end that goes on", [][]byte{begins(7), append(end, 1)}, true, errLied, "ab"},
		{"an unknown frame", [][]byte{begins(7), {9}}, true, errLied, "ab"},
		{"a huge piece", [][]byte{begins(7), bit(strings.Repeat("x", maxPiece+1))}, true, errLied, "ab"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			into := newTale(most)
			into.restart(7)
			into.add([]byte("ab"))
			s := &half{in: tt.in}
			err := hearFlow(s, wire.FlowRequest{Task: someCID("task"), Flow: wire.Text, Begun: 7, From: 2}, into, tt.follow)
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("hearFlow = %v, want %v", err, tt.want)
			}
			if got := string(into.look(0, 0).piece); got != tt.heard {
				t.Errorf("heard %q, want %q", got, tt.heard)
			}
		})
	}
}

func TestAFlowThatOnlyPausesIsLeft(t *testing.T) {
	s := &half{in: [][]byte{begins(7)}}
	for range maxPauses + 2 {
		s.in = append(s.in, []byte{flowPause})
	}
	if err := hearFlow(s, wire.FlowRequest{Task: someCID("task"), Flow: wire.Text}, newTale(1), true); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("hearFlow = %v", err)
	}
	if len(s.in) == 0 {
		t.Error("it was heard to its end")
	}
}

// script is a side of a stream that hands each frame on, and waits until it is taken.
type script struct {
	half
	frames chan []byte
}

func (s *script) WriteFrame(f []byte) error {
	s.frames <- bytes.Clone(f)
	return nil
}

func TestAFlowIsToldAsItComes(t *testing.T) {
	told := newTale(1 << 20)
	told.add([]byte("abc"))
	begun := told.look(0, 0).begun
	s := &script{frames: make(chan []byte)}
	done := make(chan error, 1)
	go func() {
		done <- tellFlow(t.Context(), s, told, wire.FlowRequest{Flow: wire.Text, Begun: begun, From: 1}, time.Hour)
	}()
	expect := func(want []byte) {
		t.Helper()
		if got := <-s.frames; !bytes.Equal(got, want) {
			t.Fatalf("told %q, want %q", got, want)
		}
	}
	expect(begins(begun))
	expect(bit("bc"))
	expect([]byte{flowPause})
	long := strings.Repeat("x", maxPiece+1)
	told.add([]byte(long))
	expect(bit(long[:maxPiece]))
	expect(bit("x"))
	told.again()
	if err := <-done; err != nil {
		t.Fatalf("after a new beginning: %v", err)
	}

	told.add([]byte("new"))
	go func() {
		done <- tellFlow(t.Context(), s, told, wire.FlowRequest{Flow: wire.Text, Begun: begun, From: 1}, time.Millisecond)
	}()
	expect(begins(begun + 1))
	expect(bit("new"))
	expect([]byte{flowPause})
	expect([]byte{flowPause}) // a sign of life
	told.end()
	for f := range s.frames {
		if f[0] == flowEnd {
			break
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- tellFlow(ctx, s, newTale(1), wire.FlowRequest{}, time.Hour) }()
	<-s.frames
	<-s.frames
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("at the end of the host: %v", err)
	}
}

func TestATaleIsBounded(t *testing.T) {
	told := newTale(4)
	if !told.add([]byte("abcd")) || told.add([]byte("e")) || string(told.look(0, 0).piece) != "abcd" {
		t.Errorf("told %q", told.look(0, 0).piece)
	}
	if at := told.look(told.look(0, 0).begun, 99); at.from != 0 {
		t.Errorf("from beyond the end it is told from %d", at.from)
	}
}

func TestWholeRunes(t *testing.T) {
	for text, want := range map[string]int{"": 0, "a": 1, "ä": 2, "\xc3": 0, "a€"[:2]: 1, "a€"[:3]: 1, "a€": 4, "𝄞"[:3]: 0, "\xff\xff": 2, "\x80\x80\x80\x80": 4} {
		if got := wholeRunes([]byte(text)); got != want {
			t.Errorf("wholeRunes(%q) = %d, want %d", text, got, want)
		}
	}
}

// FuzzFlow: whatever frames come, what is heard is bounded.
func FuzzFlow(f *testing.F) {
	f.Add([]byte("\x01\x07\x00\x01abc\x00\x02\x00\x03"))
	f.Add([]byte("\x01\x80\x00\x09"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		into := newTale(16)
		err := hearFlow(&half{in: bytes.Split(raw, []byte{0})}, wire.FlowRequest{Task: someCID("task"), Flow: wire.Logs}, into, true)
		if len(into.look(0, 0).piece) > 16 {
			t.Errorf("heard %d bytes", len(into.look(0, 0).piece))
		}
		if err == nil && !into.look(0, 0).over {
			t.Error("it ended without an end")
		}
	})
}
