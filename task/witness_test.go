package task_test

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// member changes what the state knows of a platform.
func (c *court) member(id atp.ID, change func(*task.Member)) {
	m := c.m.members[id]
	change(&m)
	c.m.members[id] = m
}

func (c *court) stake(id atp.ID) task.Stake {
	c.tb.Helper()
	s, _, err := c.m.Stake(id)
	if err != nil {
		c.tb.Fatal(err)
	}
	return s
}

// refused fails unless an operation is refused for a reason, and changes nothing.
func (c *court) refused(t *testing.T, want error, op operation) {
	t.Helper()
	before := c.m.clone()
	_, err := op()
	refuses(t, c.world, before, err, want)
}

// TestWhoCouldWitness starts with two witnesses, of whom one could not, and asks
// for a task with witnesses, which needs two.
func TestWhoCouldWitness(t *testing.T) {
	second := func(c *court) atp.ID { return c.witnesses[1] }
	for _, tt := range []struct {
		name   string
		change func(c *court, tm *task.Terms)
		want   error
	}{
		{"two who could", func(*court, *task.Terms) {}, nil},
		{"one has no stake", func(c *court, _ *task.Terms) { c.m.delete("stake/" + second(c).String()) }, task.ErrClass},
		{"one has a stake of less than 100 ATP", func(c *court, _ *task.Terms) { c.setStake(second(c), 100*atp.ATP-1, 0) }, task.ErrClass},
		{"one has a stake of 100 ATP", func(c *court, _ *task.Terms) { c.setStake(second(c), 100*atp.ATP, 0) }, nil},
		{"one has asked for its stake back", func(c *court, _ *task.Terms) {
			must(t)(c.book.Unstake(task.Staking{Owner: second(c), Amount: 300 * atp.ATP}, c.clock()))
		}, task.ErrClass},
		{"one has ten seat fees that are free", func(c *court, _ *task.Terms) { c.setStake(second(c), 300*atp.ATP, 275*atp.ATP) }, nil},
		{"one has less", func(c *court, _ *task.Terms) { c.setStake(second(c), 300*atp.ATP, 275*atp.ATP+1) }, task.ErrClass},
		{"one does not have the runtime", func(c *court, _ *task.Terms) {
			c.member(second(c), func(m *task.Member) { m.Platform.Runtimes = nil })
		}, task.ErrClass},
		{"one is not registered", func(c *court, _ *task.Terms) {
			c.member(second(c), func(m *task.Member) { m.Registered = false })
		}, task.ErrClass},
		{"one is of a society that was never admitted", func(c *court, _ *task.Terms) {
			c.member(second(c), func(m *task.Member) { m.Admitted = false })
		}, task.ErrClass},
		{"both are of one society", func(c *court, _ *task.Terms) {
			c.member(second(c), func(m *task.Member) { m.Society = "w-00" })
		}, task.ErrClass},
		{"one is of the requester's society", func(c *court, _ *task.Terms) {
			c.member(second(c), func(m *task.Member) { m.Society = "a-team" })
		}, task.ErrClass},
		{"one is of the society of the executor that is named", func(c *court, tm *task.Terms) {
			tm.Executor.ID = bob
			c.member(second(c), func(m *task.Member) { m.Society = "b-team" })
		}, task.ErrClass},
		{"one was last seen four blocks ago", func(c *court, _ *task.Terms) { c.unseen(second(c), 4) }, nil},
		{"one was last seen five blocks ago", func(c *court, _ *task.Terms) { c.unseen(second(c), 5) }, task.ErrClass},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, tm := newCourt(t, 2), witnessed(50*atp.ATP)
			c.m.block.Height = 100
			for _, id := range c.witnesses {
				c.unseen(id, 0)
			}
			tt.change(c, &tm)
			p := c.posting(alice, tm)
			if tt.want != nil {
				c.refused(t, tt.want, func() ([]task.Event, error) { return c.book.Post(p, c.clock()) })
				return
			}
			must(t)(c.book.Post(p, c.clock()))
		})
	}
}

