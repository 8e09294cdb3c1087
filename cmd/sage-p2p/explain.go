package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func (p program) taskWhyNot() *cli.Command {
	return &cli.Command{
		Name: "why-not", ArgsUsage: "TASK [PLATFORM]", Usage: "whether the router would give a task to each platform, and why not",
		Action: p.speaks(1, 2, func(s *session) error {
			why, err := s.node.WhyNot(s.Context.Context, s.Args().First(), s.Args().Get(1))
			if err != nil {
				return err
			}
			return s.show(why, func(w io.Writer) { printWhyNot(w, why, s.Args().Get(1) != "") })
		}),
	}
}

// printWhyNot writes the candidates; of one that was asked for all tests, of the
// others those that failed.
func printWhyNot(w io.Writer, why view.WhyNot, whole bool) {
	fmt.Fprintf(w, "task %s is %s; at most %s; judged now, at height %d\n", short(why.TaskID.String()), why.State, coins(why.MostUATP), why.Height)
	for _, line := range wrap(clean(why.Note), helpWidth) {
		if line != "" {
			fmt.Fprintln(w, line)
		}
	}
	if len(why.Candidates) == 0 {
		fmt.Fprintln(w, "no other platform is registered")
	}
	for _, c := range why.Candidates {
		fmt.Fprintf(w, "%s · %s  %s\n", who(c.Name, ""), short(c.PeerID.String()), fitness(c))
		for _, t := range c.Tests {
			if t.OK && !whole {
				continue
			}
			mark := "no "
			if t.OK {
				mark = "yes"
			}
			for i, line := range wrap(clean(t.Text), helpWidth-19) {
				if i > 0 {
					mark, t.What = "", ""
				}
				fmt.Fprintf(w, "  %-3s %-12s %s\n", mark, clean(t.What), line)
			}
		}
	}
}

// fitness is what the router would do with a candidate.
func fitness(c view.Contender) string {
	var words []string
	if c.Chosen {
		words = append(words, "the task's executor")
	}
	if c.Fit {
		words = append(words, fmt.Sprintf("could have it, drawn %d.%d times in 100", c.ChancePPM/10_000, c.ChancePPM/1_000%10))
	} else {
		words = append(words, "would not get it")
	}
	if c.Busy {
		words = append(words, "busy")
	}
	return strings.Join(words, "; ")
}

func (p program) rep() *cli.Command {
	return &cli.Command{
		Name: "rep", Usage: "how a reputation came about",
		Subcommands: []*cli.Command{{
			Name: "explain", ArgsUsage: "P", Usage: "how a platform's reputation came about",
			Action: p.speaks(1, 1, func(s *session) error {
				story, err := s.node.Reputation(s.Context.Context, s.Args().First())
				if err != nil {
					return err
				}
				known, err := s.names()
				if err != nil {
					return err
				}
				return s.show(story, func(w io.Writer) { printStory(w, story, known) })
			}),
		}},
	}
}

func printStory(w io.Writer, story view.ReputationStory, known names) {
	fmt.Fprintf(w, "%s · %s at height %d\n", who(story.Name, ""), short(story.PeerID.String()), story.Height)
	if len(story.Parts) == 0 {
		fmt.Fprintln(w, "no task has said anything of it yet: it counts 0.500, as if it had done ten\ntasks, half of them well")
	}
	for _, part := range story.Parts {
		fmt.Fprintf(w, "as %s: %s, at least %s\n", strings.TrimSpace(clean(part.Type)+" "+clean(part.Role)), share(part.ReputationPPM), share(part.LCBPPM))
		for _, step := range part.Steps {
			for i, line := range wrap(clean(step), helpWidth-4) {
				lead := "  · "
				if i > 0 {
					lead = "    "
				}
				fmt.Fprintf(w, "%s%s\n", lead, line)
			}
		}
		for _, source := range part.Sources {
			fmt.Fprintf(w, "  by %s: good %s, bad %s, of each at most %s\n", known.society(source.Society), share(source.SuccessPPM), share(source.FailurePPM), share(source.CapPPM))
		}
	}
	if len(story.Newest) == 0 {
		return
	}
	table(w, "TIME|HEIGHT|AS|FROM|TO|CAUSE|TASK", func(row func(...any)) {
		for _, m := range story.Newest {
			row(clock(m.TimeMS), m.Height, strings.TrimSpace(clean(m.Type)+" "+clean(m.Role)), share(m.OldPPM), share(m.NewPPM), clean(m.Cause), short(m.TaskID.String()))
		}
	})
}

// society is an owner's name; where each platform is its own owner, that one's.
func (n names) society(name string) string {
	if id, err := peer.Decode(name); err == nil {
		return n.of(id)
	}
	return clean(name)
}

// printPeersWhy writes who is not connected and why.
func (p program) printPeersWhy(w io.Writer, why view.PeersWhy) {
	line := func(format string, args ...any) {
		for i, text := range wrap(fmt.Sprintf(format, args...), helpWidth-2) {
			if i > 0 {
				text = "  " + text
			}
			fmt.Fprintf(w, "  %s\n", text)
		}
	}
	if len(why.Missing)+len(why.Refused)+len(why.Offenders) == 0 {
		fmt.Fprintln(w, "nobody is missing, was turned away, or has done wrong")
		return
	}
	section(w, "not connected", len(why.Missing))
	for _, m := range why.Missing {
		line("%s · %s%s", who(m.Name, ""), short(m.PeerID.String()), absence(m))
	}
	section(w, "turned away", len(why.Refused))
	for _, r := range why.Refused {
		line("%s · %s, %s, last %s: %s", who(r.Name, ""), short(r.PeerID.String()), plural(r.Times, "time", "times"), p.ago(r.LastMS), clean(r.Reason))
		if cure := refusalCure(r); cure != "" {
			line("  if it is yours: %s", p.typed(cure))
		}
	}
	section(w, "have done what no correct platform does", len(why.Offenders))
	for _, o := range why.Offenders {
		for _, x := range o.Offences {
			line("%s, %s: %s", short(o.PeerID.String()), p.ago(x.TimeMS), clean(x.Text))
		}
		if o.BannedUntilMS > 0 {
			line("%s is shut out until %s", short(o.PeerID.String()), clock(o.BannedUntilMS))
		}
	}
}

// absence says how a peer that is not connected has been looked for.
func absence(m view.MissingPeer) string {
	switch reason := clean(m.Reason); {
	case m.Attempts == 0 && reason == "":
		return ": gone, or not met yet; it is dialled in a moment"
	case m.Attempts == 0:
		return ": " + reason
	default:
		reason = cmp.Or(reason, "no answer yet")
		return fmt.Sprintf(", after %s: %s", plural(m.Attempts, "attempt", "attempts"), reason)
	}
}

// refusalCure is what the owner of a peer that was turned away can do.
func refusalCure(r view.RefusedPeer) string {
	about, _, _ := strings.Cut(r.Reason, ":")
	switch {
	case about == "network":
		return "start it with the --network of this federation"
	case about == "genesis" && r.Genesis == "" || strings.HasPrefix(r.Reason, "still without genesis"):
		return "it has no federation yet; it joins this one with an invite: sage-p2p federation invite"
	case about == "genesis":
		return "it is of another federation; it joins this one with another --home and an invite: sage-p2p federation invite"
	}
	return ""
}

func section(w io.Writer, name string, entries int) {
	if entries > 0 {
		fmt.Fprintln(w, name)
	}
}
