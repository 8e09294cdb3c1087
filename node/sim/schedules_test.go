package sim

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"testing"
	"time"
)

var (
	seeds = flag.Uint64("seeds", 300, "how many schedules TestSchedules runs")
	first = flag.Uint64("first", 0, "the first of them")
	seed  = flag.Int64("seed", -1, "run this schedule alone")
	tell  = flag.Bool("tell", false, "with -seed: print every input of every machine")
)

// Whatever the network, the disks and f adversaries do, the laws hold, and once
// the faults stop everything becomes final.
func TestSchedules(t *testing.T) {
	if *seed >= 0 {
		var theatre Theatre
		if *tell {
			theatre.Tell = func(s string) { fmt.Println(s) }
		}
		r := theatre.Schedule(uint64(*seed))
		t.Logf("seed %d: trace %016x, height %d, %d events", *seed, r.Trace, r.Height, r.Events)
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		return
	}
	start := time.Now()
	events, heights, seen := 0, 0, make(map[string]int)
	var theatre Theatre
	for s := *first; s < *first+*seeds; s++ {
		r := theatre.Schedule(s)
		events, heights = events+r.Events, heights+int(r.Height)
		for what, n := range r.Seen {
			seen[what] += n
		}
		if r.Err != nil {
			t.Fatalf("%v\n  go test ./node/sim -run TestSchedules -seed %d", r.Err, s)
		}
	}
	took := time.Since(start)
	t.Logf("%d schedules in %v, %.0f each second; %d events, %d heights",
		*seeds, took.Round(time.Millisecond), float64(*seeds)/took.Seconds(), events, heights)
	for _, what := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%8d  %s", seen[what], what)
	}
	if *seeds < 300 {
		return // too few to show everything
	}
	for _, what := range []string{
		"a decision in a later view", "a restart in the middle of a height", "blame", "evidence",
		"a range is fetched", "a block is fetched", "transactions are fetched",
		"*chain.LockCommitted", "*chain.LockRolledBack", "*task.Engaged", "*task.Paid", "*task.ReputationChanged",
	} {
		if seen[what] == 0 {
			t.Errorf("no schedule has shown: %s", what)
		}
	}
}

// One seed is one run: twice in one process it gives the same trace, although
// Go draws the order of maps anew.
func TestReplay(t *testing.T) {
	for s := range uint64(20) {
		var a, b Theatre
		one, two := a.Schedule(s), b.Schedule(s)
		if one.Trace != two.Trace || one.Events != two.Events {
			t.Errorf("seed %d: trace %016x of %d events, then %016x of %d", s, one.Trace, one.Events, two.Trace, two.Events)
		}
	}
}

// TestMain gives the collector less to do: worlds are short.
func TestMain(m *testing.M) {
	flag.Parse()
	debug.SetGCPercent(1600)
	os.Exit(m.Run())
}