func (c *court) setStake(id atp.ID, amount, reserved atp.Amount) {
	c.tb.Helper()
	s := c.stake(id)
	s.Amount, s.Reserved = amount, reserved
	if err := c.m.SetStake(id, s); err != nil {
		c.tb.Fatal(err)
	}
}

// unseen has a witness last seen so many blocks ago.
func (c *court) unseen(id atp.ID, blocks task.Height) {
	c.tb.Helper()
	s := c.stake(id)
	s.Seen = c.m.block.Height - blocks
	if err := c.m.SetStake(id, s); err != nil {
		c.tb.Fatal(err)
	}
}

func TestAnExecutorIsRefusedWhileNobodyCouldWitness(t *testing.T) {
	c := newCourt(t, 3)
	p := c.posting(alice, witnessed(50*atp.ATP))
	c.block(10, func() ([]task.Event, error) { return c.book.Post(p, c.clock()) })
	for _, id := range c.witnesses[:2] {
		c.member(id, func(m *task.Member) { m.Registered = false })
	}
	c.refused(t, task.ErrClass, func() ([]task.Event, error) { return c.book.Accept(idOf(p), bob, 100*atp.ATP, c.clock()) })
}

// TestTheLeastBondPaysForAnAudit is max(L, U + F): 5 seats at 2.5 ATP, and a fee
// of 1.5 ATP.
func TestTheLeastBondPaysForAnAudit(t *testing.T) {
	c := newCourt(t, 8)
	p := c.posting(alice, witnessed(50*atp.ATP))
	c.block(10, func() ([]task.Event, error) { return c.book.Post(p, c.clock()) })
	c.refused(t, task.ErrBond, func() ([]task.Event, error) { return c.book.Accept(idOf(p), bob, 14*atp.ATP-1, c.clock()) })
	must(t)(c.book.Accept(idOf(p), bob, 14*atp.ATP, c.clock()))
	if got := c.task(idOf(p)).Acceptance.Seats; got != 5 {
		t.Errorf("%d seats, want 5", got)
	}
}

// TestWhatIsLegalWithWitnesses tries every operation, by who might, at every
// stage of a task with witnesses.
func TestWhatIsLegalWithWitnesses(t *testing.T) {
	ops := map[string]func(c *court, id cid.Cid) operation{
		"accept": func(c *court, id cid.Cid) operation {
			return func() ([]task.Event, error) { return c.book.Accept(id, bob, 50*atp.ATP, c.clock()) }
		},
		"cancel": func(c *court, id cid.Cid) operation {
			return func() ([]task.Event, error) { return c.book.Cancel(id, alice, c.clock()) }
		},
		"prove": func(c *court, id cid.Cid) operation {
			return func() ([]task.Event, error) { return c.book.Prove(id, bob, proof(), c.clock()) }
		},
		"acknowledge": func(c *court, id cid.Cid) operation {
			return func() ([]task.Event, error) { return c.book.Acknowledge(id, alice, task.S, c.clock()) }
		},
		"dispute": func(c *court, id cid.Cid) operation {
			return func() ([]task.Event, error) { return c.book.Dispute(id, alice, c.clock()) }
		},
		"appeal": func(c *court, id cid.Cid) operation {
			return func() ([]task.Event, error) { return c.book.Appeal(id, alice, c.clock()) }
		},
		"commit": func(c *court, id cid.Cid) operation {
			return func() ([]task.Event, error) { return c.book.Commit(id, c.sitting(id), 0, task.Digest{1}, c.clock()) }
		},
		"reveal": func(c *court, id cid.Cid) operation {
			return func() ([]task.Event, error) {
				return c.book.Reveal(c.openingAt(id, c.sitting(id), 0, good), c.clock())
			}
		},
	}
	legal := map[task.Stage][]string{
		task.Posted: {"accept", "cancel"}, task.Accepted: {"prove"}, task.Drawing: {}, task.Proven: {"acknowledge", "dispute"},
		task.Committing: {"commit"}, task.Revealing: {"reveal"}, task.Decided: {"appeal"},
	}
	for stage, can := range legal {
		for name, op := range ops {
			t.Run(fmt.Sprintf("%s of %s", name, stage), func(t *testing.T) {
				c := newCourt(t, 8)
				id := c.to(stage)
				if slices.Contains(can, name) {
					must(t)(op(c, id)())
				} else {
					c.refused(t, task.ErrStage, op(c, id))
				}
			})
		}
	}
}

