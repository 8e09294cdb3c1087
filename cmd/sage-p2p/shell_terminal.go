package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/sage-p2p/sage-p2p/node/api/client"
)

// notifyInterrupt returns a context that a Ctrl-C ends.
func notifyInterrupt(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt)
}

// terminal is where somebody sits: its keys and its screen.
type terminal struct {
	keys   *os.File // can be interrupted by a deadline
	screen *os.File
}

// openTerminal opens the terminal of this process, if in and out are it. It is
// opened anew, so that a read can be given up.
func openTerminal(in, out *os.File) *terminal {
	if !isTerminal(in) || !isTerminal(out) || !term.IsTerminal(int(in.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	keys, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil || keys.SetReadDeadline(time.Time{}) != nil {
		keys = in // then Ctrl-C at a question is heard with the next key
	}
	return &terminal{keys, out}
}

// line is the line that is being typed.
type line struct {
	*terminal
	editor  *term.Terminal
	history *pastLines
	stopped bool // Ctrl-C was the last key
}

// Read implements io.Reader: what is typed.
func (l *line) Read(b []byte) (int, error) {
	n, err := l.keys.Read(b)
	l.stopped = slices.Contains(b[:n], 3)
	return n, err
}

// Write implements io.Writer.
func (l *line) Write(b []byte) (int, error) { return l.screen.Write(b) }

// errStopped reports a line that was given up by Ctrl-C.
var errStopped = errors.New("stopped")

// read reads a line. The terminal is raw meanwhile, and never afterwards.
func (l *line) read() (text string, err error) {
	fd := int(l.screen.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, term.Restore(fd, before)) }()
	if width, height, err := term.GetSize(fd); err == nil && width > 0 {
		_ = l.editor.SetSize(width, height) // fails only as a write to the screen does
	}
	text, err = l.editor.ReadLine()
	if errors.Is(err, io.EOF) && l.stopped {
		return "", errStopped
	}
	return text, err
}

// typing is the input of one command: it ends with the command, so that what is
// typed afterwards is the shell's.
type typing struct {
	keys *os.File
	busy sync.Mutex // held while somebody reads
	over atomic.Bool
}

// Read implements io.Reader.
func (t *typing) Read(b []byte) (int, error) {
	t.busy.Lock()
	defer t.busy.Unlock()
	if t.over.Load() {
		return 0, io.EOF
	}
	return t.keys.Read(b)
}

// end ends a read that still waits.
func (t *typing) end() {
	t.over.Store(true)
	if t.keys.SetReadDeadline(time.Unix(1, 0)) != nil {
		return // it cannot be: the read takes one more line
	}
	t.busy.Lock()
	defer t.busy.Unlock()
	_ = t.keys.SetReadDeadline(time.Time{}) // could be set before
}

// converse reads commands from the terminal until Ctrl-D.
func (s *shell) converse(ctx context.Context) error {
	ctx, hungUp := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer hungUp()
	s.interrupts = make(chan os.Signal, 1) // between commands, one from elsewhere ends nothing
	signal.Notify(s.interrupts, os.Interrupt)
	defer signal.Stop(s.interrupts)
	past, err := loadHistory(s.home)
	if err != nil {
		return err
	}
	news := &news{screen: s.out}
	ctx, leave := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.watch(ctx, news) })
	g.Go(func() error { return s.resize(ctx, news) })
	stop := context.AfterFunc(ctx, func() { _ = s.tty.keys.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	failed := s.prompt(ctx, past, news)
	ended := ctx.Err() // from outside: by SIGTERM, or the terminal is gone
	leave()
	if err := errors.Join(ended, g.Wait()); err != nil {
		return err
	}
	if failed != exitDone {
		return exitStatus(failed)
	}
	return nil
}

// prompt reads and runs lines until there is no more. It returns the exit code
// of the last command.
func (s *shell) prompt(ctx context.Context, past *pastLines, news *news) (code int) {
	name := s.nameOf(ctx)
	s.greeting(s.out, name)
	l := s.newLine(ctx, past)
	for {
		if ctx.Err() != nil { // while a command ran
			return code
		}
		if name == "" {
			name = s.nameOf(ctx)
		}
		l.editor.SetPrompt(promptOf(name))
		news.begin(l.editor)
		text, err := l.read()
		news.hold()
		switch {
		case errors.Is(err, errStopped):
			fmt.Fprintln(s.out, "^C")
			l = s.newLine(ctx, past)
			continue
		case err != nil:
			fmt.Fprintln(s.out)
			return code
		}
		words, err := splitWords(text)
		if err != nil {
			s.explain(err, false)
			code = exitUsage
			continue
		}
		if leaves(words) {
			return code
		}
		if len(words) > 0 {
			code = s.attend(ctx, words, news)
		}
	}
}

// attend runs a command that may ask whoever sits at the terminal, until it ends
// or Ctrl-C does.
func (s *shell) attend(ctx context.Context, words []string, news *news) (code int) {
	select {
	case <-s.interrupts: // of before
	default:
	}
	input := &typing{keys: s.tty.keys}
	defer input.end()
	with := *s
	with.in, with.out = input, &witness{s.out, news}
	ctx, stop := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error {
		select {
		case <-s.interrupts:
			fmt.Fprintln(s.out) // after the ^C that the terminal shows
			stop()
		case <-ctx.Done():
		}
		return nil
	})
	code = with.do(ctx, words)
	stop()
	_ = g.Wait() // it has no error
	return code
}

