package node_test

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	coin "github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// beyond is more blocks than one request brings.
const beyond = replica.MaxRange + 8

func TestALateObserverCatchesUpToTheSameState(t *testing.T) {
	t.Parallel()
	all := federation(t, 4)
	payee := all[2].id(t)
	all[1].pays(t, payee, beyond)
	where := all[3].wait(t, "listening", listening).Listen
	observer := up(t, "observer", func(c *node.Config) { c.Bootstrap, c.Observer = where, true })
	want := agree(t, append(all, observer)...)
	if want.Height < beyond {
		t.Fatalf("they agree at height %d, want at least %d", want.Height, beyond)
	}
	s := observer.wait(t, "connected with every validator", func(s view.Status) bool { return s.Peers == 4 })
	if s.Validator || s.Genesis != want.Genesis || s.Syncing {
		t.Errorf("validator %v, genesis %s, syncing %v; want an observer of %s", s.Validator, s.Genesis, s.Syncing, want.Genesis)
	}
	b, err := observer.BlockAt(t.Context(), beyond)
	if err != nil || len(b.Certificate.Signers) < 3 {
		t.Errorf("block %d is certified by %v, %v, want three at least", beyond, b.Certificate.Signers, err)
	}
	for range 3 { // it hears of blocks as they come
		all[1].pays(t, payee, 1)
		agree(t, append(all, observer)...)
	}
	observer.end(t)
	all[1].pays(t, payee, 1)
	agree(t, append(all, observer.again(t))...)
}

// A newcomer to a federation in which nothing moves is at its head without anybody
// making a block, and does not call itself ready on the way there.
func TestANewcomerToAnIdleFederationIsNotReadyBeforeItsHead(t *testing.T) {
	t.Parallel()
	all := federation(t, 4)
	all[1].pays(t, all[2].id(t), 52)
	head := agree(t, all...)
	where := all[0].wait(t, "listening", listening).Listen
	for i := range 3 {
		newcomer := up(t, fmt.Sprintf("newcomer-%d", i), func(c *node.Config) { c.Bootstrap, c.Observer = where, true })
		newcomer.wait(t, "at the head", func(s view.Status) bool {
			if s.Ready() && s.Peers > 0 && 0 < s.Height && s.Height < head.Height {
				t.Fatalf("at height %d of %d it calls itself ready", s.Height, head.Height)
			}
			return s.Height == head.Height && s.Ready()
		})
	}
	if s := agree(t, all...); s.Height != head.Height {
		t.Errorf("height %d, want that nobody makes a block above %d", s.Height, head.Height)
	}
}

func TestAPlatformThatWasOffCatchesUpAndVotes(t *testing.T) {
	t.Parallel()
	all := federation(t, 4)
	payee := all[2].id(t)
	all[1].pays(t, payee, 1)
	all[3].end(t)
	all[1].pays(t, payee, beyond)
	all[3] = all[3].again(t)
	agree(t, all...)
	all[0].end(t) // three are left, and all of them are needed
	all[1].pays(t, payee, 3)
	agree(t, all[1:]...)
}

