package sim

import "testing"

// Whoever makes two blocks for one view, or votes for both, is found out by the
// machines that see it, and loses bond and vote while the schedule runs; the others
// go on. No other machine ever does: the judge sees to that.
func TestLiarsAreSlashedInTheRun(t *testing.T) {
	equivocates := func() Behaviour { return &equivocator{} }
	for name, tt := range map[string]struct {
		validators  int
		adversaries map[int]func() Behaviour
		want        int // slashed in all seeds together, at least
	}{
		"an equivocator":                    {5, map[int]func() Behaviour{2: equivocates}, 1},
		"an equivocator and a double voter": {7, map[int]func() Behaviour{2: equivocates, 4: func() Behaviour { return &doubleVoter{} }}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var theatre Theatre
			slashed := 0
			for seed := range uint64(8) {
				r := theatre.Play(seed, Plan{
					Validators: tt.validators, Base: 300, MaxDelay: 20, Faults: 12_000, Submissions: 12, Rotations: 1, Encode: true,
					Adversaries: tt.adversaries,
				})
				if r.Err != nil {
					t.Fatal(r.Err)
				}
				n := r.Seen["*chain.ValidatorSlashed"]
				if n > len(tt.adversaries) {
					t.Errorf("seed %d: %d are slashed", seed, n)
				}
				slashed += n
			}
			if slashed < tt.want {
				t.Errorf("%d are slashed in all schedules, want at least %d", slashed, tt.want)
			}
		})
	}
}
