package bft

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ipfs/go-cid"
)

var (
	twinsViews = flag.Int("twins.views", 4, "views before the network heals")
	twinsHeal  = flag.Int("twins.heal", 10, "views in which all must decide once it has")
)

// The scenarios of Bano et al., "Twins: BFT Systems Made Robust" (OPODIS 2021),
// for n = 4: validator 0 runs on two machines with one key, which equivocate by
// hearing different things. Machines 0 to 3 are the validators, machine 4 is the
// twin of 0. The leader of each view follows from rotation, and a leader that
// is a twin leads on both machines. In each view the network is one of 24:
//
//	the 8 ways to part machines 0 to 3 into at most two sides, times
//	the 3 ways of the twin: on 0's side, on the other side, or off.
//
// With the twin on these are all 16 partitions of five machines into at most two
// sides; with it off, all 8 of four machines. Four views: 24⁴ = 331,776, and
// each is played with the twin leading view 0, 1, 2 or 3 first.
//
// Within a side everything is delivered, between sides everything is lost. The
// network changes in the middle of a view: Proposal and PREPAREs pass under the
// view's own network, COMMITs and Timeouts under the next one, the last ones
// once all is healed. So a decision may exist that nobody has seen; agreement is
// demanded of all decisions that the COMMITs ever signed can make.
type network struct {
	side [twinMachines]int // off: −1
}

const (
	twinMachines = 5
	twin         = 4
)

func twinNetworks() []network {
	var list []network
	for parting := range 8 { // machine 0 is on side 0
		for way := range 3 {
			w := network{side: [twinMachines]int{0, parting & 1, parting >> 1 & 1, parting >> 2 & 1, way}}
			if way == 2 {
				w.side[twin] = -1
			}
			list = append(list, w)
		}
	}
	return list
}

// twins is five machines somewhere in a scenario.
type twins struct {
	set     ValidatorSet
	height  Height
	fresh   func(machine int, v View) cid.Cid
	cores   [twinMachines]*Core
	final   [twinMachines]*CommitCert
	queue   []twinParcel
	network network
	told    [twinMachines][twinMachines]bool // certificates sent in answer, in this view
	held    []twinParcel                     // said in this view, heard in the next
	healed  bool
	tally   []twinTally
}

// twinTally is who has said COMMIT to a block in a view.
type twinTally struct {
	view    View
	block   cid.Cid
	signers Bitmap
}

type twinParcel struct {
	from, to int
	message  Verified
}

// identity is the index of the validator that a machine runs.
func identity(machine int) int { return machine % twin }

func newTwins(lead int) *twins {
	blocks := map[[2]int]cid.Cid{}
	for m := range twinMachines {
		for v := range 64 {
			blocks[[2]int{m, v}] = testBlock(fmt.Sprint(m, v))
		}
	}
	w := &twins{set: testSet(4), height: Height(8 - lead)}
	w.fresh = func(m int, v View) cid.Cid { return blocks[[2]int{m, int(v)}] }
	for i := range w.cores {
		w.cores[i] = NewCore(Config{w.height, w.set, w.set.ID(identity(i)), NewRecord()})
		w.cores[i].Start()
	}
	return w
}

func (c *Core) clone() *Core {
	d := *c
	d.held.proposals, d.arrived = slices.Clone(c.held.proposals), slices.Clone(c.arrived)
	d.held.prepares, d.held.commits = slices.Clone(c.held.prepares), slices.Clone(c.held.commits)
	d.held.timeouts = slices.Clone(c.held.timeouts)
	d.gone, d.accused = slices.Clone(c.gone), slices.Clone(c.accused)
	return &d
}

func (w *twins) clone() *twins {
	x := *w
	x.queue, x.held, x.tally = nil, slices.Clone(w.held), slices.Clone(w.tally)
	for i, k := range x.tally {
		x.tally[i].signers = slices.Clone(k.signers)
	}
	for i, c := range w.cores {
		x.cores[i] = c.clone()
	}
	return &x
}

func (w *twins) hears(a, b int) bool {
	return a != b && w.network.side[a] >= 0 && w.network.side[a] == w.network.side[b]
}

