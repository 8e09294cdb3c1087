package task_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ipfs/go-cid"
	"pgregory.net/rapid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// court is a world with witnesses, whose blocks come one after the other as on
// a chain: what was asked for is done, what is due fires, draws are noted.
type court struct {
	*world
	parent    atp.Millis
	witnesses []atp.ID     // each of a society of its own, with a stake of 300 ATP
	log       []task.Event // all that happened
	tb        rapid.TB
}

func newCourt(t rapid.TB, n int) *court {
	t.Helper()
	c := &court{world: newWorld(t), tb: t}
	c.parent = c.now - 1
	c.m.block = task.Block{Genesis: [32]byte{1}, Height: 1}
	for i := range n {
		id := platform(byte(100 + i))
		c.witnesses = append(c.witnesses, id)
		c.m.members[id] = task.Member{
			Registered: true, Society: task.Society(fmt.Sprintf("w-%02d", i)), Admitted: true,
			Platform: task.Platform{Runtimes: []task.Runtime{"wasm"}},
		}
		if err := (atp.Ledger{State: c.m}).Grant(id, 1000*atp.ATP); err != nil {
			t.Fatal(err)
		}
		must(t)(c.book.Stake(id, 300*atp.ATP))
	}
	c.m.n = uint64(n + 2)
	c.m.council = task.Council{Size: uint64(n), Drawers: c.witnesses}
	return c
}

// clock returns the time of the block.
func (c *court) clock() atp.Clock { return atp.Clock{Parent: c.parent, Block: c.now} }

type operation func() ([]task.Event, error)

// block makes a block so long after the last, with a beacon of its own, by the
// first witness, in which everybody is seen. Operations must succeed.
func (c *court) block(after atp.Span, ops ...operation) []task.Event {
	c.tb.Helper()
	c.open(after)
	var events []task.Event
	for _, op := range ops {
		events = append(events, must(c.tb)(op())...)
	}
	c.log = append(c.log, events...)
	return append(events, c.close()...)
}

func (c *court) open(after atp.Span) {
	c.tb.Helper()
	c.parent, c.now = c.now, c.now.Add(after)
	c.m.block.Height++
	c.m.block.Beacon = sha256.Sum256(fmt.Append(nil, "beacon", c.m.block.Height))
	if c.m.block.Proposer.IsZero() && len(c.witnesses) > 0 {
		c.m.block.Proposer = c.witnesses[0]
	}
	ids, _ := c.m.Stakers()
	for _, id := range ids {
		s, _, err := c.m.Stake(id)
		s.Seen = c.m.block.Height
		if err = errors.Join(err, c.m.SetStake(id, s)); err != nil {
			c.tb.Fatal(err)
		}
	}
}

// close fires what is due, and notes who could witness.
func (c *court) close() (events []task.Event) {
	c.tb.Helper()
	for _, key := range c.m.keys("due") {
		var at atp.Millis
		var name string
		if _, err := fmt.Sscanf(key, "due/%020d/%s", &at, &name); err != nil {
			c.tb.Fatal(err)
		}
		if id := cid.MustParse(name); at < c.parent {
			u, leaving, err := c.m.Unbonding(id)
			if err != nil {
				c.tb.Fatal(err)
			}
			if leaving {
				events = append(events, must(c.tb)(c.book.Release(u, c.clock()))...)
			} else {
				events = append(events, must(c.tb)(c.book.Expire(id, c.clock()))...)
			}
		}
	}
	for _, key := range c.m.keys("task") {
		id := cid.MustParse(key[len("task/"):])
		events = append(events, must(c.tb)(c.book.Summon(id, c.clock()))...)
	}
	if err := c.m.check(); err != nil {
		c.tb.Fatal(err)
	}
	c.log = append(c.log, events...)
	return events
}

// witnessed are terms of class recompute.
func witnessed(price atp.Amount) task.Terms {
	t := terms()
	t.Class, t.Price, t.MinQuality = task.Recompute, price, 700_000
	return t
}

// proven brings a task of alice's, with bob as its executor, to where its proof
// waits for a beacon.
func (c *court) proven(terms task.Terms, bond atp.Amount) cid.Cid {
	c.tb.Helper()
	p := c.posting(alice, terms)
	id := idOf(p)
	c.block(10, func() ([]task.Event, error) { return c.book.Post(p, c.clock()) })
	c.block(10, func() ([]task.Event, error) { return c.book.Accept(id, bob, bond, c.clock()) })
	c.block(10, func() ([]task.Event, error) { return c.book.Prove(id, bob, proof(), c.clock()) })
	return id
}

// drawn passes the two blocks until a beacon, which audits the task or spares it.
func (c *court) drawn(id cid.Cid, audited bool) []task.Event {
	c.tb.Helper()
	c.block(10)
	c.open(10)
	t := c.task(id)
	for i := 0; task.Audited(c.m.block.Beacon, id, t.Review.Audit) != audited; i++ {
		c.m.block.Beacon = sha256.Sum256(fmt.Append(nil, "try", i))
	}
	return c.close()
}

