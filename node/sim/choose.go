package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/sage-p2p/sage-p2p/atp"
)

// chances are the kinds of faults that a user may ask for by name.
var chances = map[string]func(*Plan, *rand.Rand){
	"crash":     func(p *Plan, r *rand.Rand) { p.addCrash(r); p.addCrash(r) },
	"partition": (*Plan).addPartition,
	"clocks":    (*Plan).addClocks,
	"slow":      (*Plan).addSlow,
	"storage":   (*Plan).allStorage,
	"links": func(p *Plan, r *rand.Rand) {
		p.Loss, p.Duplicates, p.Spikes = 1+r.IntN(20), 1+r.IntN(10), 1+r.IntN(10)
		p.Access = make([]Access, p.Machines())
		for i := range p.Access {
			p.Access[i] = Access(r.IntN(len(accessNames)))
		}
	},
	"byzantine": func(p *Plan, r *rand.Rand) {
		if p.f() > 0 {
			p.addAdversaries(r)
		}
	},
	"members": func(p *Plan, r *rand.Rand) {
		p.Joins, p.Observers = true, 2
	},
}

// Chances returns the names that [Choose] takes, in their order.
func Chances() []string { return slices.Sorted(maps.Keys(chances)) }

// MaxValidators is the largest set that [Choose] takes: a schedule of it takes
// seconds.
const MaxValidators = 28

// Choose returns the plan of a seed with the faults named and no others, each at
// least once as far as the set allows it: where disks are put back and machines
// misbehave, half of the seeds have less than f of these. It fails for a name that is
// none of [Chances], and for a set that is too large.
func Choose(seed uint64, validators int, faults []string) (Plan, error) {
	if validators < 1 || validators > MaxValidators {
		return Plan{}, fmt.Errorf("sim: have %d validators, want 1 to %d", validators, MaxValidators)
	}
	r := draws(seed)
	p := Plan{
		Validators: validators, Base: 300, MaxDelay: atp.Span(5 + r.IntN(60)), Skew: int64(r.IntN(400)),
		Faults: 8_000, Submissions: 3 + r.IntN(4),
	}
	for _, name := range faults {
		if chances[name] == nil {
			return Plan{}, fmt.Errorf("sim: no fault is called %q; there are %s", name, strings.Join(Chances(), ", "))
		}
	}
	// Members come first: who is there decides whom the others may hit.
	for _, name := range append([]string{"members"}, Chances()...) {
		if slices.Contains(faults, name) && (name != "members" || !p.Joins) {
			chances[name](&p, r)
		}
	}
	if slices.Contains(faults, "storage") && p.Adversaries != nil && r.IntN(2) == 0 {
		p.spareOne()
	}
	return p, nil
}

// spareOne makes one adversary correct if there are f, so that somebody else may be
// silent on an old image.
func (p *Plan) spareOne() {
	if liars := slices.Sorted(maps.Keys(p.Adversaries)); len(liars) == p.f() {
		delete(p.Adversaries, liars[0])
	}
}
