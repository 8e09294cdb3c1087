package node

import (
	"context"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/p2p"
	"github.com/sage-p2p/sage-p2p/task"
)

// Do makes a transaction of any action, as a platform that does not keep to the
// rules of its own faces would.
func (n *Node) Do(ctx context.Context, a chain.Action) (view.CID, error) {
	r, err := n.ready()
	if err != nil {
		return view.CID{}, err
	}
	tx, err := r.wallet.submit(ctx, a, 0)
	return viewCID(tx.ID()), err
}

// Terms are the defaults of the chain.
func (n *Node) Terms() (task.Terms, error) {
	r, err := n.ready()
	if err != nil {
		return task.Terms{}, err
	}
	return r.state().Params().Economy.DefaultTerms(), nil
}

// Fetch asks a platform for content by a task.
func (n *Node) Fetch(ctx context.Context, from peer.ID, of, blob cid.Cid) error {
	return n.fetchBlob(ctx, n.blobs.from(atp.ID{ID: from}), atp.ID{ID: from}, wire.BlobRequest{Task: of, Blob: blob}, MaxBlob)
}

// Accuse has the node see two statements of one validator, as its loop publishes
// them.
func (n *Node) Accuse(e bft.Evidence) { n.chain.Load().accuser.hear([]bft.Evidence{e}) }

// WithCandidacy has JOINs last so long.
func WithCandidacy(d atp.Span) Option { return func(n *Node) { n.candidacy = d } }

// WithTasks has another serve /sage/task/1, who may leave that to the node.
func WithTasks(f func(honest p2p.TaskFunc) p2p.TaskFunc) Option {
	return func(n *Node) { n.tasks = f(n.tasks) }
}

// Host is the node's place in the network.
func (n *Node) Host() *p2p.Host { return n.host }

// Current reports whether the node has compared its chain with a quorum's.
func (n *Node) Current() bool {
	r := n.chain.Load()
	return r != nil && r.isCurrent()
}

// Pending is how many of the node's own transactions are not final.
func (n *Node) Pending() int {
	r := n.chain.Load()
	if r == nil {
		return 0
	}
	w := r.wallet
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.kept)
}

// PendingAcceptance reports whether an acceptance of the task is not final.
func (n *Node) PendingAcceptance(of cid.Cid) (bool, error) {
	_, waits, err := n.ownPending(func(a chain.Action) bool {
		accept, ok := a.(*chain.TaskAccept)
		return ok && accept.Task == of
	})
	return waits, err
}

// Names of files, for tests that damage them.
const (
	GenesisFile  = genesisFile
	FoundingFile = foundingFile
	LeavingFile  = leavingFile
)

// WouldLeave reports whether the platform would leave its federation for another.
func (n *Node) WouldLeave() (bool, error) {
	g, _, err := n.storedGenesis()
	if err != nil {
		return false, err
	}
	return n.wouldLeave(g)
}

// Hear asks a platform for what it tells of the work on a task.
func (n *Node) Hear(ctx context.Context, from peer.ID, of cid.Cid, flow wire.Flow) error {
	s, err := n.host.OpenTask(ctx, from)
	if err != nil {
		return err
	}
	defer s.Reset()
	return hearFlow(s, wire.FlowRequest{Task: of, Flow: flow}, newTale(1<<20), false)
}
