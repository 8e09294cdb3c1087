package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// logFlags say what `up` tells on its terminal. They are settings, too.
func logFlags() []cli.Flag {
	d := defaultSettings()
	return []cli.Flag{
		&cli.StringFlag{Name: "log-level", Usage: "what up tells of its work: debug, info, warn or error", Value: d.LogLevel, EnvVars: []string{"SAGE_LOG_LEVEL"}},
		&cli.StringFlag{Name: "log-format", Usage: "text or json", Value: d.LogFormat, EnvVars: []string{"SAGE_LOG_FORMAT"}},
	}
}

func (p program) logs() *cli.Command {
	return &cli.Command{
		Name:  "logs",
		Usage: "what the node of --home told of its work",
		Description: "The log of a node is in HOME/" + logFolder + ", whatever its terminal shows: from info on, or\n" +
			"from debug on if it was started with --log-level debug.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "lines", Usage: "how many of the newest lines", Value: 50},
			&cli.StringFlag{Name: "level", Usage: "only what is at least debug, info, warn or error", Value: "debug"},
			&cli.BoolFlag{Name: "follow", Usage: "go on with what comes, until Ctrl-C"},
		},
		Action: func(c *cli.Context) error {
			if err := countArgs(c, 0, 0); err != nil {
				return err
			}
			r := logReader{out: p.out, home: c.String("home"), json: c.Bool("json")}
			if err := r.level.UnmarshalText([]byte(c.String("level"))); err != nil {
				return usagef("--level %q: want debug, info, warn or error", c.String("level"))
			}
			if n := c.Int("lines"); n < 0 {
				return usagef("--lines %d: want how many, or 0", n)
			}
			return r.run(c.Context, c.Int("lines"), c.Bool("follow"))
		},
	}
}

// logReader prints the log of a home.
type logReader struct {
	out   io.Writer
	home  string
	json  bool
	level slog.Level
}

// run prints the newest lines and, if asked for, what comes.
func (r *logReader) run(ctx context.Context, lines int, follow bool) error {
	f, err := os.Open(logPath(r.home, 0))
	if errors.Is(err, fs.ErrNotExist) {
		return failedf("there is no log in %s: no node has run there", r.home).hint("name the folder of a node with --home")
	}
	if err != nil {
		return noFile("log", logPath(r.home, 0), err)
	}
	all, err := io.ReadAll(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	whole, half := cutLast(all)
	newest := r.chosen(whole)
	for n := 1; n < logFiles && len(newest) < lines; n++ { // as far back as needed
		older, err := os.ReadFile(logPath(r.home, n))
		if err != nil {
			break // there is none
		}
		newest = slices.Concat(r.chosen(older), newest)
	}
	for _, line := range newest[max(0, len(newest)-lines):] {
		r.print(line)
	}
	if !follow {
		return f.Close()
	}
	return r.follow(ctx, f, half)
}

// cutLast parts whole lines from the beginning of the next.
func cutLast(b []byte) (whole, half []byte) {
	end := bytes.LastIndexByte(b, '\n') + 1
	return b[:end], b[end:]
}

// chosen are the lines of at least the level.
func (r *logReader) chosen(b []byte) [][]byte {
	var lines [][]byte
	for line := range bytes.Lines(b) {
		if line = bytes.TrimSpace(line); r.wanted(line) {
			lines = append(lines, line)
		}
	}
	return lines
}

func (r *logReader) wanted(line []byte) bool {
	var at struct {
		Level slog.Level `json:"level"`
	}
	return len(line) > 0 && (json.Unmarshal(line, &at) != nil || at.Level >= r.level)
}

// follow prints what is written from now on, also over rotations.
func (r *logReader) follow(ctx context.Context, f *os.File, half []byte) (err error) {
	defer func() { err = errors.Join(err, f.Close()) }()
	const glanceLog = 200 * time.Millisecond
	for {
		next := r.rotated(f) // before reading: f is then whole
		more, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		var whole []byte
		whole, half = cutLast(append(half, more...))
		for _, line := range r.chosen(whole) {
			r.print(line)
		}
		if next != nil {
			_ = f.Close() // it was only read
			f = next
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(glanceLog):
		}
	}
}

// rotated opens the log that took the place of f, if one has.
func (r *logReader) rotated(f *os.File) *os.File {
	was, err := f.Stat()
	if err != nil {
		return nil
	}
	next, err := os.Open(logPath(r.home, 0))
	if err != nil {
		return nil // between two names
	}
	if is, err := next.Stat(); err == nil && !os.SameFile(was, is) {
		return next
	}
	_ = next.Close() // it was only looked at
	return nil
}

// print prints a line of the log, which is JSON, as people read it.
func (r *logReader) print(line []byte) {
	if r.json {
		fmt.Fprintf(r.out, "%s\n", line)
		return
	}
	fmt.Fprintln(r.out, readable(line))
}

// readable is a line of the log in words: when, how bad, what, about what.
func readable(line []byte) string {
	var head struct {
		Time  time.Time  `json:"time"`
		Level slog.Level `json:"level"`
		Text  string     `json:"msg"`
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if json.Unmarshal(line, &head) != nil || head.Time.IsZero() {
		return clean(string(line))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-5s %s", head.Time.Local().Format("2006-01-02 15:04:05.000"), head.Level, clean(head.Text))
	_, _ = d.Token() // {: the whole is JSON, as was just seen
	for d.More() {
		key, err := d.Token()
		var value any
		if err != nil || d.Decode(&value) != nil {
			break
		}
		switch name := fmt.Sprint(key); name {
		case slog.TimeKey, slog.LevelKey, slog.MessageKey:
		default:
			fmt.Fprintf(&b, " %s=%s", clean(name), attribute(value))
		}
	}
	return b.String()
}

// attribute is a value of the log, in quotes if it would be read as more.
func attribute(value any) string {
	switch v := value.(type) {
	case string:
		if text := clean(v); v != "" && !strings.ContainsAny(text, " =\"") {
			return text
		}
		return fmt.Sprintf("%q", clean(v))
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return "?"
		}
		return clean(string(b))
	}
}
