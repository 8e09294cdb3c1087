package bft

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
)

// Height is a block's number. The genesis has height 0, the first block 1.
type Height uint64

// View is an attempt, with its own leader, to agree on one height.
// Views count from 0.
type View int64

const (
	// NoView is the view of something that has not happened, below every
	// view, so that "v > prepared" reads as in the paper.
	NoView View = -1

	// MaxView bounds the views of messages. No height gets there (timers
	// grow with the view), and below it no view arithmetic overflows.
	MaxView View = 1 << 32
)

// UnixMillis is a platform's clock as it tells it in Status: milliseconds
// since 1970. This package carries it and never reads it.
type UnixMillis uint64

// GenesisHash names the chain. Every signature covers it, so that nothing
// signed for one chain counts on another.
type GenesisHash [32]byte

// String writes g in hexadecimal.
func (g GenesisHash) String() string { return hex.EncodeToString(g[:]) }

// Signature is an Ed25519 signature, judged by ZIP-215 ([ZIP215]).
type Signature [64]byte

// idSize is the length of an Ed25519 peer ID: an identity multihash of a
// protobuf with the key type and the 32 bytes of the key.
const idSize = 38

// idPrefix is what precedes the key in every Ed25519 peer ID.
const idPrefix = "\x00\x24\x08\x01\x12\x20"

// ID is a platform's identity: a libp2p peer ID that holds an Ed25519 key.
// IDs made by this package are always of that form; the zero ID is nobody.
type ID struct{ peer.ID }

// IDFromKey returns the identity of an Ed25519 public key.
func IDFromKey(key [32]byte) ID { return ID{peer.ID(idPrefix + string(key[:]))} }

// ParseID reads the text form of a peer ID. It fails with [ErrInvalid] for
// anything but an Ed25519 identity.
func ParseID(s string) (ID, error) {
	p, err := peer.Decode(s)
	if err != nil {
		return ID{}, fmt.Errorf("%w: peer ID %q: %v", ErrInvalid, s, err)
	}
	return idFromBytes([]byte(p))
}

func idFromBytes(b []byte) (ID, error) {
	if len(b) != idSize || !strings.HasPrefix(string(b), idPrefix) {
		return ID{}, fmt.Errorf("%w: peer ID: have %d bytes (%.6x…), want %d of an Ed25519 identity", ErrInvalid, len(b), b, idSize)
	}
	return ID{peer.ID(b)}, nil
}

// Key returns the Ed25519 public key inside id; all zeros for the zero ID.
func (id ID) Key() (key [32]byte) {
	if len(id.ID) == idSize {
		copy(key[:], id.ID[len(idPrefix):])
	}
	return key
}

// IsZero reports whether id is nobody.
func (id ID) IsZero() bool { return id.ID == "" }

// String writes id in its usual text form, or "nobody".
func (id ID) String() string {
	if id.IsZero() {
		return "nobody"
	}
	return id.ID.String()
}

// Compare orders identities by their bytes, which is the order of validators.
func (id ID) Compare(other ID) int { return strings.Compare(string(id.ID), string(other.ID)) }

// blockSize is the length of a block ID: CIDv1, dag-cbor, sha2-256.
const blockSize = 36

// blockPrefix is what precedes the digest in every block ID.
var blockPrefix = []byte{1, cid.DagCBOR, multihash.SHA2_256, 32}

func isBlock(b []byte) bool { return len(b) == blockSize && bytes.HasPrefix(b, blockPrefix) }
