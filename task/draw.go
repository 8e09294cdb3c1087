package task

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/ipfs/go-cid"
)

// Beacon is the randomness of a block, which nobody knew two blocks before.
type Beacon [32]byte

// Audited reports whether a beacon draws a task for an audit of probability p.
func Audited(b Beacon, id cid.Cid, p PPM) bool {
	sum := sha256.Sum256(append(append([]byte("sage/audit/1"), b[:]...), id.Bytes()...))
	return PPM(binary.BigEndian.Uint64(sum[:8]))%S < p
}

// Draw returns n of the candidates, or all if they are fewer, uniformly and
// without replacement, in the order in which they were drawn. It does not keep
// or change the slice.
func Draw[T any](b Beacon, id cid.Cid, level Level, n uint64, candidates []T) []T {
	left := append([]T(nil), candidates...)
	drawn := make([]T, 0, min(n, uint64(len(left))))
	lots := lottery{prefix: append(append(append([]byte("sage/seat/1\x00"), b[:]...), id.Bytes()...), byte(level))}
	for uint64(len(drawn)) < n && len(left) > 0 {
		i := lots.below(uint64(len(left)))
		drawn = append(drawn, left[i])
		left = append(left[:i], left[i+1:]...)
	}
	return drawn
}

// lottery is a sequence of numbers that follow from a prefix.
type lottery struct {
	prefix  []byte
	counter uint64
}

// below returns the next number, uniform below n, which is not 0.
func (l *lottery) below(n uint64) uint64 {
	excess := -n % n // 2⁶⁴ mod n: so many of the highest numbers would favour the low ones
	for {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(append([]byte(nil), l.prefix...), l.counter))
		l.counter++
		if x := binary.BigEndian.Uint64(sum[:8]); excess == 0 || x < -excess {
			return x % n
		}
	}
}
