package replica

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// candidate is a block of the height in progress, as far as it is known.
type candidate struct {
	id      cid.Cid
	outline *chain.Outline               // nil: only the ID is known
	missing []cid.Cid                    // addresses of transactions that are not here
	got     map[cid.Cid]chain.VerifiedTx // those of them that peers have sent
	block   *chain.Block                 // nil until nothing is missing
	stored  bool                         // the body is in Persist of this step or an earlier one

	scattered bool // a holder did not have the missing ones

	holders []bft.ID // who should have the body, the likeliest first
	turn    int      // of the next holder to ask

	executed bool
	result   chain.Result
	refusal  error // of the execution; wraps chain.ErrInvalid

	parent parentState
}

// parentState is how far the check of a block's LastCommit has come.
type parentState uint8

const (
	parentUnknown parentState = iota
	parentAsked
	parentGood
	parentBad
)

// heldBy remembers that a peer should have the block's body. The list is
// bounded by the validators and one more.
func (c *candidate) heldBy(ids ...bft.ID) {
	for _, id := range ids {
		if !slices.Contains(c.holders, id) && len(c.holders) <= bft.MaxValidators {
			c.holders = append(c.holders, id)
		}
	}
}

// find returns the candidate with this ID, or nil.
func (r *Replica) find(id cid.Cid) *candidate {
	for _, c := range r.blocks {
		if c.id == id {
			return c
		}
	}
	return nil
}

// candidate returns the candidate with this ID, making it if need be: from the
// store, if we persisted its body before. The oldest that nobody waits for
// gives way; a body that was voted for is in the store.
func (r *Replica) candidate(id cid.Cid) (*candidate, error) {
	if c := r.find(id); c != nil {
		return c, nil
	}
	if len(r.blocks) >= maxCandidates {
		i := slices.IndexFunc(r.blocks, func(c *candidate) bool { return !r.awaits(c.id) })
		r.blocks = slices.Delete(r.blocks, i, i+1) // at most three are waited for
	}
	c := &candidate{id: id}
	block, ok, err := r.store.Body(id)
	if err != nil { // it is not final: what was spoilt is fetched like what was never here
		r.alarm(Alarm{AlarmStore, fmt.Sprintf("block %s, which is not final yet, cannot be read and is fetched anew: %v", id, err)})
	} else if ok {
		c.block, c.stored = &block, true
	}
	r.blocks = append(r.blocks, c)
	return c, nil
}

// awaits reports whether something goes on once the block is whole.
func (r *Replica) awaits(id cid.Cid) bool {
	return id == r.checking.Block || id == r.reusing.Reuse || r.final != nil && id == r.final.Cert.Block
}

// check begins the judgement of a proposed block.
func (r *Replica) check(q bft.Check) error {
	r.checking = q
	outline, err := chain.DecodeOutline(q.Payload)
	if err == nil {
		err = r.suits(outline.Header, q)
	}
	if err != nil {
		r.fault(q.Proposer, err)
		return r.judged(bft.Invalid)
	}
	if q.Fresh && !timely(outline.Header.Time, atp.Millis(q.Arrived)) {
		return r.judged(bft.Untimely)
	}
	c, err := r.candidate(q.Block)
	if err != nil {
		return err
	}
	c.outline = &outline
	c.heldBy(q.Proposer)
	return r.advance(c)
}

// suits reports why a header cannot be that of the block in question. Whatever
// depends on the parent's state is left to chain.Apply.
func (r *Replica) suits(h chain.Header, q bft.Check) error {
	id, err := h.ID()
	switch {
	case err != nil:
		return err
	case id != q.Block:
		return fmt.Errorf("%w: proposal of %s carries %s", chain.ErrInvalid, q.Block, id)
	case h.Height != q.Height || h.Parent != r.head().ID:
		return fmt.Errorf("%w: block %d on %s, want %d on %s", chain.ErrInvalid, h.Height, h.Parent, q.Height, r.head().ID)
	case q.Fresh && h.Proposer != q.Proposer:
		return fmt.Errorf("%w: fresh block of %s proposed by %s", chain.ErrInvalid, h.Proposer, q.Proposer)
	}
	return nil
}

// timely reports whether a fresh block's time is near enough to the clock.
func timely(t, clock atp.Millis) bool { return t <= clock.Add(maxLead) && clock <= t.Add(maxLag) }

// judged answers the Check.
func (r *Replica) judged(v bft.Verdict) error {
	q := r.checking
	r.checking = bft.Check{}
	return r.absorb(r.core.Checked(q.View, q.Block, v))
}

// lookAtBlocks goes on with every block that something waits for.
func (r *Replica) lookAtBlocks() error {
	for _, c := range slices.Clone(r.blocks) {
		final := r.final != nil && c.id == r.final.Cert.Block // it may have waited for its step
		if c.block != nil && !final || !r.awaits(c.id) {
			continue
		}
		if err := r.advance(c); err != nil {
			return err
		}
	}
	return nil
}

// advance takes a block that something waits for as far as it goes with what is
// here, and asks for the rest.
func (r *Replica) advance(c *candidate) error {
	r.fill(c)
	if c.block == nil {
		r.fetchBody(c)
		return nil
	}
	if r.final != nil {
		if c.id != r.final.Cert.Block {
			return nil
		}
		if r.out.Persist.Final != nil { // of the height below: one in each Output
			r.lookAgain(0)
			return nil
		}
		return r.finish(c)
	}
	if c.id == r.reusing.Reuse {
		if err := r.rebuilt(c); err != nil {
			return err
		}
	}
	if r.final == nil && c.id == r.checking.Block {
		return r.judge(c)
	}
	return nil
}