func (w *twins) send(from int, m Verified) {
	for to := range w.cores {
		if w.hears(from, to) {
			w.queue = append(w.queue, twinParcel{from, to, m})
		}
	}
}

// handle does what an Output asks for. Signatures are left out: nobody forges.
func (w *twins) handle(i int, out Output) error {
	var own []Verified
	for _, u := range out.Sign {
		own = append(own, unforged(u.Message(w.set.ID(identity(i)), Signature{})))
	}
	for _, v := range own {
		w.count(v)
		if k := v.Message().Position().Kind; !w.healed && (k == KindCommit || k == KindTimeout) {
			w.held = append(w.held, twinParcel{from: i, message: v})
		} else {
			w.send(i, v)
		}
	}
	for _, e := range out.Send {
		w.send(i, unforged(e.Message))
	}
	if out.Final != nil {
		w.final[i] = out.Final.Cert
		for _, id := range out.Final.Tell {
			for j := range w.cores {
				if w.set.ID(identity(j)) == id && w.hears(i, j) {
					w.queue = append(w.queue, twinParcel{i, j, VerifiedCommitCert{out.Final.Cert}})
				}
			}
		}
	}
	for _, v := range own {
		if err := w.give(i, v); err != nil {
			return err
		}
	}
	if b := out.Build; b != nil {
		block := b.Reuse
		if !block.Defined() {
			block = w.fresh(i, b.View)
		}
		out, err := w.cores[i].Built(b.View, block, nil)
		if err != nil {
			return err
		}
		if err := w.handle(i, out); err != nil {
			return err
		}
	}
	if k := out.Check; k != nil {
		return w.handle(i, w.cores[i].Checked(k.View, k.Block, Valid))
	}
	return nil
}

func unforged(m Message) Verified {
	switch m := m.(type) {
	case *Proposal:
		return VerifiedProposal{m}
	case *Vote:
		return VerifiedVote{m}
	case *Timeout:
		return VerifiedTimeout{m}
	}
	return nil
}

func (w *twins) give(i int, v Verified) error {
	out, err := w.cores[i].Message(v, 0)
	if err != nil {
		return err
	}
	return w.handle(i, out)
}

// settle delivers until all is silent. Machines that have decided answer others
// with their certificate, once in a view.
func (w *twins) settle() error {
	for k := 0; k < len(w.queue); k++ {
		p := w.queue[k]
		if cert := w.final[p.to]; cert != nil && !w.told[p.to][p.from] && Answered(p.message.Message(), cert) {
			w.told[p.to][p.from] = true
			w.queue = append(w.queue, twinParcel{p.to, p.from, VerifiedCommitCert{cert}})
		}
		if err := w.give(p.to, p.message); err != nil {
			return err
		}
	}
	w.queue = w.queue[:0]
	return nil
}

// each does something on every machine that is on.
func (w *twins) each(f func(i int, c *Core) Output) error {
	for i, c := range w.cores {
		if w.network.side[i] >= 0 && w.final[i] == nil {
			if err := w.handle(i, f(i, c)); err != nil {
				return err
			}
		}
	}
	return w.settle()
}

// live is one view: who is stuck repeats, who has work works, timers fire.
func (w *twins) live(n network) error {
	w.network, w.told = n, [twinMachines][twinMachines]bool{}
	held := w.held
	w.held = nil
	for _, p := range held {
		w.send(p.from, p.message)
	}
	if err := w.settle(); err != nil {
		return err
	}
	timer := func(k TimerKind) func(int, *Core) Output {
		return func(_ int, c *Core) Output { return c.TimerFired(Timer{w.height, c.View(), k, 0}) }
	}
	if err := w.each(timer(TimerRepeat)); err != nil {
		return err
	}
	if err := w.each(func(_ int, c *Core) Output { return c.Work() }); err != nil {
		return err
	}
	if err := w.each(timer(TimerView)); err != nil {
		return err
	}
	return w.agree()
}

