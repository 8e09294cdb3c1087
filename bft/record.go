package bft

import (
	"fmt"

	"github.com/ipfs/go-cid"
)

// MaxRecord bounds an encoded Record, in bytes: it and the signer's own header
// fit a slot of 16 KiB.
const MaxRecord = 15 << 10

// Record is what a signer must never forget: what it said last, and the highest
// QC behind it. The signer makes it durable before any signature leaves (S10).
// A Record is a value; its methods return a new one.
type Record struct {
	WriteCounter uint64 // counts versions; the signer raises it with each write
	BootCount    uint64 // counts starts
	FinalHeight  Height // the newest final block known when this was written
	FinalID      cid.Cid
	Watermark    Height // at and below it anything may have been said: this record is a recovered one

	Height   Height // what follows is about this height
	Marks           // the views, and highQC with its whole certificate
	Proposal *Signed
	Prepare  *Signed
	Commit   *Signed
	Timeout  *Timeout // with the highQC it declared, to be sent again unchanged
}

// NewRecord returns the record of a signer that has said nothing.
func NewRecord() Record { return Record{Marks: noMarks()} }

// at returns the record as it is for height h: a new height starts clean, also
// for one that had no vote for a while (S12).
func (r Record) at(h Height) Record {
	if h > r.Height {
		r.Height, r.Marks = h, noMarks()
		r.Proposal, r.Prepare, r.Commit, r.Timeout = nil, nil, nil, nil
	}
	return r
}

// said returns the newest statement of a kind, or nil.
func (r Record) said(k Kind, signer ID) *Signed {
	switch k {
	case KindProposal:
		return r.Proposal
	case KindPrepare:
		return r.Prepare
	case KindCommit:
		return r.Commit
	case KindTimeout:
		if r.Timeout != nil {
			s := r.Timeout.Signed()
			return &s
		}
	}
	return nil
}

// Admit answers whether u may be signed. If the same statement was signed
// before it returns that signature, and the signer hands out the same bytes.
// Otherwise (nil, nil) allows it. It fails with [ErrContradiction] for anything
// that the rules, or what was said before, forbid.
func (r Record) Admit(u Unsigned) (*Signed, error) {
	if err := u.Statement.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrContradiction, err)
	}
	if u.Height < r.Height || r.silent(u.Height) {
		return nil, fmt.Errorf("%w: %v of height %d: record is at %d, final at %d, watermark %d",
			ErrContradiction, u.Kind, u.Height, r.Height, r.FinalHeight, r.Watermark)
	}
	r = r.at(u.Height)
	if old := r.said(u.Kind, ID{}); old != nil && old.Statement == u.Statement {
		return old, nil
	}
	if !r.Marks.allows(u) {
		return nil, fmt.Errorf("%w: %v of view %d, highQC view %d: have proposed %d, prepared %d, committed %d, timed out %d, highQC %d",
			ErrContradiction, u.Kind, u.View, u.HighView, r.Proposed, r.Prepared, r.Committed, r.TimedOut, viewOf(r.HighQC))
	}
	return nil, nil
}

// silent reports whether nothing is said at a height any more.
func (r Record) silent(h Height) bool { return h <= max(r.FinalHeight, r.Watermark) }

// Keep returns the record with an admitted statement and its signature in it.
func (r Record) Keep(u Unsigned, signer ID, s Signature) Record {
	r = r.at(u.Height)
	r.Marks = r.Marks.with(u)
	signed := &Signed{u.Statement, signer, s}
	switch u.Kind {
	case KindProposal:
		r.Proposal = signed
	case KindPrepare:
		r.Prepare = signed
	case KindCommit:
		r.Commit = signed
	case KindTimeout:
		r.Timeout = &Timeout{u.Height, u.View, u.QC, signer, s}
	}
	return r
}

