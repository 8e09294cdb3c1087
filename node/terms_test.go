package node

import (
	"errors"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// A vote that does not say what it grants follows those of others, but not to more
// than is usual: one liar who votes first would empty the pool by the hands of all
// others.
func TestAVoteFollowsOthersToTheUsualGrantOnly(t *testing.T) {
	on, another := newActor("newcomer").id(), newActor("another").id()
	votes := []standingVote{{Vote: chain.Vote{Platform: on, Grant: 1_000_000 * atp.ATP, Society: "north"}, voters: []atp.ID{newActor("liar").id()}}}
	_, err := grantFor(votes, on, nil)
	var no *view.Error
	if !errors.As(err, &no) || no.Code != view.CodeRefused || !strings.Contains(no.Message, "1000000 ATP") || !strings.Contains(no.Hint, "--grant") {
		t.Errorf("it follows: %v", err)
	}
	said := view.Amount(1_000_000 * atp.ATP)
	if got, err := grantFor(votes, on, &said); err != nil || got != 1_000_000*atp.ATP {
		t.Errorf("what was said is not voted for: %s ATP, %v", got, err)
	}
	if got, err := grantFor(votes, another, nil); err != nil || got != defaultGrant {
		t.Errorf("of another: %s ATP, %v", got, err)
	}
	votes[0].Grant = 7 * atp.ATP
	if got, err := grantFor(votes, on, nil); err != nil || got != 7*atp.ATP {
		t.Errorf("less than usual: %s ATP, %v", got, err)
	}
}
