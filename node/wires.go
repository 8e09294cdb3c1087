package node

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// The gossip topics.
const (
	txTopic   = "txs"   // transactions, in bundles
	headTopic = "heads" // certificates of new blocks, for observers
)

// wires joins the loop to the network. What comes in is decoded, its
// transactions' signatures are checked, and it waits its turn at the loop; a
// peer that sends faster than the loop takes is slowed down, and no other.
type wires struct {
	genesis bft.GenesisHash
	params  chain.Params
	host    *p2p.Host
	store   *store.Store
	log     *slog.Logger
	ctx     context.Context // of the loop
	work    *errgroup.Group // of the loop: fetches under way

	inputs  chan<- replica.Input
	answers *queue[replica.Input] // to what the loop asked for, which J7 bounds
	jobs    *queue[replica.Job]   // that the loop asked for, likewise
	memory  *certificates
	known   *known
	batch   *p2p.Batcher
	heads   chan *bft.CommitCert // the newest that is ours to announce
	head    func() head

	present presence

	mu     sync.Mutex
	asked  map[uint64]chan<- replica.Answer // guarded by mu: questions at the loop
	handle atomic.Uint64
}

// give hands an input to the loop, or reports that it has ended.
func (w *wires) give(in replica.Input) bool {
	select {
	case w.inputs <- in:
		return true
	case <-w.ctx.Done():
		return false
	}
}

// frame takes one frame of a peer's consensus stream.
func (w *wires) frame(from peer.ID, frame []byte) p2p.Verdict {
	m, bundle, err := wire.OpenFrame(frame)
	switch {
	case err != nil:
		return p2p.Reject
	case m == nil:
		return w.bundle(from, bundle)
	}
	w.meet(from)
	if s, ok := m.(*bft.Status); ok {
		w.present.claim(from, s.FinalHeight)
	}
	w.give(replica.Received{From: bft.ID{ID: from}, Message: m})
	return p2p.Accept
}

// bundle takes transactions, gossiped or sent to us alone. One that no block of
// this chain could hold, or a bad signature, condemns the whole bundle: who
// passes it on has to check it first, by the same rules.
func (w *wires) bundle(from peer.ID, raw []byte) p2p.Verdict {
	txs, fresh, err := unbundle(raw, w.params, w.known)
	if err != nil {
		return p2p.Reject
	}
	verified, err := verify(w.genesis, rand.Reader, fresh)
	if err != nil {
		return p2p.Reject
	}
	w.known.add(verified...)
	w.give(replica.Transactions{From: bft.ID{ID: from}, Txs: append(txs, verified...)})
	if len(verified) == 0 {
		return p2p.Ignore // nothing in it to pass on
	}
	return p2p.Accept
}

// send implements carries.
func (w *wires) send(e replica.Envelope) {
	frame, slot := wire.MessageFrame(e.Message), messageSlot(e.Message)
	for _, to := range e.To {
		w.post(to, slot, frame)
	}
}

func (w *wires) post(to bft.ID, slot p2p.Slot, frame []byte) {
	// A peer that is away gets what matters when it is back: Status says what
	// it missed. Nothing is lost here that the protocol does not repeat.
	err := w.host.Send(to.ID, slot, frame)
	if err != nil && !errors.Is(err, p2p.ErrNotConnected) && !errors.Is(err, p2p.ErrNotRunning) {
		w.log.Warn("frame not sent", "peer", to, "bytes", len(frame), "err", err)
	}
}

// gossip implements carries.
func (w *wires) gossip(g replica.Gossip) {
	if len(g.To) == 0 {
		for _, tx := range g.Txs {
			if err := w.batch.Add(tx.Bytes()); err != nil {
				w.log.Debug("transaction not gossiped", "tx", tx.ID(), "err", err)
			}
		}
		return
	}
	for i, b := range bundles(g.Txs) {
		frame := append([]byte{wire.FrameBundle}, b...)
		for _, to := range g.To {
			w.post(to, bundleSlot+p2p.Slot(i), frame)
		}
	}
}

// verify implements carries.
func (w *wires) verify(j replica.Job) { w.jobs.put(j) }

// judge checks signatures beside the loop until ctx ends. Several may run: each
// takes one job at a time, so that none waits behind a pile of another's.
func (w *wires) judge(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.jobs.ready:
		}
		for _, j := range w.jobs.take(1) {
			m, err := w.verifier(j.Height, j.Set).Verify(j.Message)
			w.answers.put(replica.Verified{Job: j, Message: m, Err: err})
		}
	}
}

func (w *wires) verifier(h bft.Height, set bft.ValidatorSet) bft.Verifier {
	return bft.Verifier{Scheme: bft.ZIP215{}, Genesis: w.genesis, Height: h, Set: set, Entropy: rand.Reader, Memory: w.memory}
}

// certificates remembers those found good, for several verifiers at once.
type certificates struct {
	mu   sync.Mutex
	ring *bft.Ring // guarded by mu
}

// rememberedCertificates covers a height's QC, TC and CommitCert as each of
// the others shows them again.
const rememberedCertificates = 64

func newCertificates() *certificates {
	return &certificates{ring: bft.NewRing(rememberedCertificates)}
}

// Has implements bft.Memory.
func (c *certificates) Has(d bft.Digest) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ring.Has(d)
}

// Add implements bft.Memory.
func (c *certificates) Add(d bft.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ring.Add(d)
}
