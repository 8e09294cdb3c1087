package sim

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A script that no schedule can follow is refused, with what is wrong and where.
func TestABadScriptIsRefused(t *testing.T) {
	fault := func(text string) string {
		return `{"Plan": {"Validators": 4, "Base": 300, "Faults": 2000, "Script": [{"Kind": "bit-flip", "On": [0]}, ` + text + `]}}`
	}
	plan := func(text string) string {
		return `{"Plan": {"Validators": 4, "Base": 300, "Faults": 2000, ` + text + `}}`
	}
	for _, tt := range []struct{ name, script, want string }{
		{"no JSON", `{`, "unexpected EOF"},
		{"more than one", plan(`"Loss": 1`) + ` {}`, "something follows"},
		{"a field that is none", plan(`"Losses": 1`), `unknown field "Losses"`},
		{"no validators", `{"Plan": {"Base": 300, "Faults": 2000}}`, "Plan: Validators: have 0, want 1 to 28"},
		{"too many observers", plan(`"Observers": 9223372036854775807`), "Plan: Observers: have 9223372036854775807, want 0 to 28"},
		{"no view timer", `{"Plan": {"Validators": 4, "Faults": 2000}}`, "Plan: Base: have 0"},
		{"a delay beyond all bounds", plan(`"MaxDelay": 18446744073709551615`), "Plan: MaxDelay: have"},
		{"less than no loss", plan(`"Loss": -1`), "Plan: Loss: have -1, want 0 to 100"},
		{"more repetition than there is", plan(`"Duplicates": 101`), "Plan: Duplicates: have 101"},
		{"less than no spikes", plan(`"Spikes": -1`), "Plan: Spikes: have -1"},
		{"a skew below zero", plan(`"Skew": -5`), "Plan: Skew: have -5"},
		{"a skew beyond all bounds", plan(`"Skew": 9223372036854775807`), "Plan: Skew: have 9223372036854775807"},
		{"faults that never end", plan(`"Faults": 18446744073709551615`), "Plan: Faults: have"},
		{"less than no wishes", plan(`"Submissions": -1`), "Plan: Submissions: have -1"},
		{"less than no leaves", plan(`"Leaves": -1`), "Plan: Leaves: have -1"},
		{"less than no rotations", plan(`"Rotations": -1`), "Plan: Rotations: have -1"},
		{"access of too few", plan(`"Access": "AAA="`), "Plan: Access: how 2 machines are connected, and there are 4"},
		{"access that there is none of", plan(`"Access": "AAAAAw=="`), "Plan: Access: machine 3: have 3, want 0 to 2"},
		{"a kind that is none", fault(`{"Kind": "frob", "On": [1], "At": 5}`), `Plan: Script: fault 2: in Kind: there is no "frob"; there are bit-flip,`},
		{"of nobody", fault(`{"Kind": "slow", "By": 5}`), "fault 2: in On: a slow of no machine"},
		{"of a machine that is not there", fault(`{"Kind": "slow", "On": [4], "By": 5}`), "fault 2: in On: machine 4; there are 0 to 3"},
		{"of a machine twice", fault(`{"Kind": "slow", "On": [1, 1], "By": 5}`), "fault 2: in On: machine 1; there are 0 to 3, each once"},
		{"after the faults", fault(`{"Kind": "slow", "On": [1], "At": 2001, "By": 5}`), "fault 2: At: have 2001, want 0 to 2000"},
		{"for ever", fault(`{"Kind": "slow", "On": [1], "For": 18446744073709551615}`), "fault 2: For: have"},
		{"slower than slow", fault(`{"Kind": "slow", "On": [1], "By": -1}`), "fault 2: By of a slow: have -1"},
		{"a clock beyond time", fault(`{"Kind": "clock", "On": [1], "By": -9223372036854775808}`), "fault 2: By of a clock: have -9223372036854775808"},
		{"a partition by something", fault(`{"Kind": "partition", "On": [1], "By": 1}`), "fault 2: By of a partition: have 1, want 0 to 0"},
		{"an image of the beginning", fault(`{"Kind": "restore", "On": [1]}`), "fault 2: At: have 0, want 1 to 2000"},
		{"an end nowhere", fault(`{"Kind": "crash", "On": [1], "At": 5}`), "fault 2: in By: after how many effects, or Place: where"},
		{"an end at no place", fault(`{"Kind": "crash", "On": [1], "Place": "home"}`), `fault 2: in Place: there is no "home"`},
		{"a full disk where nothing is written", fault(`{"Kind": "disk-full", "On": [1], "Place": "send"}`), `fault 2: in Place: a disk-full does not happen at "send"`},
		{"a partition at a place", fault(`{"Kind": "partition", "On": [1], "Place": "send"}`), `fault 2: in Place: a partition does not happen at "send"`},
		{"a slow machine that is noticed", fault(`{"Kind": "slow", "On": [1], "Told": true}`), "fault 2: in Told: transports notice no slow"},
		{"a liar that is not there", strings.TrimSuffix(plan(`"Loss": 1`), "}") + `, "Byzantine": {"4": "silent"}}`, `Byzantine: machine "4", and there are 0 to 3`},
		{"a liar by another number", strings.TrimSuffix(plan(`"Loss": 1`), "}") + `, "Byzantine": {"0x1": "silent"}}`, `Byzantine: machine "0x1"`},
		{"a liar by its type", strings.TrimSuffix(plan(`"Loss": 1`), "}") + `, "Byzantine": {"1": "packer"}}`, `no behaviour is called "packer"; there are silent, equivocating leader,`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "script.json")
			if err := os.WriteFile(file, []byte(tt.script), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := ReadScript(file); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v, want the file and %q", err, tt.want)
			}
		})
	}
}

