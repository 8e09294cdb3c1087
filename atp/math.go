package atp

import (
	"math"
	"math/bits"
)

// MulDiv returns ⌊a·b/c⌋ with a 128-bit product: a scaled by the ratio b/c.
// It is total: a quotient that does not fit, or c = 0, gives the largest
// value, which no checked sum accepts.
func MulDiv[A, B ~uint64](a A, b, c B) A {
	q, _ := mulDiv(uint64(a), uint64(b), uint64(c))
	return A(q)
}

// CeilDiv is [MulDiv] rounded up.
func CeilDiv[A, B ~uint64](a A, b, c B) A {
	q, rest := mulDiv(uint64(a), uint64(b), uint64(c))
	if rest == 0 || q == math.MaxUint64 {
		return A(q)
	}
	return A(q + 1)
}

func mulDiv(a, b, c uint64) (q, rest uint64) {
	hi, lo := bits.Mul64(a, b)
	if hi >= c { // also when c is 0
		return math.MaxUint64, 0
	}
	return bits.Div64(hi, lo, c)
}

// SqrtMulDiv returns ⌊√⌊a·b/c⌋⌋, where neither the product nor the quotient
// need fit in 64 bits. For c = 0 it gives the largest value.
func SqrtMulDiv(a, b, c uint64) uint64 {
	if c == 0 {
		return math.MaxUint64
	}
	hi, lo := bits.Mul64(a, b)
	qhi, rest := bits.Div64(0, hi, c)
	qlo, _ := bits.Div64(rest, lo, c)
	return sqrt(qhi, qlo)
}

// sqrt returns the floor of the square root of hi·2⁶⁴+lo, bit by bit.
func sqrt(hi, lo uint64) uint64 {
	var root uint64
	for bit := uint64(1) << 63; bit != 0; bit >>= 1 {
		try := root | bit
		if h, l := bits.Mul64(try, try); h < hi || h == hi && l <= lo {
			root = try
		}
	}
	return root
}
