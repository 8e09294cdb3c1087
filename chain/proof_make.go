package chain

import (
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// Archive is the final blocks of a chain with the states after them: what
// proofs are made of.
type Archive interface {
	HeaderAt(bft.Height) (cid.Cid, Header, error)
	CertAt(bft.Height) (bft.CommitCert, error)
	BlockAt(bft.Height) (Block, error)
	Receipts(bft.Height) ([]Receipt, error)
	StateAt(bft.Height) (State, error) // of the genesis at 0

	// SetChanges returns the heights up to one whose blocks changed the
	// validators, lowest first, and limit of them at most.
	SetChanges(upTo bft.Height, limit int) ([]bft.Height, error)
}

// ReceiptPlace is where a receipt is.
type ReceiptPlace struct {
	Height   bft.Height
	Position int
}

// ProveTask returns the proof of what became of a task, given the places of
// all receipts that tell about it, in order. It fails with [ErrLimit] where a
// proof would be over its bounds; all other errors are the archive's.
//
// That the task is settled, and the places complete, is the caller's matter:
// nobody takes a proof of less.
func ProveTask(a Archive, genesis GenesisHash, id cid.Cid, places []ReceiptPlace) (Proof, error) {
	if len(places) > MaxProofEntries {
		return Proof{}, fmt.Errorf("%w: receipts of a task: have %d, want at most %d", ErrLimit, len(places), MaxProofEntries)
	}
	p := Proof{Version: ProofVersion, Genesis: genesis, Task: &TaskProof{Task: id}}
	var heights []bft.Height
	for _, place := range places {
		e, err := proveEntry(a, place)
		if err != nil {
			return Proof{}, err
		}
		p.Task.Entries = append(p.Task.Entries, e)
		heights = append(heights, place.Height)
	}
	var err error
	p.Blocks, err = proveBlocks(a, slices.Compact(heights))
	return p, err
}

// ProveAccount returns the proof of what an account holds after the block of a
// height above the genesis.
func ProveAccount(a Archive, genesis GenesisHash, id atp.ID, h bft.Height) (Proof, error) {
	s, err := a.StateAt(h)
	if err != nil {
		return Proof{}, err
	}
	subject := AccountProof{ID: id, Height: h}
	if subject.Account, subject.Path, err = s.accountPath(id); err != nil {
		return Proof{}, err
	}
	blocks, err := proveBlocks(a, []bft.Height{h})
	return Proof{ProofVersion, genesis, nil, &subject, blocks}, err
}

// proveEntry takes a receipt out of its block.
func proveEntry(a Archive, place ReceiptPlace) (ProofEntry, error) {
	block, err := a.BlockAt(place.Height)
	if err != nil {
		return ProofEntry{}, err
	}
	receipts, err := a.Receipts(place.Height)
	if err != nil {
		return ProofEntry{}, err
	}
	i := place.Position
	if i < 0 || i >= len(receipts) {
		return ProofEntry{}, fmt.Errorf("%w: block %d has %d receipts, want that at %d", ErrStorage, place.Height, len(receipts), i)
	}
	e := ProofEntry{Height: place.Height, Position: uint64(i), Receipt: receipts[i]}
	e.Receipt.Detail = "" // no block covers it
	ids, err := receiptIDs(receipts)
	if err != nil {
		return ProofEntry{}, err
	}
	if e.ReceiptPath, err = listPath(ids, e.Position); err != nil || i >= len(block.Txs) {
		return e, err // a deadline has no transaction
	}
	tx := block.Txs[i].Tx()
	e.Tx = &tx
	e.TxPath, err = listPath(addresses(block.Txs), e.Position)
	return e, err
}

// proveBlocks returns the walk from the genesis to the blocks of some heights,
// lowest first: those, and all below the last that changed the validators.
func proveBlocks(a Archive, heights []bft.Height) ([]ProofBlock, error) {
	if len(heights) == 0 {
		return nil, nil
	}
	changes, err := a.SetChanges(heights[len(heights)-1], MaxProofBlocks+1)
	if err != nil {
		return nil, err
	}
	walk := slices.Concat(heights, changes)
	slices.Sort(walk)
	walk = slices.Compact(walk)
	if len(walk) > MaxProofBlocks {
		return nil, fmt.Errorf("%w: the validators have changed too often for one proof: it would have over %d blocks", ErrLimit, MaxProofBlocks)
	}
	first, err := a.StateAt(0)
	if err != nil {
		return nil, err
	}
	set := first.Validators().Hash()
	blocks := make([]ProofBlock, len(walk))
	for i, h := range walk {
		_, changed := slices.BinarySearch(changes, h)
		b, err := proveBlock(a, h, changed)
		if err != nil {
			return nil, err
		}
		if b.Parent != nil && b.Parent.ValidatorsHash != set || !changed && b.Header.ValidatorsHash != set {
			return nil, fmt.Errorf("%w: the index of changed validators lacks one up to block %d", ErrStorage, h)
		}
		blocks[i], set = b, b.Header.ValidatorsHash
	}
	return blocks, nil
}

func proveBlock(a Archive, h bft.Height, changed bool) (b ProofBlock, err error) {
	if _, b.Header, err = a.HeaderAt(h); err != nil {
		return b, err
	}
	if b.Cert, err = a.CertAt(h); err != nil {
		return b, err
	}
	if h > 1 {
		_, parent, err := a.HeaderAt(h - 1)
		if err != nil {
			return b, err
		}
		b.Parent = &parent
	}
	if changed {
		s, err := a.StateAt(h)
		if err != nil {
			return b, err
		}
		b.Next = s.Validators().IDs()
	}
	return b, nil
}
