package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func (p program) doctor() *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "what is wrong with this node, and the cure for each",
		Description: "It asks the running node; without one it looks at the home, the ports and the\ndisk. It ends with 1 if there is a problem.",
		Action: func(c *cli.Context) error {
			if err := countArgs(c, 0, 0); err != nil {
				return err
			}
			if err := checkURL(c.String("api")); err != nil {
				return err
			}
			d, err := p.diagnose(c)
			if err != nil {
				return err
			}
			if err := p.show(c, d, func(w io.Writer) { p.printFindings(w, d.Findings) }); err != nil {
				return err
			}
			return judged(d.Findings)
		},
	}
}

// diagnose asks the node or, if there is none, looks at the home.
func (p program) diagnose(c *cli.Context) (view.Doctor, error) {
	n, err := open(c)
	var d view.Doctor
	if err == nil {
		defer n.Close()
		d, err = n.Doctor(c.Context)
	}
	if !errors.Is(err, client.ErrUnreachable) || c.IsSet("api") {
		return d, err
	}
	cfg := node.DefaultConfig()
	cfg.Home = c.String("home")
	d = node.Examine(cfg)
	d.Findings = append([]view.Finding{{
		About: "node", Verdict: view.VerdictProblem, Text: "none runs on this home; what follows is what can be seen without one",
		Cure: "start it", Command: "sage-p2p up",
	}}, d.Findings...)
	d.Verdict = view.Worst(d.Findings)
	return d, nil
}

// judged fails if there is a problem among findings.
func judged(list []view.Finding) error {
	problems := 0
	for _, f := range list {
		if f.Verdict == view.VerdictProblem {
			problems++
		}
	}
	if problems == 0 {
		return nil
	}
	return failedf("%s", plural(problems, "problem", "problems"))
}

// printFindings writes a line for each finding, and its cure below it.
func (p program) printFindings(w io.Writer, list []view.Finding) {
	about := 0
	for _, f := range list {
		about = max(about, len(clean(f.About)))
	}
	margin := strings.Repeat(" ", len("problem")+about+4)
	for _, f := range list {
		for i, line := range wrap(clean(f.Text), helpWidth-len(margin)) {
			if i == 0 {
				fmt.Fprintf(w, "%-7s  %-*s  %s\n", f.Verdict, about, clean(f.About), line)
			} else {
				fmt.Fprintf(w, "%s%s\n", margin, line)
			}
		}
		p.printCure(w, margin, f)
	}
}

// printCure writes what to do about a finding. A command stays in one piece, to
// be copied.
func (p program) printCure(w io.Writer, margin string, f view.Finding) {
	if f.Cure == "" {
		return
	}
	text := "→ " + clean(f.Cure)
	command := p.typed(clean(f.Command))
	if command != "" {
		text += ":"
	}
	if command != "" && len([]rune(text+" "+command)) <= helpWidth-len(margin) {
		text, command = text+" "+command, ""
	}
	for _, line := range wrap(text, helpWidth-len(margin)) {
		fmt.Fprintf(w, "%s%s\n", margin, line)
	}
	if command != "" {
		fmt.Fprintf(w, "%s  %s\n", margin, command)
	}
}

func (p program) whyIdle() *cli.Command {
	return &cli.Command{
		Name: "why-idle", Usage: "why this platform, as an executor, gets no work",
		Action: p.speaks(0, 0, func(s *session) error {
			why, err := s.node.WhyIdle(s.Context.Context)
			if err != nil {
				return err
			}
			return s.show(why, func(w io.Writer) {
				fmt.Fprintf(w, "at height %d it works on %s\n", why.Height, plural(why.Working, "task", "tasks"))
				s.printFindings(w, why.Findings)
			})
		}),
	}
}