// Resign returns the record with its signatures made anew by sign, which gives
// the same message the same signature, and with what a faulty machine once got
// wrong put right.
func (r Record) Resign(g GenesisHash, sign func(message []byte) Signature) Record {
	for _, s := range []**Signed{&r.Proposal, &r.Prepare, &r.Commit} {
		if *s != nil {
			again := **s
			again.Signature = sign(again.SignedBytes(g))
			*s = &again
		}
	}
	if r.Timeout != nil {
		again := *r.Timeout
		again.Signature = sign(again.Signed().SignedBytes(g))
		r.Timeout = &again
	}
	return r
}

// Finalize returns the record with a newer final block in it.
func (r Record) Finalize(h Height, id cid.Cid) Record {
	if h > r.FinalHeight {
		r.FinalHeight, r.FinalID = h, id
	}
	return r
}

// Forgot reports whether s, which the signer itself signed (the caller has
// checked), is beyond what the record remembers: the record is an old image,
// or the key is alive elsewhere, and nothing may be signed any more. What was
// said up to the watermark is known to be forgotten.
func (r Record) Forgot(s Signed) bool {
	if s.Height <= r.Watermark {
		return false
	}
	if s.Height != r.Height {
		return s.Height > r.Height
	}
	if old := r.said(s.Kind, s.Signer); old != nil && old.View == s.View {
		return old.Statement != s.Statement
	}
	return s.View > r.Marks.of(s.Kind)
}

// Encode returns the canonical form of r.
func (r Record) Encode() []byte {
	w := writer{buf: make([]byte, 0, 2*fieldsSize+r.HighQC.room()+r.Proposal.room()+r.Prepare.room()+r.Commit.room()+r.Timeout.room())}
	w.array(15)
	w.uint(r.WriteCounter)
	w.uint(r.BootCount)
	w.height(r.FinalHeight)
	w.block(r.FinalID)
	w.height(r.Watermark)
	w.height(r.Height)
	for _, v := range []View{r.Proposed, r.Prepared, r.Committed, r.TimedOut} {
		w.view(v)
	}
	r.HighQC.write(&w)
	r.Proposal.write(&w)
	r.Prepare.write(&w)
	r.Commit.write(&w)
	r.Timeout.writeFields(&w)
	return w.buf
}

// DecodeRecord reads the form written by [Record.Encode]. It fails with
// [ErrCorrupt], also when the parts of the record do not agree.
func DecodeRecord(b []byte) (Record, error) {
	r, err := decode(b, MaxRecord, readRecord)
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return Record{}, fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	return r, nil
}

func readRecord(r *reader) Record {
	r.array(15)
	rec := Record{
		WriteCounter: r.uint(), BootCount: r.uint(),
		FinalHeight: r.height(), FinalID: r.block(), Watermark: r.height(), Height: r.height(),
		Marks:    Marks{r.view(), r.view(), r.view(), r.view(), readQC(r)},
		Proposal: readSigned(r), Prepare: readSigned(r), Commit: readSigned(r),
	}
	if !r.null() {
		rec.Timeout = readTimeout(r)
	}
	return rec
}

// check rejects a record in which the views do not match the statements.
func (r Record) check() error {
	for k := KindProposal; k <= KindTimeout; k++ {
		view, s := NoView, r.said(k, ID{})
		if s != nil {
			if err := s.Statement.check(); err != nil {
				return err
			}
			view = s.View
			if s.Kind != k || s.Height != r.Height {
				return invalidf("record of height %d: %v of height %d in the place of %v", r.Height, s.Kind, s.Height, k)
			}
		}
		if view != r.Marks.of(k) {
			return invalidf("record: newest %v is of view %d, want %d", k, view, r.Marks.of(k))
		}
	}
	if r.HighQC != nil && r.HighQC.Height != r.Height {
		return invalidf("record of height %d: highQC of height %d", r.Height, r.HighQC.Height)
	}
	if r.Timeout != nil && r.Timeout.HighView() > viewOf(r.HighQC) || r.Committed > viewOf(r.HighQC) {
		return invalidf("record: highQC of view %d is below what was said on it", viewOf(r.HighQC))
	}
	return nil
}
