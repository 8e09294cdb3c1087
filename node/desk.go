package node

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// slip is a transaction handed in here: verified if we made it, else as a user
// signed it.
type slip struct {
	signed   chain.Transaction
	verified chain.VerifiedTx // zero: the signature is to be checked
	verdict  chan error       // has room for the one verdict
}

// maxTogether bounds the transactions that the loop is given at once.
const maxTogether = 256

// clerk gives the loop what users hand in, until ctx ends. Whatever waits, while
// the loop is busy with what came before, goes together: its signatures are
// checked in one batch, and one sync makes it durable.
func (w *wallet) clerk(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case first := <-w.desk:
			w.process(gather(first, w.desk, maxTogether))
		}
	}
}

// gather returns first and what others are ready to send on c, at most so many.
func gather[T any](first T, c <-chan T, most int) []T {
	all := []T{first}
	for len(all) < most {
		select {
		case next := <-c:
			all = append(all, next)
		default:
			return all
		}
	}
	return all
}

// process gives the loop those of the transactions that it may judge.
func (w *wallet) process(list []slip) {
	w.check(list)
	var batch []chain.VerifiedTx
	for _, s := range list {
		if s.verified.IsZero() {
			continue
		}
		if err := w.expect(s.verified, s.verdict); err != nil {
			s.verdict <- err
			continue
		}
		batch = append(batch, s.verified)
	}
	if len(batch) > 0 {
		w.known.add(batch...)
		w.give(replica.Transactions{Txs: batch, Local: true}) // if it has ended, everyone who waits sees that
	}
}

// check checks the signatures of those that users have signed. Who handed in one
// that does not hold is told so.
func (w *wallet) check(list []slip) {
	var txs []chain.Transaction
	var of []int
	for i, s := range list {
		if s.verified.IsZero() {
			txs, of = append(txs, s.signed), append(of, i)
		}
	}
	verified, errs := chain.VerifyTxs(bft.ZIP215{}, rand.Reader, w.genesis, txs)
	for k, i := range of {
		if list[i].verified = verified[k]; errs[k] != nil {
			list[i].verdict <- &view.Error{Code: view.CodeInvalid, Message: errs[k].Error(), Hint: fmt.Sprintf("sign it for the genesis %s", w.genesis)}
		}
	}
}

// hand hands a transaction in and returns the mempool's verdict. Once the clerk
// has it, it is out of our hands: whatever becomes of ctx, the verdict is
// awaited, so that nobody is told that what is on its way is not.
func (w *wallet) hand(ctx context.Context, s slip) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.verdict = make(chan error, 1)
	select {
	case w.desk <- s:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.ended:
		return errStopping()
	}
	select {
	case err := <-s.verdict:
		return pooled(err)
	case <-w.ended:
		return errStopping()
	}
}
