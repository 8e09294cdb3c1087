package sim

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Whatever is written where, sparse bytes read like plain ones.
func TestSparseBytesReadLikePlainOnes(t *testing.T) {
	const size = 5*pageSize + 100
	r := rand.New(rand.NewPCG(1, 2))
	plain, s, other := make([]byte, size), newSparse(size), newSparse(size)
	for range 300 {
		from := r.IntN(size)
		p := make([]byte, r.IntN(min(size-from, 2*pageSize)+1))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		if len(p) > pageSize/2 && r.IntN(2) == 0 {
			s.write(p, from)
			copy(plain[from:], p)
		}
		other.write(p, from)
		if r.IntN(4) == 0 {
			other.assign(s)
			got := make([]byte, size)
			if other.read(got, 0); !bytes.Equal(got, plain) {
				t.Fatal("assigned bytes differ")
			}
		}
		got := make([]byte, len(p))
		if s.read(got, from); !bytes.Equal(got, plain[from:from+len(p)]) {
			t.Fatalf("%d bytes at %d differ", len(p), from)
		}
	}
}