// Whatever a seed draws is a script, and its file is read again as the same.
func TestEveryPlanIsAScript(t *testing.T) {
	var theatre Theatre
	for seed := range uint64(2_000) {
		chosen, err := Choose(seed, 1+int(seed%MaxValidators), Chances())
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range []Plan{PlanOf(seed), chosen} {
			raw, err := NewScript("drawn", seed, p).Encode()
			if err != nil {
				t.Fatal(err)
			}
			s, err := parseScript(raw)
			if err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, raw)
			}
			if again, err := NewScript("drawn", seed, s.Plan).Encode(); err != nil || string(again) != string(raw) {
				t.Errorf("seed %d is read as another script: %v\n%s\n%s", seed, err, raw, again)
			}
			if i > 0 || seed >= 10 {
				continue
			}
			if one, two := theatre.Play(seed, p), theatre.Play(seed, s.Plan); one.Trace != two.Trace {
				t.Errorf("seed %d: trace %016x, and %016x from its file", seed, one.Trace, two.Trace)
			}
		}
	}
}

// Whatever a file holds is refused or can be played: a schedule that begins and goes
// on does not panic.
func FuzzScript(f *testing.F) {
	for seed := range uint64(8) {
		p, err := Choose(seed, 4, Chances())
		if err != nil {
			f.Fatal(err)
		}
		p.Tasks, p.Votes, p.Away = seed%2 == 0, seed%3 == 0, seed%4 == 0
		raw, err := NewScript("a seed of the corpus", seed, p).Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	extreme := Plan{
		Validators: 1, Base: maxDelay, MaxDelay: maxDelay, Loss: 100, Duplicates: 100, Spikes: 100, Skew: maxTime,
		Faults: maxTime, Submissions: maxWishes, Leaves: maxWishes, Rotations: maxWishes, Joins: true, Observers: 1,
	}
	for _, kind := range faultKinds() {
		by := bounds[FaultKind(kind)]
		for _, n := range []int64{by.least, by.most} {
			if fault := (Fault{Kind: FaultKind(kind), On: []int{0, 1}, At: 1, For: maxTime, By: n}); fault.check(&extreme) == nil {
				extreme.Script = append(extreme.Script, fault)
			}
		}
	}
	raw, err := NewScript("all there may be", math.MaxUint64, extreme).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	var theatre Theatre
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := parseScript(raw)
		if err != nil {
			return
		}
		if again, err := json.Marshal(s); err != nil {
			t.Fatalf("%s cannot be written: %v", again, err)
		}
		if s.Plan.Machines() > 7 || s.Plan.Real {
			return // which takes too long, and is the same
		}
		theatre.Story = func(Line) {}
		sim, err := theatre.stage(s.Seed, s.Plan)
		if err != nil {
			t.Fatalf("it cannot be played: %v\n%s", err, raw)
		}
		sim.begin()
		for range 1_500 {
			if sim.judge.err != nil || !sim.World.Next(sim.World.Now().Add(s.Plan.Faults)) {
				break
			}
		}
		sim.heal()
		for range 500 {
			if sim.judge.err != nil || !sim.World.Next(sim.World.Now().Add(settleTime)) {
				break
			}
		}
	})
}
