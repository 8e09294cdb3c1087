package chain

import (
	"fmt"
	"io"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// GenesisHash is the identity of a chain: the sha2-256 of its genesis in
// canonical form. It is signed into everything.
type GenesisHash = bft.GenesisHash

// TxVersion is the version of transactions that this package makes and takes.
const TxVersion = 1

// Bounds of a transaction that hold before any genesis is known.
const (
	MaxTxBytes = 64 << 10 // the signed form, encoded
	MaxTxOps   = 256
)

// txDomain begins what a transaction's signature covers.
const txDomain = "sage/tx/1"

// Transaction is a list of operations that take effect together or not at
// all, as it came: nothing about it is proven. Only a [VerifiedTx] may enter a
// block or the mempool.
type Transaction struct {
	Version   uint64
	From      atp.ID     // who signs and pays
	Nonce     uint64     // the sender's transactions are numbered from 0, without gaps
	Expires   atp.Millis // last block time at which it may be included; 0 is never
	Fee       atp.Amount // discharged, whether or not the operations succeed
	Ops       []Op       `cborgen:"maxlen=256"`
	Signature bft.Signature
}

// unsigned is the form of a transaction that names it.
type unsigned struct {
	Version uint64
	From    atp.ID
	Nonce   uint64
	Expires atp.Millis
	Fee     atp.Amount
	Ops     []Op `cborgen:"maxlen=256"`
}

// ID returns the transaction's name: the CID of its form without signature.
// Two signatures over the same content are the same transaction.
func (t Transaction) ID() (cid.Cid, error) {
	id, _, err := address(&unsigned{t.Version, t.From, t.Nonce, t.Expires, t.Fee, t.Ops})
	return id, err
}

// check reports what is wrong with t whoever signed it.
func (t Transaction) check() error {
	switch {
	case t.Version != TxVersion:
		return fmt.Errorf("%w: transaction version: have %d, want %d", ErrInvalid, t.Version, TxVersion)
	case t.Nonce == spentNonce:
		return fmt.Errorf("%w: nonce %d, which no account comes to", ErrInvalid, t.Nonce)
	case t.From.IsZero():
		return fmt.Errorf("%w: transaction without sender", ErrInvalid)
	case len(t.Ops) == 0:
		return fmt.Errorf("%w: transaction without operations", ErrInvalid)
	case len(t.Ops) > MaxTxOps:
		return fmt.Errorf("%w: operations of a transaction: have %d, want at most %d", ErrLimit, len(t.Ops), MaxTxOps)
	}
	for i, op := range t.Ops {
		if _, rotates := op.Action.(*KeyRotate); rotates && len(t.Ops) > 1 {
			return fmt.Errorf("%w: KEY_ROTATE with other operations: nothing is the sender's after it", ErrInvalid)
		}
		if op.Action == nil {
			return fmt.Errorf("%w: operation %d has no action", ErrInvalid, i)
		}
		if err := op.check(); err != nil {
			return fmt.Errorf("operation %d: %w", i, err)
		}
	}
	return nil
}

// DecodeTx reads a transaction from its signed form.
func DecodeTx(raw []byte) (Transaction, error) {
	var t Transaction
	if err := DecodeExactly(raw, MaxTxBytes, &t); err != nil {
		return Transaction{}, fmt.Errorf("transaction: %w", err)
	}
	if err := t.check(); err != nil {
		return Transaction{}, err
	}
	return t, nil
}

// SigningBytes returns what a signature of the transaction named id covers on
// the chain of genesis.
func SigningBytes(genesis GenesisHash, id cid.Cid) []byte {
	b := make([]byte, 0, len(txDomain)+len(genesis)+cidLength)
	b = append(b, txDomain...)
	b = append(b, genesis[:]...)
	return append(b, id.Bytes()...)
}

// VerifiedTx is a transaction whose form, bounds and signature hold on one
// chain. Only [VerifyTxs] and [SignTx] make one; the zero value is refused
// wherever one is asked for. It is immutable.
type VerifiedTx struct {
	tx      Transaction
	id      cid.Cid // of the unsigned form
	address cid.Cid // of the signed form
	raw     []byte  // the signed form
	genesis GenesisHash
}

// ID returns the transaction's name.
func (v VerifiedTx) ID() cid.Cid { return v.id }

// Address returns the CID of the signed form, which a block's BodyRoot covers.
func (v VerifiedTx) Address() cid.Cid { return v.address }

// Tx returns the transaction. Its operations are shared: do not change them.
func (v VerifiedTx) Tx() Transaction { return v.tx }

// Bytes returns the signed form, encoded. It is shared: do not change it.
func (v VerifiedTx) Bytes() []byte { return v.raw }

// Genesis returns the chain that the signature is for.
func (v VerifiedTx) Genesis() GenesisHash { return v.genesis }

// IsZero reports whether v is no transaction at all.
func (v VerifiedTx) IsZero() bool { return v.raw == nil }

// prepare checks all of t but its signature.
func prepare(genesis GenesisHash, t Transaction) (VerifiedTx, error) {
	if err := t.check(); err != nil {
		return VerifiedTx{}, err
	}
	id, err := t.ID()
	if err != nil {
		return VerifiedTx{}, err
	}
	signed, raw, err := address(&t)
	if err != nil {
		return VerifiedTx{}, err
	}
	if len(raw) > MaxTxBytes {
		return VerifiedTx{}, fmt.Errorf("%w: transaction bytes: have %d, want at most %d", ErrLimit, len(raw), MaxTxBytes)
	}
	return VerifiedTx{tx: t, id: id, address: signed, raw: raw, genesis: genesis}, nil
}

// VerifyTxs checks txs for the chain of genesis, their signatures in one
// batch by scheme ([bft.ZIP215], outside simulations). For each i, either
// out[i] is txs[i] verified and errs[i] is nil, or errs[i] wraps [ErrInvalid].
// entropy must be unpredictable to the senders; the verdicts do not depend on
// it, nor on which transactions share a batch.
func VerifyTxs(scheme bft.Scheme, entropy io.Reader, genesis GenesisHash, txs []Transaction) (out []VerifiedTx, errs []error) {
	out, errs = make([]VerifiedTx, len(txs)), make([]error, len(txs))
	claims := make([]bft.Claim, 0, len(txs))
	claimed := make([]int, 0, len(txs)) // whose signature each claim is
	for i, t := range txs {
		if out[i], errs[i] = prepare(genesis, t); errs[i] == nil {
			for _, c := range out[i].claims() {
				claims = append(claims, c)
				claimed = append(claimed, i)
			}
		}
	}
	for k, good := range scheme.VerifyBatch(entropy, claims) {
		if i := claimed[k]; !good && errs[i] == nil {
			errs[i] = fmt.Errorf("%w: transaction %s of %s", ErrSignature, out[i].id, txs[i].From)
			out[i] = VerifiedTx{}
		}
	}
	return out, errs
}

// claims is what the signatures say: the transaction's, and those in it.
func (v VerifiedTx) claims() []bft.Claim {
	list := []bft.Claim{{Signer: bft.ID(v.tx.From), Message: SigningBytes(v.genesis, v.id), Signature: v.tx.Signature}}
	for _, op := range v.tx.Ops {
		if a, ok := op.Action.(attested); ok {
			list = append(list, a.claims(v.genesis, v.tx.From)...)
		}
	}
	return list
}

// SignTx completes t with a signature for the chain of genesis. sign is given
// the message and makes the signature of t.From; what it returns is checked.
func SignTx(scheme bft.Scheme, genesis GenesisHash, t Transaction, sign func(message []byte) (bft.Signature, error)) (VerifiedTx, error) {
	if err := t.check(); err != nil {
		return VerifiedTx{}, err
	}
	id, err := t.ID()
	if err != nil {
		return VerifiedTx{}, err
	}
	if t.Signature, err = sign(SigningBytes(genesis, id)); err != nil {
		return VerifiedTx{}, err
	}
	v, err := prepare(genesis, t)
	if err != nil {
		return VerifiedTx{}, err
	}
	for _, c := range v.claims() {
		if !scheme.Verify(c) {
			return VerifiedTx{}, fmt.Errorf("%w: transaction %s is signed, but not by %s", ErrSignature, id, c.Signer)
		}
	}
	return v, nil
}
