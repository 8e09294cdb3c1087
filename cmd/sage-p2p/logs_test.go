package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// logOf makes a log in a new home and writes to it at every level.
func logOf(t *testing.T, most int64) (home string, file *logFile, log *slog.Logger) {
	t.Helper()
	home = t.TempDir()
	file = newLogFile(home)
	file.most = most
	t.Cleanup(func() {
		if err := file.close(); err != nil {
			t.Error(err)
		}
	})
	return home, file, slog.New(slog.NewJSONHandler(file, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func TestALogStaysWithinItsBound(t *testing.T) {
	home, file, log := logOf(t, 2000)
	if err := file.begin(); err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		log.Info("a line", "n", i)
	}
	entries, err := os.ReadDir(filepath.Join(home, logFolder))
	if err != nil || len(entries) != logFiles {
		t.Fatalf("%d files, %v, want %d", len(entries), err, logFiles)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Size() > 2000 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has %d bytes and mode %v, %v", e.Name(), info.Size(), info.Mode(), err)
		}
	}
	s := command(t.Context(), home, time.Now, "", "logs", "--lines", "40")
	lines := strings.Split(strings.TrimSpace(s.out), "\n")
	if len(lines) != 40 || !strings.HasSuffix(lines[0], "n=460") || !strings.HasSuffix(lines[39], "n=499") {
		t.Errorf("logs --lines 40 over several files = %d lines, %q … %q", len(lines), lines[0], lines[len(lines)-1])
	}
}

func TestALogGoesOnAfterARestart(t *testing.T) {
	home, first, log := logOf(t, logSize)
	log.Info("one")
	if err := first.begin(); err != nil {
		t.Fatal(err)
	}
	second := newLogFile(home)
	if err := second.begin(); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewJSONHandler(second, nil)).Info("two")
	if err := second.close(); err != nil {
		t.Fatal(err)
	}
	if s := command(t.Context(), home, time.Now, "", "logs"); strings.Count(s.out, "\n") != 2 {
		t.Errorf("logs = %+v", s)
	}
}

// Before a node has its home, nothing is written there: another may run in it.
func TestALogHoldsBackUntilItBegins(t *testing.T) {
	home, file, log := logOf(t, logSize)
	for range 10_000 {
		log.Info("early")
	}
	if left, _ := os.ReadDir(home); len(left) > 0 {
		t.Fatalf("it wrote %v", left)
	}
	if len(file.held) > logHeld {
		t.Errorf("it holds %d bytes", len(file.held))
	}
	if err := file.begin(); err != nil {
		t.Fatal(err)
	}
	if s := command(t.Context(), home, time.Now, "", "logs", "--lines", "1"); !strings.Contains(s.out, "early") {
		t.Errorf("logs = %+v", s)
	}
}

func TestLogsAreReadableAndHarmless(t *testing.T) {
	home, file, log := logOf(t, logSize)
	if err := file.begin(); err != nil {
		t.Fatal(err)
	}
	log.Debug("quiet")
	log.Warn("a peer\x1b[2J", "name", "two words", "n", 1234567890, "ok", true, "list", []string{"a"}, "empty", "")
	if _, err := file.Write([]byte("no JSON \x1b[2J\n")); err != nil {
		t.Fatal(err)
	}
	s := command(t.Context(), home, time.Now, "", "logs", "--level", "warn")
	if want := `WARN  a peer?[2J name="two words" n=1234567890 ok=true list=["a"] empty=""`; !strings.Contains(s.out, want) {
		t.Errorf("logs said %q, want %q", s.out, want)
	}
	if strings.Contains(s.out, "quiet") || strings.Contains(s.out, "\x1b") || !strings.Contains(s.out, "no JSON") {
		t.Errorf("logs said %q", s.out)
	}
	for _, args := range [][]string{{"--level", "loud"}, {"--lines", "-1"}} {
		if s := command(t.Context(), home, time.Now, "", append([]string{"logs"}, args...)...); s.code != exitUsage {
			t.Errorf("logs %v = %+v", args, s)
		}
	}
	if s := command(t.Context(), t.TempDir(), time.Now, "", "logs"); s.code != exitFailed || !strings.Contains(s.err, "there is no log") {
		t.Errorf("logs of an empty home = %+v", s)
	}
}

func TestFollowingALogLosesNothingWhenItIsRotated(t *testing.T) {
	home, file, log := logOf(t, 3000)
	if err := file.begin(); err != nil {
		t.Fatal(err)
	}
	log.Info("line", "n", 0)
	out, in := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		r := logReader{out: in, home: home, json: true}
		ended <- r.run(ctx, 10, true)
	}()
	var got bytes.Buffer
	read := func(n int) {
		t.Helper()
		for !strings.Contains(got.String(), fmt.Sprintf(`"n":%d}`, n)) {
			b := make([]byte, 4096)
			k, err := out.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			got.Write(b[:k])
		}
	}
	read(0)
	for n := 1; n < 60; n++ { // several to a file, which is never skipped
		log.Info("line", "n", n)
		if n%20 == 0 {
			read(n)
		}
	}
	read(59)
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("follow = %v", err)
	}
	if lines := strings.Count(got.String(), "\n"); lines != 60 {
		t.Errorf("followed %d lines, want 60", lines)
	}
}
