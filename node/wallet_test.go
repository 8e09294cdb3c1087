package node

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/ipfs/go-cid"
	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/mempool"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/task"
)

// purse is a wallet whose loop is the test.
type purse struct {
	*wallet
	*world
	given  []chain.VerifiedTx
	answer func(chain.VerifiedTx) error // the mempool's
}

func newPurse(t *testing.T) *purse {
	t.Helper()
	p := &purse{world: newWorld(t, 2), answer: func(chain.VerifiedTx) error { return nil }}
	current := make(chan struct{})
	close(current)
	p.wallet = &wallet{
		self: p.all[0].id(), genesis: p.hash, state: func() chain.State { return p.world.state }, current: current,
		ended: make(chan struct{}), sign: p.all[0].sign, known: newKnown(),
		desk: make(chan slip), turn: make(chan struct{}, 1),
		pending: map[uint64]cid.Cid{}, kept: map[cid.Cid]chain.VerifiedTx{}, handed: map[cid.Cid]handedTx{}, hopeless: map[cid.Cid]bool{},
		dropped: map[cid.Cid]chain.VerifiedTx{}, took: newLatencies(),
	}
	p.give = func(in replica.Input) bool {
		for _, tx := range in.(replica.Transactions).Txs {
			p.given = append(p.given, tx)
			p.verdicts([]replica.Verdict{{ID: tx.ID(), Local: true, Err: p.answer(tx)}})
		}
		return true
	}
	ctx, stop := context.WithCancel(t.Context())
	var clerk errgroup.Group
	clerk.Go(func() error { return p.clerk(ctx) })
	t.Cleanup(func() {
		stop()
		_ = clerk.Wait() // it has no errors
	})
	return p
}

func (p *purse) pay(t *testing.T) (chain.VerifiedTx, error) {
	t.Helper()
	return p.submit(t.Context(), &chain.Transfer{To: p.all[1].id(), Amount: 1}, 0)
}

// nonces are those of what was given to the loop.
func (p *purse) nonces() (list []uint64) {
	for _, tx := range p.given {
		list = append(list, tx.Tx().Nonce)
	}
	return list
}

