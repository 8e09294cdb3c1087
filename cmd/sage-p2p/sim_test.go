package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sage-p2p/sage-p2p/node/sim"
)

// A seed is a story that is the same each time, of 100 columns, with every kind of
// fault that was asked for, and says in the end what was checked.
func TestASeedTellsAStory(t *testing.T) {
	args := []string{"sim", "--seed", "7", "--validators", "7", "--faults", "all", "--trace"}
	s := command(t.Context(), t.TempDir(), time.Now, "", args...)
	if s.code != exitDone {
		t.Fatalf("%d %s", s.code, s.err)
	}
	if again := command(t.Context(), t.TempDir(), time.Now, "", args...); again.out != s.out {
		t.Error("the same seed tells another story")
	}
	for _, want := range []string{
		"7 validators", "machine 5 is an adversary: key twin", "~ uses its key on a second machine", "on WAN: machines", "loses power", "nothing passes", "clocks of", "for every step",
		"put back to an older image", "a bit is to turn on the disk", "a bit turns in ", "ms to sync", "the disk of",
		"wants a ValidatorJoin", "signs COMMIT of height 1", "height 1 is final", "the faults stop", "everything is final everywhere",
		"all laws hold", "A1  one block at each height", "A4  ", "A5  ", "trace ",
	} {
		if !strings.Contains(s.out, want) {
			t.Errorf("the story lacks %q", want)
		}
	}
	for line := range strings.Lines(s.out) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > sim.StoryWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestSchedulesAreCountedAndPrintJSON(t *testing.T) {
	s := command(t.Context(), t.TempDir(), time.Now, "", "sim", "--seed", "100", "--seeds", "20", "--faults", "crash,links", "--json")
	var out simulation
	if err := json.Unmarshal([]byte(s.out), &out); err != nil || s.code != exitDone {
		t.Fatalf("%d %v %s", s.code, err, s.err)
	}
	ends := 0
	for _, where := range []string{"", ", at a place"} {
		ends += out.Seen["fault: crash"+where] + out.Seen["fault: kill"+where]
	}
	if out.Explore == nil || out.Explore.Schedules != 20 || ends != 40 || out.Result.Law != "" || len(out.Checked) == 0 {
		t.Errorf("%+v", out)
	}
	if n := out.Seen["fault: partition"] + out.Seen["fault: slow"]; n != 0 {
		t.Errorf("%d faults that nobody asked for", n)
	}
}

// A schedule that breaks a law ends with 1, names the law and the seed, and is
// shrunk to a script that breaks it too.
func TestABrokenLawIsToldAndShrunk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "liars.json")
	broken := sim.Script{Why: "two liars of four are more than f", Byzantine: map[string]string{"0": "equivocating leader", "1": "double voter"}}
	broken.Plan = sim.Plan{Validators: 4, Base: 300, MaxDelay: 20, Faults: 6_000, Submissions: 4, Skew: 100}
	for s := (said{}); s.code == exitDone; broken.Seed++ {
		if broken.Seed > 300 {
			t.Fatal("no schedule with two liars of four forks")
		}
		raw, err := broken.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s = command(t.Context(), t.TempDir(), time.Now, "", "sim", "--script", file)
	}
	s := command(t.Context(), t.TempDir(), time.Now, "", "sim", "--script", file, "--shrink", "--json")
	var out simulation
	if err := json.Unmarshal([]byte(s.out), &out); err != nil {
		t.Fatalf("%v in %s", err, s.out)
	}
	if s.code != exitFailed || out.Result.Law == "" || !strings.Contains(s.err, "seed ") || !strings.Contains(s.err, out.Result.Law) {
		t.Errorf("%d, law %q: %s", s.code, out.Result.Law, s.err)
	}
	if out.Shrunk == nil || out.Shrunk.Size() >= out.Script.Size() {
		t.Errorf("of size %d, shrunk to %+v", out.Script.Size(), out.Shrunk)
	}
}

func TestASimulationThatCannotBeIsRefused(t *testing.T) {
	frob := filepath.Join(t.TempDir(), "frob.json")
	if err := os.WriteFile(frob, []byte(`{"Plan": {"Validators": 4, "Base": 300, "Faults": 2000, "Script": [{"Kind": "frob", "On": [1], "At": 5}]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--faults", "gremlins"}, {"--validators", "0"}, {"--validators", "29"},
		{"--script", "nowhere.json"}, {"--script", "x.json", "--seed", "1"}, {"--script", frob}, {"--seed", "x"}, {"7"},
	} {
		s := command(t.Context(), t.TempDir(), time.Now, "", append([]string{"sim"}, args...)...)
		if s.code != exitUsage || strings.Count(s.err, "\n") > 2 || s.out != "" {
			t.Errorf("sim %v = %d %q %q, want %d and a sentence", args, s.code, s.out, s.err, exitUsage)
		}
	}
}
