package node

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// candidate is a platform as the router sees it.
type candidate struct {
	id        atp.ID
	platform  task.Platform
	lcb       task.PPM // lower bound of its reputation for the task's type
	connected bool
	busy      bool          // it works on a task that we know of
	roundTrip time.Duration // 0 while not measured
}

// quote is what c asks for a task with these terms, of a type that it offers.
func (c candidate) quote(terms task.Terms) atp.Amount {
	offer, _ := c.platform.Offer(terms.Type)
	return offer.Quote(terms.Complexity, 0)
}

// rejected is a candidate that cannot have the task, and why.
type rejected struct {
	name   task.Name
	reason string
}

// choice is what the router picked, and why, in one line.
type choice struct {
	id    atp.ID
	quote atp.Amount // that was judged: whoever raises its offer now is not paid more
	why   string
}

// leastBound is the reputation below which nobody is picked. A newcomer is
// above it: a gate that only the proven pass would let nobody begin.
const leastBound task.PPM = 300_000

// Shares of the draw (economy.md, Routing), in per cent. The rest goes by score.
const idleShare = 10

// Suspension of a platform for a type of task after a failure: 15 s, doubled
// with each further one.
const (
	suspendFirst = 15 * time.Second
	suspendMost  = 10 // doublings
)

// router picks who executes a task. It samples instead of taking the top, so
// that one platform's good name does not starve the others of a chance. What it
// remembers of speeds and failures is its own and never leaves the machine.
type router struct {
	draw func() float64 // uniform in [0, 1)

	mu     sync.Mutex
	record map[pairing]*experience // guarded by mu; at most maxPairings
}

type pairing struct {
	id atp.ID
	of task.Type
}

// experience is what this platform has seen of another.
type experience struct {
	took      time.Duration // from acceptance to proof, smoothed; 0 if never seen
	failures  int           // in a row
	suspended time.Time     // until then
}

// maxPairings bounds the router's memory; beyond it the table starts anew.
const maxPairings = 4096

func newRouter() *router { return &router{draw: rand.Float64, record: map[pairing]*experience{}} }

// usualTimes bounds what may be paid for a task whose price the requester left
// to the router: so many times the usual price of its type. Who asks more has to
// be named, or paid by a price that the requester names.
const usualTimes = 2

// mostFor is the most that may be paid for a task with these terms.
func mostFor(terms task.Terms) atp.Amount {
	if terms.Price > 0 {
		return terms.Price
	}
	return usualTimes * task.DefaultOffer(terms.Type).Quote(terms.Complexity, 0)
}

// pick chooses among the candidates for a task with these terms, in which the
// price is the most that may be paid; zero leaves that to [mostFor].
func (r *router) pick(now time.Time, terms task.Terms, all []candidate) (choice, []rejected) {
	var fit []candidate
	var out []rejected
	for _, c := range all {
		if reason := r.unfit(now, terms, c); reason != "" {
			out = append(out, rejected{c.platform.Name, reason})
			continue
		}
		fit = append(fit, c)
	}
	if len(fit) == 0 {
		return choice{}, out
	}
	slices.SortFunc(fit, func(a, b candidate) int { return atp.Compare(a.id, b.id) })
	weights, by := r.scores(terms, fit), "score"
	if idle := slices.DeleteFunc(slices.Clone(fit), func(c candidate) bool { return c.busy }); len(idle) > 0 && r.draw()*100 < idleShare {
		fit, by = idle, "reputation among the idle"
		weights = weights[:0]
		for _, c := range idle {
			offer, _ := c.platform.Offer(terms.Type)
			weights = append(weights, float64(c.lcb)/max(1, float64(offer.Quote(terms.Complexity, 0))))
		}
	}
	i := sample(r.draw(), weights)
	return choice{fit[i].id, fit[i].quote(terms), fmt.Sprintf("%s, drawn by %s from %d of %d platforms", fit[i].platform.Name, by, len(weights), len(all))}, out
}

