package main

import (
	"context"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func (p program) validator() *cli.Command {
	return &cli.Command{
		Name:  "validator",
		Usage: "ask for this platform's vote, or give it back",
		Subcommands: []*cli.Command{
			{
				Name:   "join",
				Usage:  "ask for a vote; its bond is set aside",
				Flags:  []cli.Flag{waitFlag(submitPatience)},
				Action: p.speaks(0, 0, (*session).joinValidators),
			},
			{
				Name:   "leave",
				Usage:  "give the vote, or the wish for it, back; its bond returns",
				Flags:  []cli.Flag{waitFlag(submitPatience)},
				Action: p.speaks(0, 0, (*session).leaveValidators),
			},
		},
	}
}

func (s *session) joinValidators() error { return s.changeVote(s.node.JoinValidators) }

func (s *session) leaveValidators() error { return s.changeVote(s.node.LeaveValidators) }

// changeVote submits, waits, and says how the platform stands then.
func (s *session) changeVote(submit func(context.Context) (view.Submission, error)) error {
	sub, err := submit(s.Context.Context)
	if err != nil {
		return err
	}
	if err := s.finish(&sub); err != nil {
		return err
	}
	st, err := s.node.Status(s.Context.Context)
	if err != nil {
		return err
	}
	set, err := s.node.Validators(s.Context.Context)
	if err != nil {
		return err
	}
	return s.show(sub, func(w io.Writer) {
		fmt.Fprintln(w, voteOf(st, set))
		outcome(w, sub.Tx)
	})
}

// voteOf says how a platform stands with its vote.
func voteOf(st view.Status, set view.Validators) string {
	for _, v := range set.Members {
		switch {
		case v.PeerID != st.PeerID:
		case v.Leaving:
			return "still one of " + plural(len(set.Members), "validator", "validators") + ": it leaves with the next\n  that joins, or when another leaves too: two validators are weaker than one"
		default:
			return "one of " + plural(len(set.Members), "validator", "validators")
		}
	}
	for _, c := range set.Candidates {
		if c.PeerID == st.PeerID {
			return "a candidate until " + clock(c.UntilMS) + ": it has a vote as soon\n  as one more joins, since two validators are weaker than one"
		}
	}
	return "an observer"
}

// printValidators shows who has a vote, and who waits for one.
func printValidators(w io.Writer, set view.Validators) {
	fmt.Fprintf(w, "%s height %d: %d must agree, %d may fail\n",
		plural(len(set.Members), "validator decides", "validators decide"), set.Height, set.Quorum, set.Faults)
	table(w, "NAME|ID|CONNECTED|LAST SIGNED|BOND", func(row func(...any)) {
		for _, v := range set.Members {
			bond := coins(v.BondedUATP)
			if v.Leaving {
				bond += ", leaving"
			}
			row(who(v.Name, ""), short(v.PeerID.String()), yes(v.Connected), v.LastSigned, bond)
		}
	})
	if len(set.Candidates) == 0 {
		return
	}
	fmt.Fprintf(w, "%s for a vote\n", plural(len(set.Candidates), "candidate waits", "candidates wait"))
	table(w, "NAME|ID|CONNECTED|UNTIL|BOND", func(row func(...any)) {
		for _, c := range set.Candidates {
			row(who(c.Name, ""), short(c.PeerID.String()), yes(c.Connected), clock(c.UntilMS), coins(c.BondedUATP))
		}
	})
}
