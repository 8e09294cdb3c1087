package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// session is one command that speaks to a node.
type session struct {
	program
	*cli.Context
	node *client.Client
}

// speaks makes the action of a command that speaks to a node and takes
// between least and most arguments.
func (p program) speaks(least, most int, do func(*session) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := countArgs(c, least, most); err != nil {
			return err
		}
		if err := checkURL(c.String("api")); err != nil {
			return err
		}
		node, err := open(c)
		if err != nil {
			return err
		}
		defer node.Close()
		return do(&session{program: p, Context: c, node: node})
	}
}

// open finds the node that is meant. Without --home and --api that may also be
// one of another user of this machine, at the default address.
func open(c *cli.Context) (*client.Client, error) {
	node, err := client.Open(c.String("home"), c.String("api"))
	if errors.Is(err, client.ErrUnreachable) && !c.IsSet("home") {
		return client.Open(c.String("home"), "http://"+view.DefaultAddr)
	}
	return node, err
}

// countArgs checks that a command has its arguments.
func countArgs(c *cli.Context, least, most int) error {
	n := c.NArg()
	if n >= least && n <= most {
		return nil
	}
	name := strings.TrimPrefix(c.Command.HelpName, c.App.Name+" ")
	usage := strings.TrimSpace(c.Command.HelpName + " " + c.Command.ArgsUsage)
	if n < least {
		return usagef("%s takes %s, and %d of these %s given", name, c.Command.ArgsUsage, n, areOrIs(n)).hint("usage: %s", usage)
	}
	return usagef("%s does not know what to do with %q", name, c.Args().Get(most)).hint("usage: %s", usage)
}

func areOrIs(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// needs checks that a command has the flags that it cannot do without.
func needs(c *cli.Context, flags ...string) error {
	for _, name := range flags {
		if c.String(name) == "" {
			return usagef("%s needs --%s", strings.TrimPrefix(c.Command.HelpName, c.App.Name+" "), name).hint("see its flags with: %s --help", c.Command.HelpName)
		}
	}
	return nil
}

// show prints v: as JSON if asked for, else by what human writes.
func (s *session) show(v any, human func(io.Writer)) error {
	return s.program.show(s.Context, v, human)
}

func (p program) show(c *cli.Context, v any, human func(io.Writer)) error {
	if !c.Bool("json") {
		human(p.out)
		return nil
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := p.out.Write(escaped(text.Bytes()))
	return err
}

// names calls registered platforms by their names.
type names map[peer.ID]string

func (n names) of(id peer.ID) string { return who(n[id], id) }

// names asks for the names of all platforms. JSON shows IDs alone.
func (s *session) names() (names, error) {
	if s.Bool("json") {
		return nil, nil
	}
	platforms, err := s.node.Platforms(s.Context.Context)
	n := make(names, len(platforms))
	for _, p := range platforms {
		n[p.PeerID] = p.Name
	}
	return n, err
}

// waitFlag bounds how long a command waits for the chain.
func waitFlag(most time.Duration) *cli.DurationFlag {
	return &cli.DurationFlag{Name: "timeout", Usage: "how long to wait at most", Value: most}
}

// patiently runs f, and says on the error output what it waits for if that
// takes over a second. The flag --timeout bounds it.
func (s *session) patiently(what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(s.Context.Context, s.Duration("timeout"))
	defer cancel()
	var mu sync.Mutex // guards ended: the notice must not come after the end
	ended := false
	notice := time.AfterFunc(time.Second, func() {
		mu.Lock()
		defer mu.Unlock()
		if !ended {
			fmt.Fprintf(s.err, "waiting %s (Ctrl-C stops the waiting only)\n", what)
		}
	})
	err := f(ctx)
	mu.Lock()
	ended = true
	mu.Unlock()
	notice.Stop()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return &refusal{code: exitTimeout, message: fmt.Sprintf("stopped waiting %s after %s", what, s.Duration("timeout"))}
	case errors.Is(err, context.Canceled):
		return failedf("stopped waiting %s", what)
	default:
		return err
	}
}

// finish waits until what was submitted is final and fails if it had no
// effect. What is submitted stays so whatever happens here.
func (s *session) finish(sub *view.Submission) error {
	err := s.patiently("for transaction "+short(sub.TxID.String())+" to become final", func(ctx context.Context) error {
		tx, err := s.node.WaitTx(ctx, sub.TxID)
		if err == nil {
			sub.Tx = &tx
		}
		return err
	})
	var gaveUp *refusal
	if errors.As(err, &gaveUp) {
		return gaveUp.hint("it goes on without you; look for it with: sage-p2p tx %s", sub.TxID)
	}
	if err != nil {
		return err
	}
	switch tx := sub.Tx; {
	case tx.State == view.TxExpired:
		return failedf("transaction %s expired before any block took it: nothing happened", short(tx.ID.String())).hint("submit it again")
	case !tx.OK:
		return &view.Error{Code: view.CodeRefused, Message: "refused: " + reason(tx.Error), Hint: tx.Hint, Height: tx.Height}
	default:
		return nil
	}
}

// outcome is what every finished submission ends with.
func outcome(w io.Writer, tx *view.Tx) {
	fmt.Fprintf(w, "final in block %d", tx.Height)
	if tx.FinalMS > tx.SubmittedMS && tx.SubmittedMS > 0 {
		fmt.Fprintf(w, " after %d ms", tx.FinalMS-tx.SubmittedMS)
	}
	fmt.Fprintf(w, "\n  transaction %s\n", tx.ID)
}

// amount reads an amount in ATP that must not be 0.
func amount(text string) (view.Amount, error) {
	a, err := atp.ParseAmount(text)
	if err != nil {
		return 0, usagef("that is no amount of ATP: %s", strings.TrimPrefix(err.Error(), "atp: refused: invalid amount: "))
	}
	if a == 0 {
		return 0, usagef("an amount of 0 ATP moves nothing")
	}
	return a, nil
}
