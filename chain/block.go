package chain

import (
	"fmt"
	"io"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// BlockVersion is the version of blocks that this package makes and takes.
const BlockVersion = 1

// Bounds that hold before any genesis is known.
const (
	// MaxHeaderBytes bounds an encoded header. A certificate of
	// [bft.MaxValidators] signatures takes a fifth of it.
	MaxHeaderBytes = 32 << 10
	// MaxBodyBytes and MaxBodyTxs bound what a genesis may allow.
	MaxBodyBytes = 4 << 20
	MaxBodyTxs   = 2_500
	// MaxBodyOps bounds the operations that a genesis may allow in one block.
	MaxBodyOps = 8_000
)

// Header is a block but for its transactions; its CID names the block. All
// roots are those after the block: a validator executes before it votes.
type Header struct {
	Version        uint64
	Height         bft.Height
	Parent         cid.Cid         // the block below; for the first block, the genesis
	Time           atp.Millis      // after the parent's
	Proposer       bft.ID          // who made it; another leader may propose it again
	BeaconProof    bft.BeaconProof // of the proposer
	BodyRoot       cid.Cid         // AMT of the CIDs of the signed transactions
	StateRoot      cid.Cid
	ReceiptsRoot   cid.Cid         // AMT of the CIDs of the receipts
	ValidatorsHash bft.SetHash     // of the set that agrees on the next block
	LastCommit     *bft.CommitCert // of the parent, as the proposer holds it; nil in the first block
}

// Encode returns the header's canonical form.
func (h Header) Encode() ([]byte, error) { return encode(&h) }

// ID returns the block's name: the CID of the header.
func (h Header) ID() (cid.Cid, error) {
	id, _, err := address(&h)
	return id, err
}

// DecodeHeader reads a header from its canonical form.
func DecodeHeader(raw []byte) (Header, error) {
	var h Header
	if err := DecodeExactly(raw, MaxHeaderBytes, &h); err != nil {
		return Header{}, fmt.Errorf("header: %w", err)
	}
	if err := h.check(); err != nil {
		return Header{}, err
	}
	return h, nil
}

// check reports what is wrong with h whatever the chain below it.
func (h Header) check() error {
	switch {
	case h.Version != BlockVersion:
		return fmt.Errorf("%w: block version: have %d, want %d", ErrInvalid, h.Version, BlockVersion)
	case h.Height == 0:
		return fmt.Errorf("%w: block of height 0, which is the genesis", ErrInvalid)
	case (h.Height == 1) != (h.LastCommit == nil):
		return fmt.Errorf("%w: block %d: every block but the first carries its parent's certificate, and no other", ErrInvalid, h.Height)
	}
	for _, c := range []cid.Cid{h.Parent, h.BodyRoot, h.StateRoot, h.ReceiptsRoot} {
		if err := atp.CheckCID(c, cid.DagCBOR); err != nil {
			return fmt.Errorf("%w: header: %w", ErrMalformed, err)
		}
	}
	return nil
}

// Tip tells where a state stands in the chain.
type Tip struct {
	Height bft.Height
	ID     cid.Cid    // of the block, or of the genesis
	Time   atp.Millis // of the block, or of the genesis
}

// certifiedBy reports whether c could be the certificate of the block at t. The
// genesis has none.
func (t Tip) certifiedBy(c *bft.CommitCert) bool {
	if t.Height == 0 {
		return c == nil
	}
	return c != nil && c.Height == t.Height && c.Block == t.ID
}

// Tip returns the place of the block with header h.
func (h Header) Tip() (Tip, error) {
	id, err := h.ID()
	return Tip{h.Height, id, h.Time}, err
}

// claims reports whether h claims what execution found.
func (h Header) claims(found Header) error {
	for _, root := range []struct {
		name        string
		have, found cid.Cid
	}{
		{"body", h.BodyRoot, found.BodyRoot},
		{"receipts", h.ReceiptsRoot, found.ReceiptsRoot},
		{"state", h.StateRoot, found.StateRoot},
	} {
		if root.have != root.found {
			return fmt.Errorf("%w: block %d: %s root: have %s, want %s", ErrInvalid, h.Height, root.name, root.have, root.found)
		}
	}
	if h.ValidatorsHash != found.ValidatorsHash {
		return fmt.Errorf("%w: block %d: validators: have %x, want %x", ErrInvalid, h.Height, h.ValidatorsHash, found.ValidatorsHash)
	}
	return nil
}

// Block is a header with its transactions, whose signatures hold. Whether the
// transactions are those that the header names, and all else, is what [Apply]
// decides.
type Block struct {
	Header Header
	Txs    []VerifiedTx
}

// Body returns the block's transactions as they are stored and sent.
func (b Block) Body() Body {
	txs := make([]Transaction, len(b.Txs))
	for i, tx := range b.Txs {
		txs[i] = tx.tx
	}
	return Body{txs}
}

// Body is the transactions of a block, as they came: nothing is proven.
type Body struct {
	Txs []Transaction `cborgen:"maxlen=2500"`
}

// Encode returns the body's canonical form.
func (b Body) Encode() ([]byte, error) { return encode(&b) }

// DecodeBody reads a body from its canonical form.
func DecodeBody(raw []byte) (Body, error) {
	var b Body
	if err := DecodeExactly(raw, MaxBodyBytes, &b); err != nil {
		return Body{}, fmt.Errorf("body: %w", err)
	}
	for i, tx := range b.Txs {
		if err := tx.check(); err != nil {
			return Body{}, fmt.Errorf("transaction %d: %w", i, err)
		}
	}
	return b, nil
}

// Verify returns the block of header h and body b, if the body is the one
// that the header names and all its signatures hold on the chain of genesis.
func (b Body) Verify(scheme bft.Scheme, entropy io.Reader, genesis GenesisHash, h Header) (Block, error) {
	txs, errs := VerifyTxs(scheme, entropy, genesis, b.Txs)
	for i, err := range errs {
		if err != nil {
			return Block{}, fmt.Errorf("transaction %d: %w", i, err)
		}
	}
	if err := h.checkBody(addresses(txs)); err != nil {
		return Block{}, err
	}
	return Block{h, txs}, nil
}

// BodyRoot returns the root by which a header names the transactions with these
// addresses, in this order.
func BodyRoot(txs []cid.Cid) (cid.Cid, error) { return listRoot(txs) }

// checkBody reports whether the header names the transactions with these
// addresses.
func (h Header) checkBody(txs []cid.Cid) error {
	root, err := BodyRoot(txs)
	if err != nil {
		return err
	}
	if root != h.BodyRoot {
		return fmt.Errorf("%w: body root of block %d: have %s, want %s", ErrInvalid, h.Height, root, h.BodyRoot)
	}
	return nil
}

// Outline is a block by reference, the payload of a proposal: gossip has
// spread the transactions already. It names each by [VerifiedTx.Address], the
// signed form, because that is what the block commits to: of two signatures
// under one transaction only one makes this block.
type Outline struct {
	Header Header
	Txs    []cid.Cid `cborgen:"maxlen=2500"` // in the block's order
}

// MaxOutlineBytes bounds an encoded outline.
const MaxOutlineBytes = bft.MaxPayload

// Outline returns the block by reference.
func (b Block) Outline() Outline { return Outline{b.Header, addresses(b.Txs)} }

func addresses(txs []VerifiedTx) []cid.Cid {
	ids := make([]cid.Cid, len(txs))
	for i, tx := range txs {
		ids[i] = tx.address
	}
	return ids
}

// Fill returns the block that o outlines, from the transactions that find
// returns by address; or the addresses of those that it does not know.
func (o Outline) Fill(find func(address cid.Cid) (VerifiedTx, bool)) (b Block, missing []cid.Cid) {
	b = Block{o.Header, make([]VerifiedTx, len(o.Txs))}
	for i, id := range o.Txs {
		tx, ok := find(id)
		if !ok || tx.address != id {
			missing = append(missing, id)
		}
		b.Txs[i] = tx
	}
	if len(missing) > 0 {
		return Block{}, missing
	}
	return b, nil
}

// Encode returns the outline's canonical form.
func (o Outline) Encode() ([]byte, error) { return encode(&o) }

// DecodeOutline reads an outline from its canonical form and checks that its
// transactions are those that the header names.
func DecodeOutline(raw []byte) (Outline, error) {
	var o Outline
	if err := DecodeExactly(raw, MaxOutlineBytes, &o); err != nil {
		return Outline{}, fmt.Errorf("outline: %w", err)
	}
	if err := o.Header.check(); err != nil {
		return Outline{}, err
	}
	if err := o.Header.checkBody(o.Txs); err != nil {
		return Outline{}, err
	}
	return o, nil
}
