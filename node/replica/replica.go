package replica

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/mempool"
)

// ErrFatal reports that a law broke or our own disk lied: the driver executes
// nothing of the step and ends the process. A peer's fault is never an error of
// Step: it is a [Fault] in Publish.
var ErrFatal = errors.New("replica: fatal")

// Chain is the store, read only: what is final, and the bodies persisted for
// the height in progress.
type Chain interface {
	chain.Nodes
	// Body returns a persisted block, final or not.
	Body(id cid.Cid) (chain.Block, bool, error)
	// Cert returns the certificate of a final height.
	Cert(bft.Height) (bft.CommitCert, bool, error)
}

// Prover makes the beacon's proofs under our key: the signer, or a stand-in.
type Prover interface {
	// ProveBeacon is a pure function.
	ProveBeacon(below bft.Beacon, h bft.Height) bft.BeaconProof
}

// Config is what a replica resumes from.
type Config struct {
	Self   bft.ID
	Record bft.Record  // the signer's, as loaded
	State  chain.State // after the store's head, read from the store
	// Below is the set that agreed on the head; the zero set at the genesis.
	Below bft.ValidatorSet
	Mute  bool   // Persist.Mute was asked for, and Persist.Return has not been since: nothing is signed
	Nonce uint64 // drawn at random for this start, never zero: see J9
}

// Replica is one platform's part in the chain. It is not for concurrent use.
type Replica struct {
	self   bft.ID
	store  Chain
	prover Prover
	pool   *mempool.Pool

	// Of this step.
	now atp.Millis
	out Output

	clock       clock
	state       chain.State // after the head
	deadline    atp.Millis  // the earliest of the state, in whole seconds
	hasDeadline bool
	set         bft.ValidatorSet // of the height in progress
	others      []bft.ID         // set without ourselves; never changed in place
	below       previous
	core        *bft.Core
	record      bft.Record // what we have said, as the signer holds it
	mute        bool       // AlarmRolled: nothing is signed any more
	listening   listening  // since the start
	listens     int        // peers heard while alone, at most maxListens
	back        reentry    // if mute
	nonce       uint64     // of our challenges
	met         bool       // a validator has told where it stands, since the start

	peers    peers
	shirkers []shirker    // that have gone, at most maxShirkers
	gone     []bft.ID     // validators that the transport has lost, at most as many as there are
	silent   []bft.ID     // that let a view of theirs end and said nothing in it; likewise
	spoke    []bft.ID     // that were heard since the timer of the view was armed; likewise
	ahead    *bft.Ahead   // messages of the next height
	newest   []bft.Signed // of each validator, what it said last; at most maxNewest, one each
	heard    []bft.Signed // of this height: at most one for each validator and kind
	active   bool         // the height's timers run: it is unfinished
	resting  bool         // but for the repetition of our Timeout, for which there is no reason now
	ticking  bool         // TimerStatus is armed
	looking  bool         // TimerFetch is armed

	blocks   []*candidate // of this height, at most maxCandidates
	checking bft.Check    // unanswered if its block is defined
	reusing  bft.Build    // unanswered if its block is defined
	final    *bft.Final   // decided, and the block not here yet

	waited uint64 // arrivals at the mempool when work was shared, or a view's timer was armed
	shared int    // turns at the leaders' list, at this height, to whom work was sent

	strange int      // unanswered checks for peers without a vote, at most maxStrange unasked ones
	fetches []*fetch // unanswered
	lastID  uint64   // of fetches
	turn    int      // of peers, for the next fetch
	backlog backlog
}

// previous is what is kept of the height below, for its late COMMITs.
type previous struct {
	set  bft.ValidatorSet
	core *bft.Core // nil if it was decided before we started
	cert *bft.CommitCert
}

// New returns a replica at the head of its store. Its first input is [Start].
func New(cfg Config, store Chain, prover Prover) (*Replica, error) {
	r := &Replica{
		self: cfg.Self, store: store, prover: prover, record: cfg.Record, mute: cfg.Mute, nonce: cfg.Nonce,
		state: cfg.State, pool: mempool.New(cfg.State),
		below: previous{set: cfg.Below},
	}
	if h := r.head().Height; h > 0 {
		cert, ok, err := store.Cert(h)
		if err != nil || !ok {
			return nil, fmt.Errorf("%w: certificate of height %d: found %v: %w", ErrFatal, h, ok, err)
		}
		r.below.cert = &cert
	}
	return r, r.begin()
}

