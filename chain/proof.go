package chain

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// ProofVersion is the version of proofs that this package makes and takes.
const ProofVersion = 1

// Bounds of a proof. One that would be larger is not made.
const (
	MaxProofBytes   = 16 << 20 // encoded
	MaxProofBlocks  = 4_096
	MaxProofEntries = 256 // receipts that tell about one task
	MaxProofNodes   = 64  // of a path, which is never so long
)

// ErrProof reports a proof that shows nothing: a step of it is missing, false
// or of another chain. The text names the step.
var ErrProof = fmt.Errorf("%w: the proof does not hold", ErrInvalid)

// Proof shows that something is final on a chain to whoever has the genesis of
// that chain and nothing else ([Proof.Verify]): what became of a settled task,
// or what an account holds after a block.
//
// Its blocks are a walk from the validators of the genesis to those who agreed
// on the blocks that the subject is in: each is certified by the set that the
// walk has come to, and each that changed the set lists the next one. From
// there, paths lead down through hashes alone. So what it shows is what a quorum
// of every set on the way agreed on, and nothing else needs to be believed.
//
// What a receipt says in a sentence ([Receipt.Detail]) no block covers, so a
// proof has none of it. The walk trusts that no quorum of a set that is gone
// signs another chain: its members' keys must stay secret after they leave.
type Proof struct {
	Version uint64
	Genesis GenesisHash
	Task    *TaskProof    // nil if it is about an account
	Account *AccountProof // nil if it is about a task
	Blocks  []ProofBlock  `cborgen:"maxlen=4096"` // lowest first
}

// ProofBlock is a final block without its transactions.
type ProofBlock struct {
	// Parent is the header below, whose ValidatorsHash says who agreed on this
	// one: so no change of the set can be left out. It is nil on the genesis.
	Parent *Header
	Header Header
	Cert   bft.CommitCert
	Next   []bft.ID `cborgen:"maxlen=100"` // the set of the next block, in order, if the block changed it
}

// TaskProof is everything that happened to a task.
type TaskProof struct {
	Task    cid.Cid
	Entries []ProofEntry `cborgen:"maxlen=256"` // in the order of the chain
}

// ProofEntry is one receipt that tells about a task, with its transaction if
// it is not that of a deadline. Paths are the nodes of an AMT, root first; a
// list of n addresses makes about log₃₂(n) of them.
type ProofEntry struct {
	Height      bft.Height
	Position    uint64 // in the lists of the block
	Tx          *Transaction
	TxPath      [][]byte `cborgen:"maxlen=64"` // from BodyRoot to the address of Tx
	Receipt     Receipt
	ReceiptPath [][]byte `cborgen:"maxlen=64"` // from ReceiptsRoot to the ID of Receipt
}

// AccountProof is what an account holds after a block. An account that is not
// in the state is all zero: the path then ends where it would be.
type AccountProof struct {
	ID      atp.ID
	Account atp.Account
	Height  bft.Height
	Path    [][]byte `cborgen:"maxlen=64"` // from StateRoot through the HAMT of accounts
}

// Encode returns the proof's canonical form, which a file holds.
func (p Proof) Encode() ([]byte, error) {
	raw, err := encode(&p)
	if err == nil && len(raw) > MaxProofBytes {
		err = fmt.Errorf("%w: proof: have %d bytes, want at most %d", ErrLimit, len(raw), MaxProofBytes)
	}
	return raw, err
}

// DecodeProof reads a proof from its canonical form. Nothing is proven yet.
func DecodeProof(raw []byte) (Proof, error) {
	var p Proof
	if err := DecodeExactly(raw, MaxProofBytes, &p); err != nil {
		return Proof{}, fmt.Errorf("proof: %w", err)
	}
	if err := p.check(); err != nil {
		return Proof{}, err
	}
	return p, nil
}

// check reports what is wrong with the form of p.
func (p Proof) check() error {
	switch {
	case p.Version != ProofVersion:
		return fmt.Errorf("%w: its version is %d, this program reads %d", ErrProof, p.Version, ProofVersion)
	case (p.Task == nil) == (p.Account == nil):
		return fmt.Errorf("%w: it has to be about a task or about an account", ErrProof)
	case len(p.Blocks) == 0:
		return fmt.Errorf("%w: it has no blocks", ErrProof)
	}
	for i, b := range p.Blocks {
		if i > 0 && p.Blocks[i-1].Header.Height >= b.Header.Height {
			return fmt.Errorf("%w: block %d comes after block %d", ErrProof, b.Header.Height, p.Blocks[i-1].Header.Height)
		}
	}
	if p.Account != nil {
		return nil
	}
	return p.Task.check()
}

// check reports whether the entries are in the order of the chain.
func (t TaskProof) check() error {
	for i := 1; i < len(t.Entries); i++ {
		last, e := t.Entries[i-1], t.Entries[i]
		if last.Height > e.Height || last.Height == e.Height && last.Position >= e.Position {
			return fmt.Errorf("%w: receipt %d of block %d comes after receipt %d of block %d", ErrProof, e.Position, e.Height, last.Position, last.Height)
		}
	}
	return nil
}

// needs reports whether the subject of p is in the block of a height.
func (p Proof) needs(h bft.Height) bool {
	if p.Account != nil {
		return p.Account.Height == h
	}
	for _, e := range p.Task.Entries {
		if e.Height == h {
			return true
		}
	}
	return false
}
