package sim

import (
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// packer puts a transaction into its blocks that no block may hold: one that is
// final already, one twice, one that nobody signed, one that cannot pay, one that
// has expired. It serves them, so that the others find out by themselves.
type packer struct {
	stuffer
	made drafts
}

// Send implements [Behaviour].
func (p *packer) Send(from, _ *machine, m bft.Message) []bft.Message {
	return p.made.speak(from, m, &p.honest, func(proposal *bft.Proposal) draft {
		body, ok := free(from, proposal)
		if !ok {
			return draft{}
		}
		more, how := p.bad(from, body)
		return draft{p.stuff(from, proposal, body, more), "with a transaction " + how}
	})
}

// bad returns what does not belong into a block after those it has, and why.
func (p *packer) bad(from *machine, body chain.Block) ([]chain.Transaction, string) {
	own := transfer(from, nextNonce(from, from, body))
	switch from.sim.World.Rand.IntN(5) {
	case 0:
		for _, f := range slices.Backward(from.store.finals) {
			if len(f.Block.Txs) > 0 {
				return f.Block.Body().Txs, "that is final already"
			}
		}
	case 1:
		if len(body.Txs) > 0 {
			return body.Body().Txs[:1], "that is in it already"
		}
	case 2:
		victim := from.sim.machines[(from.index+1)%len(from.sim.machines)]
		theft := transfer(victim, nextNonce(from, victim, body)) // the key is not used, only the name
		theft.Signature = bft.Signature{1}
		return []chain.Transaction{theft}, fmt.Sprintf("that %d never signed", victim.index)
	case 3:
		own.Expires = from.clock() - 1
		return []chain.Transaction{signed(from, own)}, "that has expired"
	}
	own.Fee = 1 << 60
	return []chain.Transaction{signed(from, own)}, "that nobody can pay"
}

// stuffer is an adversary that proposes blocks nobody may accept, and serves what
// is in them.
type stuffer struct {
	honest
	served map[cid.Cid]chain.Transaction // by address
}

// stuff proposes in the place of p a block with more transactions. If it can be
// executed (it should not), it is as it should be; else its header claims what the
// block without them gives.
func (s *stuffer) stuff(from *machine, p *bft.Proposal, body chain.Block, more []chain.Transaction) *bft.Proposal {
	if len(more) == 0 {
		return nil
	}
	verified, errs := chain.VerifyTxs(from.sim.cast.Scheme, nil, from.sim.cast.Genesis, more)
	all := slices.Clone(body.Txs)
	addresses := body.Outline().Txs
	for i, tx := range more {
		if errs[i] == nil {
			all = append(all, verified[i])
		}
		raw, err := atp.Encode(&tx)
		if err != nil {
			return nil
		}
		address := atp.Sum(raw)
		if s.served == nil {
			s.served = make(map[cid.Cid]chain.Transaction)
		}
		s.served[address], addresses = tx, append(addresses, address)
	}
	h := body.Header
	if block, _, err := chain.Assemble(from.replica.State(), h, all); err == nil && len(block.Txs) == len(addresses) {
		return repropose(from, p, block, p.TC)
	}
	var err error
	if h.BodyRoot, err = chain.BodyRoot(addresses); err != nil {
		return nil
	}
	return promise(from, p, chain.Outline{Header: h, Txs: addresses}, p.TC)
}

// Reply implements [garbler].
func (s *stuffer) Reply(_ *machine, w replica.Want, r wire.Reply) []byte {
	for _, address := range w.Txs {
		if tx, ok := s.served[address]; ok {
			r.Txs = append(r.Txs, tx)
		}
	}
	return encoded(r)
}

// nextNonce is that of a machine's next transaction after those of a block, as
// another sees it.
func nextNonce(at, of *machine, after chain.Block) uint64 {
	account, err := at.replica.State().Account(atp.ID(of.id()))
	if err != nil {
		return 0
	}
	n := account.Nonce
	for _, tx := range after.Txs {
		if tx.Tx().From == atp.ID(of.id()) {
			n++
		}
	}
	return n
}

// transfer is one that is not signed yet.
func transfer(from *machine, nonce uint64) chain.Transaction {
	to := from.sim.machines[(from.index+1)%len(from.sim.machines)]
	return chain.Transaction{
		Version: chain.TxVersion, From: atp.ID(from.id()), Nonce: nonce,
		Ops: []chain.Op{{Action: &chain.Transfer{To: atp.ID(to.id()), Amount: 1}}},
	}
}

// signed signs a transaction for this chain.
func signed(by *machine, tx chain.Transaction) chain.Transaction {
	id, err := tx.ID()
	if err == nil {
		tx.Signature = by.key.Sign(chain.SigningBytes(by.sim.cast.Genesis, id))
	}
	return tx
}
