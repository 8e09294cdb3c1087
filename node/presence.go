package node

import (
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// presence is which peers the loop believes to be connected. News of peers and
// their frames come on different goroutines: without it a peer's first Status
// could reach the loop before the peer does, and be lost, or one that went
// while the loop was being made could stay for ever.
type presence struct {
	turn  sync.Mutex       // held while the loop is told, which never takes it
	known map[peer.ID]bool // guarded by turn

	mu     sync.Mutex
	claims map[peer.ID]bft.Height // guarded by mu: what those that are here call final, by their word
}

func newPresence() presence {
	return presence{known: map[peer.ID]bool{}, claims: map[peer.ID]bft.Height{}}
}

// come and gone keep known and claims alike. The caller holds turn.
func (p *presence) come(id peer.ID) {
	p.known[id] = true
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims[id] = 0
}

func (p *presence) gone(id peer.ID) {
	delete(p.known, id)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.claims, id)
}

// claim remembers what a peer that is here calls final.
func (p *presence) claim(id peer.ID, h bft.Height) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, here := p.claims[id]; here {
		p.claims[id] = h
	}
}

// claimed is the height that a peer last called final, 0 if it has told none.
func (p *presence) claimed(id peer.ID) bft.Height {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.claims[id]
}

// event takes news of peers.
func (w *wires) event(e p2p.Event) {
	w.present.turn.Lock()
	defer w.present.turn.Unlock()
	switch e := e.(type) {
	case p2p.PeerUp:
		w.present.come(e.ID)
		w.give(replica.Connected{Peer: bft.ID{ID: e.ID}})
	case p2p.PeerDown:
		w.present.gone(e.ID)
		w.give(replica.Disconnected{Peer: bft.ID{ID: e.ID}})
	}
}

// meet tells the loop of a peer that it does not know yet, unless the peer has
// gone since: the news of that has come, or is to come after this.
func (w *wires) meet(id peer.ID) {
	w.present.turn.Lock()
	defer w.present.turn.Unlock()
	if w.present.known[id] || !slices.ContainsFunc(w.host.Peers(), func(p p2p.Peer) bool { return p.ID == id }) {
		return
	}
	w.present.come(id)
	w.give(replica.Connected{Peer: bft.ID{ID: id}})
}
