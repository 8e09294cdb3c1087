package bft

import (
	"math/bits"

	"github.com/ipfs/go-cid"
)

// Bitmap names validators by their index in the set: bit i%8 of byte i/8. It
// is exactly as long as the set needs, and cannot name anyone twice.
type Bitmap []byte

func newBitmap(n int) Bitmap { return make(Bitmap, (n+7)/8) }

// Has reports whether index i is named.
func (b Bitmap) Has(i int) bool { return i/8 < len(b) && b[i/8]>>(i%8)&1 == 1 }

// Count returns how many indices are named.
func (b Bitmap) Count() (n int) {
	for _, x := range b {
		n += bits.OnesCount8(x)
	}
	return n
}

func (b Bitmap) set(i int) { b[i/8] |= 1 << (i % 8) }

// fits reports whether b is of the length for n validators and names no index
// beyond them.
func (b Bitmap) fits(n int) bool {
	return len(b) == (n+7)/8 && (n%8 == 0 || b[len(b)-1]>>(n%8) == 0)
}

// indices lists the named indices in order.
func (b Bitmap) indices() []int {
	var list []int
	for i := range len(b) * 8 {
		if b.Has(i) {
			list = append(list, i)
		}
	}
	return list
}

// QC certifies that q validators signed PREPARE for one block in one view.
type QC struct {
	Height     Height
	View       View
	Block      cid.Cid
	Signers    Bitmap
	Signatures []Signature // of the signers, in order
}

// CommitCert is finality: q or more validators signed COMMIT for one block in
// one view. Anyone can check it with the validator set alone.
type CommitCert struct {
	Height     Height
	View       View
	Block      cid.Cid
	Signers    Bitmap
	Signatures []Signature // of the signers, in order
}

// Position implements [Message].
func (c *CommitCert) Position() Position { return Position{c.Height, c.View, KindCommitCert} }

// TC certifies that q validators gave up View or a later view. Each signer has
// its own view (S7, L2); the lowest is View, so that a TC says one thing only.
type TC struct {
	Height   Height
	View     View
	Signers  Bitmap
	Timeouts []TimeoutMark // of the signers, in order
	QC       *QC           // its view is the highest that a mark declares; nil if none does
}

// TimeoutMark is what a TC keeps of one Timeout.
type TimeoutMark struct {
	View      View
	HighView  View
	Signature Signature
}

// viewOf returns the view of qc, or NoView if there is none.
func viewOf(qc *QC) View {
	if qc == nil {
		return NoView
	}
	return qc.View
}

// lowest returns the lowest view that the signers gave up.
func (t *TC) lowest() View {
	low := MaxView
	for _, m := range t.Timeouts {
		low = min(low, m.View)
	}
	return low
}

// highest returns the highest QC view that the marks declare.
func (t *TC) highest() View {
	high := NoView
	for _, m := range t.Timeouts {
		high = max(high, m.HighView)
	}
	return high
}
