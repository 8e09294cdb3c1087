package atp

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	cbg "github.com/whyrusleeping/cbor-gen"
)

//go:generate go run ./gen/gen.go

// ErrEncoding reports bytes that are not the one canonical form of a value.
// Their sender is to blame.
var ErrEncoding = errors.New("atp: not canonical")

// A Value can be encoded and decoded.
type Value interface {
	cbg.CBORMarshaler
	cbg.CBORUnmarshaler
}

// usualSize is what most values fit in, encoded.
const usualSize = 448

// Encode returns the canonical DAG-CBOR of v.
func Encode(v cbg.CBORMarshaler) ([]byte, error) {
	b := bytes.NewBuffer(make([]byte, 0, usualSize))
	if err := v.MarshalCBOR(b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Decode reads into v the whole of data, which must be its canonical form:
// what v encodes to is data again, or the answer is [ErrEncoding].
func Decode(data []byte, v Value) error {
	r := bytes.NewReader(data)
	if err := v.UnmarshalCBOR(r); err != nil {
		return fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	if r.Len() > 0 {
		return fmt.Errorf("%w: have %d bytes after the value, want none", ErrEncoding, r.Len())
	}
	again := comparison{want: data, same: true}
	if err := v.MarshalCBOR(&again); err != nil {
		return fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	if !again.same || again.written != len(data) {
		return fmt.Errorf("%w: have %d bytes, want the %d bytes of its one form", ErrEncoding, len(data), again.written)
	}
	return nil
}

// comparison compares what is written with what is wanted.
type comparison struct {
	want    []byte // what is left of it
	same    bool   // so far
	written int
}

// Write implements [io.Writer].
func (c *comparison) Write(p []byte) (int, error) {
	c.same = c.same && bytes.HasPrefix(c.want, p)
	c.want = c.want[min(len(p), len(c.want)):]
	c.written += len(p)
	return len(p), nil
}

// WriteString implements [io.StringWriter], so that no text is copied.
func (c *comparison) WriteString(s string) (int, error) {
	c.same = c.same && len(s) <= len(c.want) && string(c.want[:len(s)]) == s
	c.want = c.want[min(len(s), len(c.want)):]
	c.written += len(s)
	return len(s), nil
}

// Sum returns the CID of encoded DAG-CBOR: version 1, SHA-256.
func Sum(data []byte) cid.Cid { return sum(cid.DagCBOR, data) }

// SumBlob returns the CID of raw bytes: version 1, SHA-256.
func SumBlob(data []byte) cid.Cid { return sum(cid.Raw, data) }

func sum(codec uint64, data []byte) cid.Cid {
	digest := sha256.Sum256(data)
	hash := [2 + sha256.Size]byte{multihash.SHA2_256, sha256.Size} // both are below 128: varints of one byte
	copy(hash[2:], digest[:])
	return cid.NewCidV1(codec, hash[:])
}

// Names reports whether id is [Sum] of data.
func Names(id cid.Cid, data []byte) bool {
	digest := sha256.Sum256(data)
	key := id.KeyString()
	return len(key) == len(sumPrefix)+len(digest) && key[:len(sumPrefix)] == sumPrefix && key[len(sumPrefix):] == string(digest[:])
}

// sumPrefix is what every [Sum] begins with: version, codec, hash and its length.
const sumPrefix = "\x01\x71\x12\x20"

// CheckCID returns [ErrEncoding] unless c is version 1, SHA-256, and of one of
// the codecs.
func CheckCID(c cid.Cid, codecs ...uint64) error {
	if !c.Defined() {
		return fmt.Errorf("%w: CID is missing", ErrEncoding)
	}
	p := c.Prefix()
	if p.Version != 1 || p.MhType != multihash.SHA2_256 || p.MhLength != 32 || !slices.Contains(codecs, p.Codec) {
		return fmt.Errorf("%w: CID %s: have version %d, codec %#x, hash %#x, want version 1, SHA-256, codec in %#x",
			ErrEncoding, c, p.Version, p.Codec, p.MhType, codecs)
	}
	return nil
}
