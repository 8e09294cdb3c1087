package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// txTopic is the gossip topic of transactions.
const txTopic = "txs"

// wires joins the loop to the network. What comes in is decoded, its
// transactions' signatures are checked, and it waits its turn at the loop; a
// peer that sends faster than the loop takes is slowed down, and no other.
type wires struct {
	genesis bft.GenesisHash
	host    *p2p.Host
	store   *store.Store
	log     *slog.Logger
	ctx     context.Context // of the loop
	work    *errgroup.Group // of the loop: fetches under way

	inputs  chan<- replica.Input
	answers *queue[replica.Input]
	jobs    *queue[replica.Job]
	memory  *certificates
	batch   *p2p.Batcher

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
	if len(frame) == 0 {
		return p2p.Reject
	}
	switch frame[0] {
	case frameMessage:
		m, err := bft.Decode(frame[1:])
		if err != nil {
			return p2p.Reject
		}
		w.give(replica.Received{From: bft.ID{ID: from}, Message: m})
		return p2p.Accept
	case frameBundle:
		return w.bundle(from, frame[1:])
	}
	return p2p.Reject
}

// bundle takes transactions, gossiped or sent to us alone. One bad signature
// condemns the whole bundle: who passes it on has to check it first.
func (w *wires) bundle(from peer.ID, raw []byte) p2p.Verdict {
	txs, err := unbundle(raw)
	if err != nil {
		return p2p.Reject
	}
	verified, err := verify(w.genesis, rand.Reader, txs)
	if err != nil {
		return p2p.Reject
	}
	w.give(replica.Transactions{From: bft.ID{ID: from}, Txs: verified})
	return p2p.Accept
}

// send implements carries.
func (w *wires) send(e replica.Envelope) {
	frame, slot := messageFrame(e.Message), messageSlot(e.Message)
	for _, to := range e.To {
		w.post(to, slot, frame)
	}
}

func (w *wires) post(to bft.ID, slot p2p.Slot, frame []byte) {
	// A peer that is away gets what matters when it is back: Status says what
	// it missed. Nothing is lost here that the protocol does not repeat.
	if err := w.host.Send(to.ID, slot, frame); err != nil && !errors.Is(err, p2p.ErrNotConnected) {
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
		frame := append([]byte{frameBundle}, b...)
		for _, to := range g.To {
			w.post(to, bundleSlot+p2p.Slot(i), frame)
		}
	}
}

// verify implements carries.
func (w *wires) verify(j replica.Job) { w.jobs.put(j) }

// judge checks signatures beside the loop until ctx ends. Several may run.
func (w *wires) judge(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.jobs.ready:
		}
		for _, j := range w.jobs.take() {
			v := bft.Verifier{
				Scheme: bft.ZIP215{}, Genesis: w.genesis, Height: j.Height, Set: j.Set, Entropy: rand.Reader, Memory: w.memory,
			}
			m, err := v.Verify(j.Message)
			w.answers.put(replica.Verified{Job: j, Message: m, Err: err})
		}
	}
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

// event takes news of peers.
func (w *wires) event(e p2p.Event) {
	switch e := e.(type) {
	case p2p.PeerUp:
		w.give(replica.Connected{Peer: bft.ID{ID: e.ID}})
	case p2p.PeerDown:
		w.give(replica.Disconnected{Peer: bft.ID{ID: e.ID}})
	}
}

// fetch implements carries. The replica bounds how many are under way.
func (w *wires) fetch(f replica.Fetch) {
	w.work.Go(func() error {
		got, err := w.ask(w.ctx, f)
		if err != nil {
			w.log.Debug("fetch", "peer", f.Peer, "err", err)
		}
		got.Fetch = f
		w.answers.put(got)
		return nil
	})
}