// Step takes one input at the time now, in Unix milliseconds, and returns what
// must be done. It fails with [ErrFatal] alone; the replica must not be used
// afterwards.
func (r *Replica) Step(now atp.Millis, in Input) (Output, error) {
	r.now, r.out = now, Output{}
	r.state = r.state.On(r.store)
	if a, slow := r.clock.step(now, r.head().Time); slow {
		r.alarm(a)
	}
	if err := r.take(in); err != nil {
		if !errors.Is(err, ErrFatal) {
			err = fmt.Errorf("%w: height %d: %w", ErrFatal, r.height(), err)
		}
		return Output{}, err
	}
	return r.out, nil
}

func (r *Replica) take(in Input) error {
	switch in := in.(type) {
	case Start:
		r.listen()
		return r.resume()
	case Received:
		return r.received(in)
	case Verified:
		return r.verified(in)
	case Signed:
		return r.signed(in)
	case Transactions:
		return r.transactions(in)
	case TimerFired:
		return r.timer(in.Timer)
	case Connected:
		return r.connected(in.Peer)
	case Disconnected:
		return r.disconnected(in.Peer)
	case ClockSet:
		r.clock.set(in.By)
		return nil
	case Asked:
		return r.asked(in)
	case Fetched:
		return r.fetched(in)
	}
	return fmt.Errorf("input %T", in)
}

// head is the newest final block.
func (r *Replica) head() chain.Tip { return r.state.Tip() }

// height is the height in progress.
func (r *Replica) height() bft.Height { return r.head().Height + 1 }

// Height returns the height in progress.
func (r *Replica) Height() bft.Height { return r.height() }

// State returns the state after the newest final block.
func (r *Replica) State() chain.State { return r.state }

// View returns the view of the height in progress.
func (r *Replica) View() bft.View { return r.core.View() }

// begin makes everything of the height in progress anew.
func (r *Replica) begin() (err error) {
	before := r.set
	r.set = r.state.Validators()
	r.others = r.set.IDs()
	if i, member := r.set.Index(r.self); member {
		r.others = append(r.others[:i], r.others[i+1:]...)
	}
	r.ahead = bft.NewAhead(r.height(), r.set)
	r.core = bft.NewCore(bft.Config{Height: r.height(), Set: r.set, Self: r.self, Record: r.repeatable()})
	r.blocks, r.heard, r.shared = nil, r.heard[:0], 0
	r.checking, r.reusing, r.final, r.active, r.resting = bft.Check{}, bft.Build{}, nil, false, false
	r.clock.keep(r.set)
	r.gone = r.away(before)
	for _, list := range []*[]bft.ID{&r.silent, &r.spoke} {
		*list = slices.DeleteFunc(*list, func(id bft.ID) bool { return !r.set.Contains(id) })
	}
	r.backlog.begin(r.height())
	r.deadline, r.hasDeadline, err = r.state.NextDue()
	return err
}

// repeatable is our record without a PREPARE for a block whose body is not here.
// The marks keep us from another one in its view. It keeps J1.
func (r *Replica) repeatable() bft.Record {
	rec := r.record
	if p := rec.Prepare; p != nil && p.Height == r.height() {
		if _, here, err := r.store.Body(p.Block); err != nil || !here {
			rec.Prepare = nil
		}
	}
	return rec
}

// resume starts the core of the height in progress and whatever waited for it.
func (r *Replica) resume() error {
	if err := r.absorb(r.core.Start()); err != nil {
		return err
	}
	for _, id := range slices.Concat(r.gone, r.silent) {
		if err := r.absorb(r.core.LeaderGone(id)); err != nil {
			return err
		}
	}
	r.attend()
	if err := r.comeBack(); err != nil {
		return err
	}
	return r.work()
}

// away returns the validators that the transport has lost: of those who had a
// vote before, as it told; of those who have one now, who is not connected. At
// the start it has told nothing yet.
func (r *Replica) away(before bft.ValidatorSet) (gone []bft.ID) {
	for _, id := range r.others {
		lost := slices.Contains(r.gone, id)
		if !before.Contains(id) && before.Len() > 0 {
			lost = r.peers.get(id) == nil
		}
		if lost {
			gone = append(gone, id)
		}
	}
	return gone
}

func (r *Replica) fault(peer bft.ID, err error) {
	if !peer.IsZero() {
		r.out.Publish.Faults = append(r.out.Publish.Faults, Fault{peer, err})
	}
}
