package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// Where platforms are voted in, a newcomer says what it waits for; once the quorum
// has voted it registers and joins by itself.
func TestAPlatformIsVotedIn(t *testing.T) {
	params := filepath.Join(t.TempDir(), "params.json")
	if err := os.WriteFile(params, []byte(`{"admission":"vote"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	thor := up(t, "thor", func(c *node.Config) { c.Expect, c.ParamsFile = 1, params }, offering(t, echoing()))
	registered(t, 1, thor)
	told := make(chan node.Federation, 1)
	loki := joining(t, "loki", thor, node.WithFederation(func(f node.Federation) { told <- f }))
	if f := <-told; !strings.Contains(f.Awaits, "1 of its 1 validators have to vote") || !strings.Contains(f.Awaits, "validator vote 12D3") {
		t.Errorf("it says %q", f.Awaits)
	}
	id := loki.id(t)
	loki.wait(t, "ready", view.Status.Ready)
	if _, err := loki.JoinValidators(t.Context()); !strings.Contains(refused(t, err), "admits by vote") {
		t.Errorf("it joins before it was voted in: %v", err)
	}
	if _, err := loki.VoteOnValidator(t.Context(), id, view.NewVote{}); !strings.Contains(refused(t, err), "has no vote") {
		t.Errorf("it votes for itself: %v", err)
	}
	sub, err := thor.VoteOnValidator(t.Context(), id, view.NewVote{})
	if err != nil {
		t.Fatal(err)
	}
	thor.final(t, sub)
	registered(t, 2, thor)
	thor.isCandidate(t, "loki")
	set, err := thor.Validators(t.Context())
	if err != nil || set.Admission != "vote" || len(set.Admissions) != 0 {
		t.Errorf("the validators are %+v: %v", set, err)
	}
	p, err := thor.Platforms(t.Context())
	if err != nil || len(p) != 2 {
		t.Errorf("%d platforms: %v", len(p), err)
	}
	if _, err := thor.VoteOnValidator(t.Context(), id, view.NewVote{}); !strings.Contains(refused(t, err), "admitted already") {
		t.Errorf("a second vote: %v", err)
	}
}
