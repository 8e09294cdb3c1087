package bft

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
)

// Everything is DAG-CBOR tuples, written and read here by hand because half of
// the types are unions or optional. There is one encoding of each value, and
// the reader takes no other: heads are minimal, lengths are checked before
// anything is allocated, nothing may follow.

const (
	// MaxPayload bounds the block inside a Proposal, in bytes: a header and
	// the IDs of 2,000 transactions.
	MaxPayload = 128 << 10
	// MaxMessage bounds an encoded message, in bytes.
	MaxMessage = MaxPayload + 32<<10
)

// CBOR major types.
const (
	majorUint  = 0
	majorNeg   = 1
	majorBytes = 2
	majorArray = 4
	majorTag   = 6
	cborNull   = 0xf6
	cborNegOne = 0x20
	tagCID     = 42
)

// writer appends values to a buffer.
type writer struct{ buf []byte }

func (w *writer) head(major byte, n uint64) {
	major <<= 5
	switch {
	case n < 24:
		w.buf = append(w.buf, major|byte(n))
	case n < 1<<8:
		w.buf = append(w.buf, major|24, byte(n))
	case n < 1<<16:
		w.buf = binary.BigEndian.AppendUint16(append(w.buf, major|25), uint16(n))
	case n < 1<<32:
		w.buf = binary.BigEndian.AppendUint32(append(w.buf, major|26), uint32(n))
	default:
		w.buf = binary.BigEndian.AppendUint64(append(w.buf, major|27), n)
	}
}

func (w *writer) array(n int)      { w.head(majorArray, uint64(n)) }
func (w *writer) uint(n uint64)    { w.head(majorUint, n) }
func (w *writer) null()            { w.buf = append(w.buf, cborNull) }
func (w *writer) height(h Height)  { w.uint(uint64(h)) }
func (w *writer) kind(k Kind)      { w.uint(uint64(k)) }
func (w *writer) sig(s *Signature) { w.bytes(s[:]) }
func (w *writer) id(id ID)         { w.bytes([]byte(id.ID)) }

func (w *writer) bytes(b []byte) {
	w.head(majorBytes, uint64(len(b)))
	w.buf = append(w.buf, b...)
}

// view writes NoView as −1.
func (w *writer) view(v View) {
	if v == NoView {
		w.buf = append(w.buf, cborNegOne)
		return
	}
	w.uint(uint64(v))
}

// block writes a CID as DAG-CBOR does; an undefined one is null.
func (w *writer) block(c cid.Cid) {
	if !c.Defined() {
		w.null()
		return
	}
	w.head(majorTag, tagCID)
	w.head(majorBytes, uint64(1+c.ByteLen()))
	w.buf = append(w.buf, 0)
	w.buf = append(w.buf, c.KeyString()...)
}

// reader reads values; after the first error it returns zero values.
type reader struct {
	src  io.Reader
	err  error
	one  [1]byte
	back bool     // one holds a byte that was peeked at
	room [64]byte // of what is read next, a head or a value of fixed size: it takes no memory of its own
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = invalidf("encoding: "+format, args...)
	}
}

func (r *reader) fill(p []byte) {
	if r.err != nil || len(p) == 0 {
		return
	}
	if r.back {
		p[0], r.back, p = r.one[0], false, p[1:]
	}
	if _, err := io.ReadFull(r.src, p); err != nil {
		r.fail("%v", err)
	}
}

// null reports whether the next value is null, and if so reads it.
func (r *reader) null() bool {
	if r.err == nil && !r.back {
		r.fill(r.one[:])
		r.back = r.err == nil
	}
	if !r.back || r.one[0] != cborNull {
		return false
	}
	r.back = false
	return true
}

func (r *reader) head() (major byte, n uint64) {
	b := r.room[:9]
	clear(b)
	r.fill(b[:1])
	if r.err != nil {
		return 0, 0
	}
	major, low := b[0]>>5, b[0]&31
	if low < 24 {
		return major, uint64(low)
	}
	if low > 27 {
		r.fail("head %#x", b[0])
		return 0, 0
	}
	size := 1 << (low - 24)
	r.fill(b[9-size:])
	b[0] = 0
	n = binary.BigEndian.Uint64(b[1:])
	least := [...]uint64{24, 1 << 8, 1 << 16, 1 << 32}[low-24]
	if r.err == nil && n < least {
		r.fail("%d is not written in its shortest form", n)
	}
	return major, n
}

func (r *reader) expect(major byte, atMost uint64) uint64 {
	m, n := r.head()
	if r.err == nil && (m != major || n > atMost) {
		r.fail("have major type %d, value %d, want type %d, at most %d", m, n, major, atMost)
	}
	if r.err != nil {
		return 0
	}
	return n
}

