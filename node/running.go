package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// running is a node's part in its federation: what there is once there is a
// chain.
type running struct {
	genesis     bft.GenesisHash
	genesisJSON []byte
	founders    []chain.Founder

	loop    *loop
	wires   *wires
	wallet  *wallet
	worker  *worker
	accuser *accuser
	router  *router
	work    *errgroup.Group // ends before run returns
	ctx     context.Context // of work

	newest   atomic.Pointer[head]
	progress atomic.Pointer[replica.Progress]
	current  chan struct{} // closed once the chain here was as new as a quorum's
}

// ready returns the running part, or an error that says what the node waits for.
func (n *Node) ready() (*running, error) {
	if r := n.chain.Load(); r != nil {
		return r, nil
	}
	return nil, notReady(n.waitsFor())
}

// waitsFor is what a node without a chain waits for.
func (n *Node) waitsFor() string {
	if w := n.waiting.Load(); w != nil {
		return *w
	}
	return "its federation"
}

// state is that after the newest final block.
func (r *running) state() chain.State { return r.newest.Load().state }

// start makes everything that takes part in the federation of g, from the
// store or, if it is empty, from the genesis. It starts no goroutine but what
// run ends.
func (n *Node) start(ctx context.Context, g chain.Genesis) (*running, error) {
	r := &running{founders: g.Founders, router: newRouter(), current: make(chan struct{})}
	var err error
	if r.genesis, err = g.Hash(); err != nil {
		return nil, err
	}
	if r.genesisJSON, err = g.JSON(); err != nil {
		return nil, err
	}
	state, below, err := openChain(n.store, g, r.genesis)
	if err != nil {
		return nil, err
	}
	r.newest.Store(&head{state, below})
	r.progress.Store(&replica.Progress{})
	if err := n.host.SetGenesis(p2p.Genesis(r.genesis)); err != nil {
		return nil, fmt.Errorf("%w: %w: a platform that was asked is of another federation than this home", ErrGenesis, err)
	}
	r.work, r.ctx = errgroup.WithContext(ctx)
	if err := n.wire(r, state, below); err != nil {
		return nil, err
	}
	locals, err := n.store.Locals()
	if err != nil {
		return nil, err
	}
	r.wallet.resume(locals)
	if why := n.signer.Silenced(); why != "" {
		n.log.Error("this platform does not vote", "why", n.silenced(why))
		n.hub.alarm(n.silenced(why))
	}
	r.accuser = &accuser{n: n, r: r, found: newQueue[bft.Evidence]()}
	r.worker, err = newWorker(n, r)
	return r, err
}

// wire joins the loop, the network and the wallet.
func (n *Node) wire(r *running, state chain.State, below bft.ValidatorSet) error {
	self := n.signer.ID()
	if n.cfg.Observer {
		self = bft.ID{} // nobody, who is in no set
	}
	machine, err := replica.New(replica.Config{
		Self: self, Record: n.signer.Record(), State: state, Below: below, Mute: n.signer.Silenced() != "", Nonce: newNonce(),
	}, n.store, n.signer)
	if err != nil {
		return ours(err)
	}
	inputs := make(chan replica.Input)
	answers := newQueue[replica.Input]()
	r.wires = &wires{
		genesis: r.genesis, params: state.Params(), host: n.host, store: n.store, log: n.log, ctx: r.ctx, work: r.work,
		inputs: inputs, answers: answers, jobs: newQueue[replica.Job](), memory: newCertificates(), known: newKnown(),
		heads: make(chan *bft.CommitCert, 1), head: func() head { return *r.newest.Load() },
		present: newPresence(), asked: map[uint64]chan<- replica.Answer{},
	}
	r.wires.batch = p2p.NewBatcher(func(batch []byte) error { return n.host.Publish(txTopic, batch) })
	r.wallet = newWallet(n.id(), r, n.signer.SignBytes)
	r.wallet.took.told = n.metrics.finalAfter
	r.loop = &loop{
		genesis: r.genesis, replica: machine, signer: n.signer, store: n.store, net: r.wires,
		inputs: inputs, answers: answers, timers: newTimers(), quiet: newStopped(),
		publish: func(p replica.Publish) { n.publish(r, p) },
	}
	return nil
}

// newNonce draws what no earlier start of this platform has drawn.
func newNonce() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:]) | 1
}

// openChain returns the state after the store's head, and the set that agreed
// on that head. An empty store begins at the genesis.
func openChain(s *store.Store, g chain.Genesis, hash bft.GenesisHash) (state chain.State, below bft.ValidatorSet, err error) {
	head, err := s.Head()
	if errors.Is(err, store.ErrNotFound) {
		first, nodes, err := g.State()
		if err != nil {
			return chain.State{}, bft.ValidatorSet{}, err
		}
		if err := s.Found(first, nodes); err != nil {
			return chain.State{}, bft.ValidatorSet{}, err
		}
		return first.On(s), bft.ValidatorSet{}, nil
	}
	if err != nil {
		return chain.State{}, bft.ValidatorSet{}, err
	}
	if stored, err := s.Genesis(); err != nil || stored != hash {
		return chain.State{}, bft.ValidatorSet{}, errors.Join(err, fmt.Errorf("%w: the store is of the chain %s, and %s of %s: put back the one that belongs here", ErrGenesis, stored, genesisFile, hash))
	}
	if state, err = chain.OpenState(s, head.StateRoot, head.Tip); err != nil {
		return chain.State{}, bft.ValidatorSet{}, err
	}
	if head.Height > 0 {
		below, err = setOf(s, g, head.Height)
	}
	return state, below, err
}

