package task

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/atp"
)

// A level of the vectors: what each seat revealed, and what follows from it.
type levelVector struct {
	Seats   []*Answer // nil: it revealed nothing
	Theta   PPM
	SeatFee atp.Amount `json:"seat_fee"`
	U       atp.Amount
	Verdict Verdict
	Quality *PPM
	Pay     *struct {
		Median, Tau PPM
		Each        [][2]any `json:"pay_slash"`
	}
}

func readLevels(t *testing.T) (committee, everyone []levelVector) {
	t.Helper()
	data, err := os.ReadFile("testdata/economy.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Committee, Everyone []levelVector }
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Committee) == 0 || len(v.Everyone) == 0 {
		t.Fatal("no vectors of levels")
	}
	return v.Committee, v.Everyone
}

// seats returns those of a level, each with a bond of ten seat fees.
func (v levelVector) seats() []Seat {
	seats := make([]Seat, len(v.Seats))
	for i, a := range v.Seats {
		seats[i] = Seat{Bond: 10 * v.SeatFee, Committed: a != nil, Revealed: a != nil}
		if a != nil {
			seats[i].Answer = *a
		}
	}
	return seats
}

func (v levelVector) String() string {
	out, _ := json.Marshal(v)
	return string(out)
}

func TestVectorsOfVerdicts(t *testing.T) {
	committee, everyone := readLevels(t)
	for final, vectors := range map[bool][]levelVector{false: committee, true: everyone} {
		for _, v := range vectors {
			verdict, q := Decide(v.seats(), Judge, v.Theta, final)
			if verdict != v.Verdict || v.Quality != nil && q != *v.Quality || v.Quality == nil && q != 0 {
				t.Errorf("%s: have %s, %d ppm", v, verdict, q)
			}
		}
	}
}

func TestVectorsOfPayAndSlashes(t *testing.T) {
	committee, _ := readLevels(t)
	paid := 0
	for _, v := range committee {
		if v.Pay == nil {
			continue
		}
		paid++
		seats := v.seats()
		terms := Terms{Class: Judge, MinQuality: v.Theta}
		y := newYardstick(Judge, v.Theta, v.Verdict, seats)
		if v.Pay.Tau != 0 && (y.median != v.Pay.Median || y.spread != v.Pay.Tau) {
			t.Errorf("%s: median %d, spread %d", v, y.median, y.spread)
		}
		for i, r := range Rewards(terms, v.Verdict, v.U, seats, seats) {
			want := v.Pay.Each[i]
			if float64(r.Pay) != want[0] {
				t.Errorf("%s: seat %d: paid %d, want %v", v, i, r.Pay, want[0])
			}
			if want[1] == "absent" {
				if r.Slash != 2*v.SeatFee {
					t.Errorf("%s: seat %d did not commit: slashed %d, want a fifth of its bond", v, i, r.Slash)
				}
			} else if float64(r.Slash) != want[1] {
				t.Errorf("%s: seat %d: slashed %d, want %v", v, i, r.Slash, want[1])
			}
		}
	}
	if paid == 0 {
		t.Error("no vectors of pay")
	}
}

// answered is a seat that revealed, with the memory that its run left.
func answered(a Answer, memory byte) Seat {
	return Seat{Bond: 1000, Committed: true, Revealed: true, Answer: a, Digest: Digest{memory}}
}

