package node

import (
	"fmt"
	"time"

	"github.com/sage-p2p/sage-p2p/task"
)

// test is a condition that a candidate for a task has to meet.
type test struct {
	what string
	ok   bool
	text string // what it is with the candidate, as a predicate
}

// ours reports whether the condition is about our opinion of a platform rather
// than about what it can do.
func (t test) ours() bool { return t.what == "reputation" || t.what == "suspended" }

// tests returns all conditions of the router for c, those that it meets too, in
// the order in which they are named to people.
func (r *router) tests(now time.Time, terms task.Terms, c candidate) []test {
	offer, offered := c.platform.Offer(terms.Type)
	all := []test{
		either("type", offered,
			fmt.Sprintf("takes tasks of type %s", terms.Type), fmt.Sprintf("does not take tasks of type %s", terms.Type)),
		either("runtime", c.platform.Runs(terms.Runtime),
			fmt.Sprintf("has the runtime %s", terms.Runtime), fmt.Sprintf("has no runtime %s", terms.Runtime)),
		either("horizon", terms.Horizon.Within(c.platform.Horizon),
			"reaches as far as the task", "the task's horizon is wider than its own"),
		either("reachable", c.connected, "is connected", "is not connected"),
		reputable(c.lcb),
	}
	if quote, most := offer.Quote(terms.Complexity, 0), mostFor(terms); offered {
		all = append(all, either("price", quote <= most,
			fmt.Sprintf("asks %s ATP, and %s ATP may be paid", quote, most),
			fmt.Sprintf("asks %s ATP, more than %s ATP, the most that may be paid", quote, most)))
	}
	left := r.suspended(now, c, terms.Type)
	return append(all, either("suspended", left <= 0,
		"has not failed us lately", fmt.Sprintf("failed a task, and is left alone for another %s", left.Round(time.Second))))
}

func either(what string, ok bool, yes, no string) test {
	if ok {
		return test{what, true, yes}
	}
	return test{what, false, no}
}

// reputable is the test of a reputation.
func reputable(lcb task.PPM) test {
	return either("reputation", lcb >= leastBound,
		fmt.Sprintf("its reputation has the lower bound %s, of at least %s", decimals(lcb), decimals(leastBound)),
		fmt.Sprintf("its reputation has the lower bound %s, and %s is the least", decimals(lcb), decimals(leastBound)))
}

// decimals is a share in three decimals, rounded down.
func decimals(p task.PPM) string { return fmt.Sprintf("%d.%03d", p/task.S, p%task.S/1000) }

// suspended returns for how long a platform is still left alone.
func (r *router) suspended(now time.Time, c candidate, of task.Type) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.record[pairing{c.id, of}]; e != nil {
		return e.suspended.Sub(now)
	}
	return 0
}
