package sim

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// Disks are put back to older images of themselves, the signer's part, the store's
// or both, through restarts and while a key is silent. Whenever one peer that knows
// better answers, that is found out before anything new is signed; the platform
// comes back by itself, and never contradicts itself.
func TestRestoredDisks(t *testing.T) {
	if *seed >= 0 {
		var theatre Theatre
		if *tell {
			theatre.Tell = func(s string) { fmt.Println(s) }
		}
		if r := theatre.Restore(uint64(*seed)); r.Err != nil {
			t.Fatal(r.Err)
		}
		return
	}
	seen := make(map[string]int)
	Explore((*Theatre).Restore, *first, *seeds, func(s uint64, r Result) bool {
		for what, n := range r.Seen {
			seen[what] += n
		}
		if r.Err != nil {
			t.Errorf("%v\n  go test ./node/sim -run TestRestoredDisks -seed %d", r.Err, s)
		}
		return r.Err == nil
	})
	if t.Failed() {
		return
	}
	t.Logf("%d schedules", *seeds)
	for _, what := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%8d  %s", seen[what], what)
	}
	if *seeds < 200 {
		return // too few to show everything
	}
	for _, what := range []string{
		"a disk is restored", seenForgotten, "a store is set back", seenFoundOut, seenReturn,
		"a bit of a record turns", "a bit of a store turns",
	} {
		if seen[what] == 0 {
			t.Errorf("no schedule has shown: %s", what)
		}
	}
	if *seeds < 500 {
		return
	}
	for _, what := range []string{seenEnds[errCrash] + atReturn.String(), seenForgottenAmid, seenReturnAmid} {
		if seen[what] == 0 {
			t.Errorf("no schedule has shown: %s", what)
		}
	}
}

// boundaries demands that machines ended at every place: by a power cut anywhere, but
// for the one to which only restored disks come often, and in every way on the disk.
func boundaries(t *testing.T, seen map[string]int) {
	t.Helper()
	for err, how := range seenEnds {
		for p := range places {
			demanded := err == errCrash && p != atReturn || p.happens(err) && (p.onDisk() || p == atOpen)
			if demanded && seen[how+p.String()] == 0 {
				t.Errorf("no schedule has shown: %s", how+p.String())
			}
		}
	}
}
