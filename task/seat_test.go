package task_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// TestWhatASeatMayDo tries what a witness, and who is none, must not.
func TestWhatASeatMayDo(t *testing.T) {
	c := newCourt(t, 8)
	id := c.to(task.Committing)
	first := c.seats(id)[0].Witness
	outside := c.witnesses[slices.IndexFunc(c.witnesses, func(w atp.ID) bool {
		return !slices.ContainsFunc(c.seats(id), func(s task.Seat) bool { return s.Witness == w })
	})]
	commit := func(by atp.ID, level task.Level) operation {
		return func() ([]task.Event, error) {
			return c.book.Commit(id, by, level, c.opening(id, by, good).Seal(), c.clock())
		}
	}
	c.refused(t, task.ErrSeat, commit(outside, 0))
	c.refused(t, task.ErrSeat, commit(alice, 0))
	c.refused(t, task.ErrSeat, commit(first, 1))
	must(t)(commit(first, 0)())
	c.refused(t, task.ErrSeat, commit(first, 0))
	last := c.seats(id)[4].Witness
	for _, s := range c.seats(id)[1:4] {
		must(t)(commit(s.Witness, 0)())
	}
	c.block(600 * atp.Second) // the last one commits to nothing in time
	c.block(1)
	c.open(1)
	c.refused(t, atp.ErrTooLate, commit(last, 0))
	c.close()

	reveal := func(o task.Opening) operation {
		return func() ([]task.Event, error) { return c.book.Reveal(o, c.clock()) }
	}
	honest := c.opening(id, first, good)
	for name, change := range map[string]func(*task.Opening){
		"another answer": func(o *task.Opening) { o.Answer = bad }, "another memory": func(o *task.Opening) { o.Hash[0]++ },
		"another salt": func(o *task.Opening) { o.Salt[0]++ },
	} {
		o := honest
		change(&o)
		t.Run(name, func(t *testing.T) { c.refused(t, task.ErrAnswer, reveal(o)) })
	}
	c.refused(t, task.ErrSeat, reveal(c.opening(id, last, good)))
	c.refused(t, task.ErrSeat, reveal(c.opening(id, outside, good)))
	must(t)(reveal(honest)())
	c.refused(t, task.ErrSeat, reveal(honest))
	must(t)(reveal(c.opening(id, c.seats(id)[1].Witness, good))())
	c.block(60 * atp.Second)
	c.block(1)
	c.open(1)
	c.refused(t, atp.ErrTooLate, reveal(c.opening(id, c.seats(id)[2].Witness, good)))
	c.close()
}

func TestAnAnswerFitsItsClass(t *testing.T) {
	for _, tt := range []struct {
		class  task.Class
		answer task.Answer
		ok     bool
	}{
		{task.Recompute, good, true}, {task.Recompute, bad, true}, {task.Recompute, 850_000, false},
		{task.Recompute, task.Unavailable, true}, {task.Recompute, task.ResourceLimit, true},
		{task.Judge, 850_000, true}, {task.Judge, good + 1, false}, {task.Judge, task.ResourceLimit + 1, false},
	} {
		t.Run(fmt.Sprintf("%s of %s", tt.answer, tt.class), func(t *testing.T) {
			c, tm := newCourt(t, 3), witnessed(5*atp.ATP)
			tm.Class = tt.class
			id := c.proven(tm, 5*atp.ATP)
			c.drawn(id, true)
			c.commitAll(id, all(tt.answer))
			reveal := c.reveals(id, all(tt.answer))[0]
			if tt.ok {
				must(t)(reveal())
			} else {
				c.refused(t, task.ErrAnswer, reveal)
			}
		})
	}
}

func TestOnlyWhoLostAppealsAndOnce(t *testing.T) {
	for answer, loser := range map[task.Answer]atp.ID{good: alice, bad: bob, task.ResourceLimit: alice, task.Unavailable: bob} {
		t.Run(answer.String(), func(t *testing.T) {
			c := newCourt(t, 8)
			id := c.to(task.Committing)
			c.answer(id, all(answer))
			appeal := func(by atp.ID) operation {
				return func() ([]task.Event, error) { return c.book.Appeal(id, by, c.clock()) }
			}
			for _, by := range append([]atp.ID{alice, bob}, c.witnesses...) {
				if by != loser {
					c.refused(t, atp.ErrNotYours, appeal(by))
				}
			}
			deadline := c.task(id).Deadline
			if deadline != c.now.Add(300*atp.Second) {
				t.Errorf("an appeal is possible until %d, want 300 s after %d", deadline, c.now)
			}
			c.block(10, appeal(loser))
			c.block(10)
			c.block(10)
			c.answer(id, all(answer))
			if got := c.stage(id); got != task.Settled {
				t.Errorf("everyone has spoken, and the task is %s", got)
			}
		})
	}
}

