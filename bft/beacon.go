package bft

import (
	"crypto/sha256"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519/extra/ecvrf"
)

// Beacon is the randomness of a height. It draws audits and witnesses.
type Beacon [32]byte

// BeaconProof is an ECVRF proof (ECVRF-EDWARDS25519-SHA512-ELL2) by a block's
// proposer over the beacon of the height below and the block's height.
type BeaconProof [ecvrf.ProofSize]byte

// BeaconOutput is what a good proof adds to the beacon.
type BeaconOutput [ecvrf.OutputSize]byte

// youngHeights is how old a key that is not of the genesis must be for its
// proof to move the beacon: a younger one could be ground for the occasion.
const youngHeights Height = 32

// Young reports whether a validator that joined at a height (0: it is of the
// genesis) is too young at height h to move the beacon.
func Young(joined, h Height) bool { return joined > 0 && h < joined+youngHeights }

// GenesisBeacon is the beacon of height 0.
func GenesisBeacon(g GenesisHash) Beacon {
	return sha256.Sum256(append([]byte("sage/beacon/1"), g[:]...))
}

func beaconInput(below Beacon, h Height) []byte {
	return appendUint64(append([]byte("sage/beacon/1"), below[:]...), uint64(h))
}

// ProveBeacon makes the proof for a block of height h, given the beacon of the
// height below. The same key and input always give the same proof.
func ProveBeacon(key ed25519.PrivateKey, below Beacon, h Height) BeaconProof {
	return BeaconProof(ecvrf.Prove(key, beaconInput(below, h)))
}

// BeaconScheme judges proofs of the beacon. It is a pure function, of which a
// simulator may remember the answers.
type BeaconScheme interface {
	// Output judges the proof of a block of height h by proposer, given the
	// beacon of the height below, and returns what it adds to the beacon.
	Output(below Beacon, h Height, proposer ID, proof BeaconProof) (output BeaconOutput, ok bool)
}

// ECVRF is the scheme of every real network.
type ECVRF struct{}

// Output implements [BeaconScheme].
func (ECVRF) Output(below Beacon, h Height, proposer ID, proof BeaconProof) (output BeaconOutput, ok bool) {
	key := proposer.Key()
	ok, raw := ecvrf.Verify(key[:], proof[:], beaconInput(below, h))
	copy(output[:], raw)
	return output, ok
}

// NextBeacon checks a proof under the key of the block's proposer and returns
// the beacon of height h. It fails with [ErrInvalid], also for a young
// proposer's bad proof, although a young key's output is not used.
func NextBeacon(scheme BeaconScheme, below Beacon, h Height, proposer ID, proof BeaconProof, young bool) (Beacon, error) {
	output, ok := scheme.Output(below, h, proposer, proof)
	if !ok {
		return Beacon{}, invalidf("beacon proof of %s for height %d", proposer, h)
	}
	if young {
		return sha256.Sum256(below[:]), nil
	}
	return sha256.Sum256(append(below[:], output[:]...)), nil
}
