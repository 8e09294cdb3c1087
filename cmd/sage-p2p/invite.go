package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// invitePatience is how long the platform that made an invite may take to answer.
const invitePatience = 30 * time.Second

func (p program) invite() *cli.Command {
	return &cli.Command{
		Name:  "invite",
		Usage: "make an invite to this federation, which one platform may use, once",
		Description: "The node that makes it must run when it is used. It is a secret: whoever has it\n" +
			"joins. It is no lock: who knows an address of a platform and the network's name\n" +
			"joins with --bootstrap, too. On the other machine: sage-p2p up --join INVITE",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "for", Usage: "`NAME` of who gets it, as a note for yourself"},
			&cli.DurationFlag{Name: "expires", Usage: "how long it lasts, such as 90m; at most 30 days", Value: 24 * time.Hour},
		},
		Action: p.speaks(0, 0, (*session).makeInvite),
	}
}

func (s *session) makeInvite() error {
	life := s.Duration("expires")
	if life < time.Second || life > 30*24*time.Hour {
		return usagef("--expires %s: want one second to 30 days, such as 24h", life)
	}
	made, err := s.node.Invite(s.Context.Context, view.NewInvite{For: s.String("for"), ExpiresMS: view.Span(life.Milliseconds())})
	if err != nil {
		return err
	}
	return s.show(made, func(w io.Writer) {
		fmt.Fprintln(w, clean(made.Invite))
		whom := ""
		if made.For != "" {
			whom = " for " + clean(made.For)
		}
		fmt.Fprintf(w, "one use%s, until %s; on the other machine: sage-p2p up --join INVITE\n", whom, clock(made.UntilMS))
		if made.Reach == view.ReachLocal {
			fmt.Fprintln(w, "it works on this network only: nothing is known to lead here from the internet;\n"+
				"where something does, say so: up --public --announce ADDR; or make it once a\n"+
				"platform that is public is in the federation")
		}
	})
}

func (p program) join() *cli.Command {
	return &cli.Command{
		Name: "join", ArgsUsage: "INVITE",
		Usage: "join by an invite, or @FILE with one, and end: up runs the node then",
		Description: "As sage-p2p up --join INVITE, for a home whose node is started by a service\n" +
			"manager: the home remembers its federation.",
		Action: p.joinOnly,
	}
}

func (p program) joinOnly(c *cli.Context) error {
	if err := countArgs(c, 1, 1); err != nil {
		return err
	}
	set := defaultSettings()
	set.Home, set.LogLevel, set.LogFormat = c.String("home"), c.String("log-level"), c.String("log-format")
	sources := map[string]string{"network": fromDefault}
	if err := set.readFile(filepath.Join(set.Home, configFile), sources); err != nil {
		return err
	}
	set.Join = c.Args().First()
	if err := set.adopt(sources); err != nil {
		return err
	}
	set.APIAddr = "127.0.0.1:0"
	ctx, done := context.WithCancel(c.Context)
	defer done()
	if err := p.operate(c, ctx, set, done); err != nil || c.Bool("json") {
		return err
	}
	fmt.Fprintf(p.out, "start the node with: %s\n", p.command("up"))
	return nil
}

// checkInvite refuses an invite that opens nothing before anything is written for it.
func (p program) checkInvite(ctx context.Context, cfg node.Config, log *slog.Logger) error {
	if cfg.Join == "" {
		return nil
	}
	i, err := wire.ParseInvite(cfg.Join)
	if err != nil {
		return usagef("%v", err)
	}
	g, err := readGenesis(filepath.Join(cfg.Home, genesisFile))
	if err == nil {
		return refusedInvite(node.InvitedTo(i, g))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if p.screen {
		fmt.Fprintln(p.err, "asking the platform that made the invite")
	}
	ctx, cancel := context.WithTimeout(ctx, invitePatience)
	defer cancel()
	_, err = node.TryInvite(ctx, i, log)
	return refusedInvite(err)
}

// refusedInvite gives an error about an invite its exit code.
func refusedInvite(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, node.ErrNobodyAnswers):
		return (&refusal{code: exitUnreachable, message: err.Error()}).hint("see that it runs, and is reached from here; then try again: this attempt has not used the invite up")
	}
	return failedf("%v", err)
}