func (c *court) task(id cid.Cid) task.Task {
	c.tb.Helper()
	t, open, err := c.m.Task(id)
	if err != nil || !open {
		c.tb.Fatalf("task %s: open is %v, %v", id, open, err)
	}
	return t
}

func (c *court) stage(id cid.Cid) task.Stage {
	c.tb.Helper()
	t, open, err := c.m.Task(id)
	if err != nil {
		c.tb.Fatal(err)
	}
	if !open {
		return task.Settled
	}
	return t.Stage
}

// seats returns who sits now.
func (c *court) seats(id cid.Cid) []task.Seat {
	c.tb.Helper()
	p, ok, err := c.m.Panel(id, c.task(id).Review.Level)
	if err != nil || !ok {
		c.tb.Fatalf("panel: %v, %v", ok, err)
	}
	return p.Seats
}

// opening is what a witness says, with a memory that follows from its answer.
func (c *court) opening(id cid.Cid, witness atp.ID, a task.Answer) task.Opening {
	t := c.task(id)
	return task.Opening{
		Genesis: c.m.block.Genesis, Task: id, Level: t.Review.Level, Result: t.Proof.Result,
		Witness: witness, Answer: a, Hash: sha256.Sum256(fmt.Append(nil, a)), Salt: task.Digest{byte(a), 7},
	}
}

// silent is the answer of one who does nothing.
const silent = ^task.Answer(0)

// answer has all who sit say what say tells of the seat's number, in a block for
// commitments and one for revelations; it passes the windows if some are silent.
func (c *court) answer(id cid.Cid, say func(seat int) task.Answer) []task.Event {
	c.tb.Helper()
	var commits, reveals []operation
	for i, s := range c.seats(id) {
		if a := say(i); a != silent {
			o := c.opening(id, s.Witness, a)
			commits = append(commits, func() ([]task.Event, error) { return c.book.Commit(id, o.Witness, o.Level, o.Seal(), c.clock()) })
			reveals = append(reveals, func() ([]task.Event, error) { return c.book.Reveal(o, c.clock()) })
		}
	}
	events := c.block(10, commits...)
	if c.stage(id) == task.Committing {
		c.block(atp.Day)
		events = append(events, c.block(10)...)
	}
	if len(reveals) > 0 {
		events = append(events, c.block(10, reveals...)...)
	}
	return events
}

// all says the same for every seat.
func all(a task.Answer) func(int) task.Answer { return func(int) task.Answer { return a } }

// passTime lets all windows end that a task can be in, and returns what happened.
func (c *court) passTime(id cid.Cid) (events []task.Event) {
	c.tb.Helper()
	for range 40 {
		if c.stage(id) == task.Settled {
			return events
		}
		events = append(events, c.block(atp.Day)...)
	}
	c.tb.Fatalf("task %s is %s, and time alone does not end it", id, c.stage(id))
	return nil
}

// find returns the events of one kind.
func find[E task.Event](events []task.Event) (found []E) {
	for _, e := range events {
		if e, ok := e.(E); ok {
			found = append(found, e)
		}
	}
	return found
}

// good and bad are answers of class recompute.
const (
	good = task.Answer(task.S)
	bad  = task.Answer(0)
)

