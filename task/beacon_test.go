package task_test

import (
	"slices"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// TestSilenceRunsFromTheDraw spares a result two blocks after its proof, and
// waits to the millisecond.
func TestSilenceRunsFromTheDraw(t *testing.T) {
	c := newCourt(t, 8)
	id := c.proven(witnessed(50*atp.ATP), 50*atp.ATP)
	c.drawn(id, false)
	drawn := c.now
	if got := c.task(id).Deadline; got != drawn.Add(120*atp.Second) {
		t.Errorf("silence ends at %d, want 120 s after %d", got, drawn)
	}
	c.block(120 * atp.Second)
	c.couldDispute(t, id)
	c.block(1)
	if c.stage(id) != task.Proven {
		t.Fatal("it was settled when its deadline was not past")
	}
	c.block(1)
	if p := paid(c.log); p == nil || p.Path != task.Unaudited || *p.Quality != 800_000 {
		t.Errorf("settled as %+v", p)
	}
}

// couldDispute fails if the requester could not dispute now, and leaves it at that.
func (c *court) couldDispute(t *testing.T, id cid.Cid) {
	t.Helper()
	before := c.m.clone()
	must(t)(c.book.Dispute(id, alice, c.clock()))
	block := c.m.block
	*c.m = *before
	c.m.block = block
}

// TestWhichBeaconDraws proves a result in block h, with three validators.
func TestWhichBeaconDraws(t *testing.T) {
	type block struct {
		party, young bool // who proposes
	}
	fair, party, young := block{}, block{party: true}, block{young: true}
	for _, tt := range []struct {
		name   string
		blocks []block // above h
		draws  int     // of those, counted from one
	}{
		{"never the next block", []block{fair, fair}, 2},
		{"not one by a party", []block{fair, party, party, fair}, 4},
		{"not one with a young key", []block{fair, young, fair}, 3},
		{"the last of so many, whoever makes it", []block{fair, party, party, young, party, party, party}, 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCourt(t, 8)
			c.m.council = task.Council{Size: 3, Drawers: []atp.ID{alice, bob, c.witnesses[0]}}
			id := c.proven(witnessed(50*atp.ATP), 14*atp.ATP)
			for i, b := range tt.blocks {
				if c.stage(id) != task.Drawing {
					t.Fatalf("block h+%d has drawn, want h+%d", i, tt.draws)
				}
				c.m.block.Proposer, c.m.block.Young = c.witnesses[0], b.young
				if b.party {
					c.m.block.Proposer = []atp.ID{alice, bob}[i%2]
				}
				c.block(10)
			}
			if c.stage(id) == task.Drawing || tt.draws != len(tt.blocks) {
				t.Fatalf("nothing was drawn by block h+%d", len(tt.blocks))
			}
			drawn := find[*task.Drawn](c.log)
			if len(drawn) != 1 || drawn[0].Height != c.m.block.Height || drawn[0].Candidates != 8 || drawn[0].Beacon != task.Digest(c.m.block.Beacon) {
				t.Errorf("drawn: %+v", drawn)
			}
		})
	}
}