// nameOf is the name of the node, or "" if none answers.
func (s *shell) nameOf(ctx context.Context) string {
	node, err := client.Open(s.home, s.api)
	if err != nil {
		return ""
	}
	defer node.Close()
	ctx, cancel := context.WithTimeout(ctx, completePatience)
	defer cancel()
	st, err := node.Status(ctx)
	if err != nil {
		return ""
	}
	return clean(st.Name)
}

func promptOf(name string) string {
	if name == "" {
		name = programName
	}
	return name + "> "
}

// newLine makes an editor of lines.
func (s *shell) newLine(ctx context.Context, past *pastLines) *line {
	l := &line{terminal: s.tty, history: past}
	l.editor = term.NewTerminal(l, "")
	l.editor.History = past
	e := &editing{shell: s, line: l, ctx: ctx}
	l.editor.AutoCompleteCallback = e.key
	return l
}

// resize tells the editor of the size of its window.
func (s *shell) resize(ctx context.Context, news *news) error {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	defer signal.Stop(changed)
	for {
		select {
		case <-changed:
			if width, height, err := term.GetSize(int(s.tty.screen.Fd())); err == nil && width > 0 {
				news.resize(width, height)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// editing is what keys do beyond editing.
type editing struct {
	shell  *shell
	line   *line
	ctx    context.Context
	sought string // by Ctrl-R
	shown  string // what it found
	skip   int
}

// The keys that the editor leaves to us.
const (
	keyTab   = '\t'
	keyCtrlR = 'R' - '@'
)

// key implements term.Terminal's AutoCompleteCallback.
func (e *editing) key(text string, pos int, key rune) (string, int, bool) {
	switch key {
	case keyTab:
		return e.tab(text, pos)
	case keyCtrlR:
		if text != e.shown || e.shown == "" {
			e.sought, e.skip = text, 0
		}
		found, ok := e.line.history.search(e.sought, e.skip)
		if !ok {
			return text, pos, true
		}
		e.shown = found
		e.skip++
		return found, len(found), true
	}
	return "", 0, false
}

// tab completes the word before the cursor, or lists what it may become.
func (e *editing) tab(text string, pos int) (string, int, bool) {
	typed := text[:pos]
	words, open := partWords(typed)
	last := ""
	if len(words) > 0 && !strings.HasSuffix(typed, " ") {
		last, words = words[len(words)-1], words[:len(words)-1]
	}
	if open != 0 || !strings.HasSuffix(typed, last) { // in quotes: what is typed is not what it means
		return text, pos, true
	}
	c := completer{ctx: e.ctx, app: e.shell.app(), home: e.shell.home, api: e.shell.api}
	found := c.complete(words, last)
	if len(words) == 0 {
		found = slices.DeleteFunc(found, func(f candidate) bool { return f.word == "shell" })
	}
	if len(found) == 0 {
		return text, pos, true
	}
	word := common(found)
	if len(found) == 1 && !strings.HasSuffix(word, "/") {
		word += " "
	}
	if word == last {
		width, _, err := term.GetSize(int(e.line.screen.Fd()))
		if err != nil || width <= 0 {
			width = helpWidth
		}
		_, _ = io.WriteString(e.line.editor, candidates(found, width)) // fails only as the screen does
		return text, pos, true
	}
	typed = strings.TrimSuffix(typed, last) + word
	return typed + text[pos:], len(typed), true
}

// common is how all the words of found begin.
func common(found []candidate) string {
	prefix := found[0].word
	for _, f := range found[1:] {
		for !strings.HasPrefix(f.word, prefix) {
			prefix = prefix[:len(prefix)-1]
		}
	}
	return strings.ToValidUTF8(prefix, "") // not half a character
}

// listed is how many candidates are shown at once.
const listed = 30

// candidates lists words, with what they are where that fits in width columns.
func candidates(found []candidate, width int) string {
	var b strings.Builder
	longest := 0
	for _, f := range found {
		longest = max(longest, len([]rune(f.word)))
	}
	for i, f := range found {
		if i == listed {
			fmt.Fprintf(&b, "… and %d more\n", len(found)-listed)
			break
		}
		text := []rune(fmt.Sprintf("  %-*s  %s", longest, f.word, clean(f.about)))
		if len(text) >= width {
			text = append(text[:max(0, width-2)], '…')
		}
		b.WriteString(strings.TrimRight(string(text), " ") + "\n")
	}
	return b.String()
}
