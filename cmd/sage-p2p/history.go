package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// historyFile is the name of the shell's history in a home; historyLines is
// how many lines it keeps.
const (
	historyFile  = "shell_history"
	historyLines = 1000
)

// pastLines is the history of a shell, newest last, kept in a file. It
// implements term.History.
type pastLines struct {
	file  string // "" keeps it in memory only
	lines []string
}

// loadHistory reads the history of a home. A home that is not there gets none.
func loadHistory(home string) (*pastLines, error) {
	if _, err := os.Stat(home); errors.Is(err, fs.ErrNotExist) {
		return &pastLines{}, nil
	}
	h := &pastLines{file: filepath.Join(home, historyFile)}
	b, err := os.ReadFile(h.file)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if errors.Is(err, fs.ErrPermission) { // of another user's node
		return &pastLines{}, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(b) {
		if text := clean(strings.TrimSpace(string(line))); text != "" {
			h.lines = append(h.lines, text)
		}
	}
	if over := len(h.lines) - historyLines; over > 0 {
		h.lines = h.lines[over:]
		return h, h.rewrite()
	}
	return h, nil
}

// rewrite makes the file hold the lines and no others.
func (h *pastLines) rewrite() error {
	half := h.file + ".new"
	if err := os.WriteFile(half, []byte(strings.Join(h.lines, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(half, h.file)
}

// Add implements term.History. What begins with a blank is not kept, nor the
// same line twice in a row.
func (h *pastLines) Add(line string) {
	line = strings.TrimRight(line, " ")
	if line == "" || line[0] == ' ' || len(h.lines) > 0 && h.At(0) == line {
		return
	}
	h.lines = append(h.lines, line)
	h.lines = h.lines[max(0, len(h.lines)-historyLines):]
	if h.file == "" {
		return
	}
	f, err := os.OpenFile(h.file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		h.file = "" // it cannot be kept: the shell goes on without
		return
	}
	_, writeErr := f.WriteString(line + "\n")
	if errors.Join(writeErr, f.Close()) != nil {
		h.file = ""
	}
}

// Len implements term.History.
func (h *pastLines) Len() int { return len(h.lines) }

// At implements term.History; 0 is the newest.
func (h *pastLines) At(i int) string { return h.lines[len(h.lines)-1-i] }

// search is the newest line that contains text, older than the first skip ones
// that do.
func (h *pastLines) search(text string, skip int) (string, bool) {
	seen := map[string]bool{}
	for i := range h.lines {
		line := h.At(i)
		if !strings.Contains(line, text) || seen[line] {
			continue
		}
		seen[line] = true
		if skip--; skip < 0 {
			return line, true
		}
	}
	return "", false
}
