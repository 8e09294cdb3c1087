package p2p

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
)

func protocolID(s string) protocol.ID { return protocol.ID(s) }

// memory is a source without deadlines.
type memory struct{ io.Reader }

func (memory) SetReadDeadline(time.Time) error { return nil }

func TestFramesAreReadHoweverTheyAreCut(t *testing.T) {
	want := [][]byte{{1}, bytes.Repeat([]byte{2}, 127), bytes.Repeat([]byte{3}, 128), bytes.Repeat([]byte{4}, 300_000)}
	var wire []byte
	for _, f := range want {
		wire = appendFrame(wire, f)
	}
	for name, cut := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r },
		"bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "with the error": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			r := newFrameReader(memory{cut(bytes.NewReader(wire))}, MaxFrame)
			for _, f := range want {
				got, err := r.next(0, 0)
				if err != nil || !bytes.Equal(got, f) {
					t.Fatalf("have %d bytes, %v, want %d", len(got), err, len(f))
				}
			}
			if _, err := r.next(0, 0); err != io.EOF {
				t.Errorf("at the end: %v, want io.EOF", err)
			}
		})
	}
}

// P2: a length alone allocates next to nothing.
func TestALyingLengthAllocatesLittle(t *testing.T) {
	wire := appendFrame(nil, make([]byte, MaxResponse))[:100]
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const n = 100
	for range n {
		if _, err := newFrameReader(memory{bytes.NewReader(wire)}, MaxResponse).next(0, 0); !errors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / n; each > 2*chunkSize {
		t.Errorf("a lie of 16 MiB allocates %d bytes", each)
	}
}

func TestALimitBelowTheProtocolsBlamesNobody(t *testing.T) {
	r := newFrameReader(memory{bytes.NewReader(appendFrame(nil, make([]byte, 10)))}, 100)
	_, err := r.nextUpTo(5, 0, 0)
	if !errors.Is(err, ErrTooLarge) || blameworthy(err) {
		t.Errorf("have %v, want ErrTooLarge without blame", err)
	}
}

func FuzzFrameReader(f *testing.F) {
	f.Add(appendFrame(appendFrame(nil, []byte("a")), []byte("bc")))
	f.Add([]byte{0})
	f.Add([]byte{0x80, 0x00})
	f.Add([]byte{0xff, 0xff, 0xff, 0x7f, 1})
	f.Fuzz(func(t *testing.T, wire []byte) {
		r := newFrameReader(memory{bytes.NewReader(wire)}, 1<<10)
		var again []byte
		for {
			frame, err := r.next(0, 0)
			if err == io.EOF {
				if !bytes.Equal(again, wire) {
					t.Fatalf("read as %x, want %x", again, wire)
				}
				return
			}
			if err != nil {
				if !errors.Is(err, ErrMalformed) {
					t.Fatalf("error %v does not blame the sender", err)
				}
				return
			}
			if len(frame) == 0 || len(frame) > 1<<10 {
				t.Fatalf("a frame of %d bytes", len(frame))
			}
			again = appendFrame(again, frame)
		}
	})
}
