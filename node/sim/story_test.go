package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
)

// storyOf plays a plan and returns what is told of it, before anything is folded.
func storyOf(seed uint64, p Plan) (story []Line, r Result) {
	theatre := Theatre{Story: func(l Line) { story = append(story, l) }}
	return story, theatre.Play(seed, p)
}

// Whoever misbehaves, the story says what it does otherwise, as a lie of that machine,
// and calls it as TestByzantine does.
func TestLiesAreTold(t *testing.T) {
	for _, r := range roles() {
		t.Run(r.name, func(t *testing.T) {
			lies := 0
			for seed := uint64(5); lies == 0 && seed < 15; seed++ {
				p := trial{4, []role{r}, seed}.plan()
				if all := strings.Join(p.Describe(), "\n"); !strings.Contains(all, "is an adversary: "+r.name) {
					t.Fatalf("it is called otherwise:\n%s", all)
				}
				story, _ := storyOf(seed, p)
				for _, l := range story {
					switch {
					case !l.Lie:
					case p.Adversaries[l.Machine] == nil:
						t.Errorf("machine %d, which is correct, lies: %s", l.Machine, l.Text)
					default:
						lies++
					}
				}
			}
			if lies == 0 {
				t.Error("no story tells of a lie")
			}
		})
	}
}

// No story has names that a reader cannot follow, and each is the same schedule as one
// that is not told.
func TestStoriesSpeakOfMachines(t *testing.T) {
	var untold Theatre
	for seed := range uint64(12) {
		p, err := Choose(seed, 7, Chances())
		if err != nil {
			t.Fatal(err)
		}
		story, r := storyOf(seed, p)
		for _, l := range story {
			if longName.MatchString(l.Text) || strings.Contains(l.Text, "sim: ") || strings.Contains(l.Text, "%!") {
				t.Errorf("seed %d: %s", seed, l.Text)
			}
		}
		if want := untold.Play(seed, p).Trace; r.Trace != want {
			t.Errorf("seed %d: trace %016x, and %016x when nobody listens", seed, r.Trace, want)
		}
	}
}

// What a machine does about a height comes after the line in which the one below is
// final there.
func TestAHeightIsFinalBeforeTheNext(t *testing.T) {
	for seed := range uint64(40) {
		p := PlanOf(seed)
		story, _ := storyOf(seed, p)
		heights := make([]int, p.Machines())
		for _, l := range story {
			var at int
			var kind string
			switch {
			case l.Machine < 0 || p.Adversaries[l.Machine] != nil:
			case scans(l.Text, "starts, with height %d on its disk", &at), scans(l.Text, "height %d is final", &at):
				heights[l.Machine] = at
			case scans(l.Text, "signs %s of height %d", &kind, &at) && at > heights[l.Machine]+1:
				t.Errorf("seed %d: %s\nand height %d was not final", seed, l, at-1)
			}
		}
	}
}

// scans reports whether a text begins with what a format says.
func scans(text, format string, to ...any) bool {
	n, _ := fmt.Sscanf(text, format, to...)
	return n == len(to)
}

// Of each disk that is to be put back, and of each bit that is to turn, the story says
// whether it was; and whoever falls silent and is back, that it is.
func TestAStorySaysWhatBecameOfADisk(t *testing.T) {
	var theatre Theatre
	told, counted := make(map[string]int), make(map[string]int)
	for seed := range uint64(60) {
		story := []Line(nil)
		theatre.Story = func(l Line) { story = append(story, l) }
		r := theatre.Restore(seed)
		for _, what := range []string{"a disk is restored", "an old image is found out", seenReturn, "a bit of a record turns", "a bit of a store turns"} {
			counted[what] += r.Seen[what]
		}
		for i, l := range story {
			for announced, outcomes := range map[string][]string{
				"is to be put back": {"its disk is put back", "its disk stays as it is: "},
				"a bit is to turn":  {"a bit turns in ", "no bit turns: "},
			} {
				if strings.Contains(l.Text, announced) && !slices.ContainsFunc(story[i+1:min(i+6, len(story))], func(next Line) bool {
					return next.AtMS == l.AtMS && (strings.Contains(next.Text, outcomes[0]) || strings.Contains(next.Text, outcomes[1]))
				}) {
					t.Errorf("seed %d: nothing says what became of it: %s", seed, l)
				}
			}
			for what, text := range map[string]string{
				"a disk is restored": "its disk is put back", "an old image is found out": "finds out that its disk is an old image",
				seenReturn: "is back: it signs again", "a bit of a record turns": "a bit turns in one copy", "a bit of a store turns": "a bit turns in its store",
			} {
				if strings.HasPrefix(l.Text, text) {
					told[what]++
				}
			}
		}
	}
	for what, n := range counted {
		if n == 0 || told[what] != n {
			t.Errorf("%s: %d times, told %d times", what, n, told[what])
		}
	}
}

