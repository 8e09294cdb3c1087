package replica

import (
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// fetch is an unanswered request. At most maxRanges for ranges, and maxAlike for
// each candidate, are waited for; besides, at most twice maxLate of each are late.
type fetch struct {
	Fetch
	block cid.Cid    // the candidate that it is for; undefined for a range
	since atp.Millis // when it went out
	late  bool       // it counts against its peer
}

// young reports whether f need not be asked of another peer yet. One from the
// future, since the clock was set back, is not.
func (f *fetch) young(now atp.Millis) bool { return f.since <= now && now < f.since.Add(stalled) }

// ask sends a request to a peer.
func (r *Replica) ask(p *peer, w Want, block cid.Cid) {
	r.lastID++
	f := &fetch{Fetch: Fetch{r.lastID, p.id, w}, block: block, since: r.now}
	r.fetches = append(r.fetches, f)
	r.out.Fetch = append(r.out.Fetch, f.Fetch)
}

// asking counts the unanswered requests for which is holds.
func (r *Replica) asking(is func(*fetch) bool) (n int) {
	for _, f := range r.fetches {
		if is(f) {
			n++
		}
	}
	return n
}

// reproach counts against each peer what it has not answered in time.
func (r *Replica) reproach() {
	for _, f := range r.fetches {
		if f.late || f.young(r.now) {
			continue
		}
		f.late = true
		if p := r.peers.get(f.Peer); p != nil {
			p.gave(false, r.now)
		}
	}
}

// roomFor reports whether p may be asked one thing more of a kind, of which at
// most so many are waited for. One place is for the proven; and those who are late
// keep out their like alone.
func (r *Replica) roomFor(p *peer, most int, kind func(*fetch) bool) bool {
	proven := func(f *fetch) bool {
		p := r.peers.get(f.Peer)
		return p != nil && r.trust(p) >= lapsed
	}
	mine := r.trust(p) >= lapsed
	waits := func(f *fetch) bool { return kind(f) && f.young(r.now) }
	switch {
	case r.asking(waits) >= most:
		return false
	case !mine && r.asking(func(f *fetch) bool { return waits(f) && !proven(f) }) >= most-1:
		return false
	}
	return r.asking(func(f *fetch) bool { return kind(f) && !f.young(r.now) && proven(f) == mine }) < maxLate
}

// fetchBody asks for what is missing of a block: the transactions, or all of it
// if their addresses are not known, or if they may be in no mempool any more.
// It asks at most maxAlike peers at once; the timer brings it back.
func (r *Replica) fetchBody(c *candidate) {
	r.lookAgain(patience)
	r.reproach()
	p := r.holder(c)
	if p == nil {
		return
	}
	w := Want{Block: c.id}
	if c.outline != nil && !c.scattered && r.final == nil {
		w = Want{Txs: c.missing}
	}
	r.ask(p, w, c.id)
}

// holder chooses whom to ask for a block: its known holders one after the
// other, then anyone who is there.
func (r *Replica) holder(c *candidate) *peer {
	all := len(c.holders) + len(r.peers)
	for range all {
		i := c.turn % all
		c.turn++
		var p *peer
		if i < len(c.holders) {
			p = r.peers.get(c.holders[i])
		} else {
			p = r.peers[i-len(c.holders)]
		}
		if p == nil || p.resting(r.now) || !r.roomFor(p, maxAlike, func(f *fetch) bool { return f.block == c.id }) {
			continue
		}
		if r.asking(func(f *fetch) bool { return f.block == c.id && f.Peer == p.id }) == 0 {
			return p
		}
	}
	return nil
}

// lookAgain arms the timer that tries again, unless it runs.
func (r *Replica) lookAgain(attempt int) {
	if !r.looking {
		r.looking = true
		r.arm(Timer{Kind: TimerFetch, Attempt: attempt})
	}
}

// look is what TimerFetch is for: whatever is still wanted is asked for again.
func (r *Replica) look() error {
	r.looking = false
	if err := r.lookAtBlocks(); err != nil {
		return err
	}
	return r.chase(patience)
}

// fetched takes an answer.
func (r *Replica) fetched(in Fetched) error {
	i := slices.IndexFunc(r.fetches, func(f *fetch) bool { return f.ID == in.Fetch.ID })
	if i < 0 {
		return nil
	}
	f := r.fetches[i]
	r.fetches = slices.Delete(r.fetches, i, i+1)
	p := r.peers.get(f.Peer)
	if !f.Want.Range.IsZero() {
		return r.gotRange(f, p, in.Blocks)
	}
	c := r.find(f.block)
	if c == nil || c.block != nil {
		return nil
	}
	helped := c.take(in)
	c.scattered = c.scattered || !helped
	switch {
	case p == nil:
	case helped || slices.Contains(c.holders, p.id):
		p.gave(helped, r.now)
	default: // it was asked on the off chance
		p.rest(r.now, restAfterFailure)
	}
	if r.awaits(c.id) {
		return r.advance(c)
	}
	return nil
}

// take keeps what an answer holds of the block, and reports whether it helped.
func (c *candidate) take(in Fetched) bool {
	for _, b := range in.Blocks {
		if id, err := b.Block.Header.ID(); err == nil && id == c.id {
			c.block = &b.Block
			return true
		}
	}
	missing := setOf(c.missing)
	helped := false
	for _, tx := range in.Txs {
		if missing[tx.Address()] {
			if c.got == nil {
				c.got = make(map[cid.Cid]chain.VerifiedTx)
			}
			c.got[tx.Address()], helped = tx, true
		}
	}
	return helped
}

func setOf(list []cid.Cid) map[cid.Cid]bool {
	set := make(map[cid.Cid]bool, len(list))
	for _, id := range list {
		set[id] = true
	}
	return set
}

// asked answers a peer from what is not in the store: the mempool, and the
// blocks of the height in progress.
func (r *Replica) asked(in Asked) error {
	a := Answer{Request: in.Request}
	wanted := setOf(in.Want.Txs[:min(len(in.Want.Txs), chain.MaxBodyTxs)])
	give := func(tx chain.VerifiedTx, ok bool) {
		if ok && wanted[tx.Address()] {
			delete(wanted, tx.Address()) // once
			a.Txs = append(a.Txs, tx)
		}
	}
	for _, c := range r.blocks {
		if c.block == nil {
			continue
		}
		if c.id == in.Want.Block {
			a.Block = c.block
		}
		for _, tx := range c.block.Txs {
			give(tx, true)
		}
	}
	for _, address := range in.Want.Txs {
		if !wanted[address] {
			continue
		}
		give(r.pool.ByAddress(address))
		for _, c := range r.blocks {
			tx, ok := c.got[address]
			give(tx, ok)
		}
	}
	r.out.Answers = append(r.out.Answers, a)
	return nil
}

// preparers lists who signed a QC that is known for a block: each held its body.
func (r *Replica) preparers(block cid.Cid) []bft.ID {
	s := r.core.Status()
	qcs := []*bft.QC{s.HighQC}
	if s.TC != nil {
		qcs = append(qcs, s.TC.QC)
	}
	var ids []bft.ID
	for _, qc := range qcs {
		if qc != nil && qc.Block == block {
			ids = append(ids, r.signers(qc.Signers)...)
		}
	}
	return ids
}

func (r *Replica) signers(named bft.Bitmap) []bft.ID {
	var ids []bft.ID
	for i := range r.set.Len() {
		if named.Has(i) {
			ids = append(ids, r.set.ID(i))
		}
	}
	return ids
}
