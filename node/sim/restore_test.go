package sim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// Disks are put back to older images of themselves, the signer's part, the store's
// or both, through restarts and while a key is silent. Whenever one peer that knows
// better answers, that is found out before anything new is signed; the platform
// comes back by itself, and never contradicts itself.
func TestRestoredDisks(t *testing.T) {
	if *seed >= 0 {
		var theatre Theatre
		if *tell {
			theatre.Tell = func(s string) { fmt.Println(s) }
		}
		if r := theatre.Restore(uint64(*seed)); r.Err != nil {
			t.Fatal(r.Err)
		}
		return
	}
	seen := make(map[string]int)
	Explore((*Theatre).Restore, *first, *seeds, func(s uint64, r Result) bool {
		for what, n := range r.Seen {
			seen[what] += n
		}
		if r.Err != nil {
			t.Errorf("%v\n  go test ./node/sim -run TestRestoredDisks -seed %d", r.Err, s)
		}
		return r.Err == nil
	})
	if t.Failed() {
		return
	}
	t.Logf("%d schedules", *seeds)
	for _, what := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%8d  %s", seen[what], what)
	}
	if *seeds < 200 {
		return // too few to show everything
	}
	for _, what := range []string{
		"a disk is restored", seenForgotten, "a store is set back", seenFoundOut, seenReturn,
		"a bit of a record turns", "a bit of a store turns",
	} {
		if seen[what] == 0 {
			t.Errorf("no schedule has shown: %s", what)
		}
	}
	if *seeds < 500 {
		return
	}
	for _, what := range []string{seenEnds[errCrash] + atReturn.String(), seenForgottenAmid, seenReturnAmid, seenForgottenLater, seenReturnLater} {
		if seen[what] == 0 {
			t.Errorf("no schedule has shown: %s", what)
		}
	}
}

// The file that keeps a key silent is there once the signer is: if that fails, or the
// power does before the file is written, the key is found out again.
func TestAKeyIsSilentBeforeItsFileIs(t *testing.T) {
	for _, tt := range []struct {
		name   string
		ends   error
		at     place
		want   error
		silent bool
	}{
		{"the signer cannot", errIO, atRecord, signer.ErrFailed, false},
		{"the power fails", errCrash, atMute, errCrash, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newScript(t, 4).machines[0]
			m.pending = &bond{knows: m.sim.machines[1]}
			m.disk.fuse.light(tt.ends, tt.at, 0, 0)
			if tt.at == atRecord {
				if err := m.sign([]bft.Unsigned{prepareOf(0, m.sim.cast.state.Tip().ID)}); err == nil {
					t.Fatal("its disk takes a record, and should not")
				}
			}
			if err := m.silence(&replica.Output{Persist: replica.Persist{Mute: "a peer knows better"}}); !errors.Is(err, tt.want) {
				t.Fatalf("have %v, want %v", err, tt.want)
			}
			if m.mute != "" || m.pending == nil {
				t.Errorf("the file says %q, and it is found out: %v", m.mute, m.pending == nil)
			}
			if got := m.signer.Silenced() != ""; got != tt.silent {
				t.Errorf("silent = %v, want %v", got, tt.silent)
			}
		})
	}
}

// boundaries demands that machines ended at every place: by a power cut anywhere, but
// for the one to which only restored disks come often, and in every way on the disk.
func boundaries(t *testing.T, seen map[string]int) {
	t.Helper()
	for err, how := range seenEnds {
		for p := range places {
			demanded := err == errCrash && p != atReturn || p.happens(err) && (p.onDisk() || p == atOpen)
			if demanded && seen[how+p.String()] == 0 {
				t.Errorf("no schedule has shown: %s", how+p.String())
			}
		}
	}
}
