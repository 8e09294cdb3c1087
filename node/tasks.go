package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/p2p"
	"github.com/sage-p2p/sage-p2p/task"
)

// The first byte of the answer on /sage/task/1.
const (
	blobHere    byte = 1 // the content follows, as a blob
	blobRefused byte = 2 // why not, in words, follows
)

// maxRefusal bounds the words of a refusal.
const maxRefusal = 256

// errRefused reports that the other party does not give content out.
var errRefused = errors.New("node: content refused by the other party")

// stream is what blobs travel on (p2p.FrameConn).
type stream interface {
	ReadFrame(limit int) ([]byte, error)
	WriteFrame([]byte) error
	ReadBlob(w io.Writer, limit int64) (int64, error)
	WriteBlob(r io.Reader, size int64) error
}

// serveTask serves one stream of /sage/task/1.
func (n *Node) serveTask(_ context.Context, from peer.ID, conn *p2p.FrameConn) {
	if err := n.serveBlob(from, conn); err != nil {
		n.log.Debug("serving content", "peer", from, "err", err)
	}
}

// serveBlob gives a peer the content that a task gives it a right to.
func (n *Node) serveBlob(from peer.ID, s stream) error {
	raw, err := s.ReadFrame(wire.MaxBlobRequest)
	if err != nil {
		return err
	}
	var req wire.BlobRequest
	if err := wire.Decode(raw, wire.MaxBlobRequest, &req); err != nil {
		n.host.Blame(from, err.Error())
		return err
	}
	data, err := n.entitled(atp.ID{ID: from}, req)
	if err != nil {
		text := []byte(err.Error())
		return s.WriteFrame(append([]byte{blobRefused}, text[:min(len(text), maxRefusal)]...))
	}
	if err := s.WriteFrame([]byte{blobHere}); err != nil {
		return err
	}
	return s.WriteBlob(bytes.NewReader(data), int64(len(data)))
}

// entitled returns the content if the task gives who a right to it: program
// and input to whoever may accept the task or has, the result to the requester.
func (n *Node) entitled(who atp.ID, req wire.BlobRequest) ([]byte, error) {
	r := n.chain.Load()
	if r == nil {
		return nil, errNotHere
	}
	t, err := n.store.Task(req.Task)
	if err != nil {
		return nil, fmt.Errorf("task %s is not known here", req.Task)
	}
	allowed := false
	switch req.Blob {
	case t.Terms.Program, t.Terms.Input:
		allowed = mayExecute(r, t, who)
	default:
		allowed = t.Proof != nil && t.Proof.Result == req.Blob && who == t.Requester.ID
	}
	if !allowed {
		return nil, fmt.Errorf("task %s gives no right to %s", req.Task, req.Blob)
	}
	return n.blobs.get(req.Blob)
}

// mayExecute reports whether who has accepted the task, or could.
func mayExecute(r *running, t task.Task, who atp.ID) bool {
	switch {
	case t.Acceptance != nil:
		return t.Acceptance.Executor.ID == who
	case t.Stage != task.Posted:
		return false
	case !t.Terms.Executor.IsZero():
		return t.Terms.Executor.ID == who
	}
	p, ok, err := r.state().Platform(who)
	if err != nil || !ok {
		return false
	}
	_, offered := p.Offer(t.Terms.Type)
	return offered && p.Runs(t.Terms.Runtime)
}

// fetchBlob gets content from the other party of a task, unless it is here.
func (n *Node) fetchBlob(ctx context.Context, from atp.ID, of, blob cid.Cid) error {
	if n.blobs.has(blob) {
		return nil
	}
	s, err := n.host.OpenTask(ctx, from.ID)
	if err != nil {
		return err
	}
	// What was received is checked: how the stream ends does not matter.
	defer s.Reset()
	return n.receiveBlob(s, of, blob)
}

func (n *Node) receiveBlob(s stream, of, blob cid.Cid) error {
	req := wire.BlobRequest{Task: of, Blob: blob}
	raw, err := atp.Encode(&req)
	if err != nil {
		return err
	}
	if err := s.WriteFrame(raw); err != nil {
		return err
	}
	head, err := s.ReadFrame(1 + maxRefusal)
	switch {
	case err != nil:
		return err
	case len(head) == 0 || head[0] != blobHere:
		return fmt.Errorf("%w: %q", errRefused, head[min(1, len(head)):])
	}
	return n.blobs.receive(blob, func(w io.Writer) error {
		_, err := s.ReadBlob(w, MaxBlob)
		return err
	})
}

// resultOf makes sure that the result of a task in which this platform is a
// party is here, and opens it.
func (n *Node) resultOf(ctx context.Context, t task.Task) error {
	if t.Proof == nil || t.Acceptance == nil {
		return fmt.Errorf("%w: task %s has no result yet", ErrNoBlob, t.ID)
	}
	if t.Requester.ID != n.id() {
		return nil
	}
	return n.fetchBlob(ctx, t.Acceptance.Executor.ID, t.ID, t.Proof.Result)
}

// searchedTasks is in how many of the newest tasks a result is looked for.
const searchedTasks = 256

// fetchResult gets the result with this name from whoever executed the task
// that it answers, which this platform has posted.
func (n *Node) fetchResult(ctx context.Context, result cid.Cid) error {
	refs, err := n.store.Tasks("", searchedTasks)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		t, err := n.store.Task(ref.ID)
		if err != nil {
			return err
		}
		if t.Requester.ID != n.id() || t.Proof == nil || t.Proof.Result != result {
			continue
		}
		if err := n.resultOf(ctx, t); err != nil {
			return gone(err)
		}
		return nil
	}
	return gone(fmt.Errorf("%w: %s", ErrNoBlob, result))
}

// gone says that content is not here.
func gone(err error) error {
	return &view.Error{
		Code: view.CodeGone, Message: err.Error(), Retryable: true,
		Hint: "its executor serves a result until the task is settled, if it is connected: sage-p2p peers",
	}
}

// knownTask returns a task as the newest block left it.
func (n *Node) knownTask(id cid.Cid) (task.Task, bool, error) {
	t, err := n.store.Task(id)
	if errors.Is(err, store.ErrNotFound) {
		return task.Task{}, false, nil
	}
	return t, err == nil, err
}
