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
	pairs     = flag.Int("pairs", 20, "how many of the pairs of behaviours TestByzantine runs, from -first on; negative: all of them at every size")
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
			p.Adversaries[m] = func() Behaviour { return &both{kinds[0].make(), kinds[1].make()} }
			continue
		}
		p.Adversaries[m] = t.kind[i%len(t.kind)].make
	}
	return p
}

// outcome sums what trials have shown.
type outcome struct {
	acts    int
	seen    map[string]int
	heights int
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
		if m.behaviour != nil {
			o.acts += m.behaviour.Acts()
		}
	}
	if o.seen == nil {
		o.seen = make(map[string]int)
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
// the faults stop everything becomes final. Each really misbehaves, and is noticed
// where the design says so.
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
	var o outcome
	for i, n := range setSizes() {
		for k := range max(1, 6-2*i) {
			o.run(t, &theatre, trial{n, []role{r}, *first + uint64(100*n+k)})
		}
	}
	t.Logf("%d acts, %d heights; noticed %d %d %d %d", o.acts, o.heights, o.seen[seenBlame], o.seen[seenEvidence], o.seen[seenRefusal], o.seen[seenAlarm])
	if *size > 0 || *first != 0 {
		return // too few to show everything, or others than those that are known to
	}
	if o.acts == 0 {
		t.Error("it never misbehaved")
	}
	for _, what := range noticed()[r.name] {
		if o.seen[what] == 0 {
			t.Errorf("no correct machine has noticed: no %s", what)
		}
	}
}

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
	var o outcome
	for _, n := range setSizes() {
		for s := *first; s < *first+*seeds && !t.Failed(); s++ {
			o.run(t, &theatre, trial{n, kind, s})
		}
	}
	t.Logf("%d acts, %d heights", o.acts, o.heights)
	for _, what := range slices.Sorted(maps.Keys(o.seen)) {
		t.Logf("%8d  %s", o.seen[what], what)
	}
}

// somePairs runs pairs from -first on; five in a row are of five sizes.
func somePairs(t *testing.T) {
	var all []trial
	list := roles()
	for i := range list {
		for j := range i {
			for _, n := range setSizes() {
				all = append(all, trial{n: n, kind: []role{list[i], list[j]}})
			}
		}
	}
	count := len(all)
	if *pairs >= 0 {
		count = min(count, *pairs)
	}
	// A step that has no divisor in common with their number meets each once.
	const step = 7_919
	var theatre Theatre
	var o outcome
	for i := range count {
		try := all[(*first+uint64(i))*step%uint64(len(all))]
		try.seed = *first + uint64(i)
		o.run(t, &theatre, try)
	}
	t.Logf("%d of %d pairs and sizes: %d acts, %d heights", count, len(all), o.acts, o.heights)
}
