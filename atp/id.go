package atp

import (
	"cmp"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"
	cbg "github.com/whyrusleeping/cbor-gen"
)

// ErrID reports a peer ID that is not that of an Ed25519 key. The sender of
// the message that holds it is to blame.
var ErrID = errors.New("atp: invalid peer ID")

// ID names an account: the peer ID of an Ed25519 key. IDs are comparable; the
// zero ID names nobody and cannot be encoded.
type ID struct{ peer.ID }

// idPrefix is what stands before the key in the peer ID of an Ed25519 key: an
// identity multihash of 36 bytes, which are the protobuf of a public key.
const idPrefix = "\x00\x24\x08\x01\x12\x20"

// idSize is the length of every ID in bytes.
const idSize = len(idPrefix) + ed25519.PublicKeySize

// IDFromKey returns the ID of an Ed25519 public key.
func IDFromKey(key [ed25519.PublicKeySize]byte) ID {
	return ID{peer.ID(idPrefix + string(key[:]))}
}

// IDFromPeer returns p as an ID, or [ErrID] if its key is not an Ed25519 one.
func IDFromPeer(p peer.ID) (ID, error) {
	if len(p) != idSize || string(p[:len(idPrefix)]) != idPrefix {
		return ID{}, fmt.Errorf("%w: have %d bytes, want the %d of an Ed25519 key", ErrID, len(p), idSize)
	}
	return ID{p}, nil
}

// ParseID reads an ID in the form written by String: base58, 12D3KooW….
func ParseID(s string) (ID, error) {
	p, err := peer.Decode(s)
	if err != nil || p.String() != s {
		return ID{}, fmt.Errorf("%w: have %.60q, want one such as 12D3KooW…", ErrID, s)
	}
	return IDFromPeer(p)
}

// Key returns the public key. That of the zero ID is all zero.
func (id ID) Key() [ed25519.PublicKeySize]byte {
	var key [ed25519.PublicKeySize]byte
	if len(id.ID) == idSize {
		copy(key[:], id.ID[len(idPrefix):])
	}
	return key
}

// IsZero reports whether id names nobody.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders IDs by their bytes.
func Compare(a, b ID) int { return cmp.Compare(a.ID, b.ID) }

// UnmarshalText reads the form that [ParseID] reads.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// UnmarshalJSON reads a string that [ParseID] reads.
func (id *ID) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("%w: %w", ErrID, err)
	}
	return id.UnmarshalText([]byte(s))
}

// MarshalCBOR writes id as a byte string; the zero ID is an error.
func (id ID) MarshalCBOR(w io.Writer) error {
	if _, err := IDFromPeer(id.ID); err != nil {
		return err
	}
	return cbg.WriteByteArray(w, []byte(id.ID))
}

// UnmarshalCBOR reads a byte string that is the peer ID of an Ed25519 key.
func (id *ID) UnmarshalCBOR(r io.Reader) error {
	b, err := cbg.ReadByteArray(r, uint64(idSize))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrID, err)
	}
	*id, err = IDFromPeer(peer.ID(b))
	return err
}

// OptionalID is an ID, or the zero ID where nobody is named. It is encoded as
// the ID or as null.
type OptionalID struct{ ID }

// MarshalJSON writes the ID as a string, or null.
func (o OptionalID) MarshalJSON() ([]byte, error) {
	if o.IsZero() {
		return []byte("null"), nil
	}
	return o.ID.MarshalJSON()
}

// UnmarshalJSON reads what MarshalJSON writes.
func (o *OptionalID) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*o = OptionalID{}
		return nil
	}
	return o.ID.UnmarshalJSON(data)
}

// MarshalCBOR writes the ID, or null.
func (o OptionalID) MarshalCBOR(w io.Writer) error {
	if o.IsZero() {
		_, err := w.Write(cbg.CborNull)
		return err
	}
	return o.ID.MarshalCBOR(w)
}

// UnmarshalCBOR reads what MarshalCBOR writes.
func (o *OptionalID) UnmarshalCBOR(r io.Reader) error {
	cr := cbg.NewCborReader(r)
	first, err := cr.ReadByte()
	if err != nil {
		return err
	}
	if first == cbg.CborNull[0] {
		*o = OptionalID{}
		return nil
	}
	if err := cr.UnreadByte(); err != nil {
		return err
	}
	return o.ID.UnmarshalCBOR(cr)
}