// setOf returns the set that agreed on a final height: that of the state below.
func setOf(s *store.Store, g chain.Genesis, h bft.Height) (bft.ValidatorSet, error) {
	if h == 1 {
		first, _, err := g.State()
		return first.Validators(), err
	}
	_, header, err := s.HeaderAt(h - 1)
	if err != nil {
		return bft.ValidatorSet{}, err
	}
	tip, err := header.Tip()
	if err != nil {
		return bft.ValidatorSet{}, err
	}
	state, err := chain.OpenState(s, header.StateRoot, tip)
	return state.Validators(), err
}

// run takes part until ctx ends or a part fails.
func (r *running) run(n *Node) error {
	if err := n.metrics.begin(r.state()); err != nil {
		return ours(err)
	}
	n.chain.Store(r)
	for range max(1, runtime.GOMAXPROCS(0)-1) {
		r.work.Go(func() error { return r.wires.judge(r.ctx) })
	}
	r.work.Go(func() error { return r.wires.batch.Run(r.ctx) })
	r.work.Go(func() error { return r.wires.herald(r.ctx) })
	r.work.Go(func() error { return r.loop.run(r.ctx) })
	r.work.Go(func() error { return r.wallet.clerk(r.ctx) })
	r.work.Go(func() error { return r.greet(n) })
	r.work.Go(func() error { return r.resend(n) })
	r.work.Go(func() error { return r.compare(n) })
	r.work.Go(func() error { return (&member{n: n, r: r}).run(r.ctx) })
	r.work.Go(func() error { return r.accuser.run(r.ctx) })
	r.work.Go(func() error { return r.watchKey(n) })
	r.work.Go(func() error { return r.worker.run(r.ctx) })
	r.work.Go(func() error { return r.meet(n) })
	return r.work.Wait()
}

// greet tells the loop of the peers that were there before it, and the host of
// those of the last run.
func (r *running) greet(n *Node) error {
	for _, p := range n.host.Peers() {
		r.wires.meet(p.ID)
	}
	return n.recall()
}

// resendEvery is the pause between two rounds of giving the mempool what was
// made here and is not final: it may have lost its place.
const resendEvery = 10 * time.Second

// resend keeps the transactions made here on their way until they are final,
// also those of before the start, and drops the ones that no block can hold any
// more.
func (r *running) resend(n *Node) error {
	for {
		locals, err := n.store.Locals()
		if err != nil {
			return ours(err)
		}
		dead, alive, err := r.wallet.sort(locals, atp.Millis(nowMillis()))
		if err != nil {
			return ours(err)
		}
		for some := range slices.Chunk(alive, maxTogether) {
			r.wires.give(replica.Transactions{Txs: some, Local: true})
		}
		if len(dead) > 0 {
			if err := n.store.DropLocal(dead...); err != nil {
				return ours(err)
			}
			n.hub.tell(txExpired(dead, r.state().Tip().Height)...)
		}
		if err := r.wallet.closeGap(r.ctx); err != nil {
			n.log.Warn("transactions wait behind one that was given up", "err", err)
		}
		if !sleep(r.ctx, resendEvery) {
			return nil
		}
	}
}

// publish tells everyone what the loop has published.
func (n *Node) publish(r *running, p replica.Publish) {
	for _, f := range p.Faults {
		n.host.Blame(f.Peer.ID, f.Err.Error())
	}
	for _, a := range p.Alarms {
		if a.Kind == replica.AlarmRolled {
			a.Text = n.silenced(a.Text)
		}
		n.log.Warn("alarm", "text", a.Text)
		n.hub.alarm(a.Text)
	}
	for _, e := range p.Evidence {
		n.log.Warn("a validator contradicted itself", "evidence", fmt.Sprintf("%+v", e))
	}
	r.accuser.hear(p.Evidence)
	r.wallet.verdicts(p.Verdicts)
	progress := r.loop.replica.Progress()
	n.metrics.progressed(*r.progress.Load(), progress)
	r.progress.Store(&progress)
	if p.Final == nil {
		return
	}
	state := r.loop.replica.State().On(n.store) // all of it is saved
	below := r.state().Validators()
	r.newest.Store(&head{state, below})
	if state.Validators().Hash() != below.Hash() {
		n.log.Info("the validators change", "height", state.Tip().Height+1, "from", below.Len(), "to", state.Validators().Len())
		n.contacts.nudge() // to be connected with the new ones
	}
	news := validatorNews(below, state.Validators(), state.Tip())
	n.signer.Finalize(state.Tip().Height, state.Tip().ID)
	if p.Final.Block.Header.Proposer == n.signer.ID() {
		r.wires.announceHead(p.Final.Cert)
	}
	n.log.Debug("final", "height", state.Tip().Height, "block", state.Tip().ID, "view", p.Final.Cert.View, "txs", len(p.Final.Block.Txs))
	r.wallet.final(p.Final.Block.Txs)
	r.worker.hear(*p.Final)
	n.metrics.final(*p.Final)
	n.hub.final(*p.Final, news...)
}
