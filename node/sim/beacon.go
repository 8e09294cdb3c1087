package sim

import (
	"crypto/sha512"

	"github.com/sage-p2p/sage-p2p/bft"
)

// beacons is the scheme of the beacon's proofs: that of real networks, with real
// signatures, or else a stand-in of hashes, of which everyone has the secret and
// whose one proof for each question is as unforeseeable.
type beacons struct{ real bool }

var _ bft.BeaconScheme = beacons{}

// Output implements [bft.BeaconScheme].
func (b beacons) Output(below bft.Beacon, h bft.Height, proposer bft.ID, proof bft.BeaconProof) (bft.BeaconOutput, bool) {
	if b.real {
		return bft.ECVRF{}.Output(below, h, proposer, proof)
	}
	return sha512.Sum512(proof[:]), proof == standIn(below, h, proposer)
}

// prove returns a key's proof.
func (b beacons) prove(k Key, below bft.Beacon, h bft.Height) bft.BeaconProof {
	if b.real {
		return bft.ProveBeacon(k.private, below, h)
	}
	return standIn(below, h, k.id)
}

func standIn(below bft.Beacon, h bft.Height, by bft.ID) (proof bft.BeaconProof) {
	key := by.Key()
	sum := sha512.Sum512(append(append(key[:], below[:]...), byte(h), byte(h>>8), byte(h>>16), byte(h>>24)))
	copy(proof[copy(proof[:], sum[:]):], sum[:])
	return proof
}
