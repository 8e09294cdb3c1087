package node

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// errOurs reports a failure of this machine: its disk, or a law that broke. It
// ends the process. A peer's fault never does.
var errOurs = errors.New("node: this platform stopped itself for safety")

// ours says what failed here, and what to do about it, in one sentence.
func ours(err error) error {
	remedy := "report this with the log; its key and its chain are as they were before"
	switch {
	case errors.Is(err, store.ErrNoSpace):
		remedy = "make room on the disk, then start it again"
	case damaged(err):
		remedy = "start it again: it looks for damage then, and fetches the chain from other platforms if need be"
	case errors.Is(err, signer.ErrElsewhere):
		return err // which says all of it
	case errors.Is(err, signer.ErrFailed), errors.Is(err, store.ErrFailed):
		remedy = "look after the disk, then start it again"
	case errors.Is(err, signer.ErrRefused), errors.Is(err, bft.ErrContradiction):
		remedy = "nothing was signed; report this with the log"
	}
	return fmt.Errorf("%w: %w: %s", errOurs, err, remedy)
}

// damaged reports an error after which the store must be looked at.
func damaged(err error) bool {
	return errors.Is(err, store.ErrCorrupt) || errors.Is(err, chain.ErrStorage)
}

// silenced says what to do about a key that signs nothing any more.
func (n *Node) silenced(why string) string {
	return fmt.Sprintf("%s. Where two others or more decide without it, it votes again by itself, a few blocks later. At once: take another key with sage-p2p key rotate, if the others decide without this platform; or stop any other process that has this key, put back the newest %s, then remove %s and start again; or begin as a new platform in another --home",
		why, filepath.Join(n.cfg.Home, signer.RecordFile), filepath.Join(n.cfg.Home, signer.SilenceFile))
}
