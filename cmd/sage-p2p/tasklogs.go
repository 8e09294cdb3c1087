package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

func (p program) taskLogs() *cli.Command {
	return &cli.Command{
		Name: "logs", ArgsUsage: "TASK", Usage: "what a task's program wrote to standard error",
		Description: "The executor keeps the first 64 KiB, for the requester and itself.",
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "follow", Usage: "go on with what comes, until the work ends or Ctrl-C"}},
		Action:      p.speaks(1, 1, (*session).printLogs),
	}
}

// taskLog is what `task logs --json` prints.
type taskLog struct {
	Logs string `json:"logs"`
}

func (s *session) printLogs() error {
	ctx, task, follow := s.Context.Context, s.Args().First(), s.Bool("follow")
	if s.Bool("json") {
		var logs strings.Builder
		if err := s.node.TaskLogs(ctx, task, follow, &logs); err != nil {
			return err
		}
		return s.show(taskLog{strings.ToValidUTF8(logs.String(), "?")}, func(io.Writer) {})
	}
	w := &lineWriter{to: s.out, screen: s.screen}
	err := s.node.TaskLogs(ctx, task, follow, w)
	w.end()
	if err == nil && !w.some {
		fmt.Fprintln(s.err, "it wrote nothing to standard error")
	}
	if s.Context.Context.Err() != nil {
		return failedf("stopped listening").hint("the work goes on without you; see it with: sage-p2p task show %s", task)
	}
	return err
}

// lineWriter passes on what another machine wrote; to a screen, only what is
// harmless to it.
type lineWriter struct {
	to     io.Writer
	screen bool
	some   bool
	half   []byte // of a character whose rest is to come
}

// Write implements io.Writer.
func (w *lineWriter) Write(b []byte) (int, error) {
	w.some = w.some || len(b) > 0
	if !w.screen {
		return w.to.Write(b)
	}
	text := append(w.half, b...)
	cut := wholeRunes(text)
	_, err := io.WriteString(w.to, harmless(string(text[:cut])))
	w.half = append([]byte(nil), text[cut:]...)
	return len(b), err
}

// wholeRunes is the length of b without a character at its end of which more is
// to come.
func wholeRunes(b []byte) int {
	for back := 1; back < utf8.UTFMax && back <= len(b); back++ {
		if at := len(b) - back; utf8.RuneStart(b[at]) {
			if !utf8.FullRune(b[at:]) {
				return at
			}
			break
		}
	}
	return len(b)
}

func (w *lineWriter) end() {
	if len(w.half) > 0 {
		_, _ = io.WriteString(w.to, harmless(string(w.half))) // the last words
	}
}
