// Package atp is the token and its one law: µATP is neither made nor lost.
//
// A [Ledger] moves [Amount]s between the places a [State] holds: what an
// account has available, what it has locked, what it has bonded, the common
// pool, and what was discharged. It performs no input or output of its own,
// reads no clock and draws no random number; time comes in as a [Clock].
//
// # Invariants
//
//	A2  available + locked + bonded + pool + discharged = supply, after every
//	    operation. A change takes amounts into its hand and puts them down
//	    again, and is not written unless the hand is empty.
//	A3  every lock ends exactly once, by commit, rollback or settlement, and
//	    no one's silence keeps it open: a lock outside a task stands in the
//	    state's index of deadlines, and after its deadline anyone may end it.
//
// An operation reads everything, decides, and only then writes. If it returns
// an error that wraps [ErrRefused] it has written nothing. Any other error is
// the State's own: what was written is then unknown, and the caller drops it.
package atp

import (
	"fmt"
	"strconv"
	"strings"
)

// Amount is a quantity of ATP in µATP, the smallest unit there is. The whole
// supply fits in one.
type Amount uint64

// ATP is one whole token.
const ATP Amount = 1_000_000

// MaxAmount is the largest Amount.
const MaxAmount = ^Amount(0)

// decimals is the number of digits after the point of an amount in ATP.
const decimals = 6

// Add returns a + b, or [ErrOverflow].
func (a Amount) Add(b Amount) (Amount, error) {
	if sum := a + b; sum >= a {
		return sum, nil
	}
	return 0, fmt.Errorf("%w: %s + %s", ErrOverflow, a, b)
}

// Sub returns a - b, or [ErrInsufficient].
func (a Amount) Sub(b Amount) (Amount, error) {
	if b > a {
		return 0, fmt.Errorf("%w: have %s ATP, want %s ATP", ErrInsufficient, a, b)
	}
	return a - b, nil
}

// String writes a in ATP, as briefly as is exact: 50, 1.5, 0.000001.
func (a Amount) String() string {
	whole := strconv.FormatUint(uint64(a/ATP), 10)
	rest := a % ATP
	if rest == 0 {
		return whole
	}
	return whole + "." + strings.TrimRight(fmt.Sprintf("%06d", uint64(rest)), "0")
}

// ParseAmount reads an amount in ATP: digits, and at most six more after a
// point. A sign, an exponent, a blank, a separator or a bare point is refused
// with [ErrAmount], as is what does not fit in an Amount.
func ParseAmount(s string) (Amount, error) {
	whole, fraction, point := strings.Cut(s, ".")
	switch {
	case !isDigits(whole) || point && !isDigits(fraction):
		return 0, fmt.Errorf("%w: have %.40q, want digits and at most one point, such as 50 or 1.5", ErrAmount, s)
	case len(fraction) > decimals:
		return 0, fmt.Errorf("%w: have %d decimals in %.40q, want at most %d: the smallest unit is 0.000001 ATP",
			ErrAmount, len(fraction), s, decimals)
	}
	digits := whole + fraction + strings.Repeat("0", decimals-len(fraction))
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: have %.40q, want at most %s ATP", ErrAmount, s, MaxAmount)
	}
	return Amount(n), nil
}

func isDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
