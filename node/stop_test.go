package node

import (
	"errors"
	"testing"
)

// A platform that is told to end while it is about to begin anew ends, and leaves
// no federation any more: what a request was answered with comes first.
func TestWhoIsToldToEndDoesNotBeginAnew(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Home = t.TempDir()
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := false
	n.stop = func() { ended = true }
	if _, err := n.Stop(t.Context()); err != nil || !ended {
		t.Fatalf("Stop: %v, ended: %t", err, ended)
	}
	for _, why := range []error{ErrAgain, &forAnother{}} {
		if err := n.again(why); err != nil {
			t.Errorf("it was to begin anew (%v) and was told to end: have %v, want that it ends", why, err)
		}
	}
	if disk := errors.New("the disk is broken"); !errors.Is(n.again(disk), disk) {
		t.Error("a failure is not told any more")
	}
}
