package bft

import (
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
)

// Wire numbers of the union of messages; a Vote tells its kind itself.
const (
	wireProposal = iota + 1
	wireVote
	wireTimeout
	wireStatus
	wireCommitCert
)

// Encode returns the canonical form of m: the tuple [type, fields].
func Encode(m Message) []byte {
	w := writer{buf: make([]byte, 0, roomOf(m))}
	w.array(2)
	m.write(&w)
	return w.buf
}

// roomOf is about as many bytes as m takes, and rather more.
func roomOf(m Message) int {
	switch m := m.(type) {
	case *Proposal:
		return fieldsSize + sigSize + len(m.Payload) + m.TC.room()
	case *Timeout:
		return m.room()
	case *Status:
		return 2*fieldsSize + sigSize + m.HighQC.room() + m.TC.room()
	case *CommitCert:
		return (*QC)(m).room()
	}
	return fieldsSize + sigSize
}

// Decode reads the form written by [Encode] and checks what can be judged
// without the validator set. It fails with [ErrInvalid].
func Decode(b []byte) (Message, error) {
	m, err := decode(b, MaxMessage, readMessage)
	if err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return m, nil
}

func readMessage(r *reader) Message {
	r.array(2)
	switch t := r.uint(); t {
	case wireProposal:
		return readProposal(r)
	case wireVote:
		return readVote(r)
	case wireTimeout:
		return readTimeout(r)
	case wireStatus:
		return readStatus(r)
	case wireCommitCert:
		c := CommitCert(*readQCFields(r))
		return &c
	default:
		r.fail("message type %d", t)
		return nil
	}
}

func (p *Proposal) write(w *writer) {
	w.uint(wireProposal)
	w.array(6)
	w.height(p.Height)
	w.view(p.View)
	w.block(p.Block)
	w.bytes(p.Payload)
	p.TC.write(w)
	w.sig(&p.Signature)
}

func readProposal(r *reader) *Proposal {
	r.array(6)
	return &Proposal{r.height(), r.view(), r.block(), r.bytes(MaxPayload), readTC(r), r.sig()}
}

func (v *Vote) write(w *writer) {
	w.uint(wireVote)
	w.array(6)
	w.kind(v.Kind)
	w.height(v.Height)
	w.view(v.View)
	w.block(v.Block)
	w.id(v.Signer)
	w.sig(&v.Signature)
}

func readVote(r *reader) *Vote {
	r.array(6)
	return &Vote{r.kind(), r.height(), r.view(), r.block(), r.id(), r.sig()}
}

func (t *Timeout) write(w *writer) {
	w.uint(wireTimeout)
	t.writeFields(w)
}

func (t *Timeout) writeFields(w *writer) {
	if t == nil {
		w.null()
		return
	}
	w.array(5)
	w.height(t.Height)
	w.view(t.View)
	t.HighQC.write(w)
	w.id(t.Signer)
	w.sig(&t.Signature)
}

func readTimeout(r *reader) *Timeout {
	r.array(5)
	return &Timeout{r.height(), r.view(), readQC(r), r.id(), r.sig()}
}

func (s *Status) write(w *writer) {
	w.uint(wireStatus)
	w.array(10)
	w.height(s.Height)
	w.view(s.View)
	w.height(s.FinalHeight)
	w.block(s.FinalID)
	w.uint(uint64(s.Clock))
	s.HighQC.write(w)
	s.TC.write(w)
	s.Newest.write(w)
	w.uint(s.Challenge)
	w.uint(s.Answer)
}

func readStatus(r *reader) *Status {
	r.array(10)
	return &Status{
		r.height(), r.view(), r.height(), r.block(), UnixMillis(r.uint()), readQC(r), readTC(r), readSigned(r),
		r.uint(), r.uint(),
	}
}

func (s *Signed) write(w *writer) {
	if s == nil {
		w.null()
		return
	}
	w.array(7)
	w.kind(s.Kind)
	w.height(s.Height)
	w.view(s.View)
	w.block(s.Block)
	w.view(s.HighView)
	w.id(s.Signer)
	w.sig(&s.Signature)
}

func readSigned(r *reader) *Signed {
	if r.null() {
		return nil
	}
	r.array(7)
	return &Signed{Statement{r.kind(), r.height(), r.view(), r.block(), r.view()}, r.id(), r.sig()}
}

func (q *QC) write(w *writer) {
	if q == nil {
		w.null()
		return
	}
	w.array(5)
	w.height(q.Height)
	w.view(q.View)
	w.block(q.Block)
	w.bytes(q.Signers)
	w.array(len(q.Signatures))
	for i := range q.Signatures {
		w.sig(&q.Signatures[i])
	}
}

