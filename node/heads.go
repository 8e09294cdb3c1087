package node

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// head is the newest final block as readers see it.
type head struct {
	state chain.State
	below bft.ValidatorSet // that agreed on the block; nobody at the genesis
}

// announceHead has the certificate of a block of ours told to observers, who
// are sent no votes. It never blocks: a newer head replaces one not told yet.
func (w *wires) announceHead(cert bft.CommitCert) {
	select {
	case <-w.heads:
	default:
	}
	w.heads <- &cert // the loop alone puts here, and there is room for one
}

// herald tells heads until ctx ends.
func (w *wires) herald(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case cert := <-w.heads:
			if err := w.host.Publish(headTopic, bft.Encode(cert)); err != nil {
				w.log.Debug("head not announced", "height", cert.Height, "err", err)
			}
		}
	}
}

// heard takes a gossiped head. It is passed on only if its certificate holds,
// and that is known only at our own heights; one further up tells that we are
// behind, no more.
func (w *wires) heard(from peer.ID, raw []byte) p2p.Verdict {
	m, err := bft.Decode(raw)
	if err != nil {
		return p2p.Reject
	}
	cert, ok := m.(*bft.CommitCert)
	if !ok {
		return p2p.Reject
	}
	at := w.head()
	tip, set := at.state.Tip(), at.state.Validators()
	switch {
	case cert.Height < tip.Height:
		return p2p.Ignore
	case cert.Height == tip.Height:
		set = at.below
	default:
		w.meet(from)
		w.give(replica.Received{From: bft.ID{ID: from}, Message: cert})
	}
	if cert.Height > tip.Height+1 {
		return p2p.Ignore
	}
	if _, err := w.verifier(cert.Height, set).Verify(cert); err != nil {
		return p2p.Reject
	}
	return p2p.Accept
}