func TestNoncesFollowEachOther(t *testing.T) {
	p := newPurse(t)
	for range 3 {
		if _, err := p.pay(t); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(p.nonces()); got != "[0 1 2]" {
		t.Errorf("nonces = %s", got)
	}
	p.world.state = p.first(p.given...) // all three are final
	if _, err := p.pay(t); err != nil || p.given[3].Tx().Nonce != 3 || len(p.pending) != 1 {
		t.Errorf("the next has nonce %d, %v, with %d pending; want 3 and itself alone", p.given[3].Tx().Nonce, err, len(p.pending))
	}
}

func TestARefusedTransactionLeavesNoGap(t *testing.T) {
	p := newPurse(t)
	p.answer = func(chain.VerifiedTx) error { return mempool.ErrFull }
	if _, err := p.pay(t); err == nil {
		t.Fatal("a full mempool is no error")
	}
	p.answer = func(chain.VerifiedTx) error { return nil }
	if _, err := p.pay(t); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(p.nonces()); got != "[0 0]" {
		t.Errorf("nonces = %s, want the refused one's again", got)
	}
}

func TestANonceWhoseTransactionIsGivenUpIsUsedAgain(t *testing.T) {
	p := newPurse(t)
	expiring, err := p.submit(t.Context(), &chain.Transfer{To: p.all[1].id(), Amount: 1}, epoch+5000)
	if err != nil {
		t.Fatal(err)
	}
	later, err := p.pay(t)
	if err != nil {
		t.Fatal(err)
	}
	locals := []chain.VerifiedTx{expiring, later}
	if dead, alive, err := p.sort(locals, epoch+5000); err != nil || len(dead) != 0 || len(alive) != 2 {
		t.Fatalf("before its end: %v dead, %d alive, %v", dead, len(alive), err)
	}
	long := atp.Millis(epoch+5000).Add(expiryGrace) + 1
	dead, alive, err := p.sort(locals, long)
	if err != nil || len(dead) != 1 || dead[0] != expiring.ID() || len(alive) != 1 {
		t.Fatalf("after its end: %v dead, %d alive, %v, want the expired one dead", dead, len(alive), err)
	}
	if _, ok := p.gaveUp(expiring.ID()); !ok {
		t.Error("nobody can ask any more what became of it")
	}
	trusted := p.current
	p.current = make(chan struct{}) // right after a start the state may be an old one
	if err := p.closeGap(t.Context()); err != nil || len(p.given) != 2 {
		t.Fatalf("in an old state: %v, nonces %v, want nothing made", err, p.nonces())
	}
	p.current = trusted
	for range 2 { // the second time there is none
		if err := p.closeGap(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(p.nonces()); got != "[0 1 0]" {
		t.Errorf("nonces = %s: nothing fills the gap before the one that waits, once", got)
	}
	if _, err := p.pay(t); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(p.nonces()); got != "[0 1 0 2]" {
		t.Errorf("nonces = %s: want the next one behind all", got)
	}
}

func TestATransactionOutrunByItsNonceIsGivenUp(t *testing.T) {
	p := newPurse(t)
	mine, err := p.pay(t)
	if err != nil {
		t.Fatal(err)
	}
	p.world.state = p.first(p.tx(0, 0, func(tx *chain.Transaction) { tx.Expires = epoch + 9000 })) // the same nonce
	dead, _, err := p.sort([]chain.VerifiedTx{mine}, epoch)
	if err != nil || len(dead) != 1 {
		t.Errorf("sort: %v, %v, want it dead", dead, err)
	}
}

func TestAfterARestartTheFirstFreeNonceComesNext(t *testing.T) {
	p := newPurse(t)
	p.resume([]chain.VerifiedTx{p.tx(0, 0, nil), p.tx(0, 2, nil), p.tx(1, 1, nil)})
	for range 2 {
		if _, err := p.pay(t); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(p.nonces()); got != "[1 3]" {
		t.Errorf("nonces = %s, want those that nothing kept has", got)
	}
}

func TestARequestCutShortLeavesItsTransactionPending(t *testing.T) {
	p := newPurse(t)
	ctx, cancel := context.WithCancel(t.Context())
	p.answer = func(chain.VerifiedTx) error { cancel(); return nil } // the client goes while the loop has it
	if _, err := p.submit(ctx, &chain.Transfer{To: p.all[1].id(), Amount: 1}, 0); err != nil {
		t.Errorf("submit: %v, but it is on its way", err)
	}
	if _, err := p.pay(t); err != nil || p.given[1].Tx().Nonce != 1 {
		t.Errorf("the next has nonce %d, %v, want 1", p.given[1].Tx().Nonce, err)
	}
}

func TestKeptTransactionsAreBounded(t *testing.T) {
	p := newPurse(t)
	for i := range maxLocals {
		p.kept[someCID(fmt.Sprint(i))] = chain.VerifiedTx{}
	}
	var no *view.Error
	if _, err := p.pay(t); !errors.As(err, &no) || no.Code != view.CodeFull || !no.Retryable {
		t.Errorf("submit: %v, want full", err)
	}
}

func TestAKeptTransactionThatTheMempoolNeverTakesIsGivenUp(t *testing.T) {
	p := newPurse(t)
	kept := p.tx(0, 0, nil)
	p.resume([]chain.VerifiedTx{kept})
	p.verdicts([]replica.Verdict{{ID: kept.ID(), Local: true, Err: mempool.ErrFull}})
	if dead, _, err := p.sort([]chain.VerifiedTx{kept}, epoch); err != nil || len(dead) != 0 {
		t.Errorf("after ErrFull: %v dead, %v, want it to be tried again", dead, err)
	}
	p.verdicts([]replica.Verdict{{ID: kept.ID(), Local: true, Err: mempool.ErrUnderpriced}})
	if dead, _, err := p.sort([]chain.VerifiedTx{kept}, epoch); err != nil || len(dead) != 1 {
		t.Errorf("after ErrUnderpriced: %v dead, %v, want it given up", dead, err)
	}
}

func TestWhatTheMempoolSaysIsSaidToTheUser(t *testing.T) {
	broken := errors.New("the disk")
	for _, tt := range []struct {
		err       error
		code      view.Code // "" if it is no refusal
		retryable bool
	}{
		{nil, "", false},
		{mempool.ErrKnown, "", false},
		{mempool.ErrFull, view.CodeFull, true},
		{mempool.ErrAhead, view.CodeFull, true},
		{mempool.ErrFunds, view.CodeInsufficient, false},
		{mempool.ErrStale, view.CodeRefused, false},
		{mempool.ErrUnderpriced, view.CodeRefused, false},
		{chain.ErrLimit, view.CodeRefused, false},
		{atp.ErrInsufficient, view.CodeInsufficient, false},
		{task.ErrClass, view.CodeUnsupported, false},
		{broken, "", false},
	} {
		t.Run(fmt.Sprint(tt.err), func(t *testing.T) {
			var wrapped error
			if tt.err != nil {
				wrapped = fmt.Errorf("%w: with its figures", tt.err)
			}
			got := pooled(wrapped)
			var no *view.Error
			switch {
			case tt.err == broken:
				if errors.As(got, &no) || !errors.Is(got, broken) {
					t.Errorf("pooled = %v, want our own fault as it is", got)
				}
			case tt.code == "":
				if got != nil {
					t.Errorf("pooled = %v, want nil", got)
				}
			case !errors.As(got, &no) || no.Code != tt.code || no.Retryable != tt.retryable:
				t.Errorf("pooled = %+v, want %s, retryable %v", got, tt.code, tt.retryable)
			}
		})
	}
}
