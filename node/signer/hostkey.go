package signer

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// hostKey is the key as libp2p needs it: it proves who we are in handshakes.
// It signs nothing of ours, and it does not give the key away. It holds for
// what libp2p signs (noise, TLS, signed records, pubsub), each of which has a
// prefix of its own.
type hostKey struct {
	crypto.PrivKey
}

func newHostKey(key ed25519.PrivateKey) (hostKey, error) {
	k, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		return hostKey{}, fmt.Errorf("signer: %w", err)
	}
	return hostKey{k}, nil
}

// Sign refuses every domain of ours.
func (k hostKey) Sign(message []byte) ([]byte, error) {
	if strings.HasPrefix(string(message), domainPrefix) {
		return nil, fmt.Errorf("%w: the host signs for libp2p only", ErrRefused)
	}
	return k.PrivKey.Sign(message)
}

// Raw returns a secret that depends on the key, not the key. QUIC derives its
// reset tokens from it.
func (k hostKey) Raw() ([]byte, error) {
	raw, err := k.PrivKey.Raw()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte(domainPrefix+"host-secret/1"), raw...))
	return sum[:], nil
}

// Equals compares public keys: one key has one.
func (k hostKey) Equals(o crypto.Key) bool {
	other, ok := o.(crypto.PrivKey)
	return ok && k.GetPublic().Equals(other.GetPublic())
}
