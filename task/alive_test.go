package task

import "testing"

// TestWhoIsAlive gives the oldest block in which a witness may have been seen
// last, for a task posted in one block and looked at in another.
func TestWhoIsAlive(t *testing.T) {
	for _, tt := range []struct{ posted, now, oldest Height }{
		{100, 100, 96}, // at least five blocks, counting this one
		{98, 100, 96},
		{95, 100, 95}, // since it was posted
		{81, 100, 81},
		{80, 100, 81}, // at most twenty
		{1, 100, 81},
		{1, 3, 0},      // a young chain
		{101, 100, 96}, // never
		{100, 1000, 981},
	} {
		for seen := Height(0); seen <= tt.now; seen++ {
			if got := alive(seen, tt.posted, tt.now); got != (seen >= tt.oldest) {
				t.Errorf("posted in %d, now %d, seen in %d: alive is %v", tt.posted, tt.now, seen, got)
			}
		}
	}
}
