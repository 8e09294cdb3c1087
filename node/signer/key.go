package signer

import (
	stded25519 "crypto/ed25519"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

	"github.com/sage-p2p/sage-p2p/bft"
)

// edKey is the real key.
type edKey struct {
	id      bft.ID
	private stded25519.PrivateKey
}

// NewKey returns an Ed25519 key as a [Key].
func NewKey(private stded25519.PrivateKey) Key {
	var public [stded25519.PublicKeySize]byte
	copy(public[:], private[stded25519.SeedSize:])
	return edKey{bft.IDFromKey(public), private}
}

func (k edKey) ID() bft.ID { return k.id }

func (k edKey) Sign(message []byte) bft.Signature {
	return bft.Signature(stded25519.Sign(k.private, message))
}

func (k edKey) ProveBeacon(below bft.Beacon, h bft.Height) bft.BeaconProof {
	return bft.ProveBeacon(ed25519.PrivateKey(k.private), below, h)
}