func readQC(r *reader) *QC {
	if r.null() {
		return nil
	}
	return readQCFields(r)
}

func readQCFields(r *reader) *QC {
	r.array(5)
	q := &QC{r.height(), r.view(), r.block(), r.bytes((MaxValidators + 7) / 8), nil}
	q.Signatures = make([]Signature, r.list())
	for i := range q.Signatures {
		q.Signatures[i] = r.sig()
	}
	return q
}

func (c *CommitCert) write(w *writer) {
	w.uint(wireCommitCert)
	(*QC)(c).write(w)
}

func (t *TC) write(w *writer) {
	if t == nil {
		w.null()
		return
	}
	w.array(5)
	w.height(t.Height)
	w.view(t.View)
	w.bytes(t.Signers)
	w.array(len(t.Timeouts))
	for i := range t.Timeouts {
		w.array(3)
		w.view(t.Timeouts[i].View)
		w.view(t.Timeouts[i].HighView)
		w.sig(&t.Timeouts[i].Signature)
	}
	t.QC.write(w)
}

func readTC(r *reader) *TC {
	if r.null() {
		return nil
	}
	r.array(5)
	t := &TC{Height: r.height(), View: r.view(), Signers: r.bytes((MaxValidators + 7) / 8)}
	t.Timeouts = make([]TimeoutMark, r.list())
	for i := range t.Timeouts {
		r.array(3)
		t.Timeouts[i] = TimeoutMark{r.view(), r.view(), r.sig()}
	}
	t.QC = readQC(r)
	return t
}

// MarshalCBOR writes id as a byte string; the zero ID is an error.
func (id ID) MarshalCBOR(out io.Writer) error {
	if _, err := idFromBytes([]byte(id.ID)); err != nil {
		return err
	}
	return flush(out, idSize+2, func(w *writer) { w.id(id) })
}

// UnmarshalCBOR reads the form written by [ID.MarshalCBOR].
func (id *ID) UnmarshalCBOR(in io.Reader) error {
	r := &reader{src: in}
	*id = r.id()
	return r.err
}

// MarshalCBOR writes c as a tuple, so that a block header can embed it.
func (c *CommitCert) MarshalCBOR(out io.Writer) error {
	return flush(out, (*QC)(c).room(), (*QC)(c).write)
}

// UnmarshalCBOR reads the form written by [CommitCert.MarshalCBOR]; null is an
// error. It fails with [ErrInvalid] and leaves c as it was.
func (c *CommitCert) UnmarshalCBOR(in io.Reader) error {
	r := &reader{src: in}
	read := CommitCert(*readQCFields(r))
	if r.err != nil {
		return r.err
	}
	if err := read.check(); err != nil {
		return err
	}
	*c = read
	return nil
}

// The checks below are what no validator set is needed for.

func (p *Proposal) check() error {
	if err := checkPlace(p.View, p.Block); err != nil {
		return fmt.Errorf("%w: Proposal", err)
	}
	if len(p.Payload) > MaxPayload {
		return invalidf("payload: have %d bytes, want at most %d", len(p.Payload), MaxPayload)
	}
	return nil
}

func (v *Vote) check() error {
	if v.Kind != KindPrepare && v.Kind != KindCommit {
		return invalidf("vote: kind %v", v.Kind)
	}
	return checkPlace(v.View, v.Block)
}

func (t *Timeout) check() error { return checkView(t.View) }

func (s *Status) check() error {
	if s.FinalHeight > 0 && !isBlock(s.FinalID.Bytes()) {
		return invalidf("Status without its final block")
	}
	return checkView(s.View)
}

func (c *CommitCert) check() error { return checkPlace(c.View, c.Block) }

// check rejects a statement that has, or lacks, what its kind forbids or needs.
func (s Statement) check() error {
	switch {
	case s.Kind.domain() == "":
		return invalidf("statement: kind %v is not signed", s.Kind)
	case s.Kind == KindTimeout && (s.Block.Defined() || s.HighView > s.View):
		return invalidf("statement: Timeout of view %d names block %v, highQC view %d", s.View, s.Block, s.HighView)
	case s.Kind == KindTimeout:
		return checkView(s.View)
	case s.HighView != NoView:
		return invalidf("statement: %v declares highQC view %d", s.Kind, s.HighView)
	}
	return checkPlace(s.View, s.Block)
}

func checkView(v View) error {
	if v < 0 || v > MaxView {
		return invalidf("view: have %d, want 0 to %d", v, MaxView)
	}
	return nil
}

func checkPlace(v View, block cid.Cid) error {
	if !isBlock(block.Bytes()) {
		return invalidf("block ID %v: want CIDv1, dag-cbor, sha2-256", block)
	}
	return checkView(v)
}
