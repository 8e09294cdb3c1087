package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// openTask posts a task that nobody accepts, and returns the end of its ID.
func openTask(t *testing.T, a *actor) string {
	t.Helper()
	dir := files(t)
	var sub view.Submission
	tell(t, a, &sub, "task", "submit", "--type", "vision", "--to", "open", "--offer", "10m",
		"--program", filepath.Join(dir, "prog.wasm"), "--input", filepath.Join(dir, "input"))
	id := sub.TaskID.String()
	return id[len(id)-6:]
}

// Somebody at a terminal, with a real node: completion, news while typing,
// Ctrl-C at a prompt and at a command, what is typed afterwards, the end of the
// node, Ctrl-D.
func TestAShellAtATerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	a := federation(t, ctx, 1)[0]
	s := sitDown(t, "--home", a.home, "shell")
	s.until(`(?m)^node0>$`)

	s.press("stat\t")
	s.until(`(?m)^node0> status$`)
	s.press("\r")
	s.until(`(?s)validator of "test".*process \d+.*\nnode0>\n$`)

	s.press("transf")
	task := openTask(t, a)
	s.until(`(?m)^\d\d:\d\d:\d\d task bafy…` + task + `: posted, .* locked; open to anyone$`)
	s.until(`(?m)^\d\d:\d\d:\d\d block \d+: transaction bafy…\w{6} is final$`)
	s.until(`node0> transf\n$`) // whole, and below the news
	s.press("\tno\t")
	s.until(`node0> transfer node0\n$`)
	s.press("\x03")
	s.until(`(?m)^node0> transfer node0 \^C\nnode0>\n$`)

	s.press("task show \t")
	s.until(`node0> task show ` + task + `\n$`)
	s.press("\x15task wait " + task + "\r")
	s.until(`(?s)task wait ` + task + `\ntask bafy…` + task + `: posted`)
	s.press("\x03")
	s.until(`(?s)stopped waiting for the task.*it goes on without you; see it with: task show bafy…` + task + `\nnode0>\n$`)
	s.press("version\r")
	s.until(`(?s)version\nsage-p2p .*\nnode0>\n$`)
	s.press("\x1b[A\x1b[A") // the line before the last
	s.until(`node0> task wait ` + task + `\n$`)
	s.press("\x15ers")
	s.until(`node0> ers\n$`)
	s.press("\x12") // Ctrl-R
	s.until(`node0> version\n$`)
	s.press("\x03")
	s.until(`(?m)^node0> version\^C$`)
	s.press("transfer --new " + apitest.ID("someone").String() + " 1\r")
	s.until(`(?s)final in block \d+.*\nnode0>\n$`)
	s.press("events --follow --kind tx\r")
	s.until(`TX_FINAL`) // an old one: it follows
	var sub view.Submission
	tell(t, a, &sub, "transfer", apitest.ID("someone").String(), "1")
	s.until(`TX_FINAL [^\n]*` + short(sub.TxID.String()))
	s.press("\x03")
	s.until(`(?s)TX_FINAL.*\n\^C\n.*block \d+: transaction ` + short(sub.TxID.String()) + ` is final\nnode0>\n$`)
	if own := wholeID.FindString(s.text()); own == "" || strings.Contains(s.text(), "transaction "+short(own)+" is final") {
		t.Errorf("the transfer of the shell, %s, is told twice", own)
	}
	s.press("shwo " + task + "\r")
	s.until(`(?s)there is no command "shwo".*with: help\nnode0>\n$`)

	s.press("sta")
	a.stop()
	s.until(`(?m)^\d\d:\d\d:\d\d the node does not answer any more$`)
	s.until(`node0> sta\n$`)
	launch(t, ctx, a)
	s.until(`(?m)^\d\d:\d\d:\d\d the node answers again$`)
	s.until(`node0> sta\n$`)
	s.press("\x15\x04")
	s.leaves(exitUsage) // of the last command

	b, err := os.ReadFile(filepath.Join(a.home, historyFile))
	want := []string{"status", "task wait " + task, "version", "transfer --new " + apitest.ID("someone").String() + " 1", "events --follow --kind tx", "shwo " + task, ""}
	if diff := cmp.Diff(want, strings.Split(string(b), "\n")); err != nil || diff != "" {
		t.Errorf("the history, %v (-want +got):\n%s", err, diff)
	}
	if info, err := os.Stat(filepath.Join(a.home, historyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the history has mode %v, %v", info.Mode(), err)
	}
}

// However it ends, the terminal is as it was.
func TestAShellThatIsEndedLeavesTheTerminalAsItWas(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	for name, signal := range map[string]syscall.Signal{"SIGTERM": syscall.SIGTERM, "SIGHUP": syscall.SIGHUP} {
		t.Run(name, func(t *testing.T) {
			s := sitDown(t, "--home", t.TempDir(), "shell")
			s.until(`(?m)^sage-p2p>$`)
			s.press("half a li")
			s.until(`half a li`)
			if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil { // between commands it ends nothing
				t.Fatal(err)
			}
			s.press("ne")
			s.until(`half a line`)
			if err := s.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			s.leaves(exitFailed)
		})
	}
}

// A command that runs ends with the shell.
func TestAShellIsEndedWhileACommandRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	d := sit(t)
	s := sitDown(t, "--home", d.home, "shell")
	s.until(`(?m)^alpha>$`)
	s.press("events --follow\r")
	s.until(`BLOCK`)
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.leaves(exitFailed)
}

