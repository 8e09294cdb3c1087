package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

func (p program) stop() *cli.Command {
	return &cli.Command{
		Name:  "stop",
		Usage: "end the node of --home, and wait until it has ended",
		Description: "The node ends in order: what it has promised is on disk. That no node runs is no\n" +
			"failure: it is what was asked for.",
		Flags: []cli.Flag{waitFlag(30 * time.Second)},
		Action: func(c *cli.Context) error {
			if err := countArgs(c, 0, 0); err != nil {
				return err
			}
			if err := checkURL(c.String("api")); err != nil {
				return err
			}
			ended, err := p.stopNode(c)
			if err != nil {
				return err
			}
			return p.show(c, ended, func(w io.Writer) {
				if ended.PID == 0 {
					fmt.Fprintf(w, "no node is running in %s\n", ended.Home)
					return
				}
				fmt.Fprintf(w, "the node of %s has ended (process %d)\n", ended.Home, ended.PID)
			})
		},
	}
}

// ended is what `stop --json` prints.
type ended struct {
	Home string `json:"home"`
	PID  int    `json:"pid,omitempty"` // of the node that ran; left out if none did
}

// stopNode ends the node of a home and waits until another may have it.
func (p program) stopNode(c *cli.Context) (ended, error) {
	home := c.String("home")
	if _, err := os.Stat(home); errors.Is(err, fs.ErrNotExist) {
		return ended{}, failedf("there is no folder %s", home).hint("name the folder of a node with --home")
	}
	node, err := client.Open(home, c.String("api"))
	if err == nil {
		defer node.Close()
		told, stopErr := node.Stop(c.Context)
		if err = stopErr; err == nil {
			s := session{program: p, Context: c}
			err = s.patiently("for the node to end", func(ctx context.Context) error { return whenFree(ctx, home) })
			return ended{home, told.PID}, err
		}
	}
	if !errors.Is(err, client.ErrUnreachable) {
		return ended{}, err
	}
	free, freeErr := signer.Free(home)
	switch {
	case freeErr != nil:
		return ended{}, freeErr
	case !free:
		return ended{}, (&refusal{code: exitUnreachable, message: fmt.Sprintf("a process holds %s and does not answer", home)}).
			hint("it may be starting or ending: try again, and see its log with: sage-p2p logs")
	default:
		return ended{Home: home}, nil
	}
}

// whenFree waits until no process holds a home.
func whenFree(ctx context.Context, home string) error {
	for {
		if free, err := signer.Free(home); free || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(glance):
		}
	}
}
