package chain

import (
	"errors"
	"io"
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
)

// flipped gives f the file with every n-th bit flipped, one at a time.
func flipped(raw []byte, n int, f func(bit int, raw []byte)) {
	for bit := 0; bit < 8*len(raw); bit += n {
		raw[bit/8] ^= 1 << (bit % 8)
		f(bit, raw)
		raw[bit/8] ^= 1 << (bit % 8)
	}
}

// remembering judges by ZIP-215, and the same signature once.
type remembering map[string]bool

func (r remembering) Verify(c bft.Claim) bool {
	key := string(c.Signer.ID) + string(c.Signature[:]) + string(c.Message)
	good, known := r[key]
	if !known {
		good = bft.ZIP215{}.Verify(c)
		r[key] = good
	}
	return good
}

func (r remembering) VerifyBatch(_ io.Reader, batch []bft.Claim) []bool {
	good := make([]bool, len(batch))
	for i, c := range batch {
		good[i] = r.Verify(c)
	}
	return good
}

func TestNoBitOfAProofCanBeFlipped(t *testing.T) {
	g, w := founded(t, 1)
	k := seven()
	s := newShelf(w, func(h bft.Height) []key { return map[bool][]key{true: k[:1], false: k[4:7]}[h <= 2] })
	id := paid(t, s)
	for name, of := range map[string]struct {
		Proof
		every int // all bits of the smaller one, and one of each byte, always another, of the other
	}{"account": {s.account(w.keys[4].id), 1}, "task": {s.task(id), 9}} {
		t.Run(name, func(t *testing.T) {
			raw, err := of.Encode()
			must(t, err)
			scheme := remembering{}
			flipped(raw, of.every, func(bit int, raw []byte) {
				p, err := DecodeProof(raw)
				if err == nil {
					_, err = p.Verify(scheme, nil, g)
				}
				if !errors.Is(err, ErrInvalid) {
					t.Fatalf("bit %d of byte %d: %v", bit%8, bit/8, err)
				}
			})
			t.Logf("every bit of %d in %d bytes", of.every, len(raw))
		})
	}
}
