package chain

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/sage-p2p/sage-p2p/atp"
)

// linked returns the encoding of a link and a text.
func linked(link, text []byte) []byte {
	b := []byte{0x82, 0xd8, 0x2a}
	b = append(append(b, cbg.CborEncodeMajorType(cbg.MajByteString, uint64(len(link)))...), link...)
	return append(append(b, cbg.CborEncodeMajorType(cbg.MajTextString, uint64(len(text)))...), text...)
}

func TestOnlyOneShapeOfEachValueIsTaken(t *testing.T) {
	good := append([]byte{0}, atp.Sum([]byte("x")).Bytes()...)
	v0, err := multihash.Sum([]byte("x"), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	short := append([]byte{0, 1, cid.DagCBOR, multihash.SHA2_256, 20}, make([]byte, 32)...)
	for _, tt := range []struct {
		name string
		raw  []byte
		want bool
	}{
		{"a link and a text", linked(good, []byte("thor")), true},
		{"a raw link", linked(append([]byte{0}, atp.SumBlob(nil).Bytes()...), nil), true},
		{"nothing", nil, false},
		{"a byte after the value", append(linked(good, nil), 0), false},
		{"the value twice", append(linked(good, nil), linked(good, nil)...), false},
		{"text that is not UTF-8", linked(good, []byte{0xff}), false},
		{"text cut within a rune", linked(good, []byte("ø")[:1]), false},
		{"a link without the identity prefix", linked(append([]byte{1}, good[1:]...), nil), false},
		{"a link of version 0", linked(append([]byte{0}, v0...), nil), false},
		{"a link with another hash", linked(bytes.Replace(good, []byte{multihash.SHA2_256, 32}, []byte{0x16, 32}, 1), nil), false},
		{"a link with another codec", linked(bytes.Replace(good, []byte{1, cid.DagCBOR}, []byte{1, 0x70}, 1), nil), false},
		{"a link with a lying digest length", linked(short, nil), false},
		{"an empty link", linked(nil, nil), false},
		{"another tag", []byte{0xc2, 0x41, 1}, false},
		{"a head that is not minimal", []byte{0x18, 0x05}, false},
		{"a head of two bytes that is not minimal", []byte{0x19, 0x00, 0xff}, false},
		{"a head of four bytes that is not minimal", []byte{0x1a, 0, 0, 0xff, 0xff}, false},
		{"a head of eight bytes that is not minimal", []byte{0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, false},
		{"the largest number", []byte{0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, true},
		{"a negative number", []byte{0x20}, true},
		{"a head that ends early", []byte{0x19, 0x01}, false},
		{"an array that is longer than the rest", []byte{0x9b, 0, 0, 0, 1, 0, 0, 0, 0}, false},
		{"bytes that are longer than the rest", []byte{0x5a, 0xff, 0xff, 0xff, 0xff}, false},
		{"an indefinite array", []byte{0x9f, 0xff}, false},
		{"a map", []byte{0xa0}, false},
		{"a float", []byte{0xf9, 0, 0}, false},
		{"undefined", []byte{0xf7}, false},
		{"true, false and null", []byte{0x83, 0xf5, 0xf4, 0xf6}, true},
		{"true in two bytes", []byte{0xf8, 0x15}, false},
		{"nested to the limit", append(bytes.Repeat([]byte{0x81}, maxDepth-1), 0), true},
		{"nested too deep", append(bytes.Repeat([]byte{0x81}, maxDepth), 0), false},
		{"nested without end", bytes.Repeat([]byte{0x81}, 1<<20), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := checkShape(tt.raw)
			if got := err == nil; got != tt.want {
				t.Errorf("taken = %v, want %v: %v", got, tt.want, err)
			}
			if err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v does not blame the sender", err)
			}
		})
	}
}

func TestALyingLengthCostsNothing(t *testing.T) {
	// A transaction whose operations claim to be 2³² many.
	raw := append([]byte{0x87, 1}, 0x9a, 0xff, 0xff, 0xff, 0xff)
	got := testing.AllocsPerRun(10, func() {
		if _, err := DecodeTx(raw); !errors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
	})
	if got > 20 {
		t.Errorf("%v allocations", got)
	}
}

func TestATupleOfAnotherLengthIsRefused(t *testing.T) {
	raw, err := encode(&TaskCancel{Task: atp.Sum(nil)})
	if err != nil {
		t.Fatal(err)
	}
	var c TaskCancel
	if err := DecodeExactly(raw, len(raw), &c); err != nil {
		t.Fatal(err)
	}
	if err := DecodeExactly(raw, len(raw)-1, &c); !errors.Is(err, ErrMalformed) {
		t.Errorf("over the limit: %v", err)
	}
	longer := append([]byte{0x82}, append(bytes.Clone(raw[1:]), 0)...)
	if err := DecodeExactly(longer, 100, &c); !errors.Is(err, ErrMalformed) {
		t.Errorf("a field too many: %v", err)
	}
}
