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
		Usage: "ask for this platform's vote, give it back, or vote on others",
		Subcommands: []*cli.Command{
			{
				Name:   "join",
				Usage:  "ask for a vote; its bond is set aside",
				Flags:  []cli.Flag{waitFlag(submitPatience)},
				Action: p.speaks(0, 0, (*session).joinValidators),
			},
			{
				Name:   "leave",
				Usage:  "give the vote, or the wish for it, back; its bond returns an hour later",
				Flags:  []cli.Flag{waitFlag(submitPatience)},
				Action: p.speaks(0, 0, (*session).leaveValidators),
			},
			{
				Name: "vote", ArgsUsage: "ID", Usage: "vote for a platform to join the validators",
				Description: "For federations that admit by vote. Once a quorum of the validators has voted\n" +
					"for the same, the platform is granted the amount from the pool, is of the\n" +
					"society, and may join. What you leave out is as others have voted, else\n" +
					"1,000 ATP and a society of the platform's name. A vote counts for a week.",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "grant", Usage: "`ATP` from the pool", DefaultText: "1000, or as others have voted if that is less"},
					&cli.StringFlag{Name: "society", Usage: "`NAME` of its owner's society; \"\" for none", DefaultText: "as others have voted, or its own name"},
					&cli.BoolFlag{Name: "against", Usage: "take your vote back"},
					waitFlag(submitPatience),
				},
				Action: p.speaks(1, 1, (*session).voteOnValidator),
			},
		},
	}
}

func (s *session) joinValidators() error { return s.changeVote(s.node.JoinValidators) }

func (s *session) leaveValidators() error { return s.changeVote(s.node.LeaveValidators) }

// voteOnValidator votes, waits, and says how the votes stand then.
func (s *session) voteOnValidator() error {
	v := view.NewVote{Platform: s.Args().First(), Against: s.Bool("against")}
	if v.Against && (s.IsSet("grant") || s.IsSet("society")) {
		return usagef("a vote that is taken back has no --grant and no --society")
	}
	if s.IsSet("grant") {
		grant := view.Amount(0)
		if text := s.String("grant"); text != "0" {
			some, err := amount(text)
			if err != nil {
				return err
			}
			grant = some
		}
		v.GrantUATP = &grant
	}
	if s.IsSet("society") {
		society := s.String("society")
		v.Society = &society
	}
	sub, err := s.node.VoteOnValidator(s.Context.Context, v)
	if err != nil {
		return err
	}
	if err := s.finish(&sub); err != nil {
		return err
	}
	set, err := s.node.Validators(s.Context.Context)
	if err != nil {
		return err
	}
	return s.show(sub, func(w io.Writer) {
		fmt.Fprintln(w, voted(v, sub))
		printAdmissions(w, set)
		outcome(w, sub.Tx)
	})
}

// voted says what a vote has done, by its events.
func voted(v view.NewVote, sub view.Submission) string {
	if v.Against {
		return "your vote for " + clean(v.Platform) + " is taken back"
	}
	if sub.Tx != nil {
		for _, e := range sub.Tx.Events {
			if e.Name == "PLATFORM_ADMITTED" {
				return clean(v.Platform) + " is admitted: it joins by itself once it has registered"
			}
		}
	}
	return "your vote for " + clean(v.Platform) + " counts"
}

// printAdmissions shows whom some have voted for, and what is missing.
func printAdmissions(w io.Writer, set view.Validators) {
	if len(set.Admissions) == 0 {
		return
	}
	fmt.Fprintf(w, "%s for admission\n", plural(len(set.Admissions), "vote is open", "votes are open"))
	table(w, "NAME|ID|VOTES|GRANT|SOCIETY|UNTIL", func(row func(...any)) {
		for _, a := range set.Admissions {
			society := clean(a.Society)
			if society == "" {
				society = "-"
			}
			row(who(a.Name, ""), short(a.PeerID.String()), fmt.Sprintf("%d of %d", len(a.Voters), a.Needed), coins(a.GrantUATP), society, clock(a.UntilMS))
		}
	})
	fmt.Fprintln(w, "vote on a validator that has not: sage-p2p validator vote ID")
}

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
			if v.Missing > 0 {
				bond += fmt.Sprintf(", missing from %s", plural(int(v.Missing), "block", "blocks"))
			}
			row(who(v.Name, ""), short(v.PeerID.String()), yes(v.Connected), v.LastSigned, bond)
		}
	})
	printAdmissions(w, set)
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
