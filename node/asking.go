package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

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

// Bounds of one answer: whoever drips a larger one, or a slower one, is one of many
// who may.
const (
	maxAnswer   = maxServed + 2<<20 // the last block of a range goes beyond maxServed
	answerGrace = 20 * time.Second
)

// ask asks a peer and checks all signatures in its reply.
func (w *wires) ask(ctx context.Context, f replica.Fetch) (replica.Fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, answerGrace)
	defer cancel()
	q := question(f.Want)
	raw, err := atp.Encode(&q)
	if err != nil {
		return replica.Fetched{}, err
	}
	raw, err = w.host.Request(ctx, f.Peer.ID, raw, maxAnswer)
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
	r, err := wire.DecodeReply(raw)
	if err != nil {
		return err
	}
	txs, blocks, err := r.Verify(bft.ZIP215{}, rand.Reader, w.genesis)
	if err != nil {
		return err
	}
	got.Txs = txs
	for i, b := range blocks {
		got.Blocks = append(got.Blocks, replica.FetchedBlock{Block: b, Cert: r.Blocks[i].Cert})
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
	w.await(id, back)
	defer w.await(id, nil)
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

// await enters or, with no channel, forgets who waits for an answer of the loop.
func (w *wires) await(id uint64, back chan<- replica.Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if back == nil {
		delete(w.asked, id)
		return
	}
	w.asked[id] = back
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
