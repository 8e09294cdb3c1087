package chain

import (
	"fmt"
	"io"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// Proven is what a proof shows, step by step. Only [Proof.Verify] makes one
// that means anything.
type Proven struct {
	Genesis GenesisHash
	Blocks  []ProvenBlock  // in the order of the walk
	Task    *ProvenTask    // nil if the proof is about an account
	Account *ProvenAccount // nil if the proof is about a task
}

// ProvenBlock is a certified block.
type ProvenBlock struct {
	Tip
	StateRoot  cid.Cid
	Signatures int // of COMMIT votes, all good
	Quorum     int // how many are needed
	Validators int // how many there are
	Next       int // how many there are from the next block on; 0 if they are the same
}

// ProvenTask is the whole life of a settled task.
type ProvenTask struct {
	ID        cid.Cid
	Requester atp.ID
	Terms     task.Terms
	Result    *task.Proof  // what the executor named; nil if it never did
	Mark      *task.PPM    // what the requester gave; nil if it was silent
	Paid      task.Paid    // how the money was paid out
	Steps     []ProvenStep // in order
}

// ProvenStep is a receipt that tells about a task.
type ProvenStep struct {
	ReceiptPlace
	Time         atp.Millis
	Tx           cid.Cid // undefined: a deadline did it
	By           atp.ID  // who signed the transaction
	TxNodes      int     // of the path to it
	ReceiptNodes int
	Events       []Event // about the task
}

// ProvenAccount is what an account holds after a block.
type ProvenAccount struct {
	ID      atp.ID
	Account atp.Account
	Known   bool // false: it is not in the state
	Height  bft.Height
	Nodes   int // of the path
}

// Verify checks p against nothing but the genesis of its chain, which the
// caller trusts and which [Genesis.Validate] holds for. Signatures are judged
// by scheme ([bft.ZIP215], outside simulations); entropy is for batches, and
// may be nil. If it fails, with [ErrProof], what it returns is what was proven
// before the step that does not hold.
func (p Proof) Verify(scheme bft.Scheme, entropy io.Reader, g Genesis) (Proven, error) {
	if err := p.check(); err != nil {
		return Proven{}, err
	}
	genesis, err := g.ID()
	if err != nil {
		return Proven{}, err
	}
	proven := Proven{Genesis: genesisHash(genesis)}
	if p.Genesis != proven.Genesis {
		return proven, fmt.Errorf("%w: genesis: it is of the chain %v, the genesis given is that of %v", ErrProof, p.Genesis, proven.Genesis)
	}
	w := walk{scheme: scheme, entropy: entropy, genesis: genesis}
	if w.set, err = firstSet(g); err != nil {
		return proven, err
	}
	for _, b := range p.Blocks {
		certified, err := w.step(b)
		if err == nil && certified.Next == 0 && !p.needs(certified.Height) {
			err = fmt.Errorf("it changes no validators, and nothing of the subject is in it")
		}
		if err != nil {
			return proven, fmt.Errorf("%w: block %d: %w", ErrProof, b.Header.Height, err)
		}
		proven.Blocks = append(proven.Blocks, certified)
	}
	if p.Account != nil {
		proven.Account, err = p.verifyAccount()
		return proven, err
	}
	proven.Task, err = p.verifyTask(scheme, entropy)
	return proven, err
}

// firstSet returns the set that agrees on the first block.
func firstSet(g Genesis) (bft.ValidatorSet, error) {
	ids := make([]bft.ID, len(g.Validators))
	for i, id := range g.Validators {
		ids[i] = bft.ID(id)
	}
	set, err := bft.NewValidatorSet(ids...)
	if err != nil {
		return set, fmt.Errorf("%w: %w", ErrGenesis, err)
	}
	return set, nil
}

// walk is how far trust has come from the genesis.
type walk struct {
	scheme  bft.Scheme
	entropy io.Reader
	genesis cid.Cid
	set     bft.ValidatorSet // that agreed on every block up to the next change
}

// step checks that b is final, and takes over the set that it names.
func (w *walk) step(b ProofBlock) (ProvenBlock, error) {
	h := b.Header
	if err := h.check(); err != nil {
		return ProvenBlock{}, err
	}
	tip, err := h.Tip()
	if err != nil {
		return ProvenBlock{}, err
	}
	if err := w.lies(b); err != nil {
		return ProvenBlock{}, err
	}
	if b.Cert.Height != tip.Height || b.Cert.Block != tip.ID {
		return ProvenBlock{}, fmt.Errorf("its certificate is for block %d, %s, not for %s", b.Cert.Height, b.Cert.Block, tip.ID)
	}
	v := bft.Verifier{Scheme: w.scheme, Genesis: genesisHash(w.genesis), Height: tip.Height, Set: w.set, Entropy: w.entropy}
	if err := v.CommitCert(&b.Cert); err != nil {
		return ProvenBlock{}, fmt.Errorf("its certificate does not hold for the %d validators of its height: %w", w.set.Len(), err)
	}
	certified := ProvenBlock{tip, h.StateRoot, b.Cert.Signers.Count(), w.set.Quorum(), w.set.Len(), len(b.Next)}
	return certified, w.change(b)
}

// lies checks that b lies on a block that leaves the set of the walk in force:
// otherwise a change in between was left out.
func (w *walk) lies(b ProofBlock) error {
	if b.Header.Height == 1 {
		if b.Parent != nil || b.Header.Parent != w.genesis {
			return fmt.Errorf("the first block lies on %s, not on the genesis alone", b.Header.Parent)
		}
		return nil
	}
	if b.Parent == nil {
		return fmt.Errorf("the header below is missing")
	}
	below, err := b.Parent.Tip()
	if err != nil {
		return err
	}
	switch {
	case below.ID != b.Header.Parent:
		return fmt.Errorf("the header below is %s, the block lies on %s", below.ID, b.Header.Parent)
	case below.Height != b.Header.Height-1:
		return fmt.Errorf("the header below is of height %d", below.Height)
	case b.Parent.ValidatorsHash != w.set.Hash():
		return fmt.Errorf("the validators of its height are not those that the walk has come to: a change before it was left out, or listed wrongly")
	}
	return nil
}

// change takes over the next set, if b names another.
func (w *walk) change(b ProofBlock) error {
	if b.Header.ValidatorsHash == w.set.Hash() {
		if len(b.Next) > 0 {
			return fmt.Errorf("it lists validators for the next block, but does not change them")
		}
		return nil
	}
	if len(b.Next) == 0 {
		return fmt.Errorf("it changes the validators, and does not list the next ones")
	}
	next, err := bft.NewValidatorSet(b.Next...)
	if err != nil {
		return fmt.Errorf("the next validators: %w", err)
	}
	if next.Hash() != b.Header.ValidatorsHash || !slices.Equal(next.IDs(), b.Next) {
		return fmt.Errorf("the %d validators that it lists for the next block are not those that its header names", len(b.Next))
	}
	w.set = next
	return nil
}

// block returns the block of a height, which the walk has certified.
func (p Proof) block(h bft.Height) (Header, error) {
	i, ok := slices.BinarySearchFunc(p.Blocks, h, func(b ProofBlock, h bft.Height) int {
		switch {
		case b.Header.Height < h:
			return -1
		case b.Header.Height > h:
			return 1
		}
		return 0
	})
	if !ok {
		return Header{}, fmt.Errorf("block %d is missing", h)
	}
	return p.Blocks[i].Header, nil
}

func (p Proof) verifyAccount() (*ProvenAccount, error) {
	s := p.Account
	fail := func(err error) (*ProvenAccount, error) {
		return nil, fmt.Errorf("%w: account %s after block %d: %w", ErrProof, s.ID, s.Height, err)
	}
	header, err := p.block(s.Height)
	if err != nil {
		return fail(err)
	}
	have, err := followAccount(header.StateRoot, s.ID, s.Path)
	if err != nil {
		return fail(err)
	}
	if have != s.Account {
		return fail(fmt.Errorf("the state has %+v, the proof says %+v", have, s.Account))
	}
	return &ProvenAccount{s.ID, have, have != atp.Account{}, s.Height, len(s.Path)}, nil
}