// named takes the one candidate, whom the requester has named: what it thinks of
// that platform's reputation and failures is its own affair.
func (r *router) named(now time.Time, terms task.Terms, all []candidate) (choice, []rejected) {
	var out []rejected
	for _, c := range all {
		i := slices.IndexFunc(r.tests(now, terms, c), func(t test) bool { return !t.ok && !t.ours() })
		if i < 0 {
			return choice{c.id, c.quote(terms), string(c.platform.Name) + ", as named"}, nil
		}
		out = append(out, rejected{c.platform.Name, r.tests(now, terms, c)[i].text})
	}
	return choice{}, out
}

// unfit says why c cannot have the task, or nothing.
func (r *router) unfit(now time.Time, terms task.Terms, c candidate) string {
	for _, t := range r.tests(now, terms, c) {
		if !t.ok {
			return t.text
		}
	}
	return ""
}

// scores returns lcb²·speed / max(price, half the median quote) · locality.
func (r *router) scores(terms task.Terms, fit []candidate) []float64 {
	quotes := make([]float64, len(fit))
	speeds := make([]float64, len(fit))
	r.mu.Lock()
	for i, c := range fit {
		offer, _ := c.platform.Offer(terms.Type)
		quotes[i] = float64(offer.Quote(terms.Complexity, 0))
		if e := r.record[pairing{c.id, terms.Type}]; e != nil && e.took > 0 {
			speeds[i] = 1 / e.took.Seconds()
		}
	}
	r.mu.Unlock()
	usual, price := median(speeds), median(quotes)
	scores := make([]float64, len(fit))
	for i, c := range fit {
		speed := 1.0 // like the median, while it is not known
		if usual > 0 && speeds[i] > 0 {
			speed = min(speeds[i]/usual, 2)
		}
		lcb := float64(c.lcb) / float64(task.S)
		locality := 1 / (1 + c.roundTrip.Seconds())
		scores[i] = lcb * lcb * speed / max(quotes[i], price/2, 1) * locality
	}
	return scores
}

// median returns the lower median of the values above zero, or 0.
func median(values []float64) float64 {
	known := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return v <= 0 })
	if len(known) == 0 {
		return 0
	}
	slices.Sort(known)
	return known[(len(known)-1)/2]
}

// sample returns an index with a probability in proportion to its weight.
func sample(draw float64, weights []float64) int {
	total := 0.0
	for _, w := range weights {
		total += w
	}
	at := draw * total
	for i, w := range weights {
		if at < w {
			return i
		}
		at -= w
	}
	return len(weights) - 1
}

// proved notes how long a platform took from acceptance to proof.
func (r *router) proved(id atp.ID, of task.Type, took time.Duration) {
	r.with(id, of, func(e *experience) {
		if e.took == 0 {
			e.took = took
		}
		e.took += (took - e.took) / 4
		e.failures, e.suspended = 0, time.Time{}
	})
}

// failed notes that a task ended late, or with a result that was refused.
func (r *router) failed(now time.Time, id atp.ID, of task.Type) {
	r.with(id, of, func(e *experience) {
		e.suspended = now.Add(suspendFirst << min(e.failures, suspendMost))
		e.failures++
	})
}

func (r *router) with(id atp.ID, of task.Type, f func(*experience)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := pairing{id, of}
	if r.record[p] == nil {
		if len(r.record) >= maxPairings {
			clear(r.record)
		}
		r.record[p] = &experience{}
	}
	f(r.record[p])
}

// reasons lists rejected candidates for people.
func reasons(out []rejected) string {
	slices.SortFunc(out, func(a, b rejected) int { return cmp.Compare(a.name, b.name) })
	list := make([]string, len(out))
	for i, x := range out {
		list[i] = fmt.Sprintf("%s %s", x.name, x.reason)
	}
	return strings.Join(list, "; ")
}