// to brings a task of 50 ATP to a stage.
func (c *court) to(stage task.Stage) cid.Cid {
	c.tb.Helper()
	p := c.posting(alice, witnessed(50*atp.ATP))
	id := idOf(p)
	steps := []func(){
		func() { c.block(10, func() ([]task.Event, error) { return c.book.Post(p, c.clock()) }) },
		func() {
			c.block(10, func() ([]task.Event, error) { return c.book.Accept(id, bob, 50*atp.ATP, c.clock()) })
		},
		func() { c.block(10, func() ([]task.Event, error) { return c.book.Prove(id, bob, proof(), c.clock()) }) },
		func() { c.drawn(id, stage != task.Proven) },
		func() { c.commitAll(id, all(good)) },
		func() { c.block(10, c.reveals(id, all(good))...) },
	}
	for _, step := range steps {
		step()
		if c.stage(id) == stage {
			return id
		}
	}
	c.tb.Fatalf("the task is %s, want %s", c.stage(id), stage)
	return id
}

// commitAll has all who sit commit.
func (c *court) commitAll(id cid.Cid, say func(int) task.Answer) {
	c.tb.Helper()
	var ops []operation
	for i, s := range c.seats(id) {
		o := c.opening(id, s.Witness, say(i))
		ops = append(ops, func() ([]task.Event, error) { return c.book.Commit(id, o.Witness, o.Level, o.Seal(), c.clock()) })
	}
	c.block(10, ops...)
}

func (c *court) reveals(id cid.Cid, say func(int) task.Answer) (ops []operation) {
	c.tb.Helper()
	for i, s := range c.seats(id) {
		o := c.opening(id, s.Witness, say(i))
		ops = append(ops, func() ([]task.Event, error) { return c.book.Reveal(o, c.clock()) })
	}
	return ops
}

// sitting returns who sits first, or the first witness if nobody does.
func (c *court) sitting(id cid.Cid) atp.ID {
	if p, ok, err := c.m.Panel(id, task.Committee); err == nil && ok && len(p.Seats) > 0 {
		return p.Seats[0].Witness
	}
	return c.witnesses[0]
}

// openingAt is opening for a task at any stage.
func (c *court) openingAt(id cid.Cid, witness atp.ID, level task.Level, a task.Answer) task.Opening {
	o := task.Opening{Task: id, Level: level, Witness: witness, Answer: a}
	if c.task(id).Proof != nil && c.task(id).Review != nil {
		return c.opening(id, witness, a)
	}
	return o
}

func TestAResultOutsideMutualIsDisputedNotRefused(t *testing.T) {
	c := newCourt(t, 8)
	id := c.to(task.Proven)
	c.refused(t, task.ErrMark, func() ([]task.Event, error) { return c.book.Acknowledge(id, alice, 699_999, c.clock()) })
	must(t)(c.book.Acknowledge(id, alice, 700_000, c.clock()))
}

func TestAMutualTaskKnowsNoDispute(t *testing.T) {
	c := newCourt(t, 8)
	id := c.world.to(t, task.Proven, terms())
	c.refused(t, task.ErrStage, func() ([]task.Event, error) { return c.book.Dispute(id, alice, c.clock()) })
}

// TestAtTheLevelOfEveryoneReservationsDoNotMatter leaves three witnesses with
// 5 ATP free after they were drawn.
func TestAtTheLevelOfEveryoneReservationsDoNotMatter(t *testing.T) {
	c := newCourt(t, 8)
	id := c.to(task.Decided)
	for _, w := range c.witnesses {
		s := c.stake(w)
		c.setStake(w, s.Amount, s.Reserved+(s.Free()-5*atp.ATP))
	}
	if _, err := c.book.Post(c.posting(alice, witnessed(50*atp.ATP)), c.clock()); err == nil {
		t.Error("a committee would sit with too little at stake")
	}
	must(t)(c.book.Appeal(id, alice, c.clock()))
	must(t)(c.book.Summon(id, c.clock()))
	panel, _, err := c.m.Panel(id, task.Everyone)
	if err != nil || len(panel.Candidates) != 8 {
		t.Errorf("%d candidates, %v, want all 8", len(panel.Candidates), err)
	}
}