// ask asks a peer and checks all signatures in its reply.
func (w *wires) ask(ctx context.Context, f replica.Fetch) (replica.Fetched, error) {
	q := question(f.Want)
	raw, err := atp.Encode(&q)
	if err != nil {
		return replica.Fetched{}, err
	}
	raw, err = w.host.Request(ctx, f.Peer.ID, raw, p2p.MaxResponse)
	if err != nil {
		return replica.Fetched{}, err
	}
	var got replica.Fetched
	if err := w.unpack(raw, &got); err != nil {
		w.host.Blame(f.Peer.ID, fmt.Sprintf("reply to a fetch: %v", err))
		return replica.Fetched{}, err
	}
	return got, nil
}

func (w *wires) unpack(raw []byte, got *replica.Fetched) error {
	var r wire.Reply
	if err := wire.Decode(raw, wire.MaxReply, &r); err != nil {
		return err
	}
	var err error
	if got.Txs, err = verify(w.genesis, rand.Reader, r.Txs); err != nil {
		return err
	}
	for _, p := range r.Blocks {
		b, err := p.Body.Verify(bft.ZIP215{}, rand.Reader, w.genesis, p.Header)
		if err != nil {
			return err
		}
		got.Blocks = append(got.Blocks, replica.FetchedBlock{Block: b, Cert: p.Cert})
	}
	return nil
}

// serve answers a question of a peer: from the store what is final, from the
// loop what only the replica holds.
func (w *wires) serve(ctx context.Context, from peer.ID, q wire.Question) (wire.Reply, error) {
	if q.To > 0 {
		return w.serveRange(replica.Range{From: q.From, To: q.To})
	}
	var reply wire.Reply
	want := replica.Want{}
	if q.Block != nil {
		if b, ok, err := w.store.Body(*q.Block); err != nil || ok {
			return wire.Reply{Blocks: []wire.Parcel{{Header: b.Header, Body: b.Body()}}}, err
		}
		want.Block = *q.Block
	}
	want.Txs = q.Txs
	a, err := w.consult(ctx, from, want)
	if err != nil {
		return wire.Reply{}, err
	}
	for _, tx := range a.Txs {
		reply.Txs = append(reply.Txs, tx.Tx())
	}
	if a.Block != nil {
		reply.Blocks = []wire.Parcel{{Header: a.Block.Header, Body: a.Block.Body()}}
	}
	return reply, nil
}

// maxServed is after how many bytes of transactions a reply takes no further block.
const maxServed = 4 << 20

// serveRange returns final blocks with their certificates, as many as fit.
func (w *wires) serveRange(r replica.Range) (wire.Reply, error) {
	var reply wire.Reply
	size := 0
	for b, err := range w.store.Blocks(r.From) {
		if err != nil {
			return wire.Reply{}, err
		}
		if b.Block.Header.Height > r.To || len(reply.Blocks) == replica.MaxRange || size > maxServed {
			break
		}
		for _, tx := range b.Block.Txs {
			size += len(tx.Bytes())
		}
		cert := b.Cert
		reply.Blocks = append(reply.Blocks, wire.Parcel{Header: b.Block.Header, Body: b.Block.Body(), Cert: &cert})
	}
	return reply, nil
}

// consult asks the loop.
func (w *wires) consult(ctx context.Context, from peer.ID, want replica.Want) (replica.Answer, error) {
	id, back := w.handle.Add(1), make(chan replica.Answer, 1)
	w.mu.Lock()
	w.asked[id] = back
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.asked, id)
		w.mu.Unlock()
	}()
	if !w.give(replica.Asked{From: bft.ID{ID: from}, Request: id, Want: want}) {
		return replica.Answer{}, context.Canceled
	}
	select {
	case a := <-back:
		return a, nil
	case <-ctx.Done():
		return replica.Answer{}, ctx.Err()
	}
}

// answer implements carries.
func (w *wires) answer(a replica.Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if back := w.asked[a.Request]; back != nil {
		back <- a // has room for the one answer
		delete(w.asked, a.Request)
	}
}
