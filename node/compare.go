package node

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// compareEvery is the pause between two rounds of asking whether our chain is
// as new as the others'.
const compareEvery = 200 * time.Millisecond

// compare waits, once after the start, until a quorum of validators, ourselves
// among them, knows no block above our newest. Before that the state may be an
// old one: a store can fall back without telling (reliability.md), and a worker
// or a wallet that acts on what is long over accepts, proves or pays twice.
func (r *running) compare(n *Node) error {
	for !r.newEnough(r.ctx, n) {
		if !sleep(r.ctx, compareEvery) {
			return nil
		}
	}
	close(r.current)
	return nil
}

// newEnough asks the validators for the block above our newest.
func (r *running) newEnough(ctx context.Context, n *Node) bool {
	state := r.state()
	set, next := state.Validators(), state.Tip().Height+1
	var agree atomic.Int64
	if set.Contains(bft.ID(n.id())) {
		agree.Add(1)
	}
	if int(agree.Load()) < set.Quorum() {
		validates := func(id atp.ID) bool { return set.Contains(bft.ID(id)) }
		n.askAll(ctx, wire.Question{From: next, To: next}, validates, func(_ atp.ID, reply wire.Reply) bool {
			if len(reply.Blocks) == 0 {
				agree.Add(1)
			}
			return int(agree.Load()) >= set.Quorum()
		})
	}
	// Blocks that came while we asked came as they were made.
	return int(agree.Load()) >= set.Quorum()
}

// isCurrent reports whether compare has ended well.
func (r *running) isCurrent() bool {
	select {
	case <-r.current:
		return true
	default:
		return false
	}
}