func TestAnAppealThatIsLateIsNone(t *testing.T) {
	c := newCourt(t, 8)
	id := c.to(task.Decided)
	c.block(300 * atp.Second)
	c.block(1)
	c.open(1)
	c.refused(t, atp.ErrTooLate, func() ([]task.Event, error) { return c.book.Appeal(id, alice, c.clock()) })
	c.close()
	if p := paid(c.log); p == nil || p.Path != task.AuditPass || *p.Quality != task.S {
		t.Errorf("settled as %+v", p)
	}
}

// drain reserves all of the stakes of witnesses but the first few, as seats of
// other tasks do.
func (c *court) drain(but int) {
	c.tb.Helper()
	var elsewhere task.Panel
	for _, id := range c.witnesses[but:] {
		s := c.stake(id)
		s.Reserved, s.Open = s.Amount, 1
		if err := c.m.SetStake(id, s); err != nil {
			c.tb.Fatal(err)
		}
		elsewhere.Seats = append(elsewhere.Seats, task.Seat{Witness: id, Bond: s.Amount})
	}
	if err := c.m.SetPanel(atp.Sum(nil), task.Committee, elsewhere); err != nil {
		c.tb.Fatal(err)
	}
}

// TestTwoWithAFreeStakeDoNotHaveTheLastWord: who fills the stakes of all others
// with tasks of its own must not be left to judge alone.
func TestTwoWithAFreeStakeDoNotHaveTheLastWord(t *testing.T) {
	c := newCourt(t, 8)
	id := c.proven(witnessed(50*atp.ATP), 50*atp.ATP)
	c.drawn(id, false)
	c.drain(2)
	c.dispute(id)
	if sit := c.seats(id); len(sit) != 2 {
		t.Fatalf("%d sit, want the two that are free", len(sit))
	}
	c.answer(id, all(good))
	if got := c.stage(id); got != task.Decided {
		t.Fatalf("two of eight have found, and the task is %s, want one that can be appealed", got)
	}
	must(t)(c.book.Appeal(id, alice, c.clock()))
}

// TestADisputeIsHeardWhileStakesAreReserved: who fills the stakes of all with tasks
// of its own must not get a result for nothing by disputing it.
func TestADisputeIsHeardWhileStakesAreReserved(t *testing.T) {
	c := newCourt(t, 8)
	id := c.proven(witnessed(50*atp.ATP), 50*atp.ATP)
	c.drawn(id, false)
	c.drain(1)
	c.dispute(id)
	if got := c.stage(id); got != task.Committing {
		t.Fatalf("the task is %s, want witnesses", got)
	}
	if r := c.task(id).Review; r.Level != task.Everyone || r.Everyone != 8 {
		t.Fatalf("the review is %+v, want one by everyone", r)
	}
	events := c.answer(id, all(good))
	if paid := find[*task.Paid](events); len(paid) != 1 || paid[0].Path != task.DisputeLost {
		t.Errorf("settled as %+v", paid)
	}
}

// TestAPartyThatIsAdmittedMeanwhileSitsNot: an executor that a vote brings into a
// society is no stranger to its own task, nor are its new companions.
func TestAPartyThatIsAdmittedMeanwhileSitsNot(t *testing.T) {
	c := newCourt(t, 8)
	id := c.proven(witnessed(50*atp.ATP), 50*atp.ATP)
	c.drawn(id, false)
	moved := c.m.members[bob].Society
	c.member(bob, func(m *task.Member) { m.Society = "w-00" })
	c.block(10, func() ([]task.Event, error) { return c.book.Dispute(id, alice, c.clock()) })
	p, _, err := c.m.Panel(id, task.Committee)
	if err != nil || len(p.Candidates) != 7 || slices.Contains(p.Candidates, c.witnesses[0]) {
		t.Errorf("candidates are %v, %v, want the seven that have nothing to do with bob, once of %s", p.Candidates, err, moved)
	}
}
