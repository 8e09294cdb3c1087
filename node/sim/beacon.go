package sim

import (
	"github.com/sage-p2p/sage-p2p/bft"
)

// beacons remembers proofs of the beacon, and how they were judged: both are
// functions of what is asked, cost more than all else that a block does, and
// the same few are asked for by every machine in every schedule. Nothing is
// left out: each question is answered by [bft.ECVRF] once. Real ones remember
// nothing.
type beacons struct {
	real     bool
	proofs   map[beaconTurn]bft.BeaconProof
	verdicts map[beaconProof]beaconVerdict
}

type beaconTurn struct {
	below  bft.Beacon
	height bft.Height
	by     bft.ID
}

type beaconProof struct {
	beaconTurn
	proof bft.BeaconProof
}

type beaconVerdict struct {
	output bft.BeaconOutput
	ok     bool
}

// maxBeacons bounds what is remembered; then all of it is forgotten.
const maxBeacons = 1 << 14

var _ bft.BeaconScheme = (*beacons)(nil)

func newBeacons() *beacons {
	return &beacons{proofs: make(map[beaconTurn]bft.BeaconProof), verdicts: make(map[beaconProof]beaconVerdict)}
}

// Output implements [bft.BeaconScheme].
func (b *beacons) Output(below bft.Beacon, h bft.Height, proposer bft.ID, proof bft.BeaconProof) (bft.BeaconOutput, bool) {
	question := beaconProof{beaconTurn{below, h, proposer}, proof}
	v, known := b.verdicts[question]
	if !known || b.real {
		v.output, v.ok = bft.ECVRF{}.Output(below, h, proposer, proof)
		if len(b.verdicts) >= maxBeacons {
			clear(b.verdicts)
		}
		b.verdicts[question] = v
	}
	return v.output, v.ok
}

// prove returns what bft.ProveBeacon does.
func (b *beacons) prove(k Key, below bft.Beacon, h bft.Height) bft.BeaconProof {
	turn := beaconTurn{below, h, k.id}
	proof, known := b.proofs[turn]
	if !known || b.real {
		proof = bft.ProveBeacon(k.private, below, h)
		if len(b.proofs) >= maxBeacons {
			clear(b.proofs)
		}
		b.proofs[turn] = proof
	}
	return proof
}
