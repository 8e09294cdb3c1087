package sim

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/atp"
)

var (
	seeds = flag.Uint64("seeds", 300, "how many schedules TestSchedules runs")
	first = flag.Uint64("first", 0, "the first of them")
	seed  = flag.Int64("seed", -1, "run this schedule alone")
	less  = flag.Bool("shrink", false, "print the shortest script that breaks the same law as the schedule that fails")
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
			t.Error(r.Err)
			shrink(t, uint64(*seed))
		}
		return
	}
	start := time.Now()
	events, heights, seen := 0, 0, make(map[string]int)
	var recoveries []atp.Span
	spent := newCosts()
	Explore(spent.schedule, *first, *seeds, func(s uint64, r Result) bool {
		events, heights, recoveries = events+r.Events, heights+int(r.Height), append(recoveries, r.Recovery)
		for what, n := range r.Seen {
			seen[what] += n
		}
		if r.Err != nil {
			t.Errorf("%v\n  go test ./node/sim -run TestSchedules -seed %d", r.Err, s)
			shrink(t, s)
		}
		return r.Err == nil
	})
	if t.Failed() {
		return
	}
	took := time.Since(start)
	t.Logf("%d schedules in %v on %d cores, %.0f each second; %d events, %d heights",
		*seeds, took.Round(time.Millisecond), runtime.GOMAXPROCS(0), float64(*seeds)/took.Seconds(), events, heights)
	spent.tell(t)
	real := seen["schedule: with real signatures"]
	t.Logf("real Ed25519 in %d of them, %.1f %%", real, 100*float64(real)/float64(*seeds))
	slices.Sort(recoveries)
	at := func(percent int) atp.Span { return recoveries[(len(recoveries)-1)*percent/100] }
	t.Logf("from when the faults stop until everything is final everywhere: p50 %d ms, p99 %d ms, at most %d ms of the world's time (bound %d ms)",
		at(50), at(99), at(100), RecoveryBound)
	for _, what := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%8d  %s", seen[what], what)
	}
	if *seeds < 300 {
		return // too few to show everything
	}
	for _, what := range append([]string{
		"a decision in a later view", "a restart in the middle of a height", "blame", "evidence",
		"a range is fetched", "a block is fetched", "transactions are fetched",
		"*chain.LockCommitted", "*chain.LockRolledBack", "*task.Engaged", "*task.Paid", "*task.ReputationChanged",
	}, sawNames[:]...) {
		if seen[what] == 0 {
			t.Errorf("no schedule has shown: %s", what)
		}
	}
	if *seeds >= 2_000 {
		boundaries(t, seen)
	}
}

// costs is what schedules took, by how many validators they begin with: the time
// of the core that ran each, which is that of the wall if no one else wants it.
type costs struct {
	mu    sync.Mutex
	sizes map[int]cost
}

type cost struct {
	schedules int
	time      time.Duration
}

func newCosts() *costs { return &costs{sizes: make(map[int]cost)} }

// schedule is [Theatre.Schedule], timed.
func (c *costs) schedule(theatre *Theatre, seed uint64) Result {
	start := time.Now()
	r := theatre.Schedule(seed)
	took := time.Since(start)
	c.mu.Lock()
	defer c.mu.Unlock()
	size := PlanOf(seed).Validators
	sum := c.sizes[size]
	c.sizes[size] = cost{sum.schedules + 1, sum.time + took}
	return r
}

func (c *costs) tell(t *testing.T) {
	t.Helper()
	for _, size := range slices.Sorted(maps.Keys(c.sizes)) {
		s := c.sizes[size]
		t.Logf("%8d  of %2d validators: %.1f ms each, %.0f each second and core",
			s.schedules, size, 1000*s.time.Seconds()/float64(s.schedules), float64(s.schedules)/s.time.Seconds())
	}
}

// shrink prints the script of a schedule that failed, if asked to.
func shrink(t *testing.T, seed uint64) {
	t.Helper()
	if !*less {
		return
	}
	var theatre Theatre
	long := NewScript(fmt.Sprintf("seed %d", seed), seed, PlanOf(seed))
	short := theatre.Shrink(long)
	raw, err := short.Encode()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("of size %d: %v\nof size %d: %v\n%s", long.Size(), theatre.Play(long.Seed, long.Plan).Err,
		short.Size(), theatre.Play(short.Seed, short.Plan).Err, raw)
}

// Two thousand plans have everything that may go wrong, and every size of set.
func TestPlansHaveEveryKind(t *testing.T) {
	seen := make(map[string]int)
	for s := range uint64(2_000) {
		for _, kind := range PlanOf(s).kinds() {
			seen[kind]++
		}
	}
	var want []string
	for _, kind := range []string{"with real signatures", "with every message encoded", "with tasks", "whose set changes", "without faults"} {
		want = append(want, "schedule: "+kind)
	}
	for _, s := range sizes {
		want = append(want, fmt.Sprintf("schedule: of %d validators", s.validators))
	}
	for a := range accessNames {
		want = append(want, "schedule: with machines on "+Access(a).String())
	}
	for k := range failures {
		want = append(want, "fault: "+string(k), "fault: "+string(k)+", at a place")
	}
	for _, f := range []FaultKind{FaultSlowDisk, FaultFlip, FaultRestore, FaultSlow, FaultPartition, FaultPartition + ", unnoticed", FaultOneWay, FaultOneWay + ", unnoticed", FaultDeaf, FaultDeaf + ", unnoticed", FaultDeaf + ", one alone", FaultDeaf + ", one alone, unnoticed"} {
		want = append(want, "fault: "+string(f))
	}
	for _, how := range []string{"", ", by days", ", at a jump", ", by days, at a jump"} {
		want = append(want, "fault: clock"+how+", ahead", "fault: clock"+how+", behind")
	}
	for _, b := range behaviours() {
		want = append(want, "byzantine: "+nameOf(b()))
	}
	for _, kind := range want {
		t.Logf("%8d  %s", seen[kind], kind)
		if seen[kind] == 0 {
			t.Errorf("no plan has: %s", kind)
		}
	}
	if real := seen["schedule: with real signatures"]; real < 20 {
		t.Errorf("%d of 2000 schedules have real signatures, want one of a hundred", real)
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
	debug.SetGCPercent(3200)
	os.Exit(m.Run())
}

// Schedules are told in the order of their seeds, each as it is alone, and none
// after the one that ends the search.
func TestSchedulesSideBySideAreEachAsAlone(t *testing.T) {
	var want []uint64
	var theatre Theatre
	for s := range uint64(30) {
		want = append(want, theatre.Schedule(s).Trace)
	}
	var got []uint64
	Explore((*Theatre).Schedule, 0, 1_000, func(s uint64, r Result) bool {
		if s != uint64(len(got)) {
			t.Errorf("seed %d is told after %d others", s, len(got))
		}
		got = append(got, r.Trace)
		return len(got) < len(want)
	})
	if !slices.Equal(got, want) {
		t.Errorf("side by side the traces are\n%016x, alone\n%016x", got, want)
	}
}
