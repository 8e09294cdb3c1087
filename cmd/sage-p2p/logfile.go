package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

// The log of a home: HOME/log/node.log and older ones, node.log.1 and so on.
// All of them together never grow beyond logFiles times logSize.
const (
	logFolder = "log"
	logName   = "node.log"
	logFiles  = 5
	logSize   = 8 << 20 // bytes of one file
	logHeld   = 64 << 10
)

// logPath is the n-th newest log of a home; 0 is the one that is written.
func logPath(home string, n int) string {
	name := logName
	if n > 0 {
		name = fmt.Sprintf("%s.%d", logName, n)
	}
	return filepath.Join(home, logFolder, name)
}

// logFile is the log of a node, rotated by size. Until it is told to begin, it
// holds what is written: another node may have the home.
type logFile struct {
	home string
	most int64 // bytes of one file

	mu    sync.Mutex
	begun bool     // guarded by mu
	held  []byte   // guarded by mu: what was written before it began, at most logHeld bytes
	file  *os.File // guarded by mu: nil while it cannot be opened
	size  int64    // guarded by mu
}

func newLogFile(home string) *logFile { return &logFile{home: home, most: logSize} }

// begin opens the log, once the home is this node's.
func (l *logFile) begin() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begun {
		return nil
	}
	l.begun = true
	if err := os.MkdirAll(filepath.Join(l.home, logFolder), 0o700); err != nil {
		return err
	}
	_, err := l.write(l.held)
	l.held = nil
	return err
}

// Write implements io.Writer. Each call is one line.
func (l *logFile) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begun {
		return l.write(line)
	}
	if len(l.held)+len(line) <= logHeld {
		l.held = append(l.held, line...)
	}
	return len(line), nil
}

// write is Write with mu held. A log that could not be opened is tried again.
func (l *logFile) write(line []byte) (int, error) {
	if l.file != nil && l.size > 0 && l.size+int64(len(line)) > l.most {
		if err := l.rotate(); err != nil {
			return 0, err
		}
	}
	if l.file == nil {
		if err := l.open(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(line)
	l.size += int64(n)
	return n, err
}

func (l *logFile) open() error {
	f, err := os.OpenFile(logPath(l.home, 0), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size = f, info.Size()
	return nil
}

// rotate makes each log one older; the oldest is gone.
func (l *logFile) rotate() error {
	err := l.file.Close()
	l.file = nil
	for n := logFiles - 1; n > 0 && err == nil; n-- {
		if err = os.Rename(logPath(l.home, n-1), logPath(l.home, n)); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return err
}

func (l *logFile) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// logger writes to w what is at least of a level.
func logger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("--log-level %q: want debug, info, warn or error", level)
	}
	o := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	default:
		return nil, usagef("--log-format %q: want text or json", format)
	}
}

// andFile is a logger that also tells the log of the home, down to info, or to
// debug if the terminal hears that too.
func andFile(terminal *slog.Logger, file io.Writer) *slog.Logger {
	level := slog.LevelInfo
	if terminal.Enabled(context.Background(), slog.LevelDebug) {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewMultiHandler(terminal.Handler(), slog.NewJSONHandler(file, &slog.HandlerOptions{Level: level})))
}
