package replica_test

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
)

// J1: power failed when the record of a PREPARE was on the disk, and the body of
// its block was not. The PREPARE has not left, and does not leave after the start,
// or a block might be certified that nobody has.
func TestAPrepareWhoseBodyWasLostIsNotRepeated(t *testing.T) {
	for _, lost := range []bool{false, true} {
		f := newFed(t, 4, 0)
		f.on(0, 1, 2, 3)
		f.quiet()
		leader := f.leads(1, 0)
		voter := f.members[(leader+1)%4]
		f.cut = func(from, _ int, m bft.Message) bool { return m != nil && m.Position().Kind == bft.KindPrepare }
		f.submit(leader, f.pay(leader, 0))
		f.quiet()
		vote := voter.record.Prepare
		if vote == nil {
			t.Fatal("nothing was voted for")
		}
		for i := range 4 {
			f.off(i)
		}
		if lost {
			delete(voter.bodies, vote.Block)
		}
		f.mail = nil
		repeated := 0
		f.cut = func(from, _ int, m bft.Message) bool {
			if from == voter.index && m != nil && m.Position().Kind == bft.KindPrepare {
				repeated++
			}
			return false
		}
		voter.boot()
		if lost && repeated > 0 || !lost && repeated == 0 {
			t.Errorf("the body is lost: %v; the PREPARE was repeated to %d others", lost, repeated)
		}
		f.off(voter.index)
		f.on(0, 1, 2, 3)
		f.settle(1)
		f.wantHeights(1, 1, 1, 1)
		if voter.record.Prepared < vote.View {
			t.Errorf("prepared %d after %d", voter.record.Prepared, vote.View)
		}
	}
}
