package node_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	coin "github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/p2p"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// A miser serves one platform nothing, or everyone, once it is told how to do that.
type miser struct {
	to    peer.ID // whom it serves nothing; zero: everyone. Set before how
	how   atomic.Pointer[func(*p2p.FrameConn)]
	asked atomic.Int32 // how often it served nothing
}

func (m *miser) option() node.Option {
	return node.WithTasks(func(honest p2p.TaskFunc) p2p.TaskFunc {
		return func(ctx context.Context, from peer.ID, conn *p2p.FrameConn) {
			how := m.how.Load()
			if how == nil || m.to != "" && m.to != from {
				honest(ctx, from, conn)
				return
			}
			m.asked.Add(1)
			if _, err := conn.ReadFrame(p2p.MaxTaskFrame); err == nil {
				(*how)(conn)
			}
		}
	})
}

// Ways to serve nothing. What fails on the stream is the other side's doing.
var (
	refusing = func(c *p2p.FrameConn) { _ = c.WriteFrame([]byte("\x02no")) }
	hanging  = func(c *p2p.FrameConn) { _, _ = c.ReadFrame(1) } // until the other gives up
	cheating = func(c *p2p.FrameConn) {
		if c.WriteFrame([]byte{1}) == nil {
			_ = c.WriteFrame([]byte{4})
			_ = c.WriteFrame([]byte("lies"))
		}
	}
)

var manners = []struct {
	name string
	how  func(*p2p.FrameConn)
}{{"it refuses", refusing}, {"it says nothing", hanging}, {"it sends something else", cheating}}

// little is the price of a task after which its executor is not known yet: known
// ones bond less, and are audited nearly always. A few fit in before.
const little = atp

// miserly founds a court whose executor is a miser, and has little to fear from
// audits.
func miserly(t *testing.T, change func(*task.Economy), runtimes ...exec.Runtime) (court, *miser) {
	t.Helper()
	c := newCourt(t, func(e *task.Economy) { e.LeastAudit = 1; change(e) }, runtimes...)
	c.cheap(t)
	m := &miser{}
	c.restarts(t, 1, offering(t, runtimes[1]), m.option())
	return c, m
}

// restarts has a platform of the court start again, and waits until it is back.
func (c court) restarts(t *testing.T, i int, opts ...node.Option) {
	t.Helper()
	c.all[i].end(t)
	c.all[i] = c.all[i].again(t, opts...)
	for _, p := range c.all {
		p.wait(t, "connected with all", func(s view.Status) bool { return s.Peers >= len(c.all)-1 && s.Ready() })
	}
}

// unaudited posts tasks, of those names, until one of them is settled that the
// beacon did not draw.
func (c court) unaudited(t *testing.T, post func(input string) view.CID, name string) (view.Task, string) {
	t.Helper()
	for try := range 8 {
		input := fmt.Sprint(name, " ", try)
		if v := c.settled(t, post(input)); steps(v)["spare"] == 1 {
			return v, input
		}
	}
	t.Fatal("eight tasks were audited")
	return view.Task{}, ""
}

func TestAnExecutorThatServesAllButItsRequesterCostsNobodyAnything(t *testing.T) {
	t.Parallel()
	runtimes := honest(5)
	c, m := miserly(t, func(e *task.Economy) { e.Silence = 16 * coin.Second }, runtimes...)
	requester, own := c.requester().id(t), runtimes[0].(*scripted)
	m.to = requester
	for _, tt := range manners {
		t.Run(tt.name, func(t *testing.T) {
			m.how.Store(&tt.how)
			var before int32
			var paid view.Amount
			v, input := c.unaudited(t, func(input string) view.CID {
				before, paid = own.runs.Load(), c.requester().has(t, requester)
				return c.posts(t, little, input)
			}, tt.name)
			did := steps(v)
			if v.Settlement != view.SettledCommit || did["dispute"] != 0 || did["acknowledge"] != 1 {
				t.Errorf("settled by %s (%s) after %v, want it acknowledged", v.Settlement, v.Cause, did)
			}
			if paid -= c.requester().has(t, requester); paid != 1_030_000 {
				t.Errorf("the requester has paid %d µATP, want the price of 1 ATP and its fee", paid)
			}
			if got := string(c.requester().read(t, v.Result)); got != "done: "+input {
				t.Errorf("result: %q", got)
			}
			if ran := own.runs.Load() - before; ran != 1 {
				t.Errorf("the requester has executed the task %d times, want once", ran)
			}
			if m.asked.Swap(0) == 0 {
				t.Error("the executor was not asked")
			}
		})
	}
	t.Run("it says nothing, and nobody else judges", func(t *testing.T) {
		m.how.Store(&hanging)
		if v := c.settled(t, c.requester().posts(t, c.executor(), []byte("module"), []byte("mutual"))); v.Cause != "refused" {
			t.Errorf("settled by %s (%s), want it refused before silence pays for it", v.Settlement, v.Cause)
		}
	})
}

