package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
)

func (p program) shell() *cli.Command {
	return &cli.Command{
		Name:  "shell",
		Usage: "type commands one after the other, with completion and news",
		Description: "Commands are typed without " + programName + ". Tab completes commands, flags, names\n" +
			"and IDs; the arrows go through the history; Ctrl-R finds the last line that has\n" +
			"what is typed. News of this platform's tasks and transactions, and alarms, come\n" +
			"between commands. Ctrl-C stops a command, Ctrl-D leaves. In a pipe it runs a\n" +
			"script: # begins a comment, and the exit code is that of the last failure.",
		Action: p.runShell,
	}
}

// programName is what the program is called in texts.
const programName = "sage-p2p"

// exitStatus ends a command with a code, of which all has been said.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// maxLine bounds a line of a script.
const maxLine = 1 << 20

func (p program) runShell(c *cli.Context) error {
	if err := countArgs(c, 0, 0); err != nil {
		return err
	}
	if p.inShell {
		return usagef("this is a shell already").hint("leave it with: exit")
	}
	sh := &shell{program: p, home: c.String("home"), api: c.String("api"), before: p.args[:1:1]}
	for _, name := range []string{"home", "api", "log-level", "log-format"} {
		if c.IsSet(name) {
			sh.before = append(sh.before, "--"+name, c.String(name))
		}
	}
	if c.Bool("json") {
		sh.before = append(sh.before, "--json")
	}
	sh.inShell = true
	if p.tty == nil {
		return untilInterrupt(sh.script)(c)
	}
	return sh.converse(c.Context)
}

// shell runs commands one after the other.
type shell struct {
	program
	home, api string
	before    []string // what every command line begins with

	interrupts chan os.Signal // Ctrl-C while the terminal is not raw
}

// script runs the lines of a pipe or a file.
func (s *shell) script(c *cli.Context) error {
	lines := bufio.NewScanner(s.in)
	lines.Buffer(nil, maxLine)
	s.in = scriptInput{}
	failed := exitStatus(exitDone)
	for lines.Scan() && c.Err() == nil {
		words, err := splitWords(lines.Text())
		if err != nil {
			s.explain(err, false)
			failed = exitUsage
			continue
		}
		if leaves(words) {
			break
		}
		if code := s.do(c.Context, words); code != exitDone {
			failed = exitStatus(code)
		}
	}
	if err := errors.Join(lines.Err(), c.Err()); err != nil {
		return err
	}
	if failed != exitDone {
		return failed
	}
	return nil
}

// scriptInput is the input of a command in a script: the script has it.
type scriptInput struct{}

func (scriptInput) Read([]byte) (int, error) {
	return 0, errors.New("the commands of the shell come from there: name a file")
}

// leaves reports whether words end the shell.
func leaves(words []string) bool {
	return len(words) == 1 && (words[0] == "exit" || words[0] == "quit")
}

// do runs one command and returns its exit code.
func (s *shell) do(ctx context.Context, words []string) int {
	if len(words) == 0 {
		return exitDone
	}
	if words[0] == programName { // out of habit
		words = words[1:]
	}
	if len(words) > 0 && words[0] == "help" {
		words = append(words[1:len(words):len(words)], "--help")
	}
	return s.run(ctx, append(s.before[:len(s.before):len(s.before)], words...))
}

// untilInterrupt makes an action end with Ctrl-C.
func untilInterrupt(do cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		ctx, stop := notifyInterrupt(c.Context)
		defer stop()
		c.Context = ctx
		return do(c)
	}
}

// greeting says which node the shell speaks to.
func (s *shell) greeting(w io.Writer, name string) {
	if name == "" {
		fmt.Fprintf(w, "No node answers in %s. Start one in another terminal with: %s\n", clean(s.home), strings.TrimSpace(s.call+" up"))
	}
	fmt.Fprintln(w, "Tab completes, help lists the commands, Ctrl-D leaves.")
}
