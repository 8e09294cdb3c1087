package replica

import (
	"errors"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/mempool"
)

// transactions takes transactions into the mempool. What was submitted here is
// kept on disk before it is spread.
func (r *Replica) transactions(in Transactions) error {
	var local, kept []chain.VerifiedTx
	for _, tx := range in.Txs {
		err := r.pool.Add(tx, r.clock.now())
		if errors.Is(err, chain.ErrStorage) {
			return err
		}
		if err == nil && in.Local {
			local = append(local, tx)
		}
		if in.Local && (err == nil || errors.Is(err, mempool.ErrKnown)) { // known from others, perhaps, who may forget it
			kept = append(kept, tx)
		}
		r.out.Publish.Verdicts = append(r.out.Publish.Verdicts, Verdict{tx.ID(), in.From, in.Local, err})
	}
	r.out.Persist.Local = append(r.out.Persist.Local, kept...)
	if len(local) > 0 {
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
// clock: a transaction that a block could hold, a task that waits for a beacon, or
// a time that has come.
func (r *Replica) busy() bool {
	if r.pool.Ready(r.blockTime()) || r.state.AwaitsBeacon() {
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
		r.wake()
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
		if !r.set.Contains(r.self) {
			r.waited = r.pool.Arrivals()
		}
	}
}

// shareWork sends what the mempool has for a block to f + 1 validators: gossip may
// have lost it. Those that came since the last sharing, or since the timer was
// armed, have their turn the next time. The leader of the view is among the first
// f + 1, who can end the matter at once; a correct one is among any, whose timer
// then runs, so that it is shared further. With each repetition it is the turn of
// the next f + 1: no transaction strands, whoever lies.
func (r *Replica) shareWork() {
	ready := r.pool.Select(r.blockTime())
	txs := slices.DeleteFunc(ready, func(tx chain.VerifiedTx) bool { return r.pool.Arrival(tx.ID()) > r.waited })
	r.waited = r.pool.Arrivals()
	if len(txs) > maxShared {
		txs = txs[:maxShared]
	}
	to := r.nextLeaders(r.set.F() + 1)
	if len(txs) > 0 && len(to) > 0 {
		r.out.Gossip = append(r.out.Gossip, Gossip{To: to, Txs: txs})
	}
}

// nextLeaders returns so many of the others, at most, in the order in which they
// lead from the current view on, beginning behind those that it returned before at
// this height.
func (r *Replica) nextLeaders(n int) (ids []bft.ID) {
	for ; len(ids) < min(n, len(r.others)); r.shared++ {
		if id := r.set.Leader(r.height(), r.core.View()+bft.View(r.shared)); id != r.self {
			ids = append(ids, id)
		}
	}
	return ids
}
