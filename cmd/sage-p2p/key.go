package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/signer"
)

// rotatePatience is how long a node that begins anew with its new key is waited for.
const rotatePatience = 60 * time.Second

func (p program) key() *cli.Command {
	return &cli.Command{
		Name:  "key",
		Usage: "this platform's key",
		Subcommands: []*cli.Command{
			{
				Name:        "show",
				Usage:       "whose key the home holds",
				Description: "It needs no node, and shows nothing of what is secret in the key.",
				Action:      p.showKey,
			},
			{
				Name:  "rotate",
				Usage: "replace the key: account, name, reputation and vote go over to a new one",
				Description: "For a key that somebody else may have, or whose disk was restored from an\n" +
					"old image. The running node makes the new key, and begins anew with it, under\n" +
					"another ID, once the others have agreed. The old key can never be used again;\n" +
					"it is kept beside the new one. Nothing may be locked or staked, and no task\n" +
					"open: stake unbond gives a witness's stake back, which takes an hour.",
				Flags:  []cli.Flag{waitFlag(submitPatience)},
				Action: p.speaks(0, 0, (*session).rotateKey),
			},
		},
	}
}

// keyShown is what `key show --json` prints.
type keyShown struct {
	PeerID peer.ID `json:"peer_id"` // also of the platform's account
	File   string  `json:"file"`
}

func (p program) showKey(c *cli.Context) error {
	if err := countArgs(c, 0, 0); err != nil {
		return err
	}
	home := c.String("home")
	id, err := signer.IDOf(home)
	if errors.Is(err, fs.ErrNotExist) {
		return failedf("there is no key in %s", home).hint("sage-p2p up makes one; or name the folder of a node with --home")
	}
	if err != nil {
		return err
	}
	v := keyShown{PeerID: id.ID, File: filepath.Join(home, signer.KeyFile)}
	return p.show(c, v, func(w io.Writer) {
		facts(w, [2]string{"platform", v.PeerID.String()}, [2]string{"file", clean(v.File) + " (secret: whoever has it is this platform)"})
	})
}

// rotateKey submits, waits until it is final, and then for the node to be there
// again.
func (s *session) rotateKey() error {
	sub, err := s.node.RotateKey(s.Context.Context)
	if err != nil {
		return err
	}
	if err := s.finish(&sub); err != nil {
		return err
	}
	if err := s.awaitID(sub.NewID); err != nil {
		return err
	}
	return s.show(sub, func(w io.Writer) {
		fmt.Fprintf(w, "this platform has a new key, and is %s now\n", sub.NewID)
		fmt.Fprintf(w, "the old one can never be used again; it is kept in %s\n", filepath.Join(s.String("home"), signer.OldKeyFile))
		outcome(w, sub.Tx)
	})
}

// awaitID waits until the node answers under an ID.
func (s *session) awaitID(id peer.ID) error {
	ctx, stop := context.WithTimeout(s.Context.Context, rotatePatience)
	defer stop()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		if st, err := s.node.Status(ctx); err == nil && st.PeerID == id && st.Ready() {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return failedf("the key is replaced, but the node does not answer as %s yet", id).hint("see its log: sage-p2p logs; if it has ended, start it again with sage-p2p up")
		}
	}
}
