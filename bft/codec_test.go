package bft

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	cbor "github.com/ipfs/go-ipld-cbor"
)

var rewriteVectors = flag.Bool("vectors.rewrite", false, "write testdata/encodings.txt anew")

// The bytes on the wire and on disk do not change by accident.
func TestEncodingsAreThoseRecorded(t *testing.T) {
	s := newSigners(t, 4)
	var names, lines []string
	for _, n := range []string{"Proposal", "PREPARE", "COMMIT", "first Timeout", "Timeout", "CommitCert"} {
		names = append(names, n)
		lines = append(lines, n+": "+hex.EncodeToString(Encode(s.messages()[n])))
	}
	lines = append(lines, "Record: "+hex.EncodeToString(spoken(t).Encode()))
	got := strings.Join(lines, "\n") + "\n"
	const file = "testdata/encodings.txt"
	if *rewriteVectors {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("encodings of %v changed; have\n%s", names, got)
	}
}

// Any DAG-CBOR tool reads what we write.
func TestMessagesAreDAGCBOR(t *testing.T) {
	for name, m := range newSigners(t, 4).messages() {
		var v any
		if err := cbor.DecodeInto(Encode(m), &v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheDecoderTakesOneFormOnly(t *testing.T) {
	good := Encode(newSigners(t, 4).messages()["PREPARE"])
	at := func(i int, b ...byte) []byte { // replaces the byte at i
		return append(append(bytes.Clone(good[:i]), b...), good[i+1:]...)
	}
	if good[3] != 3-1 && good[2] != 0x86 {
		t.Fatalf("the layout of a vote changed: %x", good[:8])
	}
	for name, b := range map[string][]byte{
		"nothing":                  {},
		"cut short":                good[:len(good)-1],
		"something after":          append(bytes.Clone(good), 0),
		"a long head":              at(0, 0x98, 2),
		"a number not in its form": at(3, 0x18, 2),
		"five fields":              at(2, 0x85),
		"an endless array":         at(0, 0x9f),
		"an unknown message":       at(1, 9),
		"a map":                    {0xa0},
		"a huge length":            at(2, 0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"too long":                 make([]byte, MaxMessage+1),
	} {
		if _, err := Decode(b); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: have %v, want ErrInvalid", name, err)
		}
	}
}

func TestPayloadsAreCapped(t *testing.T) {
	s := newSigners(t, 4)
	p := *s.messages()["Proposal"].(*Proposal)
	for size, ok := range map[int]bool{MaxPayload: true, MaxPayload + 1: false} {
		p.Payload = make([]byte, size)
		if _, err := Decode(Encode(&p)); (err == nil) != ok {
			t.Errorf("payload of %d bytes: %v, want accepted: %v", size, err, ok)
		}
	}
}

func TestTheLargestMessageFits(t *testing.T) {
	n := MaxValidators
	q := quorum(n)
	qc := &QC{1 << 62, MaxView, testBlock("a"), newBitmap(n), make([]Signature, q)}
	tc := &TC{1 << 62, MaxView, newBitmap(n), make([]TimeoutMark, q), qc}
	for i := range tc.Timeouts {
		tc.Timeouts[i] = TimeoutMark{MaxView, MaxView, Signature{}}
	}
	p := &Proposal{1 << 62, MaxView, testBlock("a"), make([]byte, MaxPayload), tc, Signature{}}
	s := &Status{1 << 62, MaxView, 1<<62 - 1, testBlock("f"), 1 << 62, qc, tc, &Signed{Statement{KindCommit, 1 << 62, MaxView, testBlock("a"), NoView}, testSet(1).ID(0), Signature{}}, 1<<64 - 1, 1<<64 - 1}
	for _, m := range []Message{p, s} {
		b := Encode(m)
		if _, err := Decode(b); err != nil || len(b) > MaxMessage {
			t.Errorf("%v of %d bytes: %v", m.Position().Kind, len(b), err)
		}
	}
}

func TestIdentitiesAreEd25519Only(t *testing.T) {
	id := testSet(1).ID(0)
	back, err := ParseID(id.String())
	if err != nil || back != id || IDFromKey(id.Key()) != id {
		t.Errorf("ParseID(%s) = %v, %v", id, back, err)
	}
	var buf bytes.Buffer
	if err := id.MarshalCBOR(&buf); err != nil {
		t.Fatal(err)
	}
	var read ID
	if err := read.UnmarshalCBOR(&buf); err != nil || read != id {
		t.Errorf("CBOR: have %v, %v, want %s", read, err, id)
	}
	for _, s := range []string{"", "nobody", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N" /* RSA */} {
		if _, err := ParseID(s); !errors.Is(err, ErrInvalid) {
			t.Errorf("ParseID(%q): have %v, want ErrInvalid", s, err)
		}
	}
	if err := (ID{}).MarshalCBOR(&buf); !errors.Is(err, ErrInvalid) {
		t.Errorf("nobody has a CBOR form: %v", err)
	}
}

func FuzzDecodeMessage(f *testing.F) {
	s := newSigners(f, 4)
	for _, m := range s.messages() {
		f.Add(Encode(m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("error of no class: %v", err)
			}
			return
		}
		if !bytes.Equal(Encode(m), b) {
			t.Fatalf("%x decodes to what encodes as %x", b, Encode(m))
		}
		if _, err := s.Verify(m); err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrStale) && !errors.Is(err, ErrAhead) {
			t.Fatalf("error of no class: %v", err)
		}
	})
}

func FuzzDecodeCertificate(f *testing.F) {
	s := newSigners(f, 4)
	for _, by := range [][]int{{0, 1, 2}, {0, 1, 2, 3}} {
		var buf bytes.Buffer
		if err := (*CommitCert)(s.qc(KindCommit, 1, "a", by...)).MarshalCBOR(&buf); err != nil {
			f.Fatal(err)
		}
		f.Add(buf.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var c CommitCert
		in := bytes.NewReader(b)
		if err := c.UnmarshalCBOR(in); err != nil {
			return
		}
		var out bytes.Buffer
		if err := c.MarshalCBOR(&out); err != nil || !bytes.Equal(out.Bytes(), b[:len(b)-in.Len()]) {
			t.Fatalf("%x decodes to what encodes as %x, %v", b, out.Bytes(), err)
		}
		if err := s.CommitCert(&c); err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatalf("error of no class: %v", err)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(NewRecord().Encode())
	r := NewRecord()
	r = r.Keep(timeout4(3, qc4(2, "a")), testSet(4).ID(0), Signature{1})
	f.Add(r.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRecord(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error of no class: %v", err)
			}
			return
		}
		if !bytes.Equal(r.Encode(), b) {
			t.Fatalf("%x decodes to what encodes as %x", b, r.Encode())
		}
	})
}