// A shell asks questions through the same keys; what is typed after a command
// was stopped at its question is the shell's.
func TestAQuestionInAShellDoesNotStealTheNextLine(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	d := sit(t)
	prove(t, d, "edges")
	dir := files(t)
	s := sitDown(t, "--home", d.home, "shell")
	s.until(`(?m)^alpha>$`)
	submit := fmt.Sprintf("task submit --type vision --program %s --input %s --wait\r", filepath.Join(dir, "prog.wasm"), filepath.Join(dir, "input"))
	s.press(submit)
	s.until(`accept this result\? \[y/n/later\]\n$`)
	s.press("\x03")
	s.until(`(?s)it goes on without you.*\nalpha>\n$`)
	s.press("version\r")
	s.until(`(?s)alpha> version\nsage-p2p `)
	s.press(submit)
	s.until(`(?s)version.*accept this result\? \[y/n/later\]\n$`)
	s.press("y\r")
	s.until(`COMMIT \(acknowledged\)`)
	s.press("exit\r")
	s.leaves(exitDone)
}

// In a pipe: a script, no prompt, the exit code of the last failure.
func TestAShellInAPipe(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	a := federation(t, ctx, 1)[0]
	run := func(script string, args ...string) said {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		cmd := osexec.CommandContext(ctx, self, append([]string{"--home", a.home, "shell"}, args...)...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(script), &out, &errs
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return said{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
	}
	s := run("# a comment\n\n  balance 'node0'  # and another\nvalidators\nexit\ntransfer nobody 1\n")
	if s.code != exitDone || s.err != "" || !strings.HasPrefix(s.out, "node0 · ") || !strings.Contains(s.out, "1 validator") {
		t.Errorf("shell = %+v", s)
	}
	s = run("transfer nobody 1\nblock\nversion\n")
	if s.code != exitUsage || !strings.Contains(s.err, "nobody") || !strings.Contains(s.out, "sage-p2p ") {
		t.Errorf("a script with two failures = %+v, want the code of the last", s)
	}
	if s := run("'never ends\nversion", "--json"); s.code != exitUsage || !strings.Contains(s.err, "has no end") || !strings.Contains(s.out, `"version"`) {
		t.Errorf("a script with an open quote = %+v", s)
	}
	if s := run("shell\n"); s.code != exitUsage || !strings.Contains(s.err, "a shell already") {
		t.Errorf("a shell in a shell = %+v", s)
	}
	if s := run("task submit --type vision --program edges --input -\n"); s.code != exitFailed || !strings.Contains(s.err, "name a file") {
		t.Errorf("a task whose input is the script = %+v", s)
	}
}

func TestWordsAreParted(t *testing.T) {
	for line, want := range map[string][]string{
		"":                               nil,
		"   \t ":                         nil,
		"# all of it":                    nil,
		"status":                         {"status"},
		"  transfer beta  1 # mine":      {"transfer", "beta", "1"},
		"tx a#b":                         {"tx", "a#b"},
		`--out 'a b' "c d" e\ f`:         {"--out", "a b", "c d", "e f"},
		`a'b'"c"\d`:                      {"abcd"},
		`'' ""`:                          {"", ""},
		`'it\' "a # b" '#'`:              {`it\`, "a # b", "#"},
		"transfer beta 1\r":              {"transfer", "beta", "1"},
		"platform register --name=thor ": {"platform", "register", "--name=thor"},
	} {
		got, err := splitWords(line)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q, %v (-want +got):\n%s", line, err, diff)
		}
	}
	for _, line := range []string{`a "b`, `'`, `a\`} {
		if got, err := splitWords(line); err == nil {
			t.Errorf("%q is %q, want an error", line, got)
		}
	}
}

func TestTheHistoryIsBoundedAndPrivate(t *testing.T) {
	home := t.TempDir()
	h, err := loadHistory(home)
	if err != nil {
		t.Fatal(err)
	}
	for i := range historyLines + 500 {
		h.Add(fmt.Sprint("block ", i))
	}
	h.Add(" secret")
	h.Add("")
	h.Add("block 1499")
	if h.Len() != historyLines || h.At(0) != "block 1499" {
		t.Errorf("%d lines, the newest is %q", h.Len(), h.At(0))
	}
	again, err := loadHistory(home)
	if err != nil || again.Len() != historyLines || again.At(0) != "block 1499" || again.At(historyLines-1) != "block 500" {
		t.Errorf("read again: %d lines, %v", again.Len(), err)
	}
	b, err := os.ReadFile(filepath.Join(home, historyFile))
	if err != nil || bytes.Count(b, []byte("\n")) != historyLines || bytes.Contains(b, []byte("secret")) {
		t.Errorf("the file has %d lines, %v", bytes.Count(b, []byte("\n")), err)
	}
	if info, err := os.Stat(filepath.Join(home, historyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if line, ok := again.search("99", 1); !ok || line != "block 1399" {
		t.Errorf("the second newest line with 99 is %q", line)
	}
	none, err := loadHistory(filepath.Join(home, "none"))
	if err != nil {
		t.Fatal(err)
	}
	none.Add("status")
	if _, err := os.Stat(filepath.Join(home, "none")); !os.IsNotExist(err) {
		t.Errorf("a history made a home: %v", err)
	}
}
