package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// viewCID is c as the API shows it; an undefined one is absent.
func viewCID(c cid.Cid) view.CID { return view.CID{Cid: c} }

// notFound says what is not here, unless err is another trouble.
func notFound(err error, format string, args ...any) error {
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return &view.Error{Code: view.CodeNotFound, Message: fmt.Sprintf(format, args...), Hint: "see how far this node is: sage-p2p status"}
}

// Headers implements api.Chain.
func (n *Node) Headers(_ context.Context, before view.Height, limit int) ([]view.Header, error) {
	r, err := n.ready()
	if err != nil {
		return nil, err
	}
	top := r.state().Tip().Height
	if before > 0 && bft.Height(before) <= top {
		top = bft.Height(before) - 1
	}
	list := []view.Header{}
	for h := top; h > 0 && len(list) < limit; h-- {
		b, err := n.store.BlockAt(h)
		if err != nil {
			return list, err
		}
		header, err := viewHeader(b)
		if err != nil {
			return list, err
		}
		list = append(list, header)
	}
	return list, nil
}

func viewHeader(b chain.Block) (view.Header, error) {
	id, err := b.Header.ID()
	h := b.Header
	return view.Header{
		ID: viewCID(id), Height: view.Height(h.Height), TimeMS: view.Millis(h.Time), Proposer: h.Proposer.ID,
		Parent: viewCID(h.Parent), BodyRoot: viewCID(h.BodyRoot), StateRoot: viewCID(h.StateRoot), ReceiptsRoot: viewCID(h.ReceiptsRoot),
		ValidatorHash: fmt.Sprintf("%x", h.ValidatorsHash), TxCount: len(b.Txs),
	}, err
}

// BlockAt implements api.Chain.
func (n *Node) BlockAt(_ context.Context, height view.Height) (view.Block, error) {
	if _, err := n.ready(); err != nil {
		return view.Block{}, err
	}
	b, err := n.store.BlockAt(bft.Height(height))
	if err != nil {
		return view.Block{}, notFound(err, "no block of height %d is final here", height)
	}
	return n.viewBlock(b)
}

// BlockByID implements api.Chain.
func (n *Node) BlockByID(_ context.Context, id view.CID) (view.Block, error) {
	r, err := n.ready()
	if err != nil {
		return view.Block{}, err
	}
	b, err := n.store.Block(id.Cid)
	if err != nil {
		return view.Block{}, notFound(err, "no block %s is known here", id)
	}
	final, _, err := n.store.HeaderAt(b.Header.Height)
	if err != nil || final != id.Cid || b.Header.Height > r.state().Tip().Height {
		return view.Block{}, notFound(err, "block %s was proposed and is not final", id)
	}
	return n.viewBlock(b)
}

func (n *Node) viewBlock(b chain.Block) (view.Block, error) {
	header, err := viewHeader(b)
	if err != nil {
		return view.Block{}, err
	}
	cert, err := n.store.CertAt(b.Header.Height)
	if err != nil {
		return view.Block{}, err
	}
	receipts, err := n.store.Receipts(b.Header.Height)
	if err != nil {
		return view.Block{}, err
	}
	v := view.Block{
		Header:       header,
		Certificate:  view.Certificate{View: int64(cert.View), Signers: []peer.ID{}},
		Transactions: []view.Tx{}, Events: receiptEvents(b.Header, receipts),
	}
	if v.Events == nil {
		v.Events = []view.Event{}
	}
	set, err := n.setAt(b.Header.Height)
	if err != nil {
		return view.Block{}, err
	}
	for i := range set.Len() {
		if cert.Signers.Has(i) {
			v.Certificate.Signers = append(v.Certificate.Signers, set.ID(i).ID)
		}
	}
	for i, tx := range b.Txs {
		v.Transactions = append(v.Transactions, finalView(tx, b.Header, header.ID.Cid, receipts[i]))
	}
	return v, nil
}

// setAt returns the set that agreed on a final height.
func (n *Node) setAt(h bft.Height) (bft.ValidatorSet, error) {
	r, err := n.ready()
	if err != nil {
		return bft.ValidatorSet{}, err
	}
	g, err := chain.ParseGenesis(r.genesisJSON)
	if err != nil {
		return bft.ValidatorSet{}, err
	}
	return setOf(n.store, g, h)
}

