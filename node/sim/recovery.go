package sim

import (
	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// RecoveryBound is how long, in the world's time, it may take from when faults
// stop until everything that had been taken in by then is final on every correct
// machine.
const RecoveryBound = 120 * atp.Second

// recovery is L: once faults stop, every healthy quorum finalises within a
// bound.
type recovery struct {
	since  atp.Millis       // when faults stopped; 0: they have not
	waits  map[cid.Cid]bool // what was taken in by then and was not final
	height bft.Height       // with which it was all final, once it is
	over   bool
	took   atp.Span
}

// healed takes note that the faults have stopped.
func (j *judge) healed() {
	j.recovery = recovery{since: j.sim.World.Now(), waits: make(map[cid.Cid]bool), height: j.top()}
	for id := range j.accepted {
		if !j.included[id] {
			j.recovery.waits[id] = true
		}
	}
	j.recovered()
}

// recovered looks whether everyone has what was waited for.
func (j *judge) recovered() {
	r := &j.recovery
	if r.since == 0 || r.over || len(r.waits) > 0 {
		return
	}
	for _, m := range j.sim.machines {
		if m.correct() && j.published[m.index] < r.height {
			return
		}
	}
	r.over, r.took = true, atp.Span(j.sim.World.Now()-r.since)
	if r.took > RecoveryBound {
		j.fail("liveness: everything is final %d ms after the faults stopped, want at most %d", r.took, RecoveryBound)
	}
}
