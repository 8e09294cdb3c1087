package main

import (
	"context"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func (p program) stake() *cli.Command {
	return &cli.Command{
		Name:  "stake",
		Usage: "what this platform sets aside to be drawn as a witness",
		Subcommands: []*cli.Command{
			{
				Name: "bond", ArgsUsage: "AMOUNT", Usage: "set AMOUNT (ATP) aside; witnesses have 100 ATP or more",
				Flags:  []cli.Flag{waitFlag(submitPatience)},
				Action: p.speaks(1, 1, func(s *session) error { return s.changeStake(s.node.BondStake) }),
			},
			{
				Name: "unbond", ArgsUsage: "AMOUNT", Usage: "ask AMOUNT (ATP) back; it counts no more at once, and is released later",
				Flags:  []cli.Flag{waitFlag(submitPatience)},
				Action: p.speaks(1, 1, func(s *session) error { return s.changeStake(s.node.UnbondStake) }),
			},
		},
	}
}

// changeStake submits, waits, and says what the stake is then.
func (s *session) changeStake(submit func(context.Context, view.Amount) (view.Submission, error)) error {
	a, err := amount(s.Args().First())
	if err != nil {
		return err
	}
	sub, err := submit(s.Context.Context, a)
	if err != nil {
		return err
	}
	if err := s.finish(&sub); err != nil {
		return err
	}
	own, err := s.ownAccount()
	if err != nil {
		return err
	}
	return s.show(sub, func(w io.Writer) {
		fmt.Fprintln(w, "the stake is "+stakeOf(own.Stake))
		outcome(w, sub.Tx)
	})
}

// ownAccount is the account of the node.
func (s *session) ownAccount() (view.Account, error) {
	st, err := s.node.Status(s.Context.Context)
	if err != nil {
		return view.Account{}, err
	}
	return s.node.Account(s.Context.Context, st.PeerID.String())
}

// stakeOf is a stake in words.
func stakeOf(s *view.Stake) string {
	if s == nil {
		return coins(0)
	}
	text := coins(s.AmountUATP)
	if s.OpenSeats > 0 {
		text += fmt.Sprintf(", %s reserved by %s", coins(s.ReservedUATP), plural(int(s.OpenSeats), "seat", "seats"))
	}
	if s.LeavingUATP > 0 {
		text += fmt.Sprintf(", %s on the way back", coins(s.LeavingUATP))
	}
	return text
}

// ofBonded is a stake as a line of a balance: nothing where there is none.
func ofBonded(s *view.Stake) string {
	if s == nil {
		return ""
	}
	return "of that " + stakeOf(s)
}
