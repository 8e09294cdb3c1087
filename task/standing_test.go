package task_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// TestTheMissionsExample witnesses 50 ATP at quality 0.85 for a newcomer.
func TestTheMissionsExample(t *testing.T) {
	c, tm := newCourt(t, 8), witnessed(50*atp.ATP)
	tm.Class, tm.MinQuality = task.Judge, 700_000
	id := c.proven(tm, 50*atp.ATP)
	c.drawn(id, true)
	c.answer(id, all(850_000))
	c.passTime(id)
	var got []string
	for _, r := range find[*task.ReputationChanged](c.log) {
		if r.Who == alice || r.Who == bob {
			got = append(got, fmt.Sprintf("%s %s %d", r.Role, r.Cause, r.New))
		} else if r.New != 509_803 || r.Cause != task.CauseWitness {
			t.Errorf("a witness: %+v", r)
		}
	}
	if want := []string{"executor PASS 549999", "requester PASS 571428"}; !slices.Equal(got, want) {
		t.Errorf("have %q, want %q", got, want)
	}
}

// TestWhoseReputationMoves tells, for each way that witnesses end a task of 18
// ATP, what is known of whom then, in ppm for and against.
func TestWhoseReputationMoves(t *testing.T) {
	type evidence [2]task.PPM
	for _, tt := range []struct {
		name                string
		dispute             bool
		answer              task.Answer
		executor, requester evidence
		witness             evidence // each
	}{
		{"an audit is passed", false, good, evidence{1_000_000, 0}, evidence{1_000_000, 0}, evidence{200_000, 0}},
		{"an audit is failed", false, bad, evidence{0, 3_000_000}, evidence{0, 0}, evidence{200_000, 0}},
		{"there was nothing to look at", false, task.Unavailable, evidence{0, 3_000_000}, evidence{0, 0}, evidence{0, 200_000}},
		{"a dispute is lost", true, good, evidence{1_000_000, 0}, evidence{0, 3_000_000}, evidence{200_000, 0}},
		{"a dispute is won", true, bad, evidence{0, 3_000_000}, evidence{0, 0}, evidence{200_000, 0}},
		{"it cannot be run", true, task.ResourceLimit, evidence{0, 0}, evidence{0, 0}, evidence{0, 0}},
		{"nobody says a word", false, silent, evidence{0, 0}, evidence{0, 0}, evidence{0, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCourt(t, 4)
			id := c.proven(witnessed(18*atp.ATP), 18*atp.ATP)
			if c.drawn(id, !tt.dispute); tt.dispute {
				c.dispute(id)
			}
			c.answer(id, all(tt.answer))
			c.passTime(id)
			want := map[task.Key]evidence{
				{Who: bob, Role: task.Executor, Type: task.Vision}: tt.executor, {Who: alice, Role: task.Requester}: tt.requester,
			}
			for _, w := range c.witnesses {
				want[task.Key{Who: w, Role: task.Witness}] = tt.witness
			}
			for key, w := range want {
				if e, _, err := c.m.Evidence(key); err != nil || (evidence{e.For, e.Against}) != w {
					t.Errorf("%s: %d for, %d against, %v, want %v", key, e.For, e.Against, err, w)
				}
			}
		})
	}
}

// TestWitnessesThatAreAbsent has one of four not commit and one not reveal.
func TestWitnessesThatAreAbsent(t *testing.T) {
	c := newCourt(t, 4)
	id := c.proven(witnessed(18*atp.ATP), 18*atp.ATP)
	c.drawn(id, true)
	seats := c.seats(id)
	var ops []operation
	for _, s := range seats[:3] {
		o := c.opening(id, s.Witness, good)
		ops = append(ops, func() ([]task.Event, error) { return c.book.Commit(id, o.Witness, 0, o.Seal(), c.clock()) })
	}
	c.block(10, ops...)
	c.block(600 * atp.Second)
	c.block(10)
	c.block(10, c.reveals(id, all(good))[:2]...)
	c.passTime(id)
	bond := 9 * atp.ATP // ten times a twentieth of the price
	for i, want := range []atp.Amount{0, 0, bond, bond / 5} {
		for _, s := range find[*task.SeatPaid](c.log) {
			if s.Witness == seats[i].Witness && s.Slashed != want {
				t.Errorf("seat %d lost %s ATP, want %s ATP", i, s.Slashed, want)
			}
		}
	}
	if p := paid(c.log); p.Path != task.AuditVoid || p.ToSeats != 2*(4*900_000/4) {
		t.Errorf("settled as %+v", p)
	}
}
