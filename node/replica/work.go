package replica

import (
	"errors"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
)

// transactions takes transactions into the mempool. What was submitted here is
// kept on disk before it is spread.
func (r *Replica) transactions(in Transactions) error {
	var local []chain.VerifiedTx
	for _, tx := range in.Txs {
		err := r.pool.Add(tx, r.clock.now())
		if errors.Is(err, chain.ErrStorage) {
			return err
		}
		if err == nil && in.Local {
			local = append(local, tx)
		}
		r.out.Publish.Verdicts = append(r.out.Publish.Verdicts, Verdict{tx.ID(), in.From, in.Local, err})
	}
	if len(local) > 0 {
		r.out.Persist.Local = append(r.out.Persist.Local, local...)
		r.out.Gossip = append(r.out.Gossip, Gossip{Txs: local})
	}
	if err := r.lookAtBlocks(); err != nil {
		return err
	}
	return r.work()
}

// blockTime is that of a block made now: our clock's, but later than its parent's.
func (r *Replica) blockTime() atp.Millis { return max(r.head().Time+1, r.clock.now()) }

// busy reports whether there is something to do by our own mempool, state and
// clock: a transaction that a block could hold, or a time that has come.
func (r *Replica) busy() bool {
	if r.pool.Ready(r.blockTime()) {
		return true
	}
	at, ok := r.due()
	return ok && r.clock.now() > at
}

// due returns the time after which a block is wanted though nobody has sent a
// transaction: the earliest deadline of the state, which takes one block to
// carry the time past it and one more to fire it, or the heartbeat. Whoever
// does not lead leaves it to the leader for a moment.
func (r *Replica) due() (at atp.Millis, ok bool) {
	at, ok = r.deadline, r.hasDeadline
	if beat := r.state.Params().Heartbeat; beat > 0 && (!ok || r.head().Time.Add(beat) < at) {
		at, ok = r.head().Time.Add(beat), true
	}
	if r.set.Leader(r.height(), r.core.View()) != r.self {
		at = at.Add(dueGrace)
	}
	return at, ok
}

// work tells the core that there is something to do, or arms the timer for when
// there will be. While the next block waits in the backlog there is not.
func (r *Replica) work() error {
	if r.final != nil || r.backlog.has(r.height()) {
		return nil
	}
	if r.busy() {
		if !r.set.Contains(r.self) {
			r.tick()
			return nil
		}
		return r.absorb(r.core.Work())
	}
	if at, ok := r.due(); ok {
		r.arm(Timer{Kind: TimerDue, Height: r.height(), Wait: min(atp.Span(at+1-r.clock.now()), atp.Day)})
	}
	return nil
}

// tick arms the timer of Status.
func (r *Replica) tick() {
	if !r.ticking {
		r.ticking = true
		r.out.Timers = append(r.out.Timers, Timer{Kind: TimerStatus, Height: r.height()})
	}
}

// shareWork sends what the mempool has for a block to every validator: gossip
// may have lost it.
func (r *Replica) shareWork() {
	txs := r.pool.Select(r.blockTime())
	if len(txs) > maxShared {
		txs = txs[:maxShared]
	}
	if len(txs) > 0 && len(r.others) > 0 {
		r.out.Gossip = append(r.out.Gossip, Gossip{To: r.others, Txs: txs})
	}
}
