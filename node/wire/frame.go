package wire

import (
	"fmt"
	"io"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
)

// The kinds of frames on /sage/bft/1, by their first byte.
const (
	FrameMessage byte = 1 // a bft.Message follows
	FrameBundle  byte = 2 // transactions follow, each with its length before it
)

// MessageFrame returns m as a frame.
func MessageFrame(m bft.Message) []byte { return append([]byte{FrameMessage}, bft.Encode(m)...) }

// OpenFrame returns the message in a frame or, where it holds transactions
// instead, no message and what follows the first byte.
func OpenFrame(frame []byte) (m bft.Message, bundle []byte, err error) {
	if len(frame) == 0 {
		return nil, nil, fmt.Errorf("%w: empty frame", ErrMalformed)
	}
	switch frame[0] {
	case FrameMessage:
		m, err = bft.Decode(frame[1:])
		return m, nil, err
	case FrameBundle:
		return nil, frame[1:], nil
	}
	return nil, nil, fmt.Errorf("%w: frame of kind %d", ErrMalformed, frame[0])
}

// DecodeTx reads a transaction that somebody passes on. It must be one that a
// block of a chain with these parameters could hold.
func DecodeTx(raw []byte, p chain.Params) (chain.Transaction, error) {
	tx, err := chain.DecodeTx(raw)
	switch {
	case err != nil:
		return chain.Transaction{}, err
	case uint64(len(raw)) > p.Limits.TxBytes || uint64(len(tx.Ops)) > p.Limits.Ops:
		return chain.Transaction{}, fmt.Errorf("%w: transaction: have %d bytes and %d operations, want at most %d and %d",
			chain.ErrLimit, len(raw), len(tx.Ops), p.Limits.TxBytes, p.Limits.Ops)
	case tx.Fee < p.MinFee:
		return chain.Transaction{}, fmt.Errorf("%w: transaction: fee: have %s ATP, want at least %s ATP", chain.ErrLimit, tx.Fee, p.MinFee)
	}
	return tx, nil
}

// DecodeReply reads what a peer answers.
func DecodeReply(raw []byte) (Reply, error) {
	var r Reply
	if err := Decode(raw, MaxReply, &r); err != nil {
		return Reply{}, err
	}
	return r, nil
}

// Verify checks all signatures in a reply to a question for transactions or
// blocks, and that the transactions of each block are those that its header
// names. One that does not hold condemns the whole reply. Certificates are not
// judged: that takes the validators of their height.
func (r Reply) Verify(scheme bft.Scheme, entropy io.Reader, genesis bft.GenesisHash) ([]chain.VerifiedTx, []chain.Block, error) {
	txs, errs := chain.VerifyTxs(scheme, entropy, genesis, r.Txs)
	for _, err := range errs {
		if err != nil {
			return nil, nil, err
		}
	}
	var blocks []chain.Block
	for _, p := range r.Blocks {
		b, err := p.Body.Verify(scheme, entropy, genesis, p.Header)
		if err != nil {
			return nil, nil, err
		}
		blocks = append(blocks, b)
	}
	return txs, blocks, nil
}
