package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// submitPatience is how long a command waits for its transaction by default.
const submitPatience = 30 * time.Second

// newFlag allows a payee that nobody has heard of, which a slip in an ID makes.
func newFlag() cli.Flag {
	return &cli.BoolFlag{Name: "new", Usage: "the payee may be an ID that no block has touched yet"}
}

func (p program) balance() *cli.Command {
	return &cli.Command{
		Name: "balance", ArgsUsage: "[ACCOUNT]", Usage: "what an account has (default: this node's)",
		Action: p.speaks(0, 1, func(s *session) error {
			account, err := s.accountOrOwn()
			if err != nil {
				return err
			}
			a, err := s.node.Account(s.Context.Context, account)
			if err != nil {
				return err
			}
			return s.show(a, func(w io.Writer) {
				fmt.Fprintf(w, "%s · %s · at height %d\n", who(a.Name, a.PeerID), short(a.PeerID.String()), a.Height)
				facts(w,
					[2]string{"available", coins(a.AvailableUATP)},
					[2]string{"locked", coins(a.LockedUATP)},
					[2]string{"bonded", coins(a.BondedUATP)},
					[2]string{"stake", ofBonded(a.Stake)},
				)
				if a.ReplacedBy != "" {
					facts(w, [2]string{"replaced", "by " + a.ReplacedBy.String()})
				}
				printReputation(w, a.Reputation)
			})
		}),
	}
}

// accountOrOwn is the account that was named, or the node's.
func (s *session) accountOrOwn() (string, error) {
	if s.NArg() > 0 {
		return s.Args().First(), nil
	}
	st, err := s.node.Status(s.Context.Context)
	return st.PeerID.String(), err
}

func (p program) history() *cli.Command {
	return &cli.Command{
		Name: "history", ArgsUsage: "[ACCOUNT]", Usage: "how an account's balance came about, newest first",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "limit", Usage: "how many movements", Value: 20},
			&cli.StringFlag{Name: "cursor", Usage: "go on where an earlier page ended"},
		},
		Action: p.speaks(0, 1, func(s *session) error {
			account, err := s.accountOrOwn()
			if err != nil {
				return err
			}
			page, err := s.node.History(s.Context.Context, account, s.String("cursor"), s.Int("limit"))
			if err != nil {
				return err
			}
			known, err := s.names()
			if err != nil {
				return err
			}
			return s.show(page, func(w io.Writer) {
				table(w, "HEIGHT|TIME|EVENT|WITH OR FOR|ATP", func(row func(...any)) {
					for _, m := range page.Movements {
						row(m.Height, clock(m.TimeMS), clean(m.Event), counterpart(m, known), change(m))
					}
				})
				if page.Next != "" {
					fmt.Fprintf(w, "more with: --cursor %s\n", clean(page.Next))
				}
			})
		}),
	}
}

// counterpart is with whom a movement was or, where that is nobody, about what.
func counterpart(m view.Movement, known names) string {
	if m.Counterparty == "" && !m.Subject.IsZero() {
		return short(m.Subject.String())
	}
	return known.of(m.Counterparty)
}

// change is what a movement did to what is available.
func change(m view.Movement) string {
	switch {
	case m.InUATP >= m.OutUATP:
		return "+" + (m.InUATP - m.OutUATP).String()
	default:
		return "-" + (m.OutUATP - m.InUATP).String()
	}
}

func (p program) transfer() *cli.Command {
	return &cli.Command{
		Name: "transfer", ArgsUsage: "TO AMOUNT", Usage: "pay AMOUNT (ATP) from this node's account",
		Flags: []cli.Flag{newFlag(), waitFlag(submitPatience)},
		Action: p.speaks(2, 2, func(s *session) error {
			to := s.Args().Get(0)
			a, err := amount(s.Args().Get(1))
			if err != nil {
				return err
			}
			sub, err := s.node.Transfer(s.Context.Context, view.Transfer{To: to, AmountUATP: a, New: s.Bool("new")})
			if err != nil {
				return err
			}
			if err := s.finish(&sub); err != nil {
				return err
			}
			return s.show(sub, func(w io.Writer) {
				fmt.Fprintf(w, "paid %s to %s: ", coins(a), payee(to))
				outcome(w, sub.Tx)
			})
		}),
	}
}

