package node

import (
	"context"
	"errors"
	"slices"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// accuser submits the evidence that this platform sees, until the ledger has
// punished it, or cannot any more. Others that saw it do so too: the first counts.
type accuser struct {
	n     *Node
	r     *running
	found *queue[bft.Evidence] // at most one of each validator and height
}

// run submits until ctx ends.
func (a *accuser) run(ctx context.Context) error {
	var open []bft.Evidence
	for {
		changed := a.n.hub.Changed()
		var err error
		if open, err = a.submit(ctx, open); err != nil {
			return ours(err)
		}
		wakes := changed
		if len(open) == 0 {
			wakes = nil // nothing that a block could change
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.found.ready:
			open = append(open, a.found.take(bft.MaxValidators)...)
			open = open[max(0, len(open)-bft.MaxValidators):]
		case <-wakes:
		}
	}
}

// submit makes a transaction of each evidence that none of ours is about yet, and
// returns those that the ledger has not answered. It fails for our own disk's fault
// alone.
func (a *accuser) submit(ctx context.Context, open []bft.Evidence) ([]bft.Evidence, error) {
	var left []bft.Evidence
	for _, e := range open {
		punishes, err := a.r.state().Punishes(e)
		if err != nil {
			return nil, err
		}
		_, waits, err := a.n.ownPending(func(action chain.Action) bool { return accuses(action, e) })
		switch {
		case err != nil:
			return nil, err
		case !punishes:
			continue
		case !waits:
			err = a.accuse(ctx, e)
		}
		if err != nil {
			return nil, err
		}
		left = append(left, e)
	}
	return left, nil
}

func accuses(action chain.Action, e bft.Evidence) bool {
	a, ok := action.(*chain.Evidence)
	return ok && a.Pair.First.Signer == e.First.Signer
}

func (a *accuser) accuse(ctx context.Context, e bft.Evidence) error {
	_, err := a.r.wallet.submit(ctx, &chain.Evidence{Pair: e}, 0)
	var no *view.Error
	if errors.As(err, &no) || ctx.Err() != nil {
		a.n.log.Info("could not submit evidence yet", "err", err)
		if sleep(ctx, memberPause) {
			a.n.hub.tell()
		}
		return nil
	}
	return err
}

// hear takes evidence that the loop has published. It never blocks.
func (a *accuser) hear(list []bft.Evidence) {
	for _, e := range slices.Clone(list) {
		a.found.put(e)
	}
}
