package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// overhearFor is how long `federation list` listens by itself: whoever is here
// answers at once.
const overhearFor = 3 * time.Second

func (p program) federation() *cli.Command {
	return &cli.Command{
		Name:  "federation",
		Usage: "federations: those on this LAN, and invites to this one",
		Subcommands: []*cli.Command{
			{
				Name:  "list",
				Usage: "those that are heard on this LAN, of all networks, by what their platforms say",
				Description: "Without a running node it listens by itself, for 3 seconds. What platforms\n" +
					"announce is anybody's word: a federation proves itself when it is joined.",
				Action: p.listFederations,
			},
			p.invite(),
			p.join(),
		},
	}
}

// heardList is what `federation list --json` prints.
type heardList struct {
	view.Federations
	Silence string `json:"silence,omitempty"` // the likely cause that nobody is heard
}

func (p program) listFederations(c *cli.Context) error {
	if err := countArgs(c, 0, 0); err != nil {
		return err
	}
	if err := checkURL(c.String("api")); err != nil {
		return err
	}
	list, err := federationsOf(c)
	if errors.Is(err, client.ErrUnreachable) && !c.IsSet("api") {
		list, err = p.overhear(c)
	}
	if err != nil {
		return err
	}
	return p.show(c, list, func(w io.Writer) { p.printFederations(w, list) })
}

// federationsOf asks the node that runs.
func federationsOf(c *cli.Context) (heardList, error) {
	node, err := open(c)
	if err != nil {
		return heardList{}, err
	}
	defer node.Close()
	list, err := node.Federations(c.Context)
	return heardList{Federations: view.Federations{Federations: list}}, err
}

// overhear listens without a node.
func (p program) overhear(c *cli.Context) (heardList, error) {
	if p.screen {
		fmt.Fprintf(p.err, "no node runs here; listening for %d s\n", overhearFor/time.Second)
	}
	log, err := logger(p.err, c.String("log-level"), c.String("log-format"))
	if err != nil {
		return heardList{}, err
	}
	ctx, cancel := context.WithTimeout(c.Context, overhearFor)
	defer cancel()
	list, silence, err := node.Overhear(ctx, log)
	if err == nil {
		err = c.Context.Err()
	}
	return heardList{view.Federations{Federations: list}, silence}, err
}

func (p program) printFederations(w io.Writer, list heardList) {
	if list.Silence != "" {
		fmt.Fprintf(w, "nobody is heard: %s\n", clean(list.Silence))
	}
	table(w, "NETWORK|GENESIS|FOUNDER|SINCE|PLATFORMS", func(row func(...any)) {
		for _, f := range list.Federations.Federations {
			genesis, since := "forming", "–"
			if f.Genesis != "" {
				genesis = clean(short(f.Genesis))
			}
			if f.Here {
				genesis += " (here)"
			}
			if f.SinceMS > 0 {
				since = p.ago(f.SinceMS)
			}
			network, founder := clean(f.Network), who(f.Founder, "")
			for _, n := range f.Platforms {
				row(network, genesis, founder, since, who(n.Name, n.PeerID))
				network, genesis, founder, since = "", "", "", ""
			}
		}
	})
}
