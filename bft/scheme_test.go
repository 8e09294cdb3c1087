package bft

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// smallOrder is the 14 encodings of the 8 points of small order, canonical and
// not (ZIP-215's test vectors).
func smallOrder(t *testing.T) [][32]byte {
	var points [][32]byte
	for _, s := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		points = append(points, [32]byte(b))
	}
	return points
}

// Signatures of small order, 14 keys by 14 points, are where implementations
// differ. ZIP-215 takes them all, alone and in a batch.
func TestSmallOrderSignaturesAreJudgedAlikeSingleAndInABatch(t *testing.T) {
	var batch []Claim
	for _, key := range smallOrder(t) {
		for _, r := range smallOrder(t) {
			c := Claim{Signer: IDFromKey(key), Message: []byte("Zcash")}
			copy(c.Signature[:32], r[:]) // and s = 0
			batch = append(batch, c)
		}
	}
	if len(batch) != 196 {
		t.Fatalf("%d cases, want 196", len(batch))
	}
	for i, ok := range (ZIP215{}).VerifyBatch(bytes.NewReader(make([]byte, 64)), batch) {
		if alone := (ZIP215{}).Verify(batch[i]); !ok || !alone {
			t.Errorf("key %x, R %x: alone %v, in a batch %v, want both", batch[i].Signer.Key(), batch[i].Signature[:32], alone, ok)
		}
	}
}

func TestABatchSaysWhichSignatureIsBad(t *testing.T) {
	s := newSigners(t, 7)
	var batch []Claim
	for i := range 7 {
		m := []byte(fmt.Sprint("message ", i))
		batch = append(batch, Claim{s.Set.ID(i), m, Signature(ed25519.Sign(s.keys[i], m))})
	}
	want := []bool{true, true, true, false, true, false, true}
	batch[3].Signature[7] ^= 1
	batch[5].Message = batch[0].Message
	for name, entropy := range map[string]io.Reader{
		"with entropy": bytes.NewReader(make([]byte, 64)), "entropy that fails": failing{}, "none": nil,
	} {
		if got := (ZIP215{}).VerifyBatch(entropy, batch); !slices.Equal(got, want) {
			t.Errorf("%s: verdicts %v, want %v", name, got, want)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

// Both schemes keep the promise of the interface.
func TestSchemesGiveOneVerdict(t *testing.T) {
	s := newSigners(t, 4)
	for name, scheme := range map[string]struct {
		Scheme
		sign func(i int, m []byte) Signature
	}{
		"ZIP215":             {ZIP215{}, func(i int, m []byte) Signature { return Signature(ed25519.Sign(s.keys[i], m)) }},
		"InsecureSimulation": {InsecureSimulation{}, func(i int, m []byte) Signature { return InsecureSimulation{}.Sign(s.Set.ID(i), m) }},
	} {
		t.Run(name, func(t *testing.T) {
			var batch []Claim
			for i := range 4 {
				m := []byte{byte(i)}
				batch = append(batch, Claim{s.Set.ID(i), m, scheme.sign(i, m)})
			}
			batch[1].Signer = s.Set.ID(2)
			batch[2].Message = []byte("other")
			got := scheme.VerifyBatch(bytes.NewReader(make([]byte, 64)), batch)
			if want := []bool{true, false, false, true}; !slices.Equal(got, want) {
				t.Errorf("verdicts %v, want %v", got, want)
			}
			for i, c := range batch {
				if alone := scheme.Verify(c); alone != got[i] {
					t.Errorf("claim %d: alone %v, in a batch %v", i, alone, got[i])
				}
			}
		})
	}
}

func BenchmarkVerifyCommitCert(b *testing.B) {
	for _, n := range []int{4, 28, 100} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			s := newSigners(b, n)
			s.Entropy = endless{}
			by := make([]int, s.Set.Quorum())
			for i := range by {
				by[i] = i
			}
			cert := (*CommitCert)(s.qc(KindCommit, 0, "a", by...))
			for b.Loop() {
				if err := s.CommitCert(cert); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
