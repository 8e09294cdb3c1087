package sim

import "testing"

// With every kind of fault an old image of a signer is put to work, is found out and
// comes back: in small sets, too, where a liar and one that is silent are one too many.
func TestAllFaultsPutOldImagesToWork(t *testing.T) {
	for _, validators := range []int{4, 7} {
		seen := make(map[string]int)
		Explore(func(theatre *Theatre, seed uint64) Result {
			p, err := Choose(seed, validators, Chances())
			if err != nil {
				return Result{Err: err}
			}
			return theatre.Play(seed, p)
		}, 0, 60, func(_ uint64, r Result) bool {
			for what, n := range r.Seen {
				seen[what] += n
			}
			if r.Err != nil {
				t.Errorf("of %d validators: %v", validators, r.Err)
			}
			return r.Err == nil
		})
		for _, what := range []string{seenForgotten, seenFoundOut, seenReturn} {
			t.Logf("%8d  %s, of %d validators", seen[what], what, validators)
			if seen[what] == 0 {
				t.Errorf("of %d validators no schedule has shown: %s", validators, what)
			}
		}
	}
}