// Lines that say the same are told once, or twice: the first, and how many more there
// were when the last comes. All others stay, in their order.
func TestFold(t *testing.T) {
	line := func(at atp.Span, machine int, like, text string) Line {
		return Line{AtMS: at, Machine: machine, like: like, Text: text}
	}
	for _, tt := range []struct {
		name  string
		story []Line
		want  []string
	}{
		{"nothing alike", []Line{line(1, 0, "", "a"), line(1, 0, "", "a")}, []string{"1 0 a", "1 0 a"}},
		{"once", []Line{line(1, 0, "x", "a")}, []string{"1 0 a"}},
		{"at once", []Line{line(1, 0, "x", "a"), line(1, 0, "x", "a"), line(1, 0, "", "b"), line(1, 0, "x", "a")}, []string{"1 0 a (3 times)", "1 0 b"}},
		{"almost the same at once", []Line{line(1, 0, "x", "a"), line(1, 0, "x", "b")}, []string{"1 0 a, and the like (2 times)"}},
		{"twice", []Line{line(1, 0, "x", "a"), line(2, 0, "x", "a")}, []string{"1 0 a", "2 0 a"}},
		{
			"again and again", []Line{line(1, 0, "x", "a"), line(2, 0, "x", "a"), line(3, 0, "", "b"), line(4, 0, "x", "a"), line(5, 0, "", "c")},
			[]string{"1 0 a", "3 0 b", "4 0 … 2 times more since 0.001: a", "5 0 c"},
		},
		{
			"by others, too", []Line{line(1, 3, "x", "a 1"), line(2, 0, "x", "a 2"), line(2, 3, "x", "a 3")},
			[]string{"1 3 a 1", "2 -1 … 2 times more since 0.001 by 0, 3: a 1, and the like"},
		},
		{
			"after a while", []Line{line(1, 0, "x", "a"), line(1002, 0, "x", "a"), line(1003, 0, "x", "a"), line(1004, 0, "x", "a")},
			[]string{"1 0 a", "1002 0 a", "1004 0 … 2 times more since 1.002: a"},
		},
		{
			"for long", []Line{line(1, 0, "x", "a"), line(1001, 0, "x", "a"), line(2001, 0, "x", "a"), line(3001, 0, "x", "a"), line(4001, 0, "x", "a"), line(5001, 0, "x", "a"), line(5002, 0, "x", "a")},
			[]string{"1 0 a", "5001 0 … 5 times more since 0.001: a", "5002 0 a"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, l := range Fold(tt.story) {
				got = append(got, fmt.Sprint(uint64(l.AtMS), " ", l.Machine, " ", l.Text))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// The list of what was checked names each law of the ledger.
func TestAllLawsAreListed(t *testing.T) {
	for _, law := range []string{"A1", "A2", "A3", "A4", "A5", "A6", "A7", "J1", "J6", "liveness"} {
		if n := len(slices.DeleteFunc(Laws(), func(l string) bool { return !strings.HasPrefix(l, law+"  ") })); n != 1 {
			t.Errorf("%s is listed %d times", law, n)
		}
	}
}