// payee is whom somebody typed, a whole ID in short.
func payee(typed string) string {
	if _, err := peer.Decode(typed); err == nil {
		return short(typed)
	}
	return clean(typed)
}

func (p program) lock() *cli.Command {
	ends := func(name, usage, past string, end func(*session, string) (view.Submission, error)) *cli.Command {
		return &cli.Command{
			Name: name, ArgsUsage: "LOCK", Usage: usage, Flags: []cli.Flag{waitFlag(submitPatience)},
			Action: p.speaks(1, 1, func(s *session) error {
				sub, err := end(s, s.Args().First())
				if err != nil {
					return err
				}
				if err := s.finish(&sub); err != nil {
					return err
				}
				return s.show(sub, func(w io.Writer) {
					fmt.Fprintf(w, "lock %s %s: ", short(sub.LockID.String()), past)
					outcome(w, sub.Tx)
				})
			}),
		}
	}
	return &cli.Command{
		Name:  "lock",
		Usage: "pay in two phases: lock now, then commit, or get it back",
		Subcommands: []*cli.Command{
			{
				Name: "create", ArgsUsage: "TO AMOUNT --until T", Usage: "lock AMOUNT (ATP) for TO",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "until", Usage: "`T` when it ends: +30m, or 2026-12-31T12:00:00Z (required)"},
					newFlag(),
					waitFlag(submitPatience),
				},
				Action: p.speaks(2, 2, (*session).createLock),
			},
			ends("commit", "pay a lock to its payee", "committed", func(s *session, id string) (view.Submission, error) {
				return s.node.CommitLock(s.Context.Context, id)
			}),
			ends("rollback", "give a lock back to its payer", "rolled back", func(s *session, id string) (view.Submission, error) {
				return s.node.RollbackLock(s.Context.Context, id)
			}),
			{
				Name: "list", Usage: "open locks",
				Action: p.speaks(0, 0, func(s *session) error {
					locks, err := s.node.Locks(s.Context.Context)
					if err != nil {
						return err
					}
					return s.show(view.Locks{Locks: locks}, func(w io.Writer) {
						table(w, "LOCK|FROM|TO|ATP|UNTIL", func(row func(...any)) {
							for _, l := range locks {
								row(short(l.ID.String()), who(l.PayerName, l.Payer), who(l.PayeeName, l.Payee), l.AmountUATP, clock(l.DeadlineMS))
							}
						})
					})
				}),
			},
		},
	}
}

func (s *session) createLock() error {
	if err := needs(s.Context, "until"); err != nil {
		return err
	}
	a, err := amount(s.Args().Get(1))
	if err != nil {
		return err
	}
	until, err := parseUntil(s.String("until"), s.now())
	if err != nil {
		return err
	}
	sub, err := s.node.CreateLock(s.Context.Context, view.NewLock{To: s.Args().Get(0), AmountUATP: a, DeadlineMS: until, New: s.Bool("new")})
	if err != nil {
		return err
	}
	if err := s.finish(&sub); err != nil {
		return err
	}
	return s.show(sub, func(w io.Writer) {
		fmt.Fprintf(w, "locked %s for %s until %s:\n  ", coins(a), payee(s.Args().Get(0)), clock(until))
		outcome(w, sub.Tx)
		fmt.Fprintf(w, "pay it with: %s\n", s.command("lock commit "+short(sub.LockID.String())))
	})
}

// parseUntil reads an instant: +30m from now, or RFC 3339.
func parseUntil(text string, now time.Time) (view.Millis, error) {
	var t time.Time
	if length, ok := strings.CutPrefix(text, "+"); ok {
		d, err := time.ParseDuration(length)
		if err != nil {
			return 0, usagef("--until %q: want a length of time such as +30m or +2h", text)
		}
		t = now.Add(d)
	} else {
		var err error
		if t, err = time.Parse(time.RFC3339, text); err != nil {
			return 0, usagef("--until %q: want +30m, or an instant such as 2026-12-31T12:00:00Z", text)
		}
	}
	if !t.After(now) {
		return 0, usagef("--until %q is in the past", text)
	}
	return view.Millis(t.UnixMilli()), nil
}
