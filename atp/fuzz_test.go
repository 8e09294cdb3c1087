package atp

import (
	"errors"
	"testing"
)

// FuzzAmount reads what people and configuration files write for an amount.
func FuzzAmount(f *testing.F) {
	for _, s := range []string{"0", "1.5", "0.000001", "18446744073709.551615", "18446744073709.551616", "1e9", "-1", " 1", "007", "1.", ".5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAmount(s)
		if err != nil {
			if !errors.Is(err, ErrAmount) || a != 0 {
				t.Fatalf("%q: %v with %s: want ErrAmount and nothing", s, err, a)
			}
			return
		}
		if again, err := ParseAmount(a.String()); err != nil || again != a {
			t.Fatalf("%q is %s, read as %s: %v", s, a, again, err)
		}
	})
}

// FuzzID reads what people and files write for a platform: its one form.
func FuzzID(f *testing.F) {
	f.Add(IDFromKey([32]byte{1}).String())
	f.Add("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N")
	f.Add("12D3KooW")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err != nil {
			if !errors.Is(err, ErrID) || !id.IsZero() {
				t.Fatalf("%q: %v with %s: want ErrID and nobody", s, err, id)
			}
			return
		}
		if id.String() != s || IDFromKey(id.Key()) != id {
			t.Fatalf("%q is read as %s", s, id)
		}
	})
}