func (r *reader) uint() uint64   { return r.expect(majorUint, 1<<64-1) }
func (r *reader) height() Height { return Height(r.uint()) }
func (r *reader) kind() Kind     { return Kind(r.expect(majorUint, 255)) }
func (r *reader) sig() Signature { return Signature(r.fixed(len(Signature{}))) }

func (r *reader) array(n int) {
	if have := r.expect(majorArray, uint64(n)); r.err == nil && have != uint64(n) {
		r.fail("tuple: have %d fields, want %d", have, n)
	}
}

// list reads the length of an array with at most MaxValidators elements.
func (r *reader) list() int { return int(r.expect(majorArray, MaxValidators)) }

func (r *reader) bytes(atMost int) []byte {
	b := make([]byte, r.expect(majorBytes, uint64(atMost)))
	r.fill(b)
	return b
}

// fixed returns bytes of a length that r has room for. They are there until the next
// value is read.
func (r *reader) fixed(size int) []byte {
	if have := r.expect(majorBytes, uint64(size)); have != uint64(size) {
		r.fail("have %d bytes, want %d", have, size)
	}
	b := r.room[:size]
	r.fill(b)
	if r.err != nil {
		clear(b)
	}
	return b
}

// view reads a view from NoView to MaxView.
func (r *reader) view() View {
	major, n := r.head()
	switch {
	case r.err != nil:
	case major == majorNeg && n == 0:
		return NoView
	case major == majorUint && n <= uint64(MaxView):
		return View(n)
	default:
		r.fail("view: have major type %d, value %d, want at most %d", major, n, MaxView)
	}
	return NoView
}

func (r *reader) id() ID {
	id, err := idFromBytes(r.fixed(idSize))
	if err != nil && r.err == nil {
		r.err = err
	}
	return id
}

func (r *reader) block() cid.Cid {
	if r.null() {
		return cid.Undef
	}
	if tag := r.expect(majorTag, tagCID); r.err == nil && tag != tagCID {
		r.fail("tag %d, want %d", tag, tagCID)
	}
	b := r.fixed(1 + blockSize)
	if r.err != nil {
		return cid.Undef
	}
	if b[0] != 0 || !isBlock(b[1:]) {
		r.fail("block ID %x: want CIDv1, dag-cbor, sha2-256", b)
		return cid.Undef
	}
	_, c, err := cid.CidFromBytes(b[1:])
	if err != nil {
		r.fail("%v", err)
	}
	return c
}

// end fails unless everything has been read.
func (r *reader) end() {
	if r.err != nil {
		return
	}
	if n, err := r.src.Read(r.one[:]); n != 0 || err != io.EOF {
		r.fail("bytes after the value")
	}
}

// decode reads exactly one value from b, of at most limit bytes.
func decode[T any](b []byte, limit int, read func(*reader) T) (T, error) {
	var none T
	if len(b) > limit {
		return none, fmt.Errorf("%w: have %d bytes, want at most %d", ErrInvalid, len(b), limit)
	}
	r := &reader{src: &slice{b}}
	v := read(r)
	r.end()
	if r.err != nil {
		return none, r.err
	}
	return v, nil
}

// slice is the smallest reader of bytes.
type slice struct{ left []byte }

// Read implements [io.Reader].
func (s *slice) Read(p []byte) (int, error) {
	if len(s.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.left)
	s.left = s.left[n:]
	return n, nil
}

// sigSize and fieldsSize are more than a signature with its head, and all other
// fields of a certificate or statement, take.
const (
	sigSize    = len(Signature{}) + 16
	fieldsSize = 128
)

// room is about as many bytes as q takes, and rather more.
func (q *QC) room() int {
	if q == nil {
		return 1
	}
	return fieldsSize + len(q.Signers) + sigSize*len(q.Signatures)
}

// room is like that of a QC.
func (t *TC) room() int {
	if t == nil {
		return 1
	}
	return fieldsSize + len(t.Signers) + sigSize*len(t.Timeouts) + t.QC.room()
}

// room is like that of a QC.
func (t *Timeout) room() int {
	if t == nil {
		return 1
	}
	return fieldsSize + sigSize + t.HighQC.room()
}

// room is like that of a QC.
func (s *Signed) room() int {
	if s == nil {
		return 1
	}
	return fieldsSize + sigSize
}

// flush writes what f appends, which is about size bytes, to an [io.Writer].
func flush(out io.Writer, size int, f func(*writer)) error {
	w := writer{buf: make([]byte, 0, size)}
	f(&w)
	_, err := out.Write(w.buf)
	return err
}