// viewTx is a transaction of which nothing more is known.
func viewTx(tx chain.VerifiedTx) view.Tx {
	t := tx.Tx()
	v := view.Tx{
		ID: viewCID(tx.ID()), From: t.From.ID, Nonce: t.Nonce, ExpiresMS: view.Millis(t.Expires), FeeUATP: view.Amount(t.Fee),
		State: view.TxPending, Ops: []view.Op{}, Events: []view.Event{},
	}
	for _, op := range t.Ops {
		data, err := json.Marshal(op.Action)
		if err != nil {
			data = nil // an action has only fields that JSON can hold
		}
		v.Ops = append(v.Ops, view.Op{Kind: op.Kind().String(), Data: data})
	}
	return v
}

func finalView(tx chain.VerifiedTx, h chain.Header, block cid.Cid, r chain.Receipt) view.Tx {
	v := viewTx(tx)
	v.State, v.Height, v.Block, v.OK = view.TxFinal, view.Height(h.Height), viewCID(block), r.OK()
	v.Events = append(v.Events, receiptEvents(h, []chain.Receipt{r})...)
	if !r.OK() {
		v.Error = r.Detail
	}
	return v
}

// finalTx returns a final transaction, and whether it is there.
func (n *Node) finalTx(id cid.Cid) (store.FinalTx, bool, error) {
	tx, err := n.store.Tx(id)
	if errors.Is(err, store.ErrNotFound) {
		return store.FinalTx{}, false, nil
	}
	return tx, err == nil, err
}

// Tx implements api.Chain.
func (n *Node) Tx(_ context.Context, id view.CID) (view.Tx, error) {
	r, err := n.ready()
	if err != nil {
		return view.Tx{}, err
	}
	for range 2 { // what is at neither place has just moved from the second to the first
		tx, final, err := n.finalTx(id.Cid)
		if err != nil {
			return view.Tx{}, err
		}
		if final {
			_, header, err := n.store.HeaderAt(tx.Height)
			v := finalView(tx.Tx, header, tx.Block, tx.Receipt)
			submitted, final := r.wallet.timesOf(id.Cid)
			v.SubmittedMS, v.FinalMS = view.Millis(submitted), view.Millis(final)
			return v, err
		}
		if waiting, ok := r.wallet.waiting(id.Cid); ok {
			return viewTx(waiting), nil
		}
	}
	if dropped, ok := r.wallet.gaveUp(id.Cid); ok {
		v := viewTx(dropped)
		v.State, v.Error = view.TxExpired, "it was in no block in time, or another took its nonce"
		v.Hint = "submit it again"
		return v, nil
	}
	return view.Tx{}, notFound(nil, "no transaction %s is known here", id)
}

// PutBlob implements api.Blobs.
func (n *Node) PutBlob(_ context.Context, r io.Reader) (view.Blob, error) {
	if err := n.makeRoom(); errors.Is(err, ErrBlobsFull) {
		return view.Blob{}, &view.Error{Code: view.CodeFull, Message: err.Error(), Hint: "try again once open tasks are settled", Retryable: true}
	} else if err != nil {
		return view.Blob{}, err
	}
	c, size, err := n.blobs.put(r)
	if errors.Is(err, ErrBlobTooLarge) {
		err = &view.Error{Code: view.CodeTooLarge, Message: err.Error(), Hint: "split it into several tasks"}
	}
	return view.Blob{CID: viewCID(c), Size: size}, err
}

// OpenBlob implements api.Blobs. All of it has been checked against its name
// before the first byte is shown.
func (n *Node) OpenBlob(ctx context.Context, c view.CID) (io.ReadCloser, error) {
	if !n.blobs.has(c.Cid) {
		if err := n.findResult(ctx, c.Cid); err != nil {
			return nil, err
		}
	}
	f, _, err := n.blobs.open(c.Cid)
	if errors.Is(err, ErrNoBlob) {
		return nil, gone(err)
	} else if err != nil {
		return nil, err
	}
	return f, nil
}

// Changed implements api.Log.
func (n *Node) Changed() <-chan struct{} { return n.hub.Changed() }

// Events implements api.Log.
func (n *Node) Events(_ context.Context, seq uint64, limit int) ([]view.Event, error) {
	return n.hub.after(seq, limit), nil
}