// count tallies a COMMIT.
func (w *twins) count(m Verified) {
	v, ok := m.(VerifiedVote)
	if !ok || v.v.Kind != KindCommit {
		return
	}
	signer, _ := w.set.Index(v.v.Signer)
	for _, k := range w.tally {
		if k.view == v.v.View && k.block == v.v.Block {
			k.signers.set(signer)
			return
		}
	}
	k := twinTally{v.v.View, v.v.Block, newBitmap(twin)}
	k.signers.set(signer)
	w.tally = append(w.tally, k)
}

// agree compares all decisions that exist: those that a quorum of COMMITs makes,
// seen or not. Machines decide by nothing else.
func (w *twins) agree() error {
	var first *twinTally
	for i, k := range w.tally {
		switch {
		case k.signers.Count() < w.set.Quorum():
		case first == nil:
			first = &w.tally[i]
		case first.block != k.block:
			return fmt.Errorf("fork: %s is decided in view %d, %s in view %d", first.block, first.view, k.block, k.view)
		}
	}
	for i, cert := range w.final {
		if cert != nil && (first == nil || cert.Block != first.block) {
			return fmt.Errorf("machine %d decided %s in view %d without a quorum of COMMITs", i, cert.Block, cert.View)
		}
	}
	return nil
}

func (w *twins) decided() bool { return w.final[1] != nil && w.final[2] != nil && w.final[3] != nil }

// heal lets everyone hear everyone, with a Status from all in each view, and
// demands that the three correct validators decide.
func (w *twins) heal() error {
	w.healed = true
	for range *twinsHeal {
		if w.decided() {
			return nil
		}
		w.network = network{}
		if err := w.each(func(i int, c *Core) Output {
			w.send(i, VerifiedStatus{c.Status()})
			return Output{}
		}); err != nil {
			return err
		}
		if err := w.live(network{}); err != nil {
			return err
		}
	}
	if w.decided() {
		return nil
	}
	return fmt.Errorf("stuck in views %d, %d, %d", w.cores[1].View(), w.cores[2].View(), w.cores[3].View())
}

// explore plays every scenario that begins like w, which has views to go, and
// returns how many there are.
func (w *twins) explore(networks []network, views int, path []int) (int, error) {
	if views == 0 || w.decided() { // decided: the rest of each scenario changes nothing
		count := 1
		for range views {
			count *= len(networks)
		}
		if err := w.heal(); err != nil {
			return 0, fmt.Errorf("networks %v: %w", path, err)
		}
		return count, nil
	}
	count := 0
	for k, n := range networks {
		x := w.clone()
		at := append(slices.Clip(path), k)
		if err := x.live(n); err != nil {
			return 0, fmt.Errorf("networks %v: %w", at, err)
		}
		below, err := x.explore(networks, views-1, at)
		if err != nil {
			return 0, err
		}
		count += below
	}
	return count, nil
}

// TestTwins plays every scenario: no two machines ever decide differently, and
// once the network has healed the correct validators decide.
func TestTwins(t *testing.T) {
	if testing.Short() {
		*twinsViews = min(*twinsViews, 3)
	}
	want := int64(1)
	for range *twinsViews {
		want *= 24
	}
	for lead := range 4 {
		t.Run(fmt.Sprintf("the twin leads view %d", lead), func(t *testing.T) {
			if got := playTwins(t, lead); !t.Failed() && got != want {
				t.Errorf("played %d scenarios, want 24^%d = %d", got, *twinsViews, want)
			}
		})
	}
}

// playTwins explores in parallel by the network of the first view.
func playTwins(t *testing.T, lead int) int64 {
	networks := twinNetworks()
	var (
		group sync.WaitGroup
		next  atomic.Int64
		total atomic.Int64
	)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for k := int(next.Add(1)) - 1; k < len(networks); k = int(next.Add(1)) - 1 {
				w := newTwins(lead)
				if err := w.live(networks[k]); err != nil {
					t.Errorf("networks [%d]: %v", k, err)
					return
				}
				count, err := w.explore(networks, *twinsViews-1, []int{k})
				if err != nil {
					t.Error(err)
					return
				}
				total.Add(int64(count))
			}
		})
	}
	group.Wait()
	return total.Load()
}
