package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// duplicate copies the home of a stopped node, as whoever clones a disk does.
func duplicate(t *testing.T, home string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "home")
	if err := os.CopyFS(to, os.DirFS(home)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(to, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// exited waits until a process has ended by itself, and returns its exit code and
// what it printed.
func exited(t *testing.T, ctx context.Context, a *actor) (code int, text string) {
	t.Helper()
	select {
	case <-a.gone:
	case <-ctx.Done():
		t.Fatalf("%s is still there", a.name)
	}
	b, err := os.ReadFile(a.log())
	if err != nil {
		t.Fatal(err)
	}
	return a.cmd.ProcessState.ExitCode(), string(b)
}

// Two homes hold one key, and both are started. Each listens before it signs; the
// others are connected with both, and say so: both end with exit code 3, and the
// rest goes on. Then one of the two alone comes back.
func TestTwoHomesWithOneKeyEndBothProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	all := federation(t, ctx, 4)
	original := all[3]
	original.stop()
	twin := &actor{name: original.name, home: duplicate(t, original.home), args: original.args}
	launch(t, ctx, original)
	waitReady(t, ctx, original)
	launch(t, ctx, twin)
	for _, a := range []*actor{original, twin} {
		code, text := exited(t, ctx, a)
		if code != exitUnsafe || !strings.Contains(text, "sage-p2p: key in use elsewhere: ") {
			t.Errorf("it ends with code %d, want %d: %s", code, exitUnsafe, text)
		}
		if !strings.Contains(text, "ALARM: ") {
			t.Errorf("it raises no alarm: %s", text)
		}
	}
	tell(t, all[0], nil, "transfer", "node1", "1.5") // three of four go on
	if set, err := all[0].node.Validators(ctx); err != nil || len(set.Members) != 4 {
		t.Errorf("somebody was caught lying: the set is %+v, %v", set, err)
	}
	launch(t, ctx, original)
	waitReady(t, ctx, original)
	tell(t, original, nil, "transfer", "node1", "1.5")
}
