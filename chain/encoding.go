package chain

import (
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/sage-p2p/sage-p2p/atp"
)

// DecodeExactly reads v from all of raw, which must be its one canonical form
// of at most limit bytes: nothing may follow the value, text is valid UTF-8,
// CIDs are v1 sha2-256 of dag-cbor or raw, and what was read encodes to raw
// again. Otherwise the error wraps [ErrMalformed].
//
// The shape is checked before anything is allocated for it: a length that
// lies is found without cost.
func DecodeExactly(raw []byte, limit int, v atp.Value) error {
	if len(raw) > limit {
		return fmt.Errorf("%w: have %d bytes, want at most %d", ErrMalformed, len(raw), limit)
	}
	if err := checkShape(raw); err != nil {
		return err
	}
	if err := atp.Decode(raw, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// encode returns the canonical form of v. It fails only for a value that has
// none: an undefined CID, or a field over its bound.
func encode(v cbg.CBORMarshaler) ([]byte, error) {
	raw, err := atp.Encode(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return raw, nil
}

// address encodes v and returns its CID with the bytes.
func address(v cbg.CBORMarshaler) (cid.Cid, []byte, error) {
	raw, err := encode(v)
	if err != nil {
		return cid.Undef, nil, err
	}
	return atp.Sum(raw), raw, nil
}

// writeUnion writes a union as [number, value].
func writeUnion(w io.Writer, number uint64, v cbg.CBORMarshaler) error {
	cw := cbg.NewCborWriter(w)
	if err := cw.WriteMajorTypeHeader(cbg.MajArray, 2); err != nil {
		return err
	}
	if err := cw.WriteMajorTypeHeader(cbg.MajUnsignedInt, number); err != nil {
		return err
	}
	return v.MarshalCBOR(cw)
}

// readUnion reads a union, [number, value], up to the value.
func readUnion(cr *cbg.CborReader) (uint64, error) {
	major, n, err := cr.ReadHeader()
	if err != nil {
		return 0, err
	}
	if major != cbg.MajArray || n != 2 {
		return 0, fmt.Errorf("%w: a union is [number, value]", ErrMalformed)
	}
	major, number, err := cr.ReadHeader()
	if err != nil {
		return 0, err
	}
	if major != cbg.MajUnsignedInt {
		return 0, fmt.Errorf("%w: a union begins with a number", ErrMalformed)
	}
	return number, nil
}

// maxDepth bounds how deep the values of this package nest.
const maxDepth = 16

// cidTag is DAG-CBOR's only tag.
const cidTag = 42

// cidLength is the length of a CIDv1 with a sha2-256 digest, in bytes.
const cidLength = 36

// checkShape reports whether raw is exactly one DAG-CBOR item as this package
// makes them: minimal heads, lengths that the rest of raw can hold, no maps,
// no floats.
func checkShape(raw []byte) error {
	rest, err := skipItem(raw, maxDepth)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: %d bytes follow the value", ErrMalformed, len(rest))
	}
	return nil
}

// skipItem checks the first item of raw and returns what follows it.
func skipItem(raw []byte, depth int) ([]byte, error) {
	major, n, rest, err := readHead(raw)
	if err != nil {
		return nil, err
	}
	if depth == 0 {
		return nil, fmt.Errorf("%w: nested deeper than %d", ErrMalformed, maxDepth)
	}
	switch major {
	case cbg.MajUnsignedInt, cbg.MajNegativeInt:
		return rest, nil
	case cbg.MajByteString, cbg.MajTextString, cbg.MajArray:
		// An array of n items takes at least n bytes.
		if n > uint64(len(rest)) {
			return nil, fmt.Errorf("%w: have %d bytes, want at least %d", ErrMalformed, len(rest), n)
		}
	}
	switch major {
	case cbg.MajByteString:
		return rest[n:], nil
	case cbg.MajTextString:
		if !utf8.Valid(rest[:n]) {
			return nil, fmt.Errorf("%w: text is not UTF-8", ErrMalformed)
		}
		return rest[n:], nil
	case cbg.MajArray:
		for range n {
			if rest, err = skipItem(rest, depth-1); err != nil {
				return nil, err
			}
		}
		return rest, nil
	case cbg.MajTag:
		return skipLink(rest, n)
	case cbg.MajOther:
		if raw[0] == cbg.CborBoolFalse[0] || raw[0] == cbg.CborBoolTrue[0] || raw[0] == cbg.CborNull[0] {
			return rest, nil
		}
	}
	return nil, fmt.Errorf("%w: item of kind 0x%02x", ErrMalformed, raw[0])
}

// skipLink checks the CID that follows a tag.
func skipLink(raw []byte, tag uint64) ([]byte, error) {
	if tag != cidTag {
		return nil, fmt.Errorf("%w: tag %d", ErrMalformed, tag)
	}
	major, n, rest, err := readHead(raw)
	if err != nil {
		return nil, err
	}
	if major != cbg.MajByteString || n != 1+cidLength || n > uint64(len(rest)) || rest[0] != 0 {
		return nil, fmt.Errorf("%w: tag without a CID", ErrMalformed)
	}
	if err := checkCIDBytes(rest[1:n]); err != nil {
		return nil, err
	}
	return rest[n:], nil
}

func checkCIDBytes(b []byte) error {
	codec := b[1]
	if b[0] != 1 || (codec != cid.DagCBOR && codec != cid.Raw) ||
		b[2] != multihash.SHA2_256 || b[3] != 32 {
		return fmt.Errorf("%w: CID is not v1 sha2-256 of dag-cbor or raw", ErrMalformed)
	}
	return nil
}

// readHead reads the head of an item, which must be of minimal length.
func readHead(raw []byte) (major byte, n uint64, rest []byte, err error) {
	if len(raw) == 0 {
		return 0, 0, nil, fmt.Errorf("%w: ends early", ErrMalformed)
	}
	major, low := raw[0]>>5, raw[0]&0x1f
	if low < 24 {
		return major, uint64(low), raw[1:], nil
	}
	if low > 27 {
		return 0, 0, nil, fmt.Errorf("%w: indefinite or reserved length", ErrMalformed)
	}
	width := 1 << (low - 24)
	if len(raw) < 1+width {
		return 0, 0, nil, fmt.Errorf("%w: ends early", ErrMalformed)
	}
	var wide [8]byte
	copy(wide[8-width:], raw[1:1+width])
	n = binary.BigEndian.Uint64(wide[:])
	least := [...]uint64{24, 1 << 8, 1 << 16, 1 << 32}[low-24]
	if n < least || major == cbg.MajOther {
		return 0, 0, nil, fmt.Errorf("%w: head 0x%02x is not minimal", ErrMalformed, raw[0])
	}
	return major, n, raw[1+width:], nil
}
