package bft

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

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
