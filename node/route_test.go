package node

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// fit is a candidate that nothing speaks against.
func fit(name string) candidate {
	return candidate{id: newActor(name).id(), platform: platformOf(name), lcb: 500_000, connected: true, roundTrip: time.Millisecond}
}

func visionTerms(price atp.Amount) task.Terms {
	return task.Terms{
		Type: task.Vision, Runtime: "wasm", Complexity: task.Low, Price: price,
		Horizon: task.Horizon{Spatial: task.Local, Temporal: task.Ephemeral, Complexity: task.Simple},
	}
}

func TestTheRouterSaysWhyNobodyFits(t *testing.T) {
	now := time.Unix(1000, 0)
	quote := task.DefaultOffer(task.Vision).Quote(task.Low, 0)
	for _, tt := range []struct {
		name   string
		change func(*candidate, *task.Terms)
		want   string
	}{
		{"another type", func(_ *candidate, x *task.Terms) { x.Type = task.SensorFusion }, "does not take tasks of type sensor_fusion"},
		{"no runtime", func(_ *candidate, x *task.Terms) { x.Runtime = "gpu" }, "has no runtime gpu"},
		{"narrow horizon", func(c *candidate, x *task.Terms) {
			c.platform.Horizon.Spatial, x.Horizon.Spatial = task.Local, task.Global
		}, "horizon is wider"},
		{"away", func(c *candidate, _ *task.Terms) { c.connected = false }, "is not connected"},
		{"bad name", func(c *candidate, _ *task.Terms) { c.lcb = leastBound - 1 }, "lower bound 0.299"},
		{"too dear", func(_ *candidate, x *task.Terms) { x.Price = quote - 1 }, fmt.Sprintf("asks %s ATP", quote)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, terms := fit("one"), visionTerms(quote)
			tt.change(&c, &terms)
			picked, out := newRouter().pick(now, terms, []candidate{c})
			if !picked.id.IsZero() || len(out) != 1 || !strings.Contains(reasons(out), tt.want) {
				t.Errorf("picked %q, rejected %q, want nobody and %q", picked.why, reasons(out), tt.want)
			}
		})
	}
	if picked, out := newRouter().pick(now, visionTerms(quote), []candidate{fit("one")}); picked.id.IsZero() || len(out) != 0 {
		t.Errorf("one that fits: picked %q, rejected %q", picked.why, reasons(out))
	}
	if picked, out := newRouter().pick(now, visionTerms(quote), nil); !picked.id.IsZero() || len(out) != 0 {
		t.Errorf("of nobody: picked %q, rejected %q", picked.why, reasons(out))
	}
}

// An offer may be raised before the task is posted: what was found to be within
// bounds is what is paid.
func TestAPickComesWithTheQuoteThatWasJudged(t *testing.T) {
	c, now := fit("one"), time.Unix(1000, 0)
	quote := task.DefaultOffer(task.Vision).Quote(task.Low, 0)
	r := newRouter()
	for how, pick := range map[string]func(time.Time, task.Terms, []candidate) (choice, []rejected){"drawn": r.pick, "named": r.named} {
		if picked, _ := pick(now, visionTerms(2*quote), []candidate{c}); picked.quote != quote {
			t.Errorf("%s: the pick asks %s ATP, want the %s ATP of its offer", how, picked.quote, quote)
		}
	}
}

// shares draws often and returns how often each was picked, in per cent.
func shares(r *router, terms task.Terms, all []candidate) map[atp.ID]float64 {
	random := rand.New(rand.NewPCG(1, 2))
	r.draw = random.Float64
	const draws = 20_000
	got := map[atp.ID]float64{}
	for range draws {
		picked, _ := r.pick(time.Unix(1000, 0), terms, all)
		got[picked.id] += 100.0 / draws
	}
	return got
}

func TestTheRouterSharesByScoreAndAmongTheIdle(t *testing.T) {
	good, fair, idle := fit("good"), fit("fair"), fit("idle")
	good.lcb, fair.lcb, idle.lcb = 800_000, 400_000, 400_000
	good.busy, fair.busy = true, true
	got := shares(newRouter(), visionTerms(0), []candidate{good, fair, idle})
	// By score 64 : 16 : 16 in nine of ten draws; in one the only idle one.
	want := map[atp.ID]float64{good.id: 60, fair.id: 15, idle.id: 25}
	for _, c := range []candidate{good, fair, idle} {
		if math.Abs(got[c.id]-want[c.id]) > 1.5 {
			t.Errorf("%s is picked in %.1f %% of draws, want %.0f %%", c.platform.Name, got[c.id], want[c.id])
		}
	}
}

func TestASpeedCountsAtMostTwice(t *testing.T) {
	fast, usual, slow := fit("fast"), fit("usual"), fit("slow")
	all := []candidate{fast, usual, slow}
	for i := range all {
		all[i].busy = true
	}
	r := newRouter()
	r.proved(fast.id, task.Vision, time.Second)
	r.proved(usual.id, task.Vision, 100*time.Second)
	r.proved(slow.id, task.Vision, 200*time.Second)
	got := shares(r, visionTerms(0), all)
	for c, want := range map[atp.ID]float64{fast.id: 200.0 / 3.5, usual.id: 100.0 / 3.5, slow.id: 50.0 / 3.5} {
		if math.Abs(got[c]-want) > 1.5 {
			t.Errorf("picked in %.1f %% of draws, want %.1f %%: fast, usual, slow are 2 : 1 : ½", got[c], want)
		}
	}
}

func TestAFailureSuspendsTwiceAsLongEachTime(t *testing.T) {
	r := newRouter()
	c, now := fit("one"), time.Unix(1000, 0)
	wait := suspendFirst
	for i := range 12 {
		r.failed(now, c.id, task.Vision)
		before, after := now.Add(wait-time.Second), now.Add(wait)
		if r.unfit(before, visionTerms(0), c) == "" || r.unfit(after, visionTerms(0), c) != "" {
			t.Fatalf("failure %d: want it left alone for %s", i+1, wait)
		}
		if other := visionTerms(0); r.unfit(now, func() task.Terms { other.Type = task.SensorFusion; return other }(), c) == "" {
			t.Fatal("it takes what it does not offer")
		}
		if i < suspendMost {
			wait *= 2
		}
		now = after
	}
	r.proved(c.id, task.Vision, time.Second)
	r.failed(now, c.id, task.Vision)
	if r.unfit(now.Add(suspendFirst), visionTerms(0), c) != "" {
		t.Error("after a success the next failure counts as the first")
	}
}

func TestAFailureOfLongAgoSuspendsNobody(t *testing.T) {
	r := newRouter()
	c, now := fit("one"), time.Unix(100_000, 0)
	r.failed(now.Add(-time.Hour), c.id, task.Vision) // learnt from a block while catching up
	if why := r.unfit(now, visionTerms(0), c); why != "" {
		t.Errorf("unfit: %s", why)
	}
}

func TestTheRoutersMemoryIsBounded(t *testing.T) {
	r := newRouter()
	for i := range 2 * maxPairings {
		r.failed(time.Unix(1000, 0), newActor("x").id(), task.Type(fmt.Sprint(i)))
	}
	if got := len(r.record); got > maxPairings {
		t.Errorf("%d pairs are remembered, want at most %d", got, maxPairings)
	}
}
