package replica_test

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// The checks of Proposals end when two more heights are final, and the validators
// are others by then: a statement stays that of the leader of its own height, and
// nobody is shown it as its own.
func TestALateCheckOfAProposalIsOfTheLeaderOfItsHeight(t *testing.T) {
	f := newMembers(t, 6)
	f.join(1, 2)
	var late []replica.Verified
	m := f.members[0]
	m.slow = func(v replica.Verified) bool {
		proposal := v.Job.Message.Position().Kind == bft.KindProposal
		if proposal {
			late = append(late, v)
		}
		return proposal
	}
	f.join(3, 4)
	join := f.signed(5, &chain.ValidatorJoin{})
	f.off(5) // so that nothing newer of it is known
	f.submit(0, join)
	f.everywhere(f.top() + 1)
	for i := range 5 {
		f.pay(i)
	}
	if len(late) == 0 {
		t.Fatal("no check is late")
	}
	for _, v := range late {
		m.take(v)
	}
	f.on(5)
	f.everywhere(f.top())
	f.wantVotes(0, 1, 2, 3, 4, 5)
}
