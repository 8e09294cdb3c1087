package replica_test

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// A leader that was cut off without a word costs one timer, not one each turn. As
// soon as it is heard it leads again.
func TestALeaderThatSaysNothingCostsOneTimer(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	lost := f.leads(1, 0)
	payer := f.leads(1, 1)
	f.cut = func(from, to int, _ bft.Message) bool { return from == lost || to == lost }
	fired := 0
	for h := range 9 { // its turn is at heights 1, 5 and 9
		f.submit(payer, f.pay(payer, uint64(h)))
		f.quiet()
		for len(f.members[payer].finals) == h && fired < 5 {
			fired++
			f.fire(replica.TimerView)
			f.quiet()
		}
	}
	if n := len(f.members[payer].finals); n != 9 || fired != 1 {
		t.Fatalf("%d heights are final after %d timers, want 9 after 1", n, fired)
	}
	f.cut = nil
	f.members[lost].take(replica.Disconnected{Peer: f.members[payer].id}) // it finds out, and comes back
	f.members[lost].take(replica.Connected{Peer: f.members[payer].id})
	f.settle(9)
	for h := 9; h < 13; h++ { // the last is its turn
		f.submit(payer, f.pay(payer, uint64(h)))
		f.quiet()
	}
	f.wantHeights(13, 13, 13, 13)
	if last := f.members[payer].finals[12].Block.Header; last.Proposer.ID != f.members[lost].id.ID {
		t.Errorf("the block of its turn is by %s", last.Proposer)
	}
}
