package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task/exec/programs"
)

// witnessed is a task that a committee has looked at.
func witnessedTask(state view.TaskState) view.Task {
	whole, none := view.PPM(1_000_000), view.PPM(0)
	return view.Task{
		ID: apitest.CID("a witnessed task"), State: state,
		Requester: apitest.ID("alpha"), RequesterName: "alpha", Executor: apitest.ID("beta"), ExecutorName: "beta",
		Spec: view.Spec{
			Type: "vision", Complexity: "low", Runtime: "wasm", Program: apitest.CID("prog"), Input: apitest.CID("input"), InputSize: 9,
			PriceUATP: 20_000_000, MinQualityPPM: 700_000, Verify: "recompute", OfferWindowMS: 60_000, ExecutionWindowMS: 300_000,
		},
		FeeUATP: 600_000, BondUATP: 5_600_000, Result: apitest.CID("result"), ResultSize: 12,
		Witnesses: []view.Witness{
			{PeerID: apitest.ID("gamma"), Name: "gamma", ScorePPM: &whole, Answer: "1000000 ppm", EarnedUATP: 1_000_000},
			{PeerID: apitest.ID("delta"), Name: "delta", ScorePPM: &none, Answer: "0 ppm", SlashedUATP: 10_000_000},
			{PeerID: apitest.ID("delta"), Name: "delta", Level: 1, Answer: "UNAVAILABLE"},
			{PeerID: apitest.ID("gamma"), Name: "gamma", Level: 1},
		},
		History: []view.Step{
			{TimeMS: apitest.Start + 5_000, Height: 5, Event: "prove", By: apitest.ID("beta")},
			{TimeMS: apitest.Start + 6_000, Height: 6, Event: "seat", Note: "audit: drawn by the beacon of height 6, p = 0.781: 2 of 2 societies sit, with 10 ATP each at stake"},
			{TimeMS: apitest.Start + 7_000, Height: 7, Event: "reveal", By: apitest.ID("gamma"), Note: "says 1.000, memory 6e6f74a1"},
			{TimeMS: apitest.Start + 8_000, Height: 8, Event: "appeal", By: apitest.ID("alpha"), Legs: []view.Leg{{What: "bonded", To: apitest.ID("alpha"), AmountUATP: 5_000_000}}},
		},
	}
}

func TestWhatPeopleReadOfWitnesses(t *testing.T) {
	d := sit(t)
	d.node.SetTask(witnessedTask(view.TaskWitnessing))
	id := apitest.CID("a witnessed task").String()
	for name, args := range map[string][]string{"task-witnessed": {"task", "show", id}, "task-verify": {"task", "verify", id}} {
		t.Run(name, func(t *testing.T) {
			out := d.ok(args...)
			golden(t, name, out)
			for line := range strings.Lines(out) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 && !strings.Contains(line, "bafyrei") {
					t.Errorf("%d columns: %s", n, line)
				}
			}
		})
	}
}

// Before the draw, nobody looks at a result, and perhaps nobody will.
func TestItIsSaidHowFarAReviewIs(t *testing.T) {
	for step, want := range map[string]string{
		"prove": "a draw decides whether witnesses look at the result", "dispute": "disputed; witnesses are drawn",
		"seat": "witnesses look at the result: witnesses seated", "unseal": "witnesses look at the result: answers due",
	} {
		task := witnessedTask(view.TaskWitnessing)
		task.History = []view.Step{{Event: step}}
		if got := progress(task); !strings.HasSuffix(got, want) || utf8.RuneCountInString(got) > 80 {
			t.Errorf("after %s: %q, want %q", step, got, want)
		}
	}
}

func TestAResultIsDisputedAndAppealed(t *testing.T) {
	for command, from := range map[string]view.TaskState{"dispute": view.TaskProven, "appeal": view.TaskWitnessing} {
		d := sit(t)
		d.node.SetTask(witnessedTask(from))
		id := apitest.CID("a witnessed task").String()
		if out := d.ok("task", command, id); !strings.Contains(out, "COMMIT") {
			t.Errorf("task %s = %q", command, out)
		}
		if again := d.run("task", command, id); again.code != exitFailed && again.code != exitUnsafe || !strings.Contains(again.err, "settled") {
			t.Errorf("task %s once more = %+v", command, again)
		}
	}
}

func TestACheckerRunsOffline(t *testing.T) {
	dir := t.TempDir()
	checker := filepath.Join(dir, "checker.wasm")
	if err := programs.Compile(t.Context(), "../../task/exec/testdata/checker", checker); err != nil {
		t.Fatal(err)
	}
	input, output := filepath.Join(dir, "input"), filepath.Join(dir, "output")
	for file, text := range map[string]string{input: "four", output: "abc"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := sit(t)
	if out := d.ok("task", "check", "--checker", checker, "--input", input, "--output", output); !strings.Contains(out, "quality 0.750") {
		t.Errorf("task check = %q, want 0.750", out)
	}
	var v scored
	if err := json.Unmarshal([]byte(d.ok("task", "check", "--checker", checker, "--input", input, "--output", output, "--json")), &v); err != nil || v.ScorePPM != 750_000 || len(v.MemoryHash) != 64 {
		t.Errorf("task check --json = %+v, %v", v, err)
	}
	for name, args := range map[string][]string{
		"there is no such file": {"--checker", checker, "--input", filepath.Join(dir, "none"), "--output", output},
		"it is no program":      {"--checker", input, "--input", input, "--output", output},
		"one is not named":      {"--checker", checker, "--input", input},
	} {
		if got := d.run(append([]string{"task", "check"}, args...)...); got.code == exitDone || got.err == "" || strings.Contains(got.err, "panic") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
