package node

import (
	"io"

	"github.com/multiformats/go-varint"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// messageSlot names what a newer message of the same kind replaces in a peer's
// outbox: of each kind only the newest is worth delivering late.
func messageSlot(m bft.Message) p2p.Slot { return p2p.Slot(m.Position().Kind) }

// bundleSlot is the first of those for transactions sent to one peer, which is
// told our work again and again until it is final.
const bundleSlot p2p.Slot = 32

// maxBundles bounds the frames in which transactions are sent to one peer. What
// does not fit goes once some of it is final.
const maxBundles = 16

// bundles packs transactions as [p2p.Batcher] packs those that are gossiped:
// each with its length before it, in as few frames as their bounds allow.
func bundles(txs []chain.VerifiedTx) [][]byte {
	var all [][]byte
	var b []byte
	items := 0
	for _, tx := range txs {
		head := varint.ToUvarint(uint64(len(tx.Bytes())))
		if items == p2p.MaxBatchItems || len(b)+len(head)+len(tx.Bytes()) > p2p.MaxBatchBytes {
			all, b, items = append(all, b), nil, 0
		}
		b = append(append(b, head...), tx.Bytes()...)
		items++
	}
	if items > 0 {
		all = append(all, b)
	}
	return all[:min(len(all), maxBundles)]
}

// unbundle reads the transactions of a bundle: those that are known, and those
// that have still to be verified. Each must be one that a block of a chain with
// these parameters could hold.
func unbundle(raw []byte, p chain.Params, k *known) (old []chain.VerifiedTx, fresh []chain.Transaction, err error) {
	items, err := p2p.SplitBatch(raw)
	if err != nil {
		return nil, nil, err
	}
	for _, item := range items {
		if tx, ok := k.get(atp.Sum(item)); ok {
			old = append(old, tx)
			continue
		}
		tx, err := wire.DecodeTx(item, p)
		if err != nil {
			return nil, nil, err
		}
		fresh = append(fresh, tx)
	}
	return old, fresh, nil
}

// maxAskTxs is how many transactions one question asks for: what fits into
// wire.MaxQuestion.
const maxAskTxs = 1500

// question returns what a fetch asks for.
func question(w replica.Want) wire.Question {
	q := wire.Question{Txs: w.Txs[:min(len(w.Txs), maxAskTxs)], From: w.Range.From, To: w.Range.To}
	if w.Block.Defined() {
		q.Block = &w.Block
	}
	return q
}

// verify checks the signatures of transactions as they came. All must hold.
func verify(genesis bft.GenesisHash, entropy io.Reader, txs []chain.Transaction) ([]chain.VerifiedTx, error) {
	verified, errs := chain.VerifyTxs(bft.ZIP215{}, entropy, genesis, txs)
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return verified, nil
}
