package main

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// purse is an account that is no platform's. It signs what a platform's own
// wallet refuses to, so that it is the chain that must refuse it.
type purse struct {
	key     ed25519.PrivateKey
	id      peer.ID
	genesis bft.GenesisHash
}

// newPurse makes a key for the chain of a genesis, given in hexadecimal.
func newPurse(genesis string) (*purse, error) {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	known, err := crypto.UnmarshalEd25519PublicKey(public)
	if err != nil {
		return nil, err
	}
	p := &purse{key: key}
	if p.id, err = peer.IDFromPublicKey(known); err != nil {
		return nil, err
	}
	hash, err := hex.DecodeString(genesis)
	if err != nil || len(hash) != len(p.genesis) {
		return nil, fmt.Errorf("%q is no genesis hash", genesis)
	}
	copy(p.genesis[:], hash)
	return p, nil
}

// sign makes a transaction with one operation.
func (p *purse) sign(nonce uint64, a chain.Action) (chain.VerifiedTx, error) {
	from, err := atp.IDFromPeer(p.id)
	if err != nil {
		return chain.VerifiedTx{}, err
	}
	return chain.SignTx(bft.ZIP215{}, p.genesis, chain.Transaction{
		Version: chain.TxVersion, From: from, Nonce: nonce, Ops: []chain.Op{{Action: a}},
	}, func(message []byte) (bft.Signature, error) {
		return bft.Signature(ed25519.Sign(p.key, message)), nil
	})
}

// commitTwice has a lock committed twice by its own payer: both commits are
// signed while the lock is open, and go into blocks.
func (d *demo) commitTwice(ctx context.Context) error {
	alpha, beta, gamma := d.platforms[0], d.platforms[1], d.platforms[2]
	before, err := d.books(ctx)
	if err != nil {
		return err
	}
	lock, payer, err := d.lockByPurse(ctx)
	if err != nil {
		return err
	}
	first, err := payer.sign(1, &chain.TransferCommit{Lock: lock.Cid})
	if err != nil {
		return err
	}
	second, err := payer.sign(2, &chain.TransferCommit{Lock: lock.Cid})
	if err != nil {
		return err
	}
	// The second goes first: it has to wait for the first, so that neither is
	// settled when the other is taken.
	if _, err := beta.node.SubmitTx(ctx, second.Bytes()); err != nil {
		return err
	}
	if _, err := alpha.node.SubmitTx(ctx, first.Bytes()); err != nil {
		return err
	}
	if _, err := beta.node.WaitTx(ctx, view.CID{Cid: second.ID()}); err != nil {
		return err
	}
	after, err := d.books(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(moved(before, after, alpha.name, -int64(demoLock)), moved(before, after, gamma.name, int64(demoLock))); err != nil {
		return err
	}
	d.say("alpha gives %s to an account that is no platform. It locks them for gamma, and signs two commits of the one lock: "+
		"one is given to alpha, the other to beta. The chain takes both, and the second is refused by all four; gamma was paid once:", coins(demoLock))
	return d.printCommits(ctx, lock, view.CID{Cid: first.ID()}, view.CID{Cid: second.ID()})
}

// lockByPurse has a new account lock what alpha pays it.
func (d *demo) lockByPurse(ctx context.Context) (lock view.CID, payer *purse, err error) {
	alpha, gamma := d.platforms[0], d.platforms[2]
	st, err := alpha.node.Status(ctx)
	if err != nil {
		return view.CID{}, nil, err
	}
	if payer, err = newPurse(st.Genesis); err != nil {
		return view.CID{}, nil, err
	}
	gift, err := alpha.node.Transfer(ctx, view.Transfer{To: payer.id.String(), AmountUATP: demoLock, New: true})
	if _, err := alpha.final(ctx, gift, err); err != nil {
		return view.CID{}, nil, err
	}
	payee, err := atp.IDFromPeer(gamma.id)
	if err != nil {
		return view.CID{}, nil, err
	}
	tx, err := payer.sign(0, &chain.TransferLock{Payee: payee, Amount: demoLock, Deadline: st.FinalTimeMS + 600_000})
	if err != nil {
		return view.CID{}, nil, err
	}
	sub, err := alpha.node.SubmitTx(ctx, tx.Bytes())
	if _, err := alpha.final(ctx, sub, err); err != nil {
		return view.CID{}, nil, err
	}
	id, err := chain.LockID(payer.genesis, tx.Tx(), 0)
	return view.CID{Cid: id}, payer, err
}

// printCommits prints the receipts of two commits of a lock as each platform
// has them, and checks that they are the same.
func (d *demo) printCommits(ctx context.Context, lock, first, second view.CID) error {
	var all [][2]view.Tx
	for _, a := range d.platforms {
		one, err := a.node.Tx(ctx, first.String())
		if err != nil {
			return err
		}
		two, err := a.node.Tx(ctx, second.String())
		if err != nil {
			return err
		}
		all = append(all, [2]view.Tx{one, two})
		if !one.OK || two.OK || two.State != view.TxFinal || two.Error == "" {
			return fmt.Errorf("on %s the first commit is %s, and the second is %s", a.name, result(one), result(two))
		}
		if one.Block != all[0][0].Block || two.Block != all[0][1].Block || two.Error != all[0][1].Error {
			return fmt.Errorf("the receipts of %s and %s differ", d.platforms[0].name, a.name)
		}
	}
	table(d.out, "PLATFORM|FIRST COMMIT|SECOND COMMIT", func(row func(...any)) {
		for i, a := range d.platforms {
			one, two := all[i][0], all[i][1]
			refusal := strings.TrimSuffix(result(two), ": "+lock.String())
			row(a.name, fmt.Sprintf("block %d: %s", one.Height, result(one)), fmt.Sprintf("block %d: %s", two.Height, refusal))
		}
	})
	return nil
}
