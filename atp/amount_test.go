package atp_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/sage-p2p/sage-p2p/atp"
)

func TestParseAmount(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want atp.Amount
	}{
		{"0", 0},
		{"50", 50 * atp.ATP},
		{"1.5", 1_500_000},
		{"1.500000", 1_500_000},
		{"0.000001", 1},
		{"007", 7 * atp.ATP},
		{"18446744073709.551615", math.MaxUint64},
	} {
		if got, err := atp.ParseAmount(tt.in); err != nil || got != tt.want {
			t.Errorf("ParseAmount(%q) = %d, %v, want %d", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{
		"", ".", "1.", ".5", "-1", "+1", "1e3", "0x10", "1_000", "1,5", " 1", "1 ", "1.5.0", "1.-5", "١",
		"0.0000001", "1.0000000", "18446744073709.551616", "99999999999999999999999", "1 ATP", "NaN", "\x00",
	} {
		if got, err := atp.ParseAmount(in); !errors.Is(err, atp.ErrAmount) || got != 0 {
			t.Errorf("ParseAmount(%q) = %d, %v, want an ErrAmount", in, got, err)
		}
	}
}

func TestAnAmountIsReadBackAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := atp.Amount(rapid.Uint64().Draw(t, "amount"))
		if got, err := atp.ParseAmount(want.String()); err != nil || got != want {
			t.Fatalf("ParseAmount(%q) = %d, %v, want %d", want.String(), got, err, want)
		}
	})
	for want, a := range map[string]atp.Amount{"0": 0, "50": 50 * atp.ATP, "1.5": 1_500_000, "0.000001": 1} {
		if got := a.String(); got != want {
			t.Errorf("Amount(%d).String() = %q, want %q", uint64(a), got, want)
		}
	}
}

func TestSumsAndDifferencesAreChecked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := atp.Amount(rapid.Uint64().Draw(t, "a")), atp.Amount(rapid.Uint64().Draw(t, "b"))
		exact := new(big.Int).Add(wide(uint64(a)), wide(uint64(b)))
		switch sum, err := a.Add(b); {
		case exact.IsUint64() && (err != nil || uint64(sum) != exact.Uint64()):
			t.Fatalf("%d + %d = %d, %v, want %s", a, b, sum, err, exact)
		case !exact.IsUint64() && !errors.Is(err, atp.ErrOverflow):
			t.Fatalf("%d + %d = %d, %v, want an ErrOverflow", a, b, sum, err)
		}
		switch diff, err := a.Sub(b); {
		case a >= b && (err != nil || diff != a-b):
			t.Fatalf("%d - %d = %d, %v, want %d", a, b, diff, err, a-b)
		case a < b && !errors.Is(err, atp.ErrInsufficient):
			t.Fatalf("%d - %d = %d, %v, want an ErrInsufficient", a, b, diff, err)
		}
	})
}

func TestDivisionsAreThoseOfUnboundedIntegers(t *testing.T) {
	edges := rapid.OneOf(rapid.Uint64(), rapid.Uint64Max(20), rapid.Map(rapid.Uint64Max(20), func(x uint64) uint64 { return math.MaxUint64 - x }))
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := edges.Draw(t, "a"), edges.Draw(t, "b"), edges.Draw(t, "c")
		product := new(big.Int).Mul(wide(a), wide(b))
		floor, ceil, root := wide(math.MaxUint64), wide(math.MaxUint64), wide(math.MaxUint64)
		if c > 0 {
			var rest big.Int
			floor, _ = new(big.Int).QuoRem(product, wide(c), &rest)
			ceil = new(big.Int).Set(floor)
			if rest.Sign() > 0 {
				ceil.Add(ceil, wide(1))
			}
			root = new(big.Int).Sqrt(floor)
		}
		for _, result := range []struct {
			name string
			got  uint64
			want *big.Int
		}{
			{"MulDiv", atp.MulDiv(a, b, c), floor},
			{"CeilDiv", atp.CeilDiv(a, b, c), ceil},
			{"SqrtMulDiv", atp.SqrtMulDiv(a, b, c), root},
		} {
			want := uint64(math.MaxUint64)
			if result.want.IsUint64() {
				want = result.want.Uint64()
			}
			if result.got != want {
				t.Fatalf("%s(%d, %d, %d) = %d, want %d", result.name, a, b, c, result.got, want)
			}
		}
	})
}

func wide(x uint64) *big.Int { return new(big.Int).SetUint64(x) }
