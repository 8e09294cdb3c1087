package replica_test

import (
	"slices"
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// What gossip has lost goes to f + 1 others, the leader among the first, and to the
// next with each repetition, until everyone was sent it.
func TestWorkIsSharedWithTheNextLeadersUntilAllHaveIt(t *testing.T) {
	f := newFed(t, 7, 0)
	f.on(0, 1, 2, 3, 4, 5, 6)
	f.quiet()
	holder := f.members[f.leads(1, 4)]
	f.submit(holder.index, f.pay(holder.index, 0))
	f.fire(replica.TimerView)
	f.fire(replica.TimerRepeat)
	if len(holder.shared) != 2 {
		t.Fatalf("work was shared %d times, want twice", len(holder.shared))
	}
	first, second := holder.shared[0].To, holder.shared[1].To
	if len(first) != 3 || !slices.Contains(first, f.members[f.leads(1, 0)].id) {
		t.Errorf("shared with %v, want the leader and two more", first)
	}
	both := slices.Concat(first, second)
	slices.SortFunc(both, bft.ID.Compare)
	if len(slices.Compact(both)) != 6 {
		t.Errorf("shared with %v, then %v; want all six others once", first, second)
	}
}

// What has just come may be on its way by gossip: it is shared when it has waited.
func TestOnlyWorkThatHasWaitedIsShared(t *testing.T) {
	f := newFed(t, 4, 0)
	f.on(0, 1, 2, 3)
	f.quiet()
	holder := f.members[f.leads(1, 3)]
	f.submit(holder.index, f.pay(holder.index, 0))
	f.submit(holder.index, f.pay(holder.index, 1)) // the timer runs already
	f.fire(replica.TimerView)
	f.fire(replica.TimerRepeat)
	for i, want := range []int{1, 2} {
		if i >= len(holder.shared) || len(holder.shared[i].Txs) != want {
			t.Errorf("shared: %+v, want one transaction and then two", holder.shared)
			break
		}
	}
}
