package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// answerBy is when an answer to a result is due, in 2040.
const answerBy view.Millis = 2_208_988_800_000

// prove gives every posted task its result, until the test ends.
func prove(t *testing.T, d *desk, result string) {
	t.Helper()
	blob, err := d.node.PutBlob(t.Context(), strings.NewReader(result))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(done)
		for {
			changed := d.node.Changed()
			page, _ := d.node.Tasks(t.Context(), view.TaskFilter{State: view.TaskPosted, Limit: 10})
			for _, task := range page.Tasks {
				task.State, task.Result, task.ResultSize = view.TaskProven, blob.CID, blob.Size
				task.DeadlineMS = answerBy
				d.node.SetTask(task)
			}
			select {
			case <-changed:
			case <-stop:
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

func TestATaskIsDelegatedAcceptedAndSaved(t *testing.T) {
	d := sit(t)
	prove(t, d, "edges")
	dir := files(t)
	out := filepath.Join(dir, "out.png")
	d.in = "pixels from a pipe"
	got := d.ok("task", "submit", "--type", "vision", "--program", filepath.Join(dir, "prog.wasm"), "--input", "-", "--price", "11", "--accept", "--out", out)
	for _, want := range []string{"routed to beta", "result written to " + out, "COMMIT (acknowledged)"} {
		if !strings.Contains(got, want) {
			t.Errorf("output lacks %q:\n%s", want, got)
		}
	}
	if b, err := os.ReadFile(out); err != nil || string(b) != "edges" {
		t.Errorf("result = %q, %v", b, err)
	}
	page, _ := d.node.Tasks(t.Context(), view.TaskFilter{Limit: 1})
	if in := string(d.node.Blob(page.Tasks[0].Spec.Input)); in != "pixels from a pipe" {
		t.Errorf("input = %q", in)
	}
}

// Who offers less than the list price waits for nothing, unless it is said.
func TestATaskThatIsHardlyAcceptedIsSaidToBe(t *testing.T) {
	d := sit(t)
	dir := files(t)
	submit := func(args ...string) said {
		t.Helper()
		return d.run(append([]string{"task", "submit", "--type", "vision", "--to", "beta", "--horizon", "regional",
			"--program", filepath.Join(dir, "prog.wasm"), "--input", filepath.Join(dir, "input")}, args...)...)
	}
	s := submit("--price", "3")
	page, err := d.node.Tasks(t.Context(), view.TaskFilter{Limit: 1})
	if err != nil || len(page.Tasks) != 1 || page.Tasks[0].Spec.Horizon != (view.Horizon{Spatial: "regional"}) {
		t.Fatalf("tasks = %+v, %v, want one of a regional horizon", page.Tasks, err)
	}
	if s.code != exitDone || !strings.Contains(s.err, "3 ATP is below its list price of 11 ATP") || !strings.Contains(s.err, "task why-not "+short(page.Tasks[0].ID.String())) {
		t.Errorf("below the list price: %+v", s)
	}
	var sub view.Submission
	if s := submit("--price", "3", "--json"); json.Unmarshal([]byte(s.out), &sub) != nil || !strings.Contains(sub.Note, "list price") {
		t.Errorf("as JSON: %+v", s)
	}
	if s := submit("--price", "11"); s.code != exitDone || s.err != "" {
		t.Errorf("at the list price: %+v", s)
	}
}

func TestARefusedTaskSaysSo(t *testing.T) {
	d := sit(t)
	prove(t, d, "nonsense")
	dir := files(t)
	d.ok("task", "submit", "--type", "vision", "--program", filepath.Join(dir, "prog.wasm"), "--input", filepath.Join(dir, "input"))
	id := apitest.CID("task 0")
	if _, err := d.node.Task(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for { // until prove has seen it
		if task, _ := d.node.Task(t.Context(), id); task.State == view.TaskProven {
			break
		}
	}
	if out := d.ok("task", "refuse", id.String()); !strings.Contains(out, "ROLLBACK (refused)") {
		t.Errorf("refuse said %q", out)
	}
	again := d.run("task", "acknowledge", id.String())
	if again.code != exitFailed || !strings.Contains(again.err, "settled") {
		t.Errorf("acknowledge afterwards = %+v", again)
	}
}

// A result that does not come whole leaves no file behind.
func TestAFailedDownloadLeavesNothing(t *testing.T) {
	d := sit(t)
	id := apitest.CID("gone")
	d.node.SetTask(view.Task{ID: id, State: view.TaskSettled, Result: apitest.CID("bytes"), ResultSize: 4})
	dir := t.TempDir()
	s := d.run("task", "result", id.String(), "--out", filepath.Join(dir, "out"))
	if s.code != exitFailed || !strings.Contains(s.err, "not here any more") {
		t.Errorf("said %+v", s)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// A result is another machine's bytes: a terminal never gets them as they are.
func TestAResultIsNotPrintedOnATerminal(t *testing.T) {
	d := sit(t)
	blob, err := d.node.PutBlob(t.Context(), strings.NewReader("\x1b[2J"))
	if err != nil {
		t.Fatal(err)
	}
	id := apitest.CID("a task")
	d.node.SetTask(view.Task{ID: id, State: view.TaskSettled, Result: blob.CID, ResultSize: blob.Size})
	if out := d.ok("task", "result", id.String()); out != "\x1b[2J" {
		t.Errorf("into a pipe goes %q", out)
	}
	d.screen = true
	if s := d.run("task", "result", id.String()); s.code != exitUnsafe || s.out != "" || !strings.Contains(s.err, "--out") {
		t.Errorf("on a terminal: %+v", s)
	}
}

func TestSharesAreReadExactly(t *testing.T) {
	for text, want := range map[string]view.PPM{"0": 0, "1": 1_000_000, "0.85": 850_000, "0.000001": 1, "1.0": 1_000_000} {
		if got, err := parseShare("--quality", text); err != nil || got != want {
			t.Errorf("parseShare(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", ".5", "1.000001", "2", "-1", "+1", "1e-1", "0.0000001", "0,5", "0.5.5", "0. 5", "NaN"} {
		if got, err := parseShare("--quality", text); err == nil {
			t.Errorf("parseShare(%q) = %d, want an error", text, got)
		}
	}
}

// Who sits at a terminal is asked what to answer.
func TestATerminalIsAsked(t *testing.T) {
	for name, tt := range map[string]struct {
		typed string
		code  int
		says  string
		ends  view.TaskState
	}{
		"yes":         {"y\n", exitDone, "COMMIT (acknowledged)", view.TaskSettled},
		"no":          {"no\n", exitFailed, "ROLLBACK (refused)", view.TaskSettled},
		"later":       {"later\n", exitDone, "task refuse", view.TaskProven},
		"nothing":     {"", exitDone, "task refuse", view.TaskProven},
		"a slip, yes": {"j\ny\n", exitDone, "COMMIT (acknowledged)", view.TaskSettled},
	} {
		t.Run(name, func(t *testing.T) {
			d := sit(t)
			prove(t, d, "edges")
			dir := files(t)
			d.asks, d.in = true, tt.typed
			s := d.run("task", "submit", "--type", "vision", "--program", filepath.Join(dir, "prog.wasm"), "--input", filepath.Join(dir, "input"), "--wait")
			if s.code != tt.code || !strings.Contains(s.out, "accept this result? [y/n/later]") || !strings.Contains(s.out, tt.says) {
				t.Errorf("submit = %d, want %d and %q\n%s%s", s.code, tt.code, tt.says, s.out, s.err)
			}
			if task, _ := d.node.Task(t.Context(), apitest.CID("task 0")); task.State != tt.ends {
				t.Errorf("the task is %s, want %s", task.State, tt.ends)
			}
		})
	}
}

// Where nobody can be asked, the wait says what to do.
func TestAWaitWithoutATerminalSaysHowToAnswer(t *testing.T) {
	d := sit(t)
	prove(t, d, "edges")
	dir := files(t)
	s := d.run("task", "submit", "--type", "vision", "--program", filepath.Join(dir, "prog.wasm"), "--input", filepath.Join(dir, "input"), "--wait", "--timeout", "300ms")
	for _, want := range []string{"sage-p2p --home " + d.home + " task acknowledge", "task refuse", "counts as accepted"} {
		if !strings.Contains(s.out, want) {
			t.Errorf("output lacks %q:\n%s", want, s.out)
		}
	}
	if s.code != exitTimeout {
		t.Errorf("exit code %d, want %d", s.code, exitTimeout)
	}
}

// Of a slip in a type or in the name of an example, it is said what may have been
// meant.
func TestASlipInATaskIsFound(t *testing.T) {
	d := sit(t)
	input := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(input, []byte("in"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := d.run("task", "submit", "--type", "vision", "--program", "edgs", "--input", input); s.code == exitDone || !strings.Contains(s.err, `did you mean "edges"?`) {
		t.Errorf("of a program: %+v", s)
	}
	offers := []view.Platform{{}, {Offers: []view.Offer{{Type: "vision"}, {Type: "sensor_fusion"}}}}
	for typ, want := range map[string]string{"visoin": `; did you mean "vision"?`, "sensor-fusion": `; did you mean "sensor_fusion"?`, "vision": "", "poetry": ""} {
		if got := offeredAs(typ, offers); got != want {
			t.Errorf("of the type %s: %q, want %q", typ, got, want)
		}
	}
}
