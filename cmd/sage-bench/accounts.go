package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// account sends transfers, one after the other.
type account struct {
	id     atp.ID
	key    ed25519.PrivateKey
	signed []transfer // not sent yet, by nonce
}

// transfer is a signed transaction.
type transfer struct {
	id  string // CID
	raw []byte
}

// newAccounts makes accounts whose keys follow from a seed.
func newAccounts(seed uint64, n int) []*account {
	list := make([]*account, n)
	for i := range list {
		text := binary.BigEndian.AppendUint64([]byte("sage-bench account"), seed)
		s := sha256.Sum256(binary.BigEndian.AppendUint64(text, uint64(i)))
		key := ed25519.NewKeyFromSeed(s[:])
		list[i] = &account{id: atp.IDFromKey([32]byte(key.Public().(ed25519.PublicKey))), key: key}
	}
	return list
}

// signTransfers gives every account so many transfers, of 1 µATP each to the
// next account.
func signTransfers(genesis bft.GenesisHash, accounts []*account, each int) error {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, a := range accounts {
		to := accounts[(i+1)%len(accounts)].id
		g.Go(func() error { return a.sign(genesis, to, each) })
	}
	return g.Wait()
}

func (a *account) sign(genesis bft.GenesisHash, to atp.ID, n int) error {
	sign := func(message []byte) (s bft.Signature, err error) {
		copy(s[:], ed25519.Sign(a.key, message))
		return s, nil
	}
	for nonce := range uint64(n) {
		tx, err := chain.SignTx(bft.ZIP215{}, genesis, chain.Transaction{
			Version: chain.TxVersion, From: a.id, Nonce: nonce, Ops: []chain.Op{{Action: &chain.Transfer{To: to, Amount: 1}}},
		}, sign)
		if err != nil {
			return err
		}
		a.signed = append(a.signed, transfer{tx.ID().String(), tx.Bytes()})
	}
	return nil
}
