package replica

import (
	"fmt"
	"maps"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// backlog is final blocks at and above the height in progress that peers have
// sent and that wait for their turn: at most maxAhead. Nothing about them is
// believed: each becomes final by its certificate, once the set that judges it
// is known.
type backlog struct {
	blocks map[bft.Height]waiting
	judged bool // the check of the lowest one's certificate is asked for
}

// waiting is a block and who sent it.
type waiting struct {
	from bft.ID
	FetchedBlock
}

func (b *backlog) has(h bft.Height) bool {
	_, ok := b.blocks[h]
	return ok
}

// add keeps a block unless it is here, and reports whether it did.
func (b *backlog) add(h bft.Height, w waiting) bool {
	if b.has(h) {
		return false
	}
	if b.blocks == nil {
		b.blocks = make(map[bft.Height]waiting)
	}
	b.blocks[h] = w
	return true
}

// begin drops what is below a height.
func (b *backlog) begin(h bft.Height) {
	b.judged = false
	maps.DeleteFunc(b.blocks, func(k bft.Height, _ waiting) bool { return k < h })
}

// refuse drops everything of the peer that sent a certificate which does not
// hold.
func (b *backlog) refuse(h bft.Height, cert bft.Message) {
	if w, ok := b.blocks[h]; ok && bft.Message(w.Cert) == cert {
		b.judged = false
		maps.DeleteFunc(b.blocks, func(_ bft.Height, v waiting) bool { return v.from == w.from })
	}
}

// chase goes on towards the heights that peers speak of. The next block of the
// backlog is judged; ranges that nobody was asked for are asked for. The one
// block that a validator is behind by is given a moment to arrive by itself,
// unless that moment has passed.
func (r *Replica) chase(attempt int) error {
	if err := r.judgeNext(); err != nil {
		return err
	}
	claimed := r.peers.claimed()
	switch {
	case claimed < r.height():
		return nil
	case claimed == r.height() && attempt == 0 && r.set.Contains(r.self):
		r.lookAgain(0)
		return nil
	}
	r.askRanges()
	r.lookAgain(patience)
	return nil
}

// judgeNext asks for the check of the certificate that ends the height in
// progress, if the backlog holds it.
func (r *Replica) judgeNext() error {
	w, ok := r.backlog.blocks[r.height()]
	if !ok {
		return nil
	}
	c, err := r.candidate(w.Cert.Block)
	if err != nil {
		return err
	}
	if c.block == nil {
		c.block = &w.Block
		if r.awaits(c.id) {
			return r.advance(c)
		}
	}
	if r.backlog.judged || r.final != nil {
		return nil
	}
	r.backlog.judged = true
	r.job(Job{From: w.from, Height: r.height(), Set: r.set, Message: w.Cert})
	return nil
}

// askRanges asks for final blocks from the height in progress on, each range of
// another peer, so that one that stalls delays us no longer than stalled.
func (r *Replica) askRanges() {
	r.reproach()
	for {
		from, limit := r.firstGap(), r.height()+maxAhead
		p := r.source(from)
		if from >= limit || p == nil {
			return
		}
		r.ask(p, Want{Range: Range{from, min(p.claim, from+MaxRange-1, limit-1)}}, cid.Undef)
	}
}

// firstGap returns the lowest height that is neither here nor on its way.
func (r *Replica) firstGap() bft.Height {
	h := r.height()
	for r.backlog.has(h) || r.asking(func(f *fetch) bool {
		w := f.Want.Range
		return w.From <= h && h <= w.To && f.young(r.now)
	}) > 0 {
		h++
	}
	return h
}

// source chooses a peer that says it has the block of height h: of those trusted
// most, each in turn.
func (r *Replica) source(h bft.Height) (best *peer) {
	isRange := func(f *fetch) bool { return !f.Want.Range.IsZero() }
	chosen := 0
	for i := range r.peers {
		n := (r.turn + 1 + i) % len(r.peers)
		p := r.peers[n]
		switch {
		case p.claim < h, p.resting(r.now), best != nil && r.trust(best) >= r.trust(p):
		case r.asking(func(f *fetch) bool { return isRange(f) && f.Peer == p.id }) > 0:
		case r.roomFor(p, maxRanges, isRange):
			best, chosen = p, n
		}
	}
	if best != nil {
		r.turn = chosen
	}
	return best
}

// gotRange takes the answer for a range of final blocks.
func (r *Replica) gotRange(f *fetch, p *peer, blocks []FetchedBlock) error {
	h, kept := f.Want.Range.From, false
	for _, b := range blocks[:min(len(blocks), MaxRange)] {
		if err := b.stands(h); err != nil {
			r.fault(f.Peer, err)
			break
		}
		if r.height() <= h && h < r.height()+maxAhead {
			kept = r.backlog.add(h, waiting{f.Peer, b}) || kept
		}
		h++
	}
	if p != nil {
		p.gave(kept || f.Want.Range.To < r.height(), r.now)
	}
	return r.chase(patience)
}

// stands reports why b cannot be the final block of height h.
func (b FetchedBlock) stands(h bft.Height) error {
	id, err := b.Block.Header.ID()
	if err != nil {
		return err
	}
	if b.Cert == nil || b.Block.Header.Height != h || b.Cert.Height != h || b.Cert.Block != id {
		return fmt.Errorf("%w: sent as the final block of height %d: block %d with another certificate", chain.ErrInvalid, h, b.Block.Header.Height)
	}
	return nil
}