// TestWhatBecomesOfATaskThatNobodyCanWitness has all witnesses but one leave when
// a task has come to where it needs them, or nobody but the parties to draw.
func TestWhatBecomesOfATaskThatNobodyCanWitness(t *testing.T) {
	leave := func(c *court) {
		for _, id := range c.witnesses[1:] {
			c.member(id, func(m *task.Member) { m.Registered = false })
		}
	}
	parties := func(c *court) { c.m.council.Drawers = []atp.ID{alice, bob} }
	prove := func(c *court, id cid.Cid) operation {
		return func() ([]task.Event, error) { return c.book.Prove(id, bob, proof(), c.clock()) }
	}
	dispute := func(c *court, id cid.Cid) operation {
		return func() ([]task.Event, error) { return c.book.Dispute(id, alice, c.clock()) }
	}
	appeal := func(c *court, id cid.Cid) operation {
		return func() ([]task.Event, error) { return c.book.Appeal(id, alice, c.clock()) }
	}
	for _, tt := range []struct {
		name  string
		stage task.Stage
		lose  func(*court)
		op    func(*court, cid.Cid) operation
		want  task.Stage
		path  task.Path
	}{
		{"a proof is not audited without witnesses", task.Accepted, leave, prove, task.Proven, ""},
		{"a proof is not audited without who could draw", task.Accepted, parties, prove, task.Proven, ""},
		{"a dispute without witnesses is void", task.Proven, leave, dispute, task.Settled, task.DisputeNoWitnesses},
		{"a dispute without who could draw is void", task.Proven, parties, dispute, task.Settled, task.DisputeNoWitnesses},
		{"an appeal without witnesses is void", task.Decided, leave, appeal, task.Settled, task.AuditVoid},
		{"an appeal needs nobody in particular to draw", task.Decided, parties, appeal, task.Drawing, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCourt(t, 8)
			before := c.holdings()
			id := c.to(tt.stage)
			tt.lose(c)
			c.block(10, tt.op(c, id))
			if got := c.stage(id); got != tt.want {
				t.Fatalf("the task is %s, want %s", got, tt.want)
			}
			if tt.path == "" {
				return
			}
			p := paid(c.log)
			if p.Path != tt.path || p.Outcome != task.Void {
				t.Errorf("settled as %+v", p)
			}
			now := c.holdings()
			if tt.path == task.DisputeNoWitnesses && (now[alice] != before[alice]-1_500_000 || now[bob] != before[bob]) {
				t.Errorf("alice lost %d µATP, want the fee alone; bob %d", before[alice]-now[alice], before[bob]-now[bob])
			}
			if changed := find[*task.ReputationChanged](c.log); len(changed) > 0 {
				t.Errorf("a void moved %+v", changed)
			}
			for _, key := range []task.Key{{Who: alice, Role: task.Requester}, {Who: bob, Role: task.Executor, Type: task.Vision}} {
				if e, _, err := c.m.Evidence(key); err != nil || e.Voids != 1 || e.For != 0 || e.Against != 0 {
					t.Errorf("%s has %+v, %v, want one void", key, e, err)
				}
			}
		})
	}
}

// TestNobodyLeavesBetweenTheQuestionAndTheDraw has every witness ask for all its
// stake back in the block after a dispute: those who are drawn have as much to
// lose as before.
func TestNobodyLeavesBetweenTheQuestionAndTheDraw(t *testing.T) {
	c := newCourt(t, 8)
	id := c.to(task.Proven)
	c.block(10, func() ([]task.Event, error) { return c.book.Dispute(id, alice, c.clock()) })
	var ops []operation
	for _, w := range c.witnesses {
		ops = append(ops, func() ([]task.Event, error) {
			return c.book.Unstake(task.Staking{Owner: w, Amount: 300 * atp.ATP}, c.clock())
		})
	}
	c.block(10, ops...)
	c.block(10)
	seats := c.seats(id)
	if len(seats) != 5 {
		t.Fatalf("%d sit, want 5", len(seats))
	}
	for _, s := range seats {
		if s.Bond != 25*atp.ATP {
			t.Errorf("%s has %s ATP at stake, want 25 ATP", s.Witness, s.Bond)
		}
	}
	c.block(700 * atp.Second) // the window for commitments is past, in which nobody has
	c.block(10)
	c.block(10)
	c.block(4_000 * atp.Second)
	c.block(10)
	c.block(10)
	c.passTime(id)
	for _, s := range find[*task.SeatPaid](c.log) {
		if s.Slashed != 5*atp.ATP {
			t.Errorf("%s lost %s ATP for its silence, want 5 ATP", s.Witness, s.Slashed)
		}
	}
	if len(find[*task.StakeReleased](c.log)) != 8 {
		t.Error("not every stake was released")
	}
}

// TestADrawIsOfSocieties has two platforms of one society: the one with fewer
// open seats stands for it, then the one with the lower ID.
func TestADrawIsOfSocieties(t *testing.T) {
	c := newCourt(t, 3)
	twins := c.witnesses[1:]
	slices.SortFunc(twins, atp.Compare)
	for _, id := range twins {
		c.member(id, func(m *task.Member) { m.Society = "w-twin" })
	}
	for _, want := range []atp.ID{twins[0], twins[1], twins[0]} {
		id := c.proven(witnessed(atp.ATP), 2*atp.ATP)
		c.drawn(id, true)
		var drawn []atp.ID
		for _, s := range c.seats(id) {
			drawn = append(drawn, s.Witness)
		}
		if len(drawn) != 2 || !slices.Contains(drawn, want) {
			t.Errorf("%v sit, want two, of whom one is %s", drawn, want)
		}
		if !c.task(id).Review.Final {
			t.Error("all who could sit, and it is not the last word")
		}
	}
}
