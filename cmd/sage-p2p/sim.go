package main

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/sim"
)

// simulation is what `sim --json` prints.
type simulation struct {
	Script  sim.Script     `json:"script"`
	Result  played         `json:"result"`
	Story   []sim.Line     `json:"story,omitempty"`
	Shrunk  *sim.Script    `json:"shrunk,omitempty"`
	Explore *explored      `json:"explored,omitempty"`
	Checked []string       `json:"checked"`
	Seen    map[string]int `json:"seen"`
}

// played is how one schedule went.
type played struct {
	Trace      string `json:"trace"`
	Height     uint64 `json:"height"`
	Events     int    `json:"events"`
	RecoveryMS uint64 `json:"recovery_ms"`
	Law        string `json:"law,omitempty"` // that is broken
	Broken     string `json:"broken,omitempty"`
}

// explored is how many schedules went well.
type explored struct {
	First     uint64 `json:"first"`
	Schedules uint64 `json:"schedules"`
	TookMS    int64  `json:"took_ms"`
}

func (p program) sim() *cli.Command {
	return &cli.Command{
		Name: "sim", Usage: "play schedules of crashes, bad links, wrong clocks and liars",
		Description: "It runs the replica, ledger and signer of this program on simulated machines, in\n" +
			"virtual time, and checks the laws after every event. A seed is one schedule: the\n" +
			"same everywhere, bit for bit. Without --faults and --validators it is the one\n" +
			"that the project's tests play. Faults, a comma between two, are\n" +
			"  " + strings.Join(sim.Chances(), ", ") + "\n" +
			"It ends with 1 if a law is broken.",
		Flags: []cli.Flag{
			&cli.Uint64Flag{Name: "seed", Usage: "play the schedule of seed `N`", DefaultText: "a new one"},
			&cli.Uint64Flag{Name: "seeds", Usage: "play `N` schedules, from --seed on", Value: 1, DefaultText: "1"},
			&cli.IntFlag{Name: "validators", Usage: "`N` validators, at most " + fmt.Sprint(sim.MaxValidators), DefaultText: "as the seed draws"},
			&cli.StringFlag{Name: "faults", Usage: "`LIST` of what goes wrong, or all, or none", DefaultText: "as the seed draws"},
			&cli.StringFlag{Name: "script", Usage: "play the schedule in `FILE`, which --shrink printed"},
			&cli.BoolFlag{Name: "trace", Usage: "tell what happens"},
			&cli.BoolFlag{Name: "shrink", Usage: "if a law is broken, print the shortest script that breaks it"},
		},
		Action: func(c *cli.Context) error {
			if err := countArgs(c, 0, 0); err != nil {
				return err
			}
			plan, err := simPlan(c)
			if err != nil {
				return err
			}
			first := c.Uint64("seed")
			if !c.IsSet("seed") {
				first = uint64(rand.Uint32())
			}
			return p.simulate(c, first, plan)
		},
	}
}

// simPlan returns how the plan of a seed is made.
func simPlan(c *cli.Context) (func(seed uint64) sim.Script, error) {
	if file := c.String("script"); file != "" {
		if c.IsSet("seed") || c.IsSet("validators") || c.IsSet("faults") {
			return nil, usagef("--script has its seed, its validators and its faults; leave the other flags out")
		}
		s, err := sim.ReadScript(file)
		if err != nil {
			return nil, usagef("%v", err)
		}
		return func(uint64) sim.Script { return s }, nil
	}
	if !c.IsSet("validators") && !c.IsSet("faults") {
		return func(seed uint64) sim.Script { return sim.NewScript("", seed, sim.PlanOf(seed)) }, nil
	}
	validators, faults := c.Int("validators"), sim.Chances()
	if !c.IsSet("validators") {
		validators = 4
	}
	if text := c.String("faults"); c.IsSet("faults") && text != "all" {
		if faults = nil; text != "none" {
			faults = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
		}
	}
	if _, err := sim.Choose(0, validators, faults); err != nil {
		return nil, usagef("%v", strings.TrimPrefix(err.Error(), "sim: ")).hint("see what there is with: sage-p2p sim --help")
	}
	return func(seed uint64) sim.Script {
		plan, _ := sim.Choose(seed, validators, faults) // whether it can does not depend on the seed
		return sim.NewScript("", seed, plan)
	}, nil
}

