package sim

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
)

var (
	pairs     = flag.Int("pairs", 10, "how many of the pairs of behaviours in several machines TestByzantine runs, from -first on; negative: all of them at every size")
	behaviour = flag.String("behaviour", "", "TestByzantine runs this behaviour alone, or, with a + between them, this pair")
	size      = flag.Int("size", 0, "TestByzantine runs sets of this size alone")
)

// setSizes are the sets that byzantine behaviours are tried in, f = 1, 2, 3, 4, 9.
func setSizes() []int {
	if *size > 0 {
		return []int{*size}
	}
	return []int{4, 7, 10, 13, 28}
}

// trial is one schedule: f of n machines behave in one way, or in two. In a set
// with one adversary that one does both.
type trial struct {
	n    int
	kind []role
	seed uint64
}

func (t trial) String() string {
	var names []string
	for _, r := range t.kind {
		names = append(names, r.name)
	}
	return fmt.Sprintf("-behaviour %q -size %d -first %d -seeds 1", strings.Join(names, "+"), t.n, t.seed)
}

// plan draws the rest of the schedule.
func (t trial) plan() Plan {
	r := rand.New(rand.NewPCG(t.seed, 0xb52))
	p := Plan{
		Validators:  t.n,
		Observers:   1,
		Base:        300,
		MaxDelay:    atp.Span(5 + r.IntN(60)),
		Loss:        r.IntN(3) * 8,
		Duplicates:  r.IntN(5),
		Spikes:      r.IntN(2) * 8,
		Skew:        int64(r.IntN(300)),
		Faults:      atp.Span(3_000 + r.IntN(3_000)),
		Submissions: 4,
		Real:        t.n == 4 && r.IntN(20) == 0,
		Adversaries: make(map[int]func() Behaviour),
	}
	if r.IntN(3) == 0 { // little gets through, and views pass
		p.Loss, p.Spikes = 20+r.IntN(30), 10
	}
	if r.IntN(2) == 0 {
		p.addCrash(r)
	}
	if r.IntN(2) == 0 {
		p.addPartition(r)
	}
	f := p.f()
	for i, m := range r.Perm(t.n)[:f] {
		if kinds := t.kind; len(kinds) == 2 && f == 1 {
			p.Adversaries[m] = func() Behaviour { return newBoth(kinds[0].make(), kinds[1].make()) }
			continue
		}
		p.Adversaries[m] = t.kind[i%len(t.kind)].make
	}
	return p
}

// outcome sums what trials have shown.
type outcome struct {
	acts    map[string]int // of each behaviour, by the name of its type
	seen    map[string]int
	heights int
}

func newOutcome() outcome { return outcome{acts: make(map[string]int), seen: make(map[string]int)} }

// of is how often a behaviour has departed.
func (o *outcome) of(r role) int { return o.acts[nameOf(r.make())] }

// idle are those of some behaviours that have never departed.
func (o *outcome) idle(kinds []role) []string {
	var list []string
	for _, r := range kinds {
		if o.of(r) == 0 {
			list = append(list, r.name)
		}
	}
	return list
}

// run plays one trial, and adds to the outcome.
func (o *outcome) run(t *testing.T, theatre *Theatre, try trial) {
	t.Helper()
	s, err := theatre.stage(try.seed, try.plan())
	if err != nil {
		t.Fatal(err)
	}
	r := s.Run()
	if r.Err != nil {
		t.Errorf("%v\n  go test ./node/sim -run TestByzantine %v", r.Err, try)
	}
	for _, m := range s.machines {
		for _, b := range parts(m.behaviour) {
			o.acts[nameOf(b)] += b.Acts()
		}
	}
	for what, n := range r.Seen {
		o.seen[what] += n
	}
	o.heights += int(r.Height)
}

// noticed is what correct machines see of a behaviour, by the design: blame for
// what no correct machine sends, evidence of a contradiction, an alarm of a key in
// use elsewhere, refused bytes. The others keep within what a correct machine on a
// bad link might do, and nobody can tell.
func noticed() map[string][]string {
	return map[string][]string{
		"equivocating leader":          {seenEvidence},
		"amnesiac":                     {seenEvidence},
		"timeout spammer":              {seenEvidence},
		"colluders":                    {seenEvidence},
		"key twin":                     {seenEvidence, seenAlarm},
		"duplicate-signer certificate": {seenBlame},
		"certificate transplant":       {seenBlame},
		"wrong state root":             {seenBlame},
		"time pusher and backdater":    {seenBlame},
		"highQC liar":                  {seenBlame},
		"invalid-transaction packer":   {seenBlame, seenRefusal},
		"oversize block":               {seenBlame, seenRefusal},
		"replayer":                     {seenBlame},
		"sync liar":                    {seenBlame},
		"view jumper":                  {seenBlame},
		"malformed flooder":            {seenBlame, seenRefusal},
		"random bytes":                 {seenRefusal},
	}
}