func TestHowLongWitnessesHave(t *testing.T) {
	e := task.DefaultEconomy()
	for execution, want := range map[atp.Span]atp.Span{
		5 * atp.Second: 30 * atp.Second, 20 * atp.Second: 40 * atp.Second, 300 * atp.Second: 600 * atp.Second, atp.Day: 600 * atp.Second,
	} {
		if got := e.CommitWindow(execution); got != want {
			t.Errorf("for a run of %d ms: %d ms, want %d", execution, got, want)
		}
	}
}

// TestMoreThanFitAreDrawnByLot has more societies that could witness than a
// record of the state holds.
func TestMoreThanFitAreDrawnByLot(t *testing.T) {
	c := newCourt(t, 100)
	for i := range 30 {
		id := atp.IDFromKey(sha256.Sum256(fmt.Append(nil, i)))
		c.witnesses = append(c.witnesses, id)
		c.m.members[id] = task.Member{Registered: true, Admitted: true, Society: task.Society(id.String()), Platform: task.Platform{Runtimes: []task.Runtime{"wasm"}}}
		if err := (atp.Ledger{State: c.m}).Grant(id, 300*atp.ATP); err != nil {
			t.Fatal(err)
		}
		must(t)(c.book.Stake(id, 300*atp.ATP))
	}
	id := c.to(task.Decided)
	c.block(10, func() ([]task.Event, error) { return c.book.Appeal(id, alice, c.clock()) })
	panel, _, err := c.m.Panel(id, task.Everyone)
	if err != nil || len(panel.Candidates) != 100 {
		t.Fatalf("%d candidates are noted, %v, want 100 of the 130", len(panel.Candidates), err)
	}
	c.block(10)
	c.block(10)
	if got := len(c.seats(id)); got != 41 {
		t.Errorf("%d sit, want 41", got)
	}
	c.answer(id, all(good))
	if p := paid(c.log); p == nil || p.Path != task.AuditPassVain {
		t.Errorf("settled as %+v", p)
	}
}

// TestWhatWitnessesDidIsToldAndReadBack plays a dispute, an appeal and a stake
// that is asked back, and reads every event of it from its encoding.
func TestWhatWitnessesDidIsToldAndReadBack(t *testing.T) {
	c := newCourt(t, 8)
	id := c.to(task.Proven)
	c.dispute(id)
	c.answer(id, all(good))
	c.block(10, func() ([]task.Event, error) { return c.book.Appeal(id, alice, c.clock()) })
	c.block(10, func() ([]task.Event, error) {
		return c.book.Unstake(task.Staking{Owner: c.witnesses[0], Amount: atp.ATP}, c.clock())
	})
	c.block(10)
	c.answer(id, all(good))
	c.block(atp.Day)
	c.block(10)
	kinds := make(map[string]int)
	for _, e := range c.log {
		kinds[fmt.Sprintf("%T", e)]++
		if m, ok := e.(*task.Moved); ok {
			m.After = task.Task{}
		}
		data, err := atp.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		again := reflect.New(reflect.TypeOf(e).Elem()).Interface().(task.Event)
		if err := atp.Decode(data, again); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(e, again, cmpopts.EquateComparable(cid.Cid{}, atp.ID{})); diff != "" {
			t.Errorf("%T, decoded (-want +got):\n%s", e, diff)
		}
	}
	// Two draws seat five and eight, after one that seats nobody. The level of everyone has the last word.
	want := map[string]int{
		"*task.Drawn": 3, "*task.Challenged": 2, "*task.Revealed": 13, "*task.Judged": 2, "*task.SeatPaid": 13, "*task.Paid": 1,
		"*task.StakeLeaving": 1, "*task.StakeReleased": 1, "*task.Locked": 1, "*task.Engaged": 1,
		"*task.ReputationChanged": 10, // of eight witnesses, the executor and the requester
		"*task.Moved":             3 + 1 + 2 + 2*(5+1) + 2 + 2*(8+1),
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
