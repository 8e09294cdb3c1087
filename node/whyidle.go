package node

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
)

// WhyIdle implements api.Explains.
func (n *Node) WhyIdle(context.Context) (view.WhyIdle, error) {
	r, err := n.ready()
	if err != nil {
		return view.WhyIdle{}, err
	}
	e, err := n.idleness(r)
	if err != nil {
		return view.WhyIdle{}, err
	}
	list := []view.Finding(e.findings())
	return view.WhyIdle{Height: view.Height(r.state().Tip().Height), Working: e.working, Verdict: view.Worst(list), Findings: list}, nil
}

// idleness is all that decides whether this platform gets work.
type idleness struct {
	state      chain.State
	self       atp.ID
	noWork     bool
	behind     bool
	peers      int
	runtimes   []string // those that this node has
	platform   task.Platform
	registered bool
	others     []task.Platform
	standing   map[task.Type]task.Evidence // decayed to the state's day
	available  atp.Amount
	working    int
	open       []task.Task // posted by others, for this platform or for anybody
	suits      func(task.Task) error
	newest     int // how many of the newest tasks were looked at
	foreign    int // of them, posted by others
	here       int // of those, given to this platform
}

// idleness gathers what findings judges.
func (n *Node) idleness(r *running) (idleness, error) {
	state := r.state()
	e := idleness{
		state: state, self: n.id(), noWork: n.cfg.NoWork, behind: r.progress.Load().Behind(), peers: len(n.host.Peers()),
		runtimes: n.runtimes.Names(), standing: map[task.Type]task.Evidence{}, suits: r.worker.suits,
	}
	account, err := state.Account(e.self)
	if err != nil {
		return e, err
	}
	e.available = account.Available
	err = state.EachPlatform(func(id atp.ID, p task.Platform) error {
		if id == e.self {
			e.platform, e.registered = p, true
		} else {
			e.others = append(e.others, p)
		}
		return nil
	})
	if err != nil {
		return e, err
	}
	day, decay := task.DayOf(state.Tip().Time), state.Params().Economy.Decay
	for _, o := range e.platform.Offers {
		known, _, err := state.Evidence(task.Key{Who: e.self, Role: task.Executor, Type: o.Type})
		if err != nil {
			return e, err
		}
		e.standing[o.Type] = known.At(day, decay)
	}
	return e, errors.Join(e.openTasks(), n.newestTasks(&e))
}

// openTasks reads the tasks of the state.
func (e *idleness) openTasks() error {
	return e.state.EachTask(func(t task.Task) error {
		switch {
		case t.Stage == task.Accepted && t.Acceptance.Executor.ID == e.self:
			e.working++
		case t.Stage == task.Posted && t.Requester.ID != e.self && len(e.open) < searchedTasks &&
			(t.Terms.Executor.IsZero() || t.Terms.Executor.ID == e.self):
			e.open = append(e.open, t)
		}
		return nil
	})
}

// newestTasks counts who got the newest tasks.
func (n *Node) newestTasks(e *idleness) error {
	refs, err := n.store.Tasks("", searchedTasks)
	if err != nil {
		return err
	}
	e.newest = len(refs)
	for _, ref := range refs {
		t, err := n.store.Task(ref.ID)
		if err != nil {
			return err
		}
		if t.Requester.ID == e.self {
			continue
		}
		e.foreign++
		if executes(t, e.self) {
			e.here++
		}
	}
	return nil
}

// findings says what keeps work away, the most certain first.
func (e idleness) findings() findings {
	var f findings
	switch {
	case e.noWork:
		f.problem("work", cure{"start it without --no-work", ""}, "this node was started to accept no tasks")
	case e.behind:
		f.warn("work", cure{"wait until it has caught up", "sage-p2p status"}, "it is catching up, and judges tasks by an old state until then")
	default:
		f.ok("work", "it accepts tasks, and works on %d now", e.working)
	}
	if e.peers == 0 {
		f.problem("peers", cure{"see why", "sage-p2p doctor"}, "no other platform is connected, and the router of each picks only from those that are")
	} else {
		f.ok("peers", "connected with %d", e.peers)
	}
	if !e.registered {
		f.problem("registered", cure{"register it", "sage-p2p platform register"}, "this platform has not registered what it offers")
		return f
	}
	e.judgeRuntimes(&f)
	e.judgeHorizon(&f)
	if len(e.platform.Offers) == 0 {
		f.problem("types", cure{"offer some", "sage-p2p platform register --offer vision=11/34/56/200"}, "it offers no type of task")
	}
	for _, o := range e.platform.Offers {
		e.judgePrice(&f, o)
		e.judgeStanding(&f, o.Type)
	}
	e.judgeMoney(&f)
	e.judgeOpen(&f)
	e.judgeDemand(&f)
	return f
}

