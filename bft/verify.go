package bft

import (
	"crypto/sha256"
	"io"

	"github.com/ipfs/go-cid"
)

// Verified is a message whose signatures, certificates and sender's right to
// send it have been checked: one of [VerifiedProposal], [VerifiedVote],
// [VerifiedTimeout], [VerifiedStatus] and [VerifiedCommitCert]. Only a
// [Verifier] makes one, and a [Core] takes nothing else.
type Verified interface {
	// Message returns what was verified.
	Message() Message
	// verified is false for a zero value, which nobody has verified.
	verified() bool
}

type (
	// VerifiedProposal is signed by the leader of its view, with the TC that
	// its view needs; its block is still to be judged.
	VerifiedProposal struct{ p *Proposal }
	// VerifiedVote is signed by a validator.
	VerifiedVote struct{ v *Vote }
	// VerifiedTimeout is signed by a validator, with a valid highQC.
	VerifiedTimeout struct{ t *Timeout }
	// VerifiedStatus has valid certificates; the rest is its sender's word.
	VerifiedStatus struct{ s *Status }
	// VerifiedCommitCert is final.
	VerifiedCommitCert struct{ c *CommitCert }
)

// Message implements [Verified].
func (v VerifiedProposal) Message() Message { return v.p }

// Message implements [Verified].
func (v VerifiedVote) Message() Message { return v.v }

// Message implements [Verified].
func (v VerifiedTimeout) Message() Message { return v.t }

// Message implements [Verified].
func (v VerifiedStatus) Message() Message { return v.s }

// Message implements [Verified].
func (v VerifiedCommitCert) Message() Message { return v.c }

func (v VerifiedProposal) verified() bool   { return v.p != nil }
func (v VerifiedVote) verified() bool       { return v.v != nil }
func (v VerifiedTimeout) verified() bool    { return v.t != nil }
func (v VerifiedStatus) verified() bool     { return v.s != nil }
func (v VerifiedCommitCert) verified() bool { return v.c != nil }

// Digest identifies a certificate together with the set that it was judged by.
type Digest [32]byte

// Memory remembers certificates found good, so that identical ones are checked
// once. [Ring] is one; a caller that verifies in parallel brings one that locks.
type Memory interface {
	Has(Digest) bool
	Add(Digest)
}

// Ring is a [Memory] of the newest certificates, for one goroutine.
type Ring struct {
	slots []Digest
	next  int
}

// NewRing returns a Ring that remembers size certificates.
func NewRing(size int) *Ring { return &Ring{slots: make([]Digest, size)} }

// Has implements [Memory].
func (r *Ring) Has(d Digest) bool {
	for i := range r.slots {
		if r.slots[i] == d {
			return true
		}
	}
	return false
}

// Add implements [Memory].
func (r *Ring) Add(d Digest) {
	if len(r.slots) > 0 {
		r.slots[r.next%len(r.slots)] = d
		r.next++
	}
}

// Verifier judges the messages of one height by its set (S12): everything that
// needs no state beyond that. It holds nothing that changes but its Memory.
type Verifier struct {
	Scheme  Scheme
	Genesis GenesisHash
	Height  Height
	Set     ValidatorSet
	Entropy io.Reader // for batches; nil judges one by one, with the same verdicts
	Memory  Memory    // may be nil
}

