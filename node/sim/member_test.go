package sim

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// The laws hold while the set of validators grows and shrinks, whatever the
// network, the disks and adversaries do around the change.
func TestGrowingSets(t *testing.T) {
	if *seed >= 0 {
		var theatre Theatre
		if *tell {
			theatre.Tell = func(s string) { fmt.Println(s) }
		}
		if r := theatre.Grow(uint64(*seed)); r.Err != nil {
			t.Fatal(r.Err)
		}
		return
	}
	seen, heights := make(map[string]int), 0
	Explore((*Theatre).Grow, *first, *seeds, func(s uint64, r Result) bool {
		heights += int(r.Height)
		for what, n := range r.Seen {
			seen[what] += n
		}
		if r.Err != nil {
			t.Errorf("%v\n  go test ./node/sim -run TestGrowingSets -seed %d", r.Err, s)
		}
		return r.Err == nil
	})
	if t.Failed() {
		return
	}
	t.Logf("%d schedules, %d heights", *seeds, heights)
	for _, what := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%8d  %s", seen[what], what)
	}
	if *seeds < 200 {
		return // too few to show everything
	}
	for _, what := range []string{
		"a decision in a later view", "a restart in the middle of a height", "a range is fetched", "blame",
		"*chain.ValidatorCandidate", "*chain.CandidateLeft", "*chain.ValidatorJoined", "*chain.ValidatorLeaving", "*chain.ValidatorLeft",
		"*chain.ValidatorAbsent", "*chain.ValidatorSlashed", "*chain.BondReturned", "*chain.VoteCast", "*chain.PlatformAdmitted", "a new key",
		"1 → 3", "3 → 4", "4 → 5", "5 → 6", "6 → 7", "7 → 6", "6 → 5", "5 → 4", "4 → 3", "3 → 1",
	} {
		if seen[what] == 0 {
			t.Errorf("no schedule has shown: %s", what)
		}
	}
}

// What a client signs after a JOIN that has expired, and that no block has ended, could
// wait for that for ever: it has given up, whatever it hears of.
func TestWhoHasGivenUpSignsNothingMore(t *testing.T) {
	s := newScript(t, 4)
	c := s.clients[0]
	join, err := c.sign(&chain.ValidatorJoin{}, s.World.Now())
	if err != nil {
		t.Fatal(err)
	}
	c.holds = true
	c.await(join)
	s.wait("it gives up", func() bool { return !c.holds })
	c.accuse(make([]bft.Evidence, 1))
	s.until(s.World.Now().Add(10*atp.Second), func() bool { return false })
	if c.nonce != join.Tx().Nonce+1 || c.pending != nil {
		t.Errorf("it signs nonce %d, and nonce %d is not taken", c.nonce-1, join.Tx().Nonce)
	}
}

// One seed is one run, also when the set changes.
func TestGrowthReplays(t *testing.T) {
	for s := range uint64(10) {
		var a, b Theatre
		one, two := a.Grow(s), b.Grow(s)
		if one.Trace != two.Trace || one.Events != two.Events {
			t.Errorf("seed %d: trace %016x of %d events, then %016x of %d", s, one.Trace, one.Events, two.Trace, two.Events)
		}
	}
}
