package sim

import (
	"errors"
	"math/rand/v2"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/mempool"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// client is the user of one machine: it submits transactions, one after the
// other, each until the machine has taken it in.
type client struct {
	sim     *Sim
	machine *machine
	rand    *rand.Rand // of its own, so that what it does depends on little else
	nonce   uint64
	left    int
	pending *chain.VerifiedTx // submitted, and not taken in yet
	locks   []cid.Cid         // that it opened, and has not ended

	steps []step // what comes before anything else
	joins int    // JOINs made

	accusations []bft.Evidence
	gaveUp      bool // a JOIN of its own has expired, and what it signed now might wait for that
	holds       bool // a JOIN or KEY_ROTATE of its own is on its way, which may leave no nonce for what comes after it
}

func newClient(s *Sim, m *machine, seed uint64) *client {
	return &client{sim: s, machine: m, rand: rand.New(rand.NewPCG(seed, 0xc11e<<16|uint64(m.index)))}
}

// schedule plans the next submission.
func (c *client) schedule() {
	if c.left > 0 {
		c.sim.World.After(c.sim.World.Between(1, max(c.sim.plan.Faults/atp.Span(c.left), 2)), c.submit)
	}
}

// submit hands a transaction to the machine, again if it was not taken in.
func (c *client) submit() {
	if c.gaveUp || c.left <= 0 && c.pending == nil {
		return
	}
	if c.holds && c.pending == nil {
		c.sim.World.After(300, c.submit)
		return
	}
	if c.pending == nil && c.machine.reads() {
		tx, err := c.next()
		if err != nil {
			c.sim.judge.fail("client %d: %v", c.machine.index, err)
			return
		}
		c.pending = &tx
		c.sim.wish(c.machine, tx)
		c.sim.history.called(c.sim, c.machine, tx.ID())
	}
	c.sim.history.ask(c.sim, c.machine)
	if c.machine.up && c.pending != nil {
		c.machine.feed(replica.Transactions{Txs: []chain.VerifiedTx{*c.pending}, Local: true})
	}
	if c.pending != nil || !c.machine.up {
		waits := c.pending
		c.sim.World.After(c.sim.World.Between(100, 1_000), func() {
			if c.pending == waits { // else it was taken in, and what follows is planned
				c.submit()
			}
		})
	}
}

// next signs what the client does next.
func (c *client) next() (chain.VerifiedTx, error) {
	if a := c.accusation(); a != nil {
		return c.sign(a, 0)
	}
	if len(c.steps) > 0 && !c.dawdles() {
		return c.sign(c.takeStep())
	}
	if !c.sim.plan.Tasks {
		return c.sign(c.action(), 0)
	}
	a, err := c.delegate()
	if err != nil {
		return chain.VerifiedTx{}, err
	}
	return c.sign(a, 0)
}

// verdict takes the machine's answer.
func (c *client) verdict(v replica.Verdict) {
	if c.pending == nil || !v.Local || v.ID != c.pending.ID() {
		return
	}
	if v.Err != nil && !errors.Is(v.Err, mempool.ErrKnown) && !errors.Is(v.Err, mempool.ErrStale) {
		return
	}
	tx := *c.pending
	c.pending = nil
	c.left--
	if tx.Tx().Expires != 0 {
		c.await(tx)
		return
	}
	if _, rotates := tx.Tx().Ops[0].Action.(*chain.KeyRotate); rotates {
		c.awaitKey(tx)
		return
	}
	c.sim.judge.accept(c.machine, v.ID)
	c.schedule()
}

// sign makes the client's next transaction.
func (c *client) sign(a chain.Action, expires atp.Millis) (chain.VerifiedTx, error) {
	tx := chain.Transaction{
		Version: chain.TxVersion, From: atp.ID(c.machine.id()), Nonce: c.nonce, Expires: expires,
		Ops: []chain.Op{{Action: a}},
	}
	c.nonce++
	v, err := chain.SignTx(c.sim.cast.Scheme, c.sim.cast.Genesis, tx, func(message []byte) (bft.Signature, error) {
		return c.machine.key.Sign(message), nil
	})
	if err != nil {
		return v, err
	}
	if _, opens := tx.Ops[0].Action.(*chain.TransferLock); opens {
		id, err := chain.LockID(c.sim.cast.Genesis, tx, 0)
		if err != nil {
			return v, err
		}
		c.locks = append(c.locks, id)
	}
	return v, nil
}

// action draws what to do: pay, lock, or end a lock, of which some end twice.
func (c *client) action() chain.Action {
	r := c.rand
	other := atp.ID(c.sim.cast.Keys[r.IntN(len(c.sim.cast.Keys))].id)
	amount := atp.Amount(1 + r.Uint64N(1_000))
	switch n := r.IntN(10); {
	case n < 4 || n >= 7 && len(c.locks) == 0:
		return &chain.Transfer{To: other, Amount: amount}
	case n < 7:
		deadline := c.now().Add(c.sim.World.Between(1_000, 20_000))
		return &chain.TransferLock{Payee: other, Amount: 1_000 * amount, Deadline: deadline}
	}
	i := r.IntN(len(c.locks))
	lock := c.locks[i]
	if r.IntN(3) > 0 { // else it will be tried again
		c.locks = append(c.locks[:i], c.locks[i+1:]...)
	}
	if r.IntN(2) == 0 {
		return &chain.TransferRollback{Lock: lock}
	}
	return &chain.TransferCommit{Lock: lock}
}