// Verify judges m. It fails with [ErrStale] or [ErrAhead] for a message of
// another height, about which it knows nothing, and with [ErrInvalid] for what
// no correct platform sends.
func (v Verifier) Verify(m Message) (Verified, error) {
	switch h := m.Position().Height; {
	case h < v.Height:
		return nil, ErrStale
	case h > v.Height:
		return nil, ErrAhead
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	verified, err := v.judge(m)
	if err != nil {
		return nil, err
	}
	return verified, nil
}

func (v Verifier) judge(m Message) (Verified, error) {
	switch m := m.(type) {
	case *Proposal:
		return VerifiedProposal{m}, v.proposal(m)
	case *Vote:
		return VerifiedVote{m}, v.member(m.Signed())
	case *Timeout:
		return VerifiedTimeout{m}, v.timeout(m)
	case *Status:
		return VerifiedStatus{m}, v.status(m)
	case *CommitCert:
		return VerifiedCommitCert{m}, v.CommitCert(m)
	}
	return nil, invalidf("message of unknown type")
}

// Seal makes the message of a statement that this platform has just signed, or
// holds the signature of in its record. The signature is checked: one that a
// faulty machine got wrong must not leave it. What u carries besides comes from
// the core and is not checked again.
func (v Verifier) Seal(u Unsigned, signer ID, s Signature) (Verified, error) {
	if u.Height != v.Height {
		return nil, invalidf("own signature: height %d, want %d", u.Height, v.Height)
	}
	if !(Signed{u.Statement, signer, s}).Valid(v.Scheme, v.Genesis) {
		return nil, invalidf("own signature of %v, height %d, view %d", u.Kind, u.Height, u.View)
	}
	switch m := u.Message(signer, s).(type) {
	case *Proposal:
		return VerifiedProposal{m}, nil
	case *Vote:
		return VerifiedVote{m}, nil
	case *Timeout:
		return VerifiedTimeout{m}, nil
	}
	return nil, invalidf("own signature of %v", u.Kind)
}

func (v Verifier) member(s Signed) error {
	if !v.Set.Contains(s.Signer) {
		return invalidf("%v: %s is not a validator of height %d", s.Kind, s.Signer, s.Height)
	}
	if !s.Valid(v.Scheme, v.Genesis) {
		return invalidf("%v of %s: signature", s.Kind, s.Signer)
	}
	return nil
}

// proposal also keeps S8's form: a TC of the view before comes with every
// Proposal above view 0, and with no other.
func (v Verifier) proposal(p *Proposal) error {
	if err := v.member(p.Signed(v.Set.Leader(p.Height, p.View))); err != nil {
		return err
	}
	if !carriesItsTC(p) {
		return invalidf("Proposal of view %d: wrong or missing TC", p.View)
	}
	if !justified(p) {
		return invalidf("Proposal of view %d: not the block of its TC's QC", p.View)
	}
	if p.TC == nil {
		return nil
	}
	return v.TC(p.TC)
}

func (v Verifier) timeout(t *Timeout) error {
	if t.HighView() > t.View {
		return invalidf("Timeout of view %d: highQC of view %d", t.View, t.HighView())
	}
	if err := v.member(t.Signed()); err != nil {
		return err
	}
	if t.HighQC == nil {
		return nil
	}
	return v.QC(t.HighQC)
}

func (v Verifier) status(s *Status) error {
	if s.Newest != nil {
		if err := s.Newest.Statement.check(); err != nil {
			return err
		}
		if !s.Newest.Valid(v.Scheme, v.Genesis) {
			return invalidf("Status: signature of the newest %v shown", s.Newest.Kind)
		}
	}
	if s.HighQC != nil {
		if err := v.QC(s.HighQC); err != nil {
			return err
		}
	}
	if s.TC == nil {
		return nil
	}
	return v.TC(s.TC)
}

// QC judges a QC of this height: exactly q signers.
func (v Verifier) QC(c *QC) error {
	if n := c.Signers.Count(); n != v.Set.Quorum() {
		return invalidf("QC: have %d signers, want %d", n, v.Set.Quorum())
	}
	return v.votes(KindPrepare, c)
}

// CommitCert judges a CommitCert of this height: q or more signers.
func (v Verifier) CommitCert(c *CommitCert) error {
	if n := c.Signers.Count(); n < v.Set.Quorum() {
		return invalidf("CommitCert: have %d signers, want at least %d", n, v.Set.Quorum())
	}
	return v.votes(KindCommit, (*QC)(c))
}

func (v Verifier) votes(kind Kind, c *QC) error {
	if c.Height != v.Height {
		return invalidf("certificate: height %d, want %d", c.Height, v.Height)
	}
	if err := checkPlace(c.View, c.Block); err != nil {
		return err
	}
	if !c.Signers.fits(v.Set.Len()) || c.Signers.Count() != len(c.Signatures) {
		return invalidf("certificate: bitmap %x with %d signatures for %d validators", c.Signers, len(c.Signatures), v.Set.Len())
	}
	digest := v.digest(kind, c.room(), c.write)
	if v.known(digest) {
		return nil
	}
	message := Statement{kind, c.Height, c.View, c.Block, NoView}.SignedBytes(v.Genesis)
	batch := make([]Claim, 0, len(c.Signatures))
	for i, signer := range c.Signers.indices() {
		batch = append(batch, Claim{v.Set.ID(signer), message, c.Signatures[i]})
	}
	return v.batch(digest, batch)
}

// TC judges a TC of this height: exactly q signers, the lowest with the view of
// the TC, and one QC of exactly the highest view that they declare (S7).
func (v Verifier) TC(t *TC) error {
	if t.Height != v.Height {
		return invalidf("TC: height %d, want %d", t.Height, v.Height)
	}
	if err := checkView(t.View); err != nil {
		return err
	}
	if n := t.Signers.Count(); !t.Signers.fits(v.Set.Len()) || n != v.Set.Quorum() || n != len(t.Timeouts) {
		return invalidf("TC: bitmap %x with %d timeouts, want %d of %d validators", t.Signers, len(t.Timeouts), v.Set.Quorum(), v.Set.Len())
	}
	for _, m := range t.Timeouts {
		if m.View > MaxView || m.HighView < NoView || m.HighView > m.View {
			return invalidf("TC of view %d: a Timeout of view %d, highQC view %d", t.View, m.View, m.HighView)
		}
	}
	if !reachesItsView(t) {
		return invalidf("TC of view %d: its lowest Timeout is of view %d", t.View, t.lowest())
	}
	if !carriesHighest(t) {
		return invalidf("TC: QC of view %d, want %d", viewOf(t.QC), t.highest())
	}
	if t.QC != nil {
		if err := v.QC(t.QC); err != nil {
			return err
		}
	}
	digest := v.digest(KindTimeout, t.room(), t.write)
	if v.known(digest) {
		return nil
	}
	batch := make([]Claim, 0, len(t.Timeouts))
	for i, signer := range t.Signers.indices() {
		m := t.Timeouts[i]
		s := Statement{KindTimeout, t.Height, m.View, cid.Undef, m.HighView}
		batch = append(batch, Claim{v.Set.ID(signer), s.SignedBytes(v.Genesis), m.Signature})
	}
	return v.batch(digest, batch)
}

// digest is of the certificate that write writes, in about size bytes.
func (v Verifier) digest(kind Kind, size int, write func(*writer)) Digest {
	if v.Memory == nil {
		return Digest{}
	}
	set := v.Set.Hash()
	w := writer{buf: make([]byte, 0, 1+len(v.Genesis)+len(set)+size)}
	w.buf = append(w.buf, byte(kind))
	w.buf = append(append(w.buf, v.Genesis[:]...), set[:]...)
	write(&w)
	return sha256.Sum256(w.buf)
}

func (v Verifier) known(d Digest) bool { return v.Memory != nil && v.Memory.Has(d) }

func (v Verifier) batch(d Digest, batch []Claim) error {
	for i, ok := range v.Scheme.VerifyBatch(v.Entropy, batch) {
		if !ok {
			return invalidf("certificate: signature of %s", batch[i].Signer)
		}
	}
	if v.Memory != nil {
		v.Memory.Add(d)
	}
	return nil
}
