package bft

import (
	"errors"
	"testing"
)

func TestTwoQuorumsShareACorrectValidatorAndOneExistsWithoutTheFaulty(t *testing.T) {
	for n := 1; n <= MaxValidators; n++ {
		set := testSet(n)
		f, q := set.F(), set.Quorum()
		if f != (n-1)/3 {
			t.Errorf("n = %d: f = %d, want %d", n, f, (n-1)/3)
		}
		if 2*q-n < f+1 {
			t.Errorf("n = %d: two quorums of %d share %d, want at least %d", n, q, 2*q-n, f+1)
		}
		if q > n-f {
			t.Errorf("n = %d: quorum %d is more than the %d that answer", n, q, n-f)
		}
		if smaller := q - 1; 2*smaller-n >= f+1 {
			t.Errorf("n = %d: quorum %d is larger than it must be", n, q)
		}
	}
}

func TestSizesAreThoseOfTheDesign(t *testing.T) {
	for _, tt := range []struct{ n, f, q int }{
		{1, 0, 1}, {2, 0, 2}, {3, 0, 2}, {4, 1, 3}, {5, 1, 4}, {6, 1, 4}, {7, 2, 5},
		{10, 3, 7}, {13, 4, 9}, {28, 9, 19}, {100, 33, 67},
	} {
		if f, q := faults(tt.n), quorum(tt.n); f != tt.f || q != tt.q {
			t.Errorf("n = %d: f = %d, q = %d, want %d, %d", tt.n, f, q, tt.f, tt.q)
		}
	}
}

func TestLeadersRotateByHeightAndView(t *testing.T) {
	set := testSet(4)
	for _, tt := range []struct {
		h    Height
		v    View
		want int
	}{
		{0, 0, 0}, {1, 0, 1}, {1, 3, 0}, {7, 2, 1},
		{1<<64 - 1, 1, 0}, // 2^64−1 is 3 mod 4: the sum must not wrap around before it is reduced
	} {
		if got, _ := set.Index(set.Leader(tt.h, tt.v)); got != tt.want {
			t.Errorf("Leader(%d, %d) = %d, want %d", tt.h, tt.v, got, tt.want)
		}
	}
	set = testSet(5)
	if got, _ := set.Index(set.Leader(1<<64-1, 1)); got != 1 { // 2^64−1 is 0 mod 5
		t.Errorf("Leader(2^64−1, 1) of 5 = %d, want 1", got)
	}
	if got := set.Leader(1, NoView); !got.IsZero() {
		t.Errorf("Leader(1, NoView) = %s, want nobody", got)
	}
	if got := (ValidatorSet{}).Leader(1, 0); !got.IsZero() {
		t.Errorf("the empty set is led by %s", got)
	}
}

func TestAValidatorSetRefusesNobodyTooManyAndTwins(t *testing.T) {
	ids := testSet(3).IDs()
	for _, tt := range []struct {
		name string
		ids  []ID
	}{
		{"nobody", nil},
		{"the same twice", []ID{ids[0], ids[1], ids[0]}},
		{"an empty ID", []ID{ids[0], {}}},
		{"101", make([]ID, MaxValidators+1)},
	} {
		if _, err := NewValidatorSet(tt.ids...); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: have %v, want ErrInvalid", tt.name, err)
		}
	}
}

func TestASetIsItsMembersInAnyOrder(t *testing.T) {
	ids := testSet(3).IDs()
	turned, err := NewValidatorSet(ids[2], ids[0], ids[1])
	if err != nil {
		t.Fatal(err)
	}
	if turned.Hash() != testSet(3).Hash() || turned.Hash() == testSet(4).Hash() {
		t.Error("the hash of a set is not that of its members")
	}
	ids[0] = ids[1]
	if turned.ID(0) == turned.ID(1) {
		t.Error("a set changed with the slice it was made of")
	}
}