// TestWhatSeatsGetWhereARunIsDeterministic tells pay, of 600 in all, and slash,
// of a bond of 1,000, for each seat of a level of class recompute.
func TestWhatSeatsGetWhereARunIsDeterministic(t *testing.T) {
	good, bad := Answer(S), Answer(0)
	silent, withheld := Seat{Bond: 1000}, Seat{Bond: 1000, Committed: true}
	for _, tt := range []struct {
		name    string
		seats   []Seat
		final   bool
		verdict Verdict
		want    [][2]atp.Amount
	}{
		{"all agree", []Seat{answered(good, 1), answered(good, 1), answered(good, 1)}, false, Pass, [][2]atp.Amount{{200, 0}, {200, 0}, {200, 0}}},
		{"one copied the score, not the memory", []Seat{answered(good, 1), answered(good, 1), answered(good, 9)}, false, Pass,
			[][2]atp.Amount{{200, 0}, {200, 0}, {0, 0}}},
		{"one lied", []Seat{answered(good, 1), answered(good, 1), answered(bad, 2)}, false, Pass, [][2]atp.Amount{{200, 0}, {200, 0}, {0, 1000}}},
		{"one was silent", []Seat{answered(good, 1), answered(good, 1), silent}, false, Pass, [][2]atp.Amount{{200, 0}, {200, 0}, {0, 200}}},
		{"one would not reveal", []Seat{answered(bad, 1), answered(bad, 1), withheld}, false, Fail, [][2]atp.Amount{{200, 0}, {200, 0}, {0, 1000}}},
		{"one found nothing to look at", []Seat{answered(good, 1), answered(good, 1), answered(Unavailable, 0)}, false, Pass,
			[][2]atp.Amount{{200, 0}, {200, 0}, {0, 200}}},
		{"most found nothing to look at", []Seat{answered(good, 1), answered(Unavailable, 0), answered(Unavailable, 0)}, false, Fail,
			[][2]atp.Amount{{0, 0}, {0, 0}, {0, 0}}},
		{"it cannot be run", []Seat{answered(good, 1), answered(ResourceLimit, 0), answered(ResourceLimit, 0)}, false, OverLimit,
			[][2]atp.Amount{{0, 0}, {0, 0}, {0, 0}}},
		{"half and half of everyone", []Seat{answered(good, 1), answered(bad, 1)}, true, NoVerdict, [][2]atp.Amount{{300, 0}, {300, 0}}},
		{"half and half, and nothing to look at", []Seat{answered(good, 1), answered(ResourceLimit, 1), silent}, true, NoVerdict,
			[][2]atp.Amount{{200, 0}, {0, 0}, {0, 200}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			verdict, _ := Decide(tt.seats, Recompute, S, tt.final)
			if verdict != tt.verdict {
				t.Fatalf("have %s, want %s", verdict, tt.verdict)
			}
			var got [][2]atp.Amount
			for _, r := range Rewards(Terms{Class: Recompute, MinQuality: S}, verdict, 600, tt.seats, tt.seats) {
				got = append(got, [2]atp.Amount{r.Pay, r.Slash})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("pay and slash (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTheSideThatWinsIsNeverInDoubt tries every division of up to nine seats
// into those for, against, over the limit and silent: a committee decides only
// with two thirds, everyone with more than half, and never for two sides.
func TestTheSideThatWinsIsNeverInDoubt(t *testing.T) {
	answers := []Answer{Answer(S), 0, ResourceLimit}
	verdicts := []Verdict{Pass, Fail, OverLimit}
	for n := 1; n <= 9; n++ {
		for a := 0; a <= n; a++ {
			for b := 0; a+b <= n; b++ {
				for c := 0; a+b+c <= n; c++ {
					var seats []Seat
					for side, count := range []int{a, b, c} {
						for range count {
							seats = append(seats, answered(answers[side], 0))
						}
					}
					for len(seats) < n {
						seats = append(seats, Seat{})
					}
					for _, final := range []bool{false, true} {
						want := map[bool]Verdict{false: Inconclusive, true: NoVerdict}[final]
						for side, count := range []int{a, b, c} {
							if !final && 3*count >= 2*n || final && 2*count > n {
								want = verdicts[side]
							}
						}
						if got, _ := Decide(seats, Recompute, 700_000, final); got != want {
							t.Errorf("%s of %d, final %v: have %s, want %s", fmt.Sprint(a, b, c), n, final, got, want)
						}
					}
				}
			}
		}
	}
}

// TestAResultThatItsCheckerCannotJudgeInTimeIsWorthNothing: what a checker reads
// is of the executor's making, so that it could be made to never end.
func TestAResultThatItsCheckerCannotJudgeInTimeIsWorthNothing(t *testing.T) {
	terms := Terms{Class: Checker, MinQuality: 700_000}
	for _, tt := range []struct {
		name    string
		seats   []Seat
		verdict Verdict
		slashes []atp.Amount
	}{
		{"nobody saw the end", []Seat{answered(ResourceLimit, 0), answered(ResourceLimit, 0), answered(ResourceLimit, 0)}, Fail, []atp.Amount{0, 0, 0}},
		{"one saw a bad end", []Seat{answered(0, 1), answered(ResourceLimit, 0), answered(ResourceLimit, 0)}, Fail, []atp.Amount{0, 0, 0}},
		{"most saw a good end", []Seat{answered(900_000, 1), answered(900_000, 1), answered(ResourceLimit, 0)}, Pass, []atp.Amount{0, 0, 200}},
	} {
		verdict, q := Decide(tt.seats, terms.Class, terms.MinQuality, false)
		if verdict != tt.verdict || verdict == Fail && q != 0 {
			t.Errorf("%s: have %s, %d ppm, want %s", tt.name, verdict, q, tt.verdict)
		}
		var slashes []atp.Amount
		for _, r := range Rewards(terms, tt.verdict, 600, tt.seats, tt.seats) {
			slashes = append(slashes, r.Slash)
		}
		if diff := cmp.Diff(tt.slashes, slashes); diff != "" {
			t.Errorf("%s: slashes (-want +got):\n%s", tt.name, diff)
		}
	}
}
