package bft

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
)

// smallOrder is the 14 encodings of the 8 points of small order.
func smallOrder(t *testing.T) (points [][32]byte) {
	t.Helper()
	file, err := os.ReadFile("testdata/small_order.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(file)), "\n")[1:] {
		b, err := hex.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		points = append(points, [32]byte(b))
	}
	return points
}

// crafted is the signature of a point R of small order, with s = 0.
func crafted(r [32]byte) (s Signature) {
	copy(s[:], r[:])
	return s
}

// Signatures of small order, 14 keys by 14 points, are where implementations
// differ. ZIP-215 takes them all, alone and in a batch.
func TestSmallOrderSignaturesAreJudgedAlikeSingleAndInABatch(t *testing.T) {
	var batch []Claim
	for _, key := range smallOrder(t) {
		for _, r := range smallOrder(t) {
			batch = append(batch, Claim{IDFromKey(key), []byte("Zcash"), crafted(r)})
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

// Fourteen validators whose keys are the points of small order: each signs
// everything with each point. Every path takes all of it: a message alone, our
// own when it is sealed, and certificates with entropy for a batch and without.
func TestSmallOrderSignaturesOnEveryPath(t *testing.T) {
	points := smallOrder(t)
	var ids []ID
	for _, key := range points {
		ids = append(ids, IDFromKey(key))
	}
	set, err := NewValidatorSet(ids...)
	if err != nil {
		t.Fatal(err)
	}
	block := testBlock("a")
	for shift := range points {
		with := func(i int) Signature { return crafted(points[(i+shift)%len(points)]) }
		for name, v := range map[string]Verifier{
			"batch": {Scheme: ZIP215{}, Height: 9, Set: set, Entropy: endless{}},
			"alone": {Scheme: ZIP215{}, Height: 9, Set: set},
		} {
			judge := func(what string, m Message) {
				t.Helper()
				if _, err := v.Verify(m); err != nil {
					t.Errorf("%s, R shifted by %d: %s: %v", name, shift, what, err)
				}
			}
			cert := &CommitCert{9, 0, block, newBitmap(set.Len()), nil}
			qc := &QC{9, 0, block, newBitmap(set.Len()), nil}
			tc := &TC{9, 0, newBitmap(set.Len()), nil, nil}
			for i := range set.Len() {
				cert.Signers.set(i)
				cert.Signatures = append(cert.Signatures, with(i))
				if i < set.Quorum() {
					qc.Signers.set(i)
					qc.Signatures = append(qc.Signatures, with(i))
					tc.Signers.set(i)
					tc.Timeouts = append(tc.Timeouts, TimeoutMark{0, NoView, with(i)})
				}
				judge("PREPARE", &Vote{KindPrepare, 9, 0, block, set.ID(i), with(i)})
				judge("COMMIT", &Vote{KindCommit, 9, 0, block, set.ID(i), with(i)})
				judge("Timeout", &Timeout{9, 0, nil, set.ID(i), with(i)})
				u := Unsigned{Statement: Statement{KindTimeout, 9, 0, cid.Undef, NoView}}
				if _, err := v.Seal(u, set.ID(i), with(i)); err != nil {
					t.Errorf("%s, R shifted by %d: own Timeout: %v", name, shift, err)
				}
			}
			judge("CommitCert", cert)
			judge("Timeout with a QC", &Timeout{9, 0, qc, set.ID(0), with(0)})
			judge("Proposal on a TC", &Proposal{9, 1, block, nil, tc, with(1)})
			judge("Status", &Status{9, 0, 8, block, 1, qc, tc, &Signed{Statement{KindCommit, 9, 0, block, NoView}, set.ID(2), with(2)}, 0, 0})
		}
	}
}