// TestEveryPathOfTheTableIsWalked plays each way that a task with witnesses can
// end, on eight witnesses of whom five make a committee, and compares what the
// parties have with the table.
func TestEveryPathOfTheTableIsWalked(t *testing.T) {
	appeal := func(by atp.ID) func(*court, cid.Cid) {
		return func(c *court, id cid.Cid) {
			c.tb.Helper()
			c.block(10, func() ([]task.Event, error) { return c.book.Appeal(id, by, c.clock()) })
			c.block(10)
			c.block(10)
		}
	}
	say := func(of func(int) task.Answer) func(*court, cid.Cid) {
		return func(c *court, id cid.Cid) { c.answer(id, of) }
	}
	half := func(i int) task.Answer { return []task.Answer{good, bad}[i%2] }
	type steps []func(*court, cid.Cid)
	for _, tt := range []struct {
		path    task.Path
		dispute bool
		steps   steps
	}{
		{task.AuditPass, false, steps{say(all(good))}},
		{task.AuditPassVain, false, steps{say(all(good)), appeal(alice), say(all(good))}},
		{task.AuditPassOverturned, false, steps{say(all(good)), appeal(alice), say(all(bad))}},
		{task.AuditFail, false, steps{say(all(bad))}},
		{task.AuditFailVain, false, steps{say(all(bad)), appeal(bob), say(all(bad))}},
		{task.AuditFailOverturned, false, steps{say(all(bad)), appeal(bob), say(all(good))}},
		{task.AuditVoid, false, steps{say(half), func(c *court, _ cid.Cid) { c.block(10); c.block(10) }, say(half)}},
		{task.AuditVoid, false, steps{say(all(good)), appeal(alice), say(half)}},
		{task.AuditVoid, false, steps{say(all(bad)), appeal(bob), say(half)}},
		{task.AuditVoid, false, steps{say(all(silent))}},
		{task.AuditPass, false, steps{say(all(task.ResourceLimit))}},
		{task.AuditPassVain, false, steps{say(all(task.ResourceLimit)), appeal(alice), say(all(task.ResourceLimit))}},
		{task.AuditFailOverturned, false, steps{say(all(bad)), appeal(bob), say(all(task.ResourceLimit))}},
		{task.AuditFail, false, steps{say(all(task.Unavailable))}},
		{task.DisputeLost, true, steps{say(all(good))}},
		{task.DisputeLostVain, true, steps{say(all(good)), appeal(alice), say(all(good))}},
		{task.DisputeLostOverturned, true, steps{say(all(good)), appeal(alice), say(all(bad))}},
		{task.DisputeWon, true, steps{say(all(bad))}},
		{task.DisputeWonVain, true, steps{say(all(bad)), appeal(bob), say(all(bad))}},
		{task.DisputeWonOverturned, true, steps{say(all(bad)), appeal(bob), say(all(good))}},
		{task.DisputeVoid, true, steps{say(half), func(c *court, _ cid.Cid) { c.block(10); c.block(10) }, say(half)}},
		{task.DisputeLost, true, steps{say(all(task.ResourceLimit))}},
	} {
		t.Run(fmt.Sprintf("%s after %d steps", tt.path, len(tt.steps)), func(t *testing.T) {
			c := newCourt(t, 8)
			before := c.holdings()
			id := c.proven(witnessed(50*atp.ATP), 30*atp.ATP)
			c.drawn(id, !tt.dispute)
			if tt.dispute {
				c.dispute(id)
			}
			for _, step := range tt.steps {
				step(c, id)
			}
			c.passTime(id)
			c.matches(id, tt.path, tt.dispute, before)
		})
	}
}

// dispute has alice dispute a result, and waits for the draw.
func (c *court) dispute(id cid.Cid) {
	c.tb.Helper()
	c.block(10, func() ([]task.Event, error) { return c.book.Dispute(id, alice, c.clock()) })
	c.block(10)
	c.block(10)
}

// holdings returns what each has in all, and the pool.
func (c *court) holdings() map[atp.ID]atp.Amount {
	c.tb.Helper()
	have := map[atp.ID]atp.Amount{{}: c.m.totals.Pool}
	for _, id := range append([]atp.ID{alice, bob}, c.witnesses...) {
		a, err := c.m.Account(id)
		if err != nil {
			c.tb.Fatal(err)
		}
		have[id] = a.Available + a.Locked + a.Bonded
	}
	return have
}

// matches compares the settlement of a task of 50 ATP, with five seats in its
// committee, with the row of the table, and with what all have now.
func (c *court) matches(id cid.Cid, path task.Path, dispute bool, before map[atp.ID]atp.Amount) {
	c.tb.Helper()
	p := paid(c.log)
	if p == nil || p.Path != path || p.Task != id {
		c.tb.Fatalf("settled as %+v, want %s", p, path)
	}
	charges := c.m.economy.Charges(50*atp.ATP, 5)
	s := task.Stakes{Price: charges.Price, Fee: charges.Fee, Bond: p.Bond, Dispute: charges.Dispute, Appeal: charges.Appeal}
	want := map[atp.ID]int64{alice: -int64(charges.Price + charges.Fee), bob: -int64(p.Bond)}
	if dispute {
		want[alice] -= int64(charges.Dispute)
	}
	if p.Appeal > 0 {
		want[p.Appellant.ID] -= int64(charges.Appeal)
	}
	for _, seat := range find[*task.SeatPaid](c.log) {
		s.Earned += seat.Pay
		want[seat.Witness] += int64(seat.Pay) - int64(seat.Slashed)
		want[atp.ID{}] += int64(seat.Slashed)
	}
	s.PoolShare = c.m.economy.PoolShare(s.Earned, c.m.economy.AuditProbability(s.Price, s.Bond), c.m.totals.Pool)
	legs, err := s.Legs(path)
	if err != nil {
		c.tb.Fatal(err)
	}
	want[alice] += int64(legs.Requester)
	want[bob] += int64(legs.Executor)
	if legs.Outcome == task.Void && p.Appeal > 0 {
		want[p.Appellant.ID] += int64(charges.Appeal)
	}
	want[atp.ID{}] += int64(charges.Fee-task.Discharged(charges.Fee)) + int64(legs.ToPool) - int64(legs.FromPool)
	for who, now := range c.holdings() {
		if got := int64(now) - int64(before[who]); got != want[who] {
			c.tb.Errorf("%s has %+d µATP, want %+d", who, got, want[who])
		}
	}
	if left := slices.Concat(c.m.keys("task"), c.m.keys("lock"), c.m.keys("panel"), c.m.keys("due")); len(left) > 0 {
		c.tb.Errorf("left: %v", left)
	}
}
