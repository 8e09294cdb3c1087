package sim

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// nextKey is the key that a machine takes next: always the same.
func (m *machine) nextKey() Key { return m.sim.cast.later(m.index, len(m.former)+1) }

// later returns the key that a machine takes so many keys later.
func (c *Cast) later(index, after int) Key {
	turn := keyTurn{index, after}
	key, known := c.laters[turn]
	if !known {
		seed := sha256.Sum256(fmt.Appendf(nil, "sim %d, key %d", index, after))
		private := ed25519.NewKeyFromSeed(seed[:])
		key = Key{bft.IDFromKey([32]byte(private[32:])), private, c.beacons.real}
		c.laters[turn] = key
	}
	return key
}

// had reports whether a key was the machine's before.
func (m *machine) had(id bft.ID) bool {
	return slices.ContainsFunc(m.former, func(k Key) bool { return k.id == id })
}

// rotation is the KEY_ROTATE of the client's machine.
func (c *client) rotation() *chain.KeyRotate {
	old, next := atp.ID(c.machine.id()), c.machine.nextKey()
	c.holds = true
	return &chain.KeyRotate{
		To:        atp.ID(next.id),
		Signature: chain.FounderSignature(next.Sign(chain.RotationBytes(c.sim.cast.Genesis, old, atp.ID(next.id)))),
	}
}

// dawdles reports whether the client does something else before it takes another
// key: it may have locks open then.
func (c *client) dawdles() bool {
	return c.steps[0] == stepRotate && c.left > len(c.steps) && c.sim.World.Chance(60)
}

// awaitKey watches a KEY_ROTATE that was taken in, until the machine has the new
// key or is refused.
func (c *client) awaitKey(tx chain.VerifiedTx) {
	if bft.ID(tx.Tx().From) != c.machine.id() {
		return // it has gone over
	}
	if c.machine.reads() {
		account, err := c.machine.replica.State().Account(tx.Tx().From)
		now, e := c.machine.replica.State().Newest(tx.Tx().From)
		switch {
		case err != nil || e != nil:
			c.sim.judge.fail("client %d: %v, %v", c.machine.index, err, e)
			return
		case account.Nonce > tx.Tx().Nonce && now == tx.Tx().From:
			c.holds = false
			c.sim.judge.accept(c.machine, tx.ID())
			c.schedule()
			return
		}
	}
	c.sim.World.After(300, func() { c.awaitKey(tx) })
}

// goOver gives a machine its next key, with an empty record, if the chain on its
// disk has that in place of the one before. The others lose the peer that it was.
// If it ends before the record is on disk, it goes over at its next start.
func (m *machine) goOver() error {
	state, ok := m.stored()
	if !ok {
		return nil
	}
	now, err := state.Newest(atp.ID(m.id()))
	next := m.nextKey()
	if err != nil || bft.ID(now) != next.id {
		return nil
	}
	file := newFile(signer.FileSize, &m.disk)
	k, err := signer.Format(next, file)
	if err == nil {
		err = k.Bind(m.sim.cast.Genesis)
	}
	if err != nil {
		return fmt.Errorf("a record for its new key: %w", err)
	}
	for _, other := range m.sim.machines {
		if other != m && other.up && m.sim.net.links[other.index][m.index] {
			m.sim.net.links[other.index][m.index] = false
			other.feed(replica.Disconnected{Peer: m.id()})
		}
	}
	m.former, m.key = append(m.former, m.key), next
	m.file, m.mute, m.images, m.pending = file, "", nil, nil
	clear(m.sim.judge.said[m.index]) // by the key before
	m.sim.backUpAgain(m)
	m.sim.judge.seen["a new key"]++
	m.sim.happens(m, "has a new key, and signs with that from now on")
	c := m.sim.clients[m.index]
	c.haunt(m.former[len(m.former)-1])
	c.nonce, c.pending, c.holds, c.gaveUp = 0, nil, false, false
	c.schedule()
	return nil
}

// haunt has somebody who has an old key of the client's spend with it, as soon as
// the machine is up.
func (c *client) haunt(old Key) {
	tx, err := chain.SignTx(c.sim.cast.Scheme, c.sim.cast.Genesis, chain.Transaction{
		Version: chain.TxVersion, From: atp.ID(old.id), Nonce: c.nonce,
		Ops: []chain.Op{{Action: &chain.ValidatorLeave{}}},
	}, func(message []byte) (bft.Signature, error) { return old.Sign(message), nil })
	if err != nil {
		c.sim.judge.fail("client %d: %v", c.machine.index, err)
		return
	}
	c.machine.sim.World.After(100, func() {
		if c.machine.up {
			c.machine.feed(replica.Transactions{From: c.machine.id(), Txs: []chain.VerifiedTx{tx}})
		}
	})
}

// stored returns the state after the head on the machine's disk.
func (m *machine) stored() (chain.State, bool) {
	h := m.store.height()
	if h == 0 {
		return chain.State{}, false
	}
	head, _ := m.store.at(h)
	tip, err := head.Header.Tip()
	if err != nil {
		return chain.State{}, false
	}
	state, err := chain.OpenState(m.store, head.Header.StateRoot, tip)
	return state, err == nil
}

// attend does what the node does about its own membership when something is
// published: it goes over to its new key, tells of evidence, and says that it is
// alive when the others miss it.
func (m *machine) attend(p replica.Publish) {
	c := m.sim.clients[m.index]
	if m.correct() {
		c.accuse(p.Evidence)
	}
	if p.Final == nil {
		return
	}
	self, state := atp.ID(m.id()), m.replica.State()
	if now, err := state.Newest(self); err == nil && now != self {
		m.later(1, m.beginAnew)
		return
	}
	a, missing, err := state.Absence(self)
	if err == nil && missing && a.Blocks(state.Tip().Height) == brisk().AbsentBlocks/2 && m.sim.plan.Joins {
		c.steps, c.left = append([]step{stepJoin}, c.steps...), c.left+1
		c.schedule()
	}
}

// beginAnew restarts a machine that has another key, once it need not tell an old
// image what it knows.
func (m *machine) beginAnew() {
	if m.sim.watches(m) {
		m.later(100, m.beginAnew)
		return
	}
	m.crash()
	m.boot1()
}

// accuse plans to submit evidence.
func (c *client) accuse(list []bft.Evidence) {
	for _, e := range list {
		c.accusations, c.left = append(c.accusations, e), c.left+1
		c.schedule()
	}
}

// accusation returns an EVIDENCE that would punish somebody, if there is one.
func (c *client) accusation() chain.Action {
	for len(c.accusations) > 0 {
		e := c.accusations[0]
		c.accusations = c.accusations[1:]
		if punishes, err := c.machine.replica.State().Punishes(e); err == nil && punishes {
			return &chain.Evidence{Pair: e}
		}
	}
	return nil
}
