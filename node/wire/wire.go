// Package wire is what nodes say to each other besides the messages of
// consensus: questions and replies, and who may have which content. All of it
// is DAG-CBOR with one form for each value, decoded strictly: what does not
// encode to the same bytes again is refused, and its sender is to blame.
package wire

import (
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/task"
)

//go:generate go run ./gen/gen.go

// ErrMalformed reports bytes, or a question, that no correct platform sends.
var ErrMalformed = errors.New("wire: malformed")

// Bounds of an encoded value, in bytes.
const (
	MaxQuestion     = 64 << 10
	MaxReply        = 16 << 20
	MaxBlobRequest  = 128
	MaxFlowRequest  = 128
	MaxAnnouncement = 1<<20 + 4<<10 // a genesis, and a little
)

// Question is a request of /sage/fetch/1. It asks for one thing.
type Question struct {
	Txs      []cid.Cid `cborgen:"maxlen=1500"` // transactions by address; what fits into MaxQuestion
	Block    *cid.Cid
	From     bft.Height // final blocks From … To with their certificates
	To       bft.Height
	Founding bool // the announcement of a platform that is founding
	Genesis  bool // the genesis, as JSON
	Peers    bool // where platforms listen
	Invite   *Redemption
}

// Reply answers a Question, with as much of it as is here and fits.
type Reply struct {
	Txs    []chain.Transaction `cborgen:"maxlen=2500"`
	Blocks []Parcel            `cborgen:"maxlen=64"`
	Peers  []Contact           `cborgen:"maxlen=128"`
	Data   []byte              `cborgen:"maxlen=1052672"` // an Announcement, a genesis or a Welcome
}

// Parcel is a block on its way; Cert is nil for one that is not final.
type Parcel struct {
	Header chain.Header
	Body   chain.Body
	Cert   *bft.CommitCert
}

// Contact is where a platform says that it listens.
type Contact struct {
	ID    bft.ID
	Addrs []string `cborgen:"maxlen=16"` // multiaddrs, without /p2p
}

// BlobRequest opens a stream of /sage/task/1: the content asked for, and the
// task that gives a right to it.
type BlobRequest struct {
	Task cid.Cid
	Blob cid.Cid
}

// Flow is something that the executor of a task tells of the work as it goes on.
type Flow string

// The flows.
const (
	Text Flow = "text" // of the result, while it is one that comes in pieces
	Logs Flow = "logs" // what the runtime has written to standard error
)

// FlowRequest opens a stream of /sage/task/1: what the executor of a task tells
// of its work is asked for, from an offset on. Text that was begun anew is told
// from its beginning, whatever the offset.
type FlowRequest struct {
	Task  cid.Cid
	Flow  Flow   `cborgen:"maxlen=8"`
	Begun uint64 // number of the beginning to which From refers; 0: none is known
	From  uint64 // in bytes
}

// AsksForFlow reports whether what opens a stream of /sage/task/1 is, if it is
// well formed, a FlowRequest: an array of four, where a BlobRequest is one of two.
func AsksForFlow(raw []byte) bool { return len(raw) > 0 && raw[0] == 0x84 }

// DecodeFlowRequest reads a request for what a task's executor tells.
func DecodeFlowRequest(raw []byte) (FlowRequest, error) {
	var r FlowRequest
	if err := Decode(raw, MaxFlowRequest, &r); err != nil {
		return FlowRequest{}, err
	}
	if r.Flow != Text && r.Flow != Logs {
		return FlowRequest{}, fmt.Errorf("%w: flow: have %q, want %s or %s", ErrMalformed, r.Flow, Text, Logs)
	}
	return r, nil
}

// Announcement is what a platform that founds a federation tells the others,
// again and again, until there is one.
type Announcement struct {
	Name      string        `cborgen:"maxlen=64"`
	Time      atp.Millis    // of its wish
	Expect    uint64        // how many founders
	Params    [32]byte      // hash of the genesis parameters that it wants
	Draft     [32]byte      // hash of the genesis that it would sign, or has signed; zero while it would sign none
	Signature bft.Signature // under Draft; zero before
	Genesis   []byte        `cborgen:"maxlen=1048576"` // once complete, as JSON
}

// Decode reads v from all of raw, at most limit bytes.
func Decode(raw []byte, limit int, v atp.Value) error {
	if err := chain.DecodeExactly(raw, limit, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// DecodeQuestion reads a question and checks that it is one.
func DecodeQuestion(raw []byte) (Question, error) {
	var q Question
	if err := Decode(raw, MaxQuestion, &q); err != nil {
		return Question{}, err
	}
	asked := 0
	for _, is := range []bool{len(q.Txs) > 0, q.Block != nil, q.From > 0 || q.To > 0, q.Founding, q.Genesis, q.Peers, q.Invite != nil} {
		if is {
			asked++
		}
	}
	switch {
	case asked != 1:
		return Question{}, fmt.Errorf("%w: question for %d things, want one", ErrMalformed, asked)
	case q.To > 0 && (q.From == 0 || q.From > q.To) || q.From > 0 && q.To == 0:
		return Question{}, fmt.Errorf("%w: question for blocks %d to %d", ErrMalformed, q.From, q.To)
	}
	return q, nil
}

// DecodeBlobRequest reads a request for content.
func DecodeBlobRequest(raw []byte) (BlobRequest, error) {
	var r BlobRequest
	if err := Decode(raw, MaxBlobRequest, &r); err != nil {
		return BlobRequest{}, err
	}
	return r, nil
}

// DecodeAnnouncement reads an announcement and checks that a genesis could be
// made of what it says.
func DecodeAnnouncement(raw []byte) (Announcement, error) {
	var a Announcement
	if err := Decode(raw, MaxAnnouncement, &a); err != nil {
		return Announcement{}, err
	}
	if err := task.Name(a.Name).Check(); err != nil {
		return Announcement{}, fmt.Errorf("%w: announcement: name: %w", ErrMalformed, err)
	}
	if a.Time == 0 || a.Expect == 0 || a.Expect > bft.MaxValidators {
		return Announcement{}, fmt.Errorf("%w: announcement: have time %d and %d founders, want a time and 1 to %d", ErrMalformed, a.Time, a.Expect, bft.MaxValidators)
	}
	return a, nil
}
