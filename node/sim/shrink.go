package sim

import (
	"maps"
	"regexp"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
)

// law finds in an error of a schedule which law it breaks.
var law = regexp.MustCompile(` ms: ([AJ][0-9]|[a-z]+)`)

// Law returns the law that a schedule's error says is broken, such as "A1" or
// "liveness", or the first word of what happened; "" if nothing is broken.
func Law(err error) string {
	if err == nil {
		return ""
	}
	if m := law.FindStringSubmatch(err.Error()); m != nil {
		return m[1]
	}
	return "error"
}

// tries is with how many seeds each smaller plan is tried: a fault less, and the
// rest is drawn otherwise.
const tries = 24

// Shrink returns the smallest plan that it finds which still breaks the law that
// the script breaks, with the seed that does it. A script that breaks none is
// returned as it is.
func (t *Theatre) Shrink(s Script) Script {
	want := Law(t.Play(s.Seed, s.Plan).Err)
	if want == "" {
		return s
	}
	for smaller := true; smaller; {
		smaller = false
		for _, p := range lesser(s.Plan) {
			seed, broken := t.breaks(want, s.Seed, p)
			if !broken {
				continue
			}
			next := NewScript(s.Why, seed, p)
			next.Kills = s.Kills
			s, smaller = next, true
			break
		}
	}
	return s
}

// breaks looks for a seed with which a plan breaks a law.
func (t *Theatre) breaks(law string, seed uint64, p Plan) (uint64, bool) {
	for i := range uint64(tries) {
		if Law(t.Play(seed+i, p).Err) == law {
			return seed + i, true
		}
	}
	return 0, false
}

// lesser returns plans with a little less in each than in p, those with much less
// first.
func lesser(p Plan) (list []Plan) {
	change := func(does bool, how func(*Plan)) {
		if does {
			q := p
			q.Script, q.Adversaries = slices.Clone(p.Script), maps.Clone(p.Adversaries)
			how(&q)
			list = append(list, q)
		}
	}
	for n := len(p.Script); n > 0; n /= 2 { // all faults, then halves, then single ones
		for from := 0; from < len(p.Script); from += n {
			change(true, func(q *Plan) { q.Script = slices.Delete(q.Script, from, min(from+n, len(q.Script))) })
		}
	}
	for _, i := range slices.Sorted(maps.Keys(p.Adversaries)) {
		change(true, func(q *Plan) { delete(q.Adversaries, i) })
	}
	change(p.Submissions > 2, func(q *Plan) { q.Submissions /= 2 })
	change(p.Submissions > 1, func(q *Plan) { q.Submissions-- })
	change(p.Joins, func(q *Plan) { q.Joins, q.Leaves = false, 0 })
	change(p.Leaves > 0, func(q *Plan) { q.Leaves-- })
	change(p.Tasks, func(q *Plan) { q.Tasks = false })
	change(p.Real, func(q *Plan) { q.Real = false })
	change(p.Encode, func(q *Plan) { q.Encode = false })
	change(len(p.Access) > 0, func(q *Plan) { q.Access = nil })
	change(p.Loss > 0, func(q *Plan) { q.Loss = 0 })
	change(p.Duplicates > 0, func(q *Plan) { q.Duplicates = 0 })
	change(p.Spikes > 0, func(q *Plan) { q.Spikes = 0 })
	change(p.Skew > 0, func(q *Plan) { q.Skew = 0 })
	change(p.Loss > 4, func(q *Plan) { q.Loss /= 2 })
	return slices.DeleteFunc(append(list, fewer(p)...), func(q Plan) bool { return p.fair() && !q.fair() })
}

// fair reports whether a plan asks nothing of the laws that they do not promise:
// with more liars than f they do not hold, and clocks of more than f that are far
// ahead may have what waits dropped.
func (p Plan) fair() bool {
	for _, f := range p.Script {
		if f.Kind == FaultClock && f.By > farAhead && len(f.On) > p.f() {
			return false
		}
	}
	return len(p.Adversaries) <= p.f()
}

// farAhead is less than what a transaction waits in a mempool, in milliseconds.
const farAhead = 600_000

// fewer returns plans with a machine less, and with shorter times.
func fewer(p Plan) (list []Plan) {
	without := func(last int, q Plan) Plan {
		q.Script, q.Adversaries = nil, maps.Clone(p.Adversaries)
		delete(q.Adversaries, last)
		if len(p.Access) > last {
			q.Access = p.Access[:last]
		}
		for _, f := range p.Script {
			if f.On = slices.DeleteFunc(slices.Clone(f.On), func(i int) bool { return i == last }); len(f.On) > 0 {
				q.Script = append(q.Script, f)
			}
		}
		return q
	}
	if p.Observers > 0 {
		q := p
		q.Observers--
		list = append(list, without(p.Machines()-1, q))
	} else if p.Validators > 1 && p.Validators != 3 { // nobody founds a set of two
		q := p
		q.Validators--
		list = append(list, without(p.Machines()-1, q))
	}
	if p.Faults > 2*atp.Second {
		q := p
		q.Faults /= 2
		q.Script = slices.Clone(p.Script)
		for i := range q.Script {
			q.Script[i].At, q.Script[i].For = max(q.Script[i].At/2, 1), max(q.Script[i].For/2, 1)
		}
		list = append(list, q)
	}
	return list
}
