package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/term"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// seat is a program at a terminal of 80 columns, and who sits there.
type seat struct {
	t      *testing.T
	cmd    *osexec.Cmd
	keys   *os.File // the terminal from outside
	tty    *os.File // and from inside
	before *term.State
	ended  chan error

	mu    sync.Mutex
	shown *sync.Cond
	seen  screen // guarded by mu
	gone  bool   // guarded by mu: nothing more is shown
}

// sitDown starts a program at a terminal of its own.
func sitDown(t *testing.T, args ...string) *seat {
	t.Helper()
	t.Setenv(asProgram, "1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &seat{t: t, cmd: osexec.CommandContext(t.Context(), self, args...), ended: make(chan error, 1)}
	s.shown = sync.NewCond(&s.mu)
	if s.keys, s.tty, err = pty.Open(); err != nil {
		t.Skipf("there are no terminals here: %v", err)
	}
	if err := pty.Setsize(s.keys, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	if s.before, err = term.GetState(int(s.tty.Fd())); err != nil {
		t.Fatal(err)
	}
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = s.tty, s.tty, s.tty
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go s.look()
	go func() { s.ended <- s.cmd.Wait() }()
	t.Cleanup(func() {
		_ = s.tty.Close() // the look ends with it
		_ = s.keys.Close()
		if t.Failed() {
			t.Logf("the screen:\n%s", s.text())
		}
	})
	return s
}

// look reads what is shown until the terminal is closed.
func (s *seat) look() {
	b := make([]byte, 4096)
	for {
		n, err := s.keys.Read(b)
		s.mu.Lock()
		s.seen.write(string(b[:n]))
		s.gone = err != nil
		s.shown.Broadcast()
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *seat) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.String()
}

// press types keys.
func (s *seat) press(keys string) {
	s.t.Helper()
	if _, err := s.keys.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// until waits until the screen fits what.
func (s *seat) until(what string) {
	s.t.Helper()
	pattern := regexp.MustCompile(what)
	late := time.AfterFunc(time.Minute, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.gone = true
		s.shown.Broadcast()
	})
	defer late.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !pattern.MatchString(s.seen.String()) {
		if s.gone {
			s.t.Fatalf("waited in vain for %q on the screen:\n%s", what, s.seen.String())
		}
		s.shown.Wait()
	}
}

// leaves waits for the end of the program, and checks that the terminal is as
// it was found.
func (s *seat) leaves(code int) {
	s.t.Helper()
	var exit *osexec.ExitError
	if err := <-s.ended; err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("it ended with %d, want %d", got, code)
	}
	after, err := term.GetState(int(s.tty.Fd()))
	if err != nil || !reflect.DeepEqual(after, s.before) {
		s.t.Errorf("it left the terminal changed: %+v, was %+v (%v)", after, s.before, err)
	}
}

// screen is as much of a terminal as the shell needs: lines of 80 columns, and
// a cursor that moves.
type screen struct {
	lines [][]rune
	x, y  int
	rest  string // the beginning of an escape sequence
}

var escape = regexp.MustCompile(`^\x1b\[([0-9;?]*)([A-Za-z])`)

func (s *screen) write(text string) {
	text = s.rest + text
	s.rest = ""
	for text != "" {
		if text[0] == 0x1b {
			m := escape.FindStringSubmatch(text)
			if m == nil {
				s.rest = text
				return
			}
			s.control(m[2], max(1, number(m[1])))
			text = text[len(m[0]):]
			continue
		}
		r := []rune(text)[0]
		if r == '\ufffd' && len(text) < 4 { // half a character
			s.rest = text
			return
		}
		s.put(r)
		text = text[len(string(r)):]
	}
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 1
	}
	return n
}

func (s *screen) put(r rune) {
	switch r {
	case '\r':
		s.x = 0
	case '\n':
		s.y++
	case '\a':
	default:
		if s.x == 80 {
			s.x, s.y = 0, s.y+1
		}
		for len(s.lines) <= s.y {
			s.lines = append(s.lines, nil)
		}
		for len(s.lines[s.y]) <= s.x {
			s.lines[s.y] = append(s.lines[s.y], ' ')
		}
		s.lines[s.y][s.x] = r
		s.x++
	}
}

func (s *screen) control(what string, n int) {
	switch what {
	case "A":
		s.y = max(0, s.y-n)
	case "B":
		s.y += n
	case "C":
		s.x = min(79, s.x+n)
	case "D":
		s.x = max(0, min(s.x, 79)-n)
	case "K":
		if s.y < len(s.lines) {
			s.lines[s.y] = s.lines[s.y][:min(s.x, len(s.lines[s.y]))]
		}
	}
}

func (s *screen) String() string {
	var b strings.Builder
	for _, l := range s.lines {
		b.WriteString(strings.TrimRight(string(l), " ") + "\n")
	}
	return b.String()
}

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
	s.press("shwo " + task + "\r")
	s.until(`(?s)there is no command "shwo".*with: help\nnode0>\n$`)

	s.press("sta")
	a.stop()
	s.until(`(?m)^\d\d:\d\d:\d\d the node does not answer any more$`)
	s.until(`node0> sta\n$`)
	s.press("\x15\x04")
	s.leaves(exitUsage) // of the last command

	b, err := os.ReadFile(filepath.Join(a.home, historyFile))
	want := []string{"status", "task wait " + task, "version", "shwo " + task, ""}
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
