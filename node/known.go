package node

import (
	"sync"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/chain"
)

// known remembers transactions whose signatures hold, so that one that comes
// again, gossiped, shared by those that are stuck or sent to wear us out, is
// not checked again. The oldest half is forgotten when there are too many.
type known struct {
	mu         sync.Mutex
	young, old map[cid.Cid]chain.VerifiedTx // guarded by mu: by address
	bytes      int                          // guarded by mu: of young
}

// maxKnownBytes bounds each half of what is remembered.
const maxKnownBytes = 4 << 20

func newKnown() *known { return &known{young: map[cid.Cid]chain.VerifiedTx{}} }

// get returns the transaction with an address, if it is remembered.
func (k *known) get(address cid.Cid) (chain.VerifiedTx, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if tx, ok := k.young[address]; ok {
		return tx, true
	}
	tx, ok := k.old[address]
	return tx, ok
}

// add remembers transactions.
func (k *known) add(txs ...chain.VerifiedTx) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, tx := range txs {
		if size := len(tx.Bytes()); k.bytes+size > maxKnownBytes {
			k.young, k.old, k.bytes = map[cid.Cid]chain.VerifiedTx{}, k.young, 0
		}
		k.young[tx.Address()] = tx
		k.bytes += len(tx.Bytes())
	}
}