func TestWithNoReviewAnUnservedResultIsLeftToTheOperator(t *testing.T) {
	t.Parallel()
	runtimes := honest(5)
	c, m := miserly(t, func(e *task.Economy) { e.Silence = 16 * coin.Second }, runtimes...)
	own := runtimes[0].(*scripted)
	m.to = c.requester().id(t)
	m.how.Store(&refusing)
	c.all[0].cfg.NoReview = true
	c.restarts(t, 0)
	v, _ := c.unaudited(t, func(input string) view.CID { return c.posts(t, little, input) }, "unreviewed")
	if did := steps(v); v.Cause != "silence" || did["dispute"] != 0 || did["acknowledge"] != 0 {
		t.Errorf("settled by %s (%s) after %v, want nothing said", v.Settlement, v.Cause, did)
	}
	c.requester().wait(t, "telling of it", func(s view.Status) bool {
		return slices.ContainsFunc(s.Alarms, func(a string) bool { return strings.Contains(a, "task dispute "+v.ID.String()) })
	})
	if ran := own.runs.Load(); ran != 0 {
		t.Errorf("the requester has executed the task %d times, want that left to its operator", ran)
	}
}

func TestAWrongResultThatNobodyIsServedIsDisputed(t *testing.T) {
	t.Parallel()
	runtimes := honest(5)
	runtimes[1] = lying()
	c, m := miserly(t, func(e *task.Economy) {
		e.LeastCommit, e.RevealWindow, e.ExecutionWindow, e.Silence = 15*coin.Second, 10*coin.Second, 5*coin.Second, 16*coin.Second
	}, runtimes...)
	m.how.Store(&refusing) // who sends something else is soon banned, and sees nothing settled
	requester := c.requester().id(t)
	for try := range 8 {
		before := c.requester().has(t, requester)
		v := c.settled(t, c.posts(t, little, fmt.Sprint("input ", try)))
		if v.Settlement != view.SettledRollback {
			t.Fatalf("settled by %s (%s), want a rollback", v.Settlement, v.Cause)
		}
		if got := c.requester().has(t, requester); got != before {
			t.Errorf("the requester has %d µATP after %d, want all of it back", got, before)
		}
		if steps(v)["dispute"] == 1 {
			return
		}
	}
	t.Error("in eight tasks the requester has disputed none")
}

func TestAResultForACheckerIsHadByExecutingTheTaskAgain(t *testing.T) {
	t.Parallel()
	var runtimes []exec.Runtime
	for range 5 {
		runtimes = append(runtimes, checking(echoing()))
	}
	c, m := miserly(t, unchanged, runtimes...)
	m.to = c.requester().id(t)
	m.how.Store(&cheating)
	v, input := c.unaudited(t, func(input string) view.CID {
		sub, err := c.requester().PostTask(t.Context(), view.NewTask{
			Type: string(task.Vision), Runtime: exec.WASMName, PriceUATP: little, To: c.executor().cfg.Name,
			Program: c.requester().holds(t, []byte("module")), Input: c.requester().holds(t, []byte(input)),
			Checker: c.requester().holds(t, []byte("\x00asm checker")),
		}, c.executor().id(t))
		if err != nil {
			t.Fatal(err)
		}
		return sub.TaskID
	}, "input")
	if did := steps(v); did["dispute"] != 0 || did["acknowledge"] != 1 || v.QualityPPM == nil || *v.QualityPPM != 800_000 {
		t.Errorf("settled by %s (%s) after %v, quality %v; want what the checker says, acknowledged", v.Settlement, v.Cause, did, v.QualityPPM)
	}
	if got := string(c.requester().read(t, v.Result)); got != "done: "+input {
		t.Errorf("result: %q", got)
	}
}

func TestSeatsServeARequesterWhatItsExecutorDoesNot(t *testing.T) {
	t.Parallel()
	c, m := miserly(t, func(e *task.Economy) { e.LeastAudit = task.S }, honest(5)...)
	m.to = c.requester().id(t)
	for _, tt := range manners {
		t.Run(tt.name, func(t *testing.T) {
			m.how.Store(&tt.how)
			v := c.settled(t, c.posts(t, little, tt.name))
			if v.Cause != string(task.AuditPass) {
				t.Fatalf("settled by %s (%s), want an audit that was passed", v.Settlement, v.Cause)
			}
			for i, p := range c.all[2:] {
				if err := c.requester().Fetch(t.Context(), p.id(t), v.ID.Cid, v.Result.Cid); err != nil {
					t.Errorf("%s does not serve the requester: %v", p.cfg.Name, err)
				}
				if err := c.all[2+(i+1)%3].Fetch(t.Context(), p.id(t), v.ID.Cid, v.Result.Cid); err == nil {
					t.Errorf("%s serves a platform that sits no longer", p.cfg.Name)
				}
			}
			if tt.name == "it refuses" { // and so keeps the node no longer from asking others
				c.requester().waitTask(t, v.ID, "settled, its result here", func(v view.Task) bool { return v.ResultHere })
			}
			if got := string(c.requester().read(t, v.Result)); got != "done: "+tt.name {
				t.Errorf("result: %q", got)
			}
		})
	}
}
