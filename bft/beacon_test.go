package bft

import (
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519/extra/ecvrf"
)

func TestTheBeaconFollowsFromTheProof(t *testing.T) {
	s := newSigners(t, 4)
	below := GenesisBeacon(testGenesis)
	proof := ProveBeacon(s.keys[0], below, 1)
	got, err := NextBeacon(ECVRF{}, below, 1, s.Set.ID(0), proof, false)
	if err != nil {
		t.Fatal(err)
	}
	output, err := ecvrf.ProofToHash(proof[:])
	if err != nil {
		t.Fatal(err)
	}
	if want := Beacon(sha256.Sum256(append(below[:], output...))); got != want {
		t.Errorf("beacon %x, want SHA-256(below ‖ VRF output) %x", got, want)
	}
	young, err := NextBeacon(ECVRF{}, below, 1, s.Set.ID(0), proof, true)
	if want := Beacon(sha256.Sum256(below[:])); err != nil || young != want {
		t.Errorf("young key: %x, %v, want SHA-256(below) %x", young, err, want)
	}
	if again := ProveBeacon(s.keys[0], below, 1); again != proof {
		t.Error("a proof is not a function of its input")
	}
}

func TestABeaconProofIsOfOneKeyBeaconAndHeight(t *testing.T) {
	s := newSigners(t, 4)
	below := GenesisBeacon(testGenesis)
	proof := ProveBeacon(s.keys[0], below, 1)
	spoilt, other := proof, below
	spoilt[40] ^= 1
	other[0] ^= 1
	for name, judge := range map[string]func() (Beacon, error){
		"another key":    func() (Beacon, error) { return NextBeacon(ECVRF{}, below, 1, s.Set.ID(1), proof, false) },
		"nobody":         func() (Beacon, error) { return NextBeacon(ECVRF{}, below, 1, ID{}, proof, false) },
		"another height": func() (Beacon, error) { return NextBeacon(ECVRF{}, below, 2, s.Set.ID(0), proof, false) },
		"another beacon": func() (Beacon, error) { return NextBeacon(ECVRF{}, other, 1, s.Set.ID(0), proof, false) },
		"spoilt":         func() (Beacon, error) { return NextBeacon(ECVRF{}, below, 1, s.Set.ID(0), spoilt, false) },
		"spoilt, young":  func() (Beacon, error) { return NextBeacon(ECVRF{}, below, 1, s.Set.ID(0), spoilt, true) },
	} {
		if b, err := judge(); !errors.Is(err, ErrInvalid) || b != (Beacon{}) {
			t.Errorf("%s: %x, %v, want ErrInvalid", name, b, err)
		}
	}
}

func TestAKeyIsYoungFor32HeightsUnlessOfTheGenesis(t *testing.T) {
	for _, tt := range []struct {
		joined, h Height
		want      bool
	}{{0, 1, false}, {0, 31, false}, {1, 1, true}, {1, 32, true}, {1, 33, false}, {100, 131, true}, {100, 132, false}} {
		if got := Young(tt.joined, tt.h); got != tt.want {
			t.Errorf("Young(%d, %d) = %v, want %v", tt.joined, tt.h, got, tt.want)
		}
	}
}