func (e idleness) judgeRuntimes(f *findings) {
	var missing, unsaid []string
	for _, rt := range e.platform.Runtimes {
		if !slices.Contains(e.runtimes, string(rt)) {
			missing = append(missing, string(rt))
		}
	}
	for _, name := range e.runtimes {
		if !e.platform.Runs(task.Runtime(name)) {
			unsaid = append(unsaid, name)
		}
	}
	here := strings.Join(e.runtimes, " --runtime ")
	switch {
	case len(e.runtimes) == 0:
		f.problem("runtimes", cure{"start it with one", "sage-p2p up"}, "this node has no runtime")
	case len(missing) > 0:
		f.problem("runtimes", cure{"register those that it has", "sage-p2p platform register --runtime " + here},
			"it is registered for %s, which this node does not have: such tasks are turned down", strings.Join(missing, ", "))
	case len(unsaid) > 0:
		f.warn("runtimes", cure{"register them all", "sage-p2p platform register --runtime " + here},
			"it is not registered for %s, which this node has", strings.Join(unsaid, ", "))
	default:
		f.ok("runtimes", "registered for %s", strings.Join(e.runtimes, ", "))
	}
}

func (e idleness) judgeHorizon(f *findings) {
	h := e.platform.Horizon
	text := strings.Join([]string{string(h.Spatial), string(h.Temporal), string(h.Complexity)}, ", ")
	if usual := e.state.Params().Economy.DefaultTerms().Horizon; !usual.Within(h) {
		f.warn("horizon", cure{"a wider one takes a registration over the API", ""}, "%s is narrower than that of a usual task", text)
		return
	}
	f.ok("horizon", "%s", text)
}

// judgePrice compares the price of an offer with those of others.
func (e idleness) judgePrice(f *findings, o task.Offer) {
	asks := o.Quote(task.Low, 0)
	cheaper, all := 0, 0
	for _, p := range e.others {
		if other, ok := p.Offer(o.Type); ok {
			all++
			if other.Quote(task.Low, 0) < asks {
				cheaper++
			}
		}
	}
	lower := cure{"ask less", "sage-p2p platform register --offer " + string(o.Type) + "=PRICE"}
	switch most := usualTimes * task.DefaultOffer(o.Type).Quote(task.Low, 0); {
	case asks > most:
		f.problem("price", lower, "%s: it asks %s ATP (low); a router that is named no price pays at most %s ATP", o.Type, asks, most)
	case all > 0 && 2*cheaper > all:
		f.warn("price", lower, "%s: it asks %s ATP (low), and %d of %d others ask less", o.Type, asks, cheaper, all)
	default:
		f.ok("price", "%s: it asks %s ATP (low); %d of %d others ask less", o.Type, asks, cheaper, all)
	}
}

// judgeStanding says what the reputation for a type of task does to the chance.
func (e idleness) judgeStanding(f *findings, of task.Type) {
	known := e.standing[of]
	t := reputable(known.LowerBound())
	switch {
	case !t.ok:
		f.problem("reputation", cure{"see how it came about; what is bad halves in 30 days", "sage-p2p rep explain " + e.self.String()}, "%s: %s", of, t.text)
	case known.Against > known.For:
		f.warn("reputation", cure{"see how it came about", "sage-p2p rep explain " + e.self.String()},
			"%s: %s; more speaks against it than for it, and who saw it fail leaves it alone for a while, unseen by us", of, t.text)
	default:
		f.ok("reputation", "%s: %s", of, t.text)
	}
}

// judgeMoney says whether the bond of a task can be paid.
func (e idleness) judgeMoney(f *findings) {
	economy := e.state.Params().Economy
	most := e.available / maxBondShare
	least := atp.MaxAmount
	for _, o := range e.platform.Offers {
		price := o.Quote(task.Low, 0)
		least = min(least, economy.Charges(price, 0).MinBond(economy.DefaultTerms().Class))
	}
	switch {
	case len(e.platform.Offers) == 0:
	case least > most:
		f.problem("bond", cure{"have somebody pay it something", "sage-p2p balance"},
			"the bond of its cheapest task takes %s ATP, and of the %s ATP available at most %s ATP go into one task", least, e.available, most)
	default:
		f.ok("bond", "of %s ATP available, up to %s ATP go into the bond of one task", e.available, most)
	}
}

// judgeOpen says why open tasks that it could have are not taken.
func (e idleness) judgeOpen(f *findings) {
	var refused []task.Task
	for _, t := range e.open {
		if e.suits(t) != nil {
			refused = append(refused, t)
		}
	}
	several(f, "open tasks", refused, func(t task.Task) {
		why := strings.TrimPrefix(e.suits(t).Error(), errDeclined.Error()+": ")
		f.warn("open tasks", cure{"see the task", "sage-p2p task show " + t.ID.String()}, "%s is turned down: %s", t.ID, why)
	})
	if taken := len(e.open) - len(refused); taken > 0 || len(e.open) == 0 {
		f.ok("open tasks", "%d are posted that it could take", taken)
	}
}

// judgeDemand says whether there is anything to be had.
func (e idleness) judgeDemand(f *findings) {
	switch {
	case e.foreign == 0:
		f.warn("demand", cure{"wait, or ask others to delegate", ""}, "of the newest %d tasks none was posted by another platform", e.newest)
	case e.here == 0:
		f.warn("demand", cure{"ask a requester why", "sage-p2p task why-not TASK"}, "of the newest %d tasks of others none came here", e.foreign)
	default:
		f.ok("demand", "of the newest %d tasks of others %d came here", e.foreign, e.here)
	}
}