// Each behaviour alone, in f of n machines, and every pair, breaks no law, and once
// the faults stop everything becomes final. Each really misbehaves, in a set of each
// size and beside each other one, and is noticed where the design says so.
func TestByzantine(t *testing.T) {
	if *behaviour != "" {
		chosenTrials(t)
		return
	}
	for _, r := range roles() {
		t.Run(r.name, func(t *testing.T) { alone(t, r) })
	}
	t.Run("pairs", somePairs)
}

// alone tries a behaviour at every size, the smaller more than once.
func alone(t *testing.T, r role) {
	var theatre Theatre
	seen := make(map[string]int)
	for i, n := range setSizes() {
		o := newOutcome()
		count := o.play(t, &theatre, trial{n, []role{r}, *first + uint64(100*n)}, max(1, 6-2*i))
		t.Logf("of %2d: %d acts, %d heights in %d schedules", n, o.of(r), o.heights, count)
		for what, n := range o.seen {
			seen[what] += n
		}
	}
	t.Logf("noticed %d %d %d %d", seen[seenBlame], seen[seenEvidence], seen[seenRefusal], seen[seenAlarm])
	if *size > 0 || *first != 0 {
		return // too few to be noticed in every way, or others than those that are known to
	}
	for _, what := range noticed()[r.name] {
		if seen[what] == 0 {
			t.Errorf("no correct machine has noticed: no %s", what)
		}
	}
}

// play runs at least some schedules of a trial, and goes on until each of its
// behaviours has departed. It returns how many it took.
func (o *outcome) play(t *testing.T, theatre *Theatre, try trial, least int) (count int) {
	t.Helper()
	begin := try
	for ; count < least || count < patience && len(o.idle(try.kind)) > 0; count++ {
		o.run(t, theatre, try)
		try.seed++
	}
	if idle := o.idle(try.kind); len(idle) > 0 {
		t.Errorf("%s: no misbehaviour in %d schedules\n  go test ./node/sim -run TestByzantine %v", strings.Join(idle, ", "), count, begin)
	}
	return count
}

// patience is after how many schedules a behaviour is said never to depart. The
// rarest pair takes eight on average.
const patience = 200

// One trial is one run, whoever misbehaves in it.
func TestByzantineReplays(t *testing.T) {
	for _, r := range roles() {
		var trace [2]uint64
		for i := range trace {
			var theatre Theatre
			s, err := theatre.stage(5, trial{4, []role{r}, 5}.plan())
			if err != nil {
				t.Fatal(err)
			}
			trace[i] = s.Run().Trace
		}
		if trace[0] != trace[1] {
			t.Errorf("%s: trace %016x, then %016x", r.name, trace[0], trace[1])
		}
	}
}

// chosenTrials runs what the flags name.
func chosenTrials(t *testing.T) {
	var kind []role
	for name := range strings.SplitSeq(*behaviour, "+") {
		i := slices.IndexFunc(roles(), func(r role) bool { return r.name == name })
		if i < 0 {
			t.Fatalf("there is no behaviour %q", name)
		}
		kind = append(kind, roles()[i])
	}
	var theatre Theatre
	if *tell {
		theatre.Tell = func(s string) { fmt.Println(s) }
	}
	o := newOutcome()
	for _, n := range setSizes() {
		for s := *first; s < *first+*seeds && !t.Failed(); s++ {
			o.run(t, &theatre, trial{n, kind, s})
		}
	}
	for _, r := range kind {
		t.Logf("%8d  acts: %s", o.of(r), r.name)
	}
	t.Logf("%8d  heights", o.heights)
	for _, what := range slices.Sorted(maps.Keys(o.seen)) {
		t.Logf("%8d  %s", o.seen[what], what)
	}
}

// somePairs runs each pair in one machine, where a set has no more adversaries, and
// of those in several machines some from -first on; four in a row are of four sizes.
func somePairs(t *testing.T) {
	var one, several []trial
	list := roles()
	for i := range list {
		for j := range i {
			for _, n := range setSizes() {
				try := trial{n: n, kind: []role{list[i], list[j]}}
				if n < 7 {
					one = append(one, try)
				} else {
					several = append(several, try)
				}
			}
		}
	}
	all := len(one) + len(several)
	count := len(several)
	if *pairs >= 0 {
		count = min(count, *pairs)
	}
	chosen := one
	// A step that has no divisor in common with their number meets each once.
	const step = 7_919
	for i := range count {
		chosen = append(chosen, several[(*first+uint64(i))*step%uint64(len(several))])
	}
	var theatre Theatre
	schedules, heights := 0, 0
	for i, try := range chosen {
		try.seed = *first + uint64(i)
		o := newOutcome()
		took := o.play(t, &theatre, try, 1)
		t.Logf("%s + %s of %d: %d + %d acts in %d schedules", try.kind[0].name, try.kind[1].name, try.n, o.of(try.kind[0]), o.of(try.kind[1]), took)
		schedules, heights = schedules+took, heights+o.heights
	}
	t.Logf("%d of %d pairs and sizes, %d of them in one machine: both misbehave, in %d schedules and %d heights", len(chosen), all, len(one), schedules, heights)
}