func TestAPlatformWhoseStoreIsLostStartsAnewFromItsPeers(t *testing.T) {
	all := federation(t, 4)
	payee, payer := all[2].id(t), all[3].id(t)
	all[3].pays(t, payee, 3)
	agree(t, all...)
	all[3].end(t)
	tables, err := filepath.Glob(filepath.Join(all[3].cfg.Home, "store", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables of the store: %v, %v", tables, err)
	}
	if err := os.Remove(tables[0]); err != nil {
		t.Fatal(err)
	}
	all[3] = all[3].again(t)
	var sub view.Submission
	all[3].wait(t, "able to pay", func(view.Status) bool { // at once: its state may still be the genesis
		sub, err = all[3].Transfer(t.Context(), payee, atp)
		return err == nil
	})
	all[3].wait(t, "sure of its payment", func(view.Status) bool {
		tx, err := all[3].Tx(t.Context(), sub.TxID)
		if err == nil && tx.State == view.TxExpired {
			t.Fatal("its payment had a nonce of long ago")
		}
		return err == nil && tx.State == view.TxFinal && tx.OK
	})
	agree(t, all...)
	if aside, err := filepath.Glob(filepath.Join(all[3].cfg.Home, "store.corrupt-*")); err != nil || len(aside) != 1 {
		t.Errorf("set aside: %v, %v, want the damaged store", aside, err)
	}
	all[0].end(t)
	all[3].pays(t, payee, 2)
	for _, p := range agreeAll(t, all[1:]) {
		if got := p.has(t, payer); got != 894*atp {
			t.Errorf("%s says that it has %d µATP, want 894 ATP", p.cfg.Name, got)
		}
	}
}

func agreeAll(t *testing.T, all []*platform) []*platform {
	t.Helper()
	agree(t, all...)
	return all
}

func TestAnUnconfirmedTransactionSurvivesARestart(t *testing.T) {
	all := federation(t, 4)
	payee, payer := all[0].id(t), all[1].id(t)
	all[1].pays(t, payee, 1)
	for _, i := range []int{2, 3} { // two are no quorum
		all[i].end(t)
	}
	var subs []view.Submission
	for range 2 {
		sub, err := all[1].Transfer(t.Context(), payee, 5*atp)
		if err != nil {
			t.Fatal(err)
		}
		subs = append(subs, sub)
	}
	if tx, err := all[1].Tx(t.Context(), subs[1].TxID); err != nil || tx.State != view.TxPending {
		t.Fatalf("without a quorum it is %s, %v, want pending", tx.State, err)
	}
	task := someBlock()
	if _, err := all[1].Do(t.Context(), &chain.TaskAccept{Task: task, Bond: 1}); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{1, 0} {
		all[i].end(t)
	}
	all[1] = all[1].again(t)
	all[1].wait(t, "aware of what is not final", func(view.Status) bool { return all[1].Pending() == 3 })
	for of, want := range map[cid.Cid]bool{task: true, subs[0].TxID.Cid: false} {
		if got, err := all[1].PendingAcceptance(of); err != nil || got != want {
			t.Errorf("an acceptance of %s waits: %v, %v, want %v", of, got, err, want)
		}
	}
	for _, i := range []int{0, 2, 3} {
		all[i] = all[i].again(t)
	}
	for _, p := range all {
		p.wait(t, "paid", func(view.Status) bool { return p.has(t, payee) == 911*atp })
	}
	all[1].pays(t, payee, 1) // and its nonces go on
	for _, p := range agreeAll(t, all) {
		if got := p.has(t, payer); got != 888*atp {
			t.Errorf("%s says that the payer has %d µATP, want each paid once", p.cfg.Name, got)
		}
	}
}

// A transaction from elsewhere whose turn never comes is given up when its time
// has passed, and whoever asks is told so.
func TestATransactionThatNoBlockCouldHoldIsGivenUp(t *testing.T) {
	t.Parallel() // it waits for a round of the journal
	p := up(t, "alone", func(*node.Config) {})
	p.wait(t, "in its own federation", func(s view.Status) bool { return s.Validators == 1 && p.Current() })
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key := signer.NewKey(private)
	p.pays(t, key.ID().ID, 1)
	tx, err := chain.SignTx(bft.ZIP215{}, bft.GenesisHash(p.Host().Genesis()), chain.Transaction{
		Version: chain.TxVersion, From: coin.ID(key.ID()), Nonce: 5, Expires: coin.Millis(time.Now().Add(time.Second).UnixMilli()),
		Ops: []chain.Op{{Action: &chain.Transfer{To: coin.ID{ID: p.id(t)}, Amount: 1}}},
	}, func(m []byte) (bft.Signature, error) { return key.Sign(m), nil })
	if err != nil {
		t.Fatal(err)
	}
	sub, err := p.SubmitTx(t.Context(), tx.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	p.wait(t, "past its time", func(view.Status) bool {
		v, err := p.Tx(t.Context(), sub.TxID)
		if err != nil || v.State == view.TxFinal {
			t.Fatalf("it is %s, %v", v.State, err)
		}
		if v.State == view.TxPending && p.Pending() == 1 {
			p.pays(t, key.ID().ID, 1) // time goes on by blocks alone
		}
		return v.State == view.TxExpired
	})
	p.wait(t, "keeping none", func(view.Status) bool { return p.Pending() == 0 })
}
