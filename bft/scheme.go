package bft

import (
	"crypto/sha256"
	"io"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// Claim is a signature to be checked: signer signed message.
type Claim struct {
	Signer    ID
	Message   []byte
	Signature Signature
}

// Scheme judges signatures. Both methods give every signature the same
// verdict; a network whose members mixed two schemes could be split.
type Scheme interface {
	// Verify judges one signature.
	Verify(Claim) bool
	// VerifyBatch judges many at once and answers for each. Entropy keeps a
	// forger from balancing one bad signature against another.
	VerifyBatch(entropy io.Reader, batch []Claim) []bool
}

// ZIP215 is the scheme of every real network: Ed25519 as judged by ZIP-215,
// the one rule under which single and batch verification always agree.
type ZIP215 struct{}

func zip215() *ed25519.Options { return &ed25519.Options{Verify: ed25519.VerifyOptionsZIP_215} }

// Verify implements [Scheme].
func (ZIP215) Verify(c Claim) bool {
	key := c.Signer.Key()
	return ed25519.VerifyWithOptions(key[:], c.Message, c.Signature[:], zip215())
}

// VerifyBatch implements [Scheme]. A reader of entropy that fails makes it
// fall back to judging one by one.
func (z ZIP215) VerifyBatch(entropy io.Reader, batch []Claim) []bool {
	verdicts := make([]bool, len(batch))
	var seed [32]byte
	if entropy == nil || len(batch) < 2 || readSeed(entropy, &seed) != nil {
		for i, c := range batch {
			verdicts[i] = z.Verify(c)
		}
		return verdicts
	}
	v := ed25519.NewBatchVerifierWithCapacity(len(batch))
	for _, c := range batch {
		key := c.Signer.Key()
		v.AddWithOptions(key[:], c.Message, c.Signature[:], zip215())
	}
	_, verdicts = v.Verify(&stream{seed: seed})
	return verdicts
}

func readSeed(r io.Reader, seed *[32]byte) error {
	_, err := io.ReadFull(r, seed[:])
	return err
}

// stream stretches a seed without end: SHA-256(seed ‖ counter). The batch
// verifier panics when its reader fails; this one cannot.
type stream struct {
	seed    [32]byte
	counter uint64
	left    []byte
}

// Read implements [io.Reader] and always fills p.
func (s *stream) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		if len(s.left) == 0 {
			block := sha256.Sum256(appendUint64(s.seed[:], s.counter))
			s.left, s.counter = block[:], s.counter+1
		}
		k := copy(p[n:], s.left)
		n, s.left = n+k, s.left[k:]
	}
	return len(p), nil
}

// InsecureSimulation is a scheme for simulators and tests alone: signing takes
// no key, so that anyone can sign for anyone. It costs one hash.
type InsecureSimulation struct{}

// Sign returns what the scheme takes for signer's signature of message.
func (InsecureSimulation) Sign(signer ID, message []byte) (s Signature) {
	var room [256]byte // which is enough for all that validators sign
	h := sha256.Sum256(append(append(room[:0], signer.ID...), message...))
	copy(s[:], "insecure simulation signature")
	copy(s[32:], h[:])
	return s
}

// Verify implements [Scheme].
func (i InsecureSimulation) Verify(c Claim) bool {
	return c.Signature == i.Sign(c.Signer, c.Message)
}

// VerifyBatch implements [Scheme].
func (i InsecureSimulation) VerifyBatch(_ io.Reader, batch []Claim) []bool {
	verdicts := make([]bool, len(batch))
	for j, c := range batch {
		verdicts[j] = i.Verify(c)
	}
	return verdicts
}
