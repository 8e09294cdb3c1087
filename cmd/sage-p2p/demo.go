package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// demoPatience bounds the whole demonstration, compilation of the programs
// apart.
const demoPatience = 3 * time.Minute

func (p program) demo() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "four platforms on this machine: tasks, money, a crash, and back",
		Description: "Starts four nodes as processes of their own and checks everything that it\n" +
			"says: it fails if anything is not as claimed.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "keep", Usage: "leave them running, and say how to talk to them"},
			&cli.BoolFlag{Name: "witnesses", Usage: "seven platforms instead: an audit, a liar found out, an appeal in vain"},
		},
		Action: func(c *cli.Context) (err error) {
			if err := countArgs(c, 0, 0); err != nil {
				return err
			}
			dir, err := os.MkdirTemp("", "sage-demo-")
			if err != nil {
				return err
			}
			d := &demo{out: p.out, call: p.call, dir: dir, began: time.Now(), cast: fourPlatforms()}
			if c.Bool("witnesses") {
				d.cast = sevenPlatforms()
			}
			if c.Bool("json") {
				d.out = io.Discard
			}
			defer func() { err = errors.Join(err, d.end(c.Bool("keep") && err == nil)) }()
			ctx, cancel := context.WithTimeout(c.Context, demoPatience)
			defer cancel()
			if err := d.play(ctx); err != nil {
				return d.failed(err)
			}
			return p.show(c, d.final, func(io.Writer) {})
		},
	}
}

// demo is the stage: the platforms and what they work on.
type demo struct {
	out       io.Writer
	cast             // who plays, and what
	call      string // how this program was called
	dir       string
	began     time.Time
	platforms []*actor
	edges     []byte   // program: PNG to its edges
	picture   []byte   // PNG
	doomed    struct { // the task whose executor is killed
		id     view.CID
		before map[string]entry
	}
	final demoResult
}

// cast is who plays, and what.
type cast struct {
	names  []string
	liars  []string              // of them, who give wrong results
	args   []string              // of up, for all
	params func(p *chain.Params) // of the genesis
	opens  string                // the first words
	steps  func(*demo) []func(context.Context) error
	number string // of the names, as a word
}

// fourPlatforms is the cast of `demo`.
func fourPlatforms() cast {
	return cast{
		names: []string{"alpha", "beta", "gamma", "delta"}, number: "four", args: []string{"--no-witness"}, params: func(*chain.Params) {},
		opens: "Four platforms on this machine, each its own process with its own key, port and home under %s. " +
			"Their genesis has short windows (a few seconds where the defaults are minutes), so that deadlines can be watched.",
		steps: func(d *demo) []func(context.Context) error {
			return []func(context.Context) error{
				d.compile, d.found, d.register, d.payForVision, d.refuseABadAnswer, d.killAnExecutor, d.transferWithoutIt,
				d.missTheDeadline, d.bringItBack, d.commitTwice, d.compare,
			}
		},
	}
}

// demoResult is what `demo --json` prints: what all have come to.
type demoResult struct {
	Height    view.Height          `json:"height"`
	Block     view.CID             `json:"block"`
	StateRoot view.CID             `json:"state_root"`
	Totals    view.Totals          `json:"totals"`
	Platforms []demoResultPlatform `json:"platforms"`
}

type demoResultPlatform struct {
	Name string `json:"name"`
	Home string `json:"home"`
	API  string `json:"api"`
	PID  int    `json:"pid"`
}

// play runs every step in order.
func (d *demo) play(ctx context.Context) error {
	d.say(d.opens, d.dir)
	for _, step := range d.steps(d) {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// say prints a line of prose with the time since the beginning.
func (d *demo) say(format string, args ...any) {
	stamp := fmt.Sprintf("%5.1fs  ", time.Since(d.began).Seconds())
	for i, line := range wrap(fmt.Sprintf(format, args...), 80-len(stamp)) {
		if i > 0 {
			stamp = strings.Repeat(" ", len(stamp))
		}
		fmt.Fprintln(d.out, stamp+line)
	}
}

// wrap breaks a text between words into lines of at most width characters.
func wrap(text string, width int) []string {
	var lines []string
	line, length := "", 0
	for _, word := range strings.Fields(text) {
		n := len([]rune(word))
		if length > 0 && length+1+n > width {
			lines = append(lines, line)
			line, length = "", 0
		}
		if length > 0 {
			line, length = line+" ", length+1
		}
		line, length = line+word, length+n
	}
	return append(lines, line)
}

// failed says where the logs of the platforms are.
func (d *demo) failed(err error) error {
	var logs []string
	for _, a := range d.platforms {
		if tail := a.lastWords(); tail != "" {
			logs = append(logs, a.name+": "+tail)
		}
	}
	if errors.Is(err, context.Canceled) {
		return failedf("the demonstration was interrupted; its processes have been ended")
	}
	return failedf("the demonstration failed: %v", err).hint("%s", strings.Join(logs, "\n  "))
}

// end ends the platforms and removes their homes, unless they shall be kept.
func (d *demo) end(keep bool) error {
	if keep {
		d.say("They go on running. Talk to them, end them, and then remove their homes, with:")
		for _, a := range d.platforms {
			fmt.Fprintf(d.out, "  %s --home %s status\n", d.call, a.home)
		}
		kill := "  kill"
		for _, a := range d.platforms {
			kill += " " + strconv.Itoa(a.cmd.Process.Pid)
			a.node.Close()
		}
		fmt.Fprintln(d.out, kill)
		fmt.Fprintf(d.out, "  rm -r %s\n", quote(d.dir))
		return nil
	}
	for _, a := range d.platforms {
		a.stop()
	}
	return os.RemoveAll(d.dir)
}

// all lists what f says of each platform.
func (d *demo) all(f func(*actor) string) string {
	var parts []string
	for _, a := range d.platforms {
		parts = append(parts, f(a))
	}
	return strings.Join(parts, ", ")
}
