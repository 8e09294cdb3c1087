package node

import (
	"context"
	"fmt"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/signer"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// elsewhere is what is known of another process with our key.
type elsewhere struct {
	say   map[bft.ID]bool // validators that do; owned by who tells of peers
	found chan error      // holds one: why this process ends
}

func newElsewhere() elsewhere {
	return elsewhere{say: make(map[bft.ID]bool), found: make(chan error, 1)}
}

// cloned ends this process if its key is in use elsewhere, beginning with all
// signing. That is sure if we have met the other process, or if so many validators
// are connected with both that one of them is correct. A stranger's word is worth
// nothing, and f validators may lie.
func (n *Node) cloned(e p2p.Clone) {
	said := "another process that has it is connected with this one"
	if !e.Direct {
		r := n.chain.Load()
		if r == nil || !r.state().Validators().Contains(bft.ID{ID: e.Via}) {
			n.log.Info("a peer says that our key is in use elsewhere", "peer", e.Via)
			return
		}
		n.elsewhere.say[bft.ID{ID: e.Via}] = true
		set, agree := r.state().Validators(), 0
		for _, id := range set.IDs() {
			if n.elsewhere.say[id] {
				agree++
			}
		}
		if said = fmt.Sprintf("%d of %d validators are connected with another process that has it", agree, set.Len()); agree <= set.F() {
			n.hub.alarm("this platform's key may be in use elsewhere too: " + said)
			return
		}
	}
	why := said + ". Nothing is signed any more. Stop both for good, and start the one that is to go on"
	n.signer.Halt(why)
	n.hub.alarm("this platform's key is in use elsewhere: " + why)
	select {
	case n.elsewhere.found <- fmt.Errorf("%w: %s", signer.ErrElsewhere, why):
	default: // it was found before
	}
}

// alone returns when ctx ends, or with the reason why this process must.
func (n *Node) alone(ctx context.Context) error {
	select {
	case err := <-n.elsewhere.found:
		return err
	case <-ctx.Done():
		return nil
	}
}
