package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/p2p/lantest"
)

// Four machines that are started one after the other, without a flag: who has a
// vote grows from one to three to four, and is never two, as each block has it.
func TestAFederationGrowsToFourOnALAN(t *testing.T) {
	t.Parallel()
	l := lantest.New(t)
	var all []*machine
	for i, votes := range []int{1, 1, 3, 4} {
		m := newMachine(t, on(l, i+1), fmt.Sprintf("node%d", i))
		begun := time.Now()
		joined := m.up().joins()
		l.Check(m.name+" is in", joined.at.Sub(begun))
		m.until("synced", view.Status.Ready)
		l.Check(m.name+" is synced", time.Since(begun))
		if all = append(all, m); joined.Genesis != all[0].joins().Genesis {
			t.Fatalf("%s is in %s, not in that of the others", m.name, joined.Genesis)
		}
		waits := 0
		if votes == 1 {
			waits = i // the second waits for a third
		}
		for _, each := range all {
			each.eventually(fmt.Sprintf("of %d votes, and %d that wait for one", votes, waits), func() bool {
				var set view.Validators
				return each.tell(&set, "validators") == nil && len(set.Members) == votes && len(set.Candidates) == waits
			})
		}
		t.Logf("%d machines, %d votes, as all know %s after its start", i+1, votes, time.Since(begun).Round(time.Millisecond))
	}
	delegates(t, all[0], all[3])
	agrees(all...)
	grown := all[0].grown()
	if len(grown) != 2 {
		t.Errorf("sets of what size came at what height: %v, want of 3 and of 4", grown)
	}
	for _, m := range all {
		if got := m.setsByBlock(); len(got) != 3 || got[1] != grown[3] || got[2] != grown[4] {
			t.Errorf("in the blocks of %s the set changes at heights %v; what the first says of it: %v", m.name, got, grown)
		}
	}
}

// setsByBlock is at which heights, the first block's first, another set was put in
// charge, as the blocks that the machine has say.
func (m *machine) setsByBlock() (changes []view.Height) {
	m.t.Helper()
	st, err := m.status()
	must(m.t, err)
	set := ""
	for h := view.Height(1); h <= st.Height; h++ {
		var b view.Block
		must(m.t, m.tell(&b, "block", fmt.Sprint(h)))
		if b.ValidatorHash != set {
			changes, set = append(changes, h), b.ValidatorHash
		}
	}
	return changes
}

// grown is at which height there came a set of how many, as the machine's events
// say.
func (m *machine) grown() map[int]view.Height {
	m.t.Helper()
	out, err := m.program("events", "--kind", "validator", "--json").Output()
	must(m.t, err)
	sizes := map[int]view.Height{}
	for in := json.NewDecoder(bytes.NewReader(out)); in.More(); {
		var e view.Event
		must(m.t, in.Decode(&e))
		if e.Name != view.NameValidators {
			continue // who waits, for one
		}
		var news view.ValidatorsNews
		must(m.t, json.Unmarshal(e.Data, &news))
		sizes[news.Validators] = e.Height
	}
	return sizes
}

// delegates has one machine give another a picture, whose edges it is to find, and
// pay for them.
func delegates(t *testing.T, from, to *machine) {
	t.Helper()
	input, out := filepath.Join("..", "..", "task", "exec", "programs", "samples", "edges.png"), filepath.Join(t.TempDir(), "out.png")
	begun := time.Now()
	var sub view.Submission
	must(t, from.tell(&sub, "task", "submit", "--type", "vision", "--program", "edges", "--input", input, "--to", to.name, "--wait", "--accept", "--out", out))
	t.Logf("a task is paid after %s", time.Since(begun).Round(time.Millisecond))
	var task view.Task
	to.eventually("sure that the task is over", func() bool { // it may be a block behind
		return to.tell(&task, "task", "show", sub.TaskID.String()) == nil && task.State == view.TaskSettled
	})
	if task.Settlement != view.SettledCommit || task.Executor.String() != to.id() {
		t.Errorf("the task ended as %+v", task)
	}
	b, err := os.ReadFile(out)
	must(t, err)
	if _, err := png.Decode(bytes.NewReader(b)); err != nil {
		t.Errorf("its result is no picture: %v", err)
	}
}
