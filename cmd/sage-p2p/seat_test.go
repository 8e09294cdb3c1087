package main

import (
	"errors"
	"os"
	osexec "os/exec"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
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
