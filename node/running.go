package node

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

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

	loop   *loop
	wires  *wires
	wallet *wallet
	worker *worker
	router *router
	work   *errgroup.Group // ends before run returns
	ctx    context.Context // of work

	newest   atomic.Pointer[chain.State] // after the newest final block
	progress atomic.Pointer[replica.Progress]
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
func (r *running) state() chain.State { return *r.newest.Load() }

// start makes everything that takes part in the federation of g, from the
// store or, if it is empty, from the genesis. It starts no goroutine but what
// run ends.
func (n *Node) start(ctx context.Context, g chain.Genesis) (*running, error) {
	r := &running{founders: g.Founders, router: newRouter()}
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
	r.newest.Store(&state)
	r.progress.Store(&replica.Progress{})
	if err := n.host.SetGenesis(p2p.Genesis(r.genesis)); err != nil {
		return nil, err
	}
	r.work, r.ctx = errgroup.WithContext(ctx)
	if err := n.wire(r, state, below); err != nil {
		return nil, err
	}
	r.worker, err = newWorker(n, r)
	return r, err
}

// wire joins the loop, the network and the wallet.
func (n *Node) wire(r *running, state chain.State, below bft.ValidatorSet) error {
	self := n.signer.ID()
	if n.cfg.Observer {
		self = bft.ID{} // nobody, who is in no set
	}
	machine, err := replica.New(replica.Config{Self: self, Record: n.signer.Record(), State: state, Below: below}, n.store, n.signer)
	if err != nil {
		return err
	}
	inputs := make(chan replica.Input)
	answers := newQueue[replica.Input]()
	r.wires = &wires{
		genesis: r.genesis, host: n.host, store: n.store, log: n.log, ctx: r.ctx, work: r.work,
		inputs: inputs, answers: answers, jobs: newQueue[replica.Job](), memory: newCertificates(),
		asked: map[uint64]chan<- replica.Answer{},
	}
	r.wires.batch = p2p.NewBatcher(func(batch []byte) error { return n.host.Publish(txTopic, batch) })
	r.wallet = &wallet{
		self: n.id(), genesis: r.genesis, state: r.state, sign: n.signer.SignBytes, give: r.wires.give,
		waiting: map[cid.Cid]chan error{}, took: newLatencies(),
	}
	r.loop = &loop{
		genesis: r.genesis, replica: machine, signer: n.signer, store: n.store, net: r.wires,
		inputs: inputs, answers: answers, timers: newTimers(),
		publish: func(p replica.Publish) { n.publish(r, p) },
	}
	return nil
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
	n.chain.Store(r)
	for range max(1, runtime.GOMAXPROCS(0)-1) {
		r.work.Go(func() error { return r.wires.judge(r.ctx) })
	}
	r.work.Go(func() error { return r.wires.batch.Run(r.ctx) })
	r.work.Go(func() error { return r.loop.run(r.ctx) })
	r.work.Go(func() error { return r.greet(n) })
	r.work.Go(func() error { return r.worker.run(r.ctx) })
	return r.work.Wait()
}

// greet tells the loop of what was there before it: peers, and transactions
// made here that were not final at the last stop.
func (r *running) greet(n *Node) error {
	known, err := n.store.Peers()
	if err != nil {
		return err
	}
	for _, info := range known {
		n.host.Keep(info)
	}
	for _, p := range n.host.Peers() {
		r.wires.give(replica.Connected{Peer: bft.ID{ID: p.ID}})
	}
	locals, err := n.store.Locals()
	if err != nil {
		return err
	}
	for _, tx := range locals {
		if tx.Tx().From == n.id() {
			r.wallet.resume(tx.Tx().Nonce)
		}
		r.wires.give(replica.Transactions{Txs: []chain.VerifiedTx{tx}, Local: true})
	}
	return nil
}

// publish tells everyone what the loop has published.
func (n *Node) publish(r *running, p replica.Publish) {
	for _, f := range p.Faults {
		n.host.Blame(f.Peer.ID, f.Err.Error())
	}
	for _, a := range p.Alarms {
		n.log.Warn("alarm", "text", a.Text)
		n.hub.alarm(a.Text)
	}
	for _, e := range p.Evidence {
		n.log.Warn("a validator contradicted itself", "evidence", fmt.Sprintf("%+v", e))
	}
	r.wallet.verdicts(p.Verdicts)
	progress := r.loop.replica.Progress()
	r.progress.Store(&progress)
	if p.Final == nil {
		return
	}
	state := r.loop.replica.State()
	r.newest.Store(&state)
	n.signer.Finalize(state.Tip().Height, state.Tip().ID)
	r.wallet.final(p.Final.Block.Txs)
	n.hub.final(*p.Final)
	r.worker.hear(*p.Final)
}
