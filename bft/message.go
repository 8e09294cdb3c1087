package bft

import (
	"encoding/binary"

	"github.com/ipfs/go-cid"
)

// Kind tells the messages of consensus apart. Its order is the order in which
// a validator says them within one view.
type Kind uint8

// The kinds of messages. The first four are signed.
const (
	KindProposal Kind = iota + 1
	KindPrepare
	KindCommit
	KindTimeout
	KindStatus
	KindCommitCert
)

// String returns the name used in the design: Proposal, PREPARE, COMMIT, …
func (k Kind) String() string {
	names := [...]string{"nothing", "Proposal", "PREPARE", "COMMIT", "Timeout", "Status", "CommitCert"}
	if int(k) >= len(names) {
		return "unknown"
	}
	return names[k]
}

// domain separates the signatures of one kind from those of every other, here
// and elsewhere (sage/tx/1, sage/hello/1, …). Unsigned kinds have none.
func (k Kind) domain() string {
	switch k {
	case KindProposal:
		return "sage/proposal/1"
	case KindPrepare:
		return "sage/prepare/1"
	case KindCommit:
		return "sage/commit/1"
	case KindTimeout:
		return "sage/timeout/1"
	}
	return ""
}

// Position says where in the protocol a message stands.
type Position struct {
	Height Height
	View   View
	Kind   Kind
}

// After orders positions by height, then view, then kind.
func (p Position) After(other Position) bool {
	if p.Height != other.Height {
		return p.Height > other.Height
	}
	if p.View != other.View {
		return p.View > other.View
	}
	return p.Kind > other.Kind
}

// Message is one of *[Proposal], *[Vote], *[Timeout], *[Status] and
// *[CommitCert]: what validators send each other. Messages are immutable once
// made; cores and callers share them.
type Message interface {
	// Position says what the message is and where it belongs.
	Position() Position
	write(*writer)
	check() error // what can be judged without the validator set
}

// Statement is what a signature covers, besides its domain and the chain.
type Statement struct {
	Kind     Kind
	Height   Height
	View     View
	Block    cid.Cid // undefined in a Timeout
	HighView View    // view of the signer's highQC in a Timeout, else NoView
}

// Position says where the statement belongs.
func (s Statement) Position() Position { return Position{s.Height, s.View, s.Kind} }

// SignedBytes returns domain ‖ genesis hash ‖ height ‖ view ‖ block ID, or the
// view of highQC in place of the block for a Timeout. Numbers are 8 bytes,
// big-endian; all lengths are fixed by the domain.
func (s Statement) SignedBytes(genesis GenesisHash) []byte {
	b := make([]byte, 0, 112)
	b = append(b, s.Kind.domain()...)
	b = append(b, genesis[:]...)
	b = appendUint64(b, uint64(s.Height))
	b = appendUint64(b, uint64(s.View))
	if s.Kind == KindTimeout {
		return appendUint64(b, uint64(s.HighView))
	}
	return append(b, s.Block.KeyString()...)
}

func appendUint64(b []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(b, n) }

// Signed is a statement with its signature: what a record remembers, what
// Status shows of its receiver, and one half of evidence.
type Signed struct {
	Statement
	Signer    ID
	Signature Signature
}

// Valid judges the signature and nothing else.
func (s Signed) Valid(scheme Scheme, genesis GenesisHash) bool {
	return scheme.Verify(s.claim(genesis))
}

func (s Signed) claim(genesis GenesisHash) Claim {
	return Claim{s.Signer, s.SignedBytes(genesis), s.Signature}
}

// Proposal is the leader's word for the block of a view.
type Proposal struct {
	Height    Height
	View      View
	Block     cid.Cid
	Payload   []byte // the block as the application encodes it, at most MaxPayload
	TC        *TC    // TC(h, v−1), or nil in view 0
	Signature Signature
}

// Position implements [Message].
func (p *Proposal) Position() Position { return Position{p.Height, p.View, KindProposal} }

// Signed returns the signed part; a Proposal's signer is the leader of its view.
func (p *Proposal) Signed(leader ID) Signed {
	return Signed{Statement{KindProposal, p.Height, p.View, p.Block, NoView}, leader, p.Signature}
}

// Vote is a PREPARE or a COMMIT.
type Vote struct {
	Kind      Kind // KindPrepare or KindCommit
	Height    Height
	View      View
	Block     cid.Cid
	Signer    ID
	Signature Signature
}

// Position implements [Message].
func (v *Vote) Position() Position { return Position{v.Height, v.View, v.Kind} }

// Signed returns the signed part.
func (v *Vote) Signed() Signed {
	return Signed{Statement{v.Kind, v.Height, v.View, v.Block, NoView}, v.Signer, v.Signature}
}

// Timeout says that its signer has given up View, and the highest QC that it
// knew then.
type Timeout struct {
	Height    Height
	View      View
	HighQC    *QC // nil if none; its view is signed
	Signer    ID
	Signature Signature
}

// Position implements [Message].
func (t *Timeout) Position() Position { return Position{t.Height, t.View, KindTimeout} }

// HighView returns the view of the highQC that t declares, or NoView.
func (t *Timeout) HighView() View { return viewOf(t.HighQC) }

// Signed returns the signed part.
func (t *Timeout) Signed() Signed {
	return Signed{Statement{KindTimeout, t.Height, t.View, cid.Undef, t.HighView()}, t.Signer, t.Signature}
}

// Status says where its sender stands. It is not signed: the stream that
// brings it is authenticated, and its certificates prove themselves.
type Status struct {
	Height      Height // the height that is being agreed on
	View        View
	FinalHeight Height
	FinalID     cid.Cid
	Clock       UnixMillis
	HighQC      *QC
	TC          *TC     // the newest made or received, even below View
	Newest      *Signed // the newest statement held from the receiver
	Challenge   uint64  // unless zero, asks the receiver for a Status that answers it
	Answer      uint64  // the receiver's newest Challenge, of one who knows where it stands; else zero
}

// Position implements [Message].
func (s *Status) Position() Position { return Position{s.Height, s.View, KindStatus} }

// Unsigned is a statement that the rules allow and that is not signed yet,
// with what its message carries besides.
type Unsigned struct {
	Statement
	QC      *QC    // COMMIT: the QC behind it. Timeout: highQC
	TC      *TC    // Proposal in a view above 0
	Payload []byte // Proposal
}

// Message returns the message that u becomes once signed, or nil if u is of no
// signed kind.
func (u Unsigned) Message(signer ID, s Signature) Message {
	switch u.Kind {
	case KindProposal:
		return &Proposal{u.Height, u.View, u.Block, u.Payload, u.TC, s}
	case KindPrepare, KindCommit:
		return &Vote{u.Kind, u.Height, u.View, u.Block, signer, s}
	case KindTimeout:
		return &Timeout{u.Height, u.View, u.QC, signer, s}
	}
	return nil
}