// fill completes a block from the transactions at hand.
func (r *Replica) fill(c *candidate) {
	if c.block != nil || c.outline == nil {
		return
	}
	b, missing := c.outline.Fill(func(address cid.Cid) (chain.VerifiedTx, bool) {
		if tx, ok := c.got[address]; ok {
			return tx, true
		}
		return r.pool.ByAddress(address)
	})
	if c.missing = missing; len(missing) == 0 {
		c.block, c.got = &b, nil
	}
}

// judge executes a block, has its LastCommit checked, and answers the Check
// when both are done. It keeps J3.
func (r *Replica) judge(c *candidate) error {
	if err := r.execute(c); err != nil {
		return err
	}
	r.checkParent(c)
	switch {
	case c.refusal != nil:
		r.fault(r.checking.Proposer, c.refusal)
		return r.judged(bft.Invalid)
	case c.parent == parentBad:
		return r.judged(bft.Invalid)
	case c.parent == parentGood:
		return r.judged(bft.Valid)
	}
	return nil
}

// execute runs a whole block, once. It fails only for our own fault.
func (r *Replica) execute(c *candidate) error {
	if c.executed {
		return nil
	}
	result, err := chain.Apply(r.state, *c.block)
	if err != nil && !errors.Is(err, chain.ErrInvalid) {
		return err
	}
	c.executed, c.result, c.refusal = true, result, err
	return nil
}

// checkParent asks for the check of a block's LastCommit, which is judged by
// the set of the height below.
func (r *Replica) checkParent(c *candidate) {
	last := c.block.Header.LastCommit
	switch {
	case c.parent != parentUnknown || c.refusal != nil:
	case last == nil: // chain.Apply allows it in the first block alone
		c.parent = parentGood
	case r.below.core != nil && r.below.core.Vouches(last):
		c.parent = parentGood
	default:
		c.parent = parentAsked
		r.job(Job{From: r.checking.Proposer, Height: last.Height, Set: r.below.set, Message: last})
	}
}

// parentJudged takes the verdict on a LastCommit; ours is false if the job was
// for something else.
func (r *Replica) parentJudged(in Verified) (ours bool, err error) {
	cert, ok := in.Job.Message.(*bft.CommitCert)
	if !ok || cert.Height != r.head().Height {
		return false, nil
	}
	for _, c := range r.blocks {
		if c.parent != parentAsked || c.block.Header.LastCommit != cert {
			continue
		}
		c.parent = parentGood
		if in.Err != nil {
			c.parent = parentBad
			r.fault(in.Job.From, in.Err)
		}
		if c.id == r.checking.Block {
			return true, r.advance(c)
		}
	}
	return true, nil
}

// keepBody puts a block's body into Persist, unless it is there already. It
// keeps J1.
func (r *Replica) keepBody(id cid.Cid) error {
	c := r.find(id)
	if c == nil || c.block == nil {
		return fmt.Errorf("block %s is to be spoken for, and is not here", id)
	}
	if !c.stored {
		c.stored = true
		r.out.Persist.Bodies = append(r.out.Persist.Bodies, *c.block)
	}
	return nil
}

// build makes the block that the core asks for, or finds it.
func (r *Replica) build(b bft.Build) error {
	r.reusing = bft.Build{}
	if b.Reuse.Defined() {
		r.reusing = b
		c, err := r.candidate(b.Reuse)
		if err != nil {
			return err
		}
		c.heldBy(r.preparers(b.Reuse)...)
		return r.advance(c)
	}
	if r.clock.astray() {
		return nil
	}
	block, result, err := r.assemble()
	if err != nil {
		return err
	}
	c, err := r.candidate(result.State.Tip().ID)
	if err != nil {
		return err
	}
	c.block, c.executed, c.result, c.parent = &block, true, result, parentGood
	return r.propose(b.View, c)
}

// assemble makes a fresh block of what the mempool holds.
func (r *Replica) assemble() (chain.Block, chain.Result, error) {
	h := chain.Header{
		Time:        r.blockTime(),
		Proposer:    r.self,
		BeaconProof: r.prover.ProveBeacon(r.state.Beacon(), r.height()),
		LastCommit:  r.below.certificate(),
	}
	return chain.Assemble(r.state, h, r.pool.Select(h.Time))
}

// certificate returns the decision of the height below with every COMMIT held.
func (p previous) certificate() *bft.CommitCert {
	if p.core != nil {
		return p.core.Certificate()
	}
	return p.cert
}

// rebuilt answers a Build with the block to be proposed again, unchanged.
// Another's block that nothing justifies any more is not: R2 would refuse it,
// and the others blame us.
func (r *Replica) rebuilt(c *candidate) error {
	b := r.reusing
	r.reusing = bft.Build{}
	if b.Fresh && c.block.Header.Proposer != r.self {
		return nil
	}
	return r.propose(b.View, c)
}

func (r *Replica) propose(v bft.View, c *candidate) error {
	payload, err := c.block.Outline().Encode()
	if err != nil {
		return err
	}
	out, err := r.core.Built(v, c.id, payload)
	if err != nil {
		return err
	}
	return r.absorb(out)
}