// simulate plays the schedules up to the first that breaks a law, and shows that
// one, or the last.
func (p program) simulate(c *cli.Context, first uint64, plan func(uint64) sim.Script) error {
	var (
		out  simulation
		last sim.Result
		n    = max(c.Uint64("seeds"), 1)
		seen = make(map[string]int)
	)
	kind := func(t *sim.Theatre, seed uint64) sim.Result {
		s := plan(seed)
		return t.Play(s.Seed, s.Plan)
	}
	begun := p.now()
	if n > 1 { // worlds are short: the collector need not look often
		defer debug.SetGCPercent(debug.SetGCPercent(1600))
	}
	sim.Explore(kind, first, n, func(seed uint64, r sim.Result) bool {
		for what, times := range r.Seen {
			seen[what] += times
		}
		out.Script, last = plan(seed), r
		if n > 1 {
			out.Explore = &explored{first, seed - first + 1, p.now().Sub(begun).Milliseconds()}
		}
		return r.Err == nil && c.Context.Err() == nil
	})
	if c.Bool("trace") { // which is the same again, told
		theatre := sim.Theatre{Story: func(l sim.Line) { out.Story = append(out.Story, l) }}
		theatre.Play(out.Script.Seed, out.Script.Plan)
		out.Story = sim.Fold(out.Story)
	}
	if last.Err != nil && c.Bool("shrink") {
		var theatre sim.Theatre
		shrunk := theatre.Shrink(out.Script)
		out.Shrunk = &shrunk
	}
	out.Result = told(last)
	out.Checked, out.Seen = sim.Laws(), seen
	if err := p.show(c, out, func(w io.Writer) { printSimulation(w, out) }); err != nil {
		return err
	}
	if last.Err != nil {
		return failedf("%v", last.Err).hint("read it with: sage-p2p sim %s --trace; make it short with: --shrink", again(c, out.Script.Seed))
	}
	return c.Context.Err()
}

// told is a result as it is printed.
func told(r sim.Result) played {
	t := played{Trace: fmt.Sprintf("%016x", r.Trace), Height: uint64(r.Height), Events: r.Events, RecoveryMS: uint64(r.Recovery), Law: sim.Law(r.Err)}
	if r.Err != nil {
		t.Broken = r.Err.Error()
	}
	return t
}

// again is how the schedule of a seed is asked for again.
func again(c *cli.Context, seed uint64) string {
	if file := c.String("script"); file != "" {
		return "--script " + file
	}
	text := fmt.Sprintf("--seed %d", seed)
	for _, name := range []string{"validators", "faults"} {
		if c.IsSet(name) {
			text += fmt.Sprintf(" --%s %v", name, c.Value(name))
		}
	}
	return text
}

func printSimulation(w io.Writer, s simulation) {
	if e := s.Explore; e != nil {
		fmt.Fprintf(w, "seeds %d to %d: %d schedules in %.1f s\n", e.First, e.First+e.Schedules-1, e.Schedules, float64(e.TookMS)/1000)
		for _, what := range slices.Sorted(maps.Keys(s.Seen)) {
			fmt.Fprintf(w, "%10d  %s\n", s.Seen[what], what)
		}
	}
	if s.Explore == nil || s.Result.Broken != "" || len(s.Story) > 0 {
		fmt.Fprintf(w, "seed %d\n", s.Script.Seed)
		for _, line := range s.Script.Plan.Describe() {
			for _, part := range wrap(line, sim.StoryWidth-2) {
				fmt.Fprintf(w, "  %s\n", part)
			}
		}
	}
	if len(s.Story) > 0 {
		fmt.Fprintf(w, "\n   seconds  of  !: a fault, ~: a lie; a block is called by the last three bytes of its address\n")
		for _, l := range s.Story {
			fmt.Fprintln(w, l)
		}
	}
	if s.Shrunk != nil {
		raw, err := s.Shrunk.Encode()
		if err == nil {
			fmt.Fprintf(w, "\nof size %d, shrunk to %d:\n%s", s.Script.Size(), s.Shrunk.Size(), raw)
		}
	}
	if s.Result.Broken != "" {
		return // which is the error
	}
	fmt.Fprintf(w, "\nall laws hold, checked after every event and at the end:\n")
	for _, l := range s.Checked {
		fmt.Fprintf(w, "  %s\n", l)
	}
	r := s.Result
	fmt.Fprintf(w, "height %d; %d events; all final %d ms after faults; trace %s\n", r.Height, r.Events, r.RecoveryMS, r.Trace)
}
