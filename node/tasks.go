package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
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

var (
	// errRefused reports that the other party does not give content out. It may
	// be a block behind us, and give it a moment later.
	errRefused = errors.New("node: content refused by the other party")

	// errLied reports content that is not what its task says: asking again is
	// of no use.
	errLied = errors.New("node: the other party's content is not what the task says")
)

// stream is what blobs travel on (p2p.FrameConn).
type stream interface {
	ReadFrame(limit int) ([]byte, error)
	WriteFrame([]byte) error
	ReadBlob(w io.Writer, limit int64) (int64, error)
	WriteBlob(r io.Reader, size int64) error
}

// serveBlob gives a peer the content that a task gives it a right to.
func (n *Node) serveBlob(from peer.ID, s stream, raw []byte) (err error) {
	req, err := wire.DecodeBlobRequest(raw)
	if err != nil {
		n.host.Blame(from, err.Error())
		return err
	}
	held, err := n.entitled(atp.ID{ID: from}, req)
	if err != nil {
		return refuseBlob(s, err)
	}
	f, size, err := held.open(req.Blob)
	if err != nil {
		return refuseBlob(s, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := s.WriteFrame([]byte{blobHere}); err != nil {
		return err
	}
	return s.WriteBlob(f, size)
}

func refuseBlob(s stream, why error) error {
	text := strings.ToValidUTF8(why.Error(), "?")
	return s.WriteFrame(append([]byte{blobRefused}, text[:min(len(text), maxRefusal)]...))
}

// mayExecute reports whether who has accepted the task, or could.
func mayExecute(state chain.State, t task.Task, who atp.ID) bool {
	switch {
	case t.Acceptance != nil:
		return t.Acceptance.Executor.ID == who
	case t.Stage != task.Posted || who == t.Requester.ID:
		return false
	case !t.Terms.Executor.IsZero():
		return t.Terms.Executor.ID == who
	}
	p, ok, err := state.Platform(who)
	if err != nil || !ok {
		return false
	}
	_, offered := p.Offer(t.Terms.Type)
	return offered && p.Runs(t.Terms.Runtime)
}

// fetchBlob gets content of at most limit bytes from the other party of a task
// into those blobs, unless it is there.
func (n *Node) fetchBlob(ctx context.Context, into blobs, from atp.ID, req wire.BlobRequest, limit int64) error {
	if size, here := into.size(req.Blob); here {
		return checkSize(size, limit)
	}
	if err := n.makeRoom(); err != nil {
		return err
	}
	s, err := n.host.OpenTask(ctx, from.ID)
	if err != nil {
		return err
	}
	// What was received is checked: how the stream ends does not matter.
	defer s.Reset()
	err = receiveBlob(into, s, req, limit)
	switch {
	case errors.Is(err, errOtherBlob):
		n.host.Blame(from.ID, err.Error())
		return fmt.Errorf("%w: %w", errLied, err)
	case errors.Is(err, p2p.ErrTooLarge):
		return fmt.Errorf("%w: %w", errLied, err)
	}
	return err
}

func checkSize(have, limit int64) error {
	if have > limit {
		return fmt.Errorf("%w: have %d bytes, want at most %d", errLied, have, limit)
	}
	return nil
}

// ask sends a request for content, and returns what comes with the word that it
// follows.
func ask(s stream, req cbg.CBORMarshaler) ([]byte, error) {
	raw, err := atp.Encode(req)
	if err != nil {
		return nil, err
	}
	if err := s.WriteFrame(raw); err != nil {
		return nil, err
	}
	head, err := s.ReadFrame(1 + maxRefusal)
	switch {
	case err != nil:
		return nil, err
	case len(head) == 0 || head[0] != blobHere:
		return nil, fmt.Errorf("%w: %q", errRefused, head[min(1, len(head)):])
	}
	return head[1:], nil
}

func receiveBlob(into blobs, s stream, req wire.BlobRequest, limit int64) error {
	if _, err := ask(s, &req); err != nil {
		return err
	}
	return into.receive(req.Blob, func(w io.Writer) error {
		_, err := s.ReadBlob(w, min(limit, MaxBlob))
		return err
	})
}

// makeRoom keeps the content of the home within its bound.
func (n *Node) makeRoom() error {
	return n.blobs.trim(maxBlobs, time.Now().Add(-blobGrace), n.wantedBlobs)
}

// wantedBlobs is the content of the open tasks of this platform, those whose
// posting is not final yet included.
func (n *Node) wantedBlobs() (map[cid.Cid]bool, error) {
	wanted := map[cid.Cid]bool{}
	r := n.chain.Load()
	if r == nil {
		return wanted, nil
	}
	locals, err := n.store.Locals()
	if err != nil {
		return nil, err
	}
	for _, tx := range locals {
		for _, op := range tx.Tx().Ops {
			if post, ok := op.Action.(*chain.FederationTask); ok {
				want(wanted, post.Terms)
			}
		}
	}
	err = r.state().EachTask(func(t task.Task) error {
		part, err := rolesOf(r.state(), t, n.id())
		if err != nil || !part.any() && !r.worker.concerns(t) {
			return err
		}
		want(wanted, t.Terms)
		if t.Proof != nil {
			wanted[t.Proof.Result] = true
		}
		return nil
	})
	return wanted, err
}

// want adds what the terms of a task name.
func want(wanted map[cid.Cid]bool, t task.Terms) {
	wanted[t.Program], wanted[t.Input] = true, true
	if t.Checker != nil {
		wanted[*t.Checker] = true
	}
}

// fetchResult makes sure that the result of a task of ours is here.
func (n *Node) fetchResult(ctx context.Context, t task.Task) error {
	if t.Proof == nil || t.Acceptance == nil {
		return fmt.Errorf("%w: task %s has no result yet", ErrNoBlob, t.ID)
	}
	return n.fetchBlob(ctx, n.blobs, t.Acceptance.Executor.ID, wire.BlobRequest{Task: t.ID, Blob: t.Proof.Result}, int64(t.Proof.Size))
}

// How long the witnesses of a task may take to serve its result: one of them, and
// all together.
const (
	servePatience = 30 * time.Second
	serveTime     = 2 * time.Minute
)

// askForResult makes sure that the result of a task of ours is here, by asking its
// witnesses, if it has any, before its executor.
func (n *Node) askForResult(ctx context.Context, t task.Task) error {
	r, err := n.ready()
	if err != nil {
		return err
	}
	witnesses, err := n.witnesses(r.state(), t)
	if err != nil {
		return err
	}
	for _, from := range witnesses {
		try, cancel := context.WithTimeout(ctx, min(servePatience, serveTime/time.Duration(len(witnesses))))
		err := n.fetchBlob(try, n.blobs, from, wire.BlobRequest{Task: t.ID, Blob: t.Proof.Result}, int64(t.Proof.Size))
		cancel()
		if err == nil {
			return nil
		}
	}
	return n.fetchResult(ctx, t)
}

// searchedTasks is in how many of the newest tasks a result is looked for.
const searchedTasks = 256

// findResult gets the result with this name from whoever executed the task
// that it answers, which this platform has posted, or has witnessed it.
func (n *Node) findResult(ctx context.Context, result cid.Cid) error {
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
		if err := n.askForResult(ctx, t); err != nil {
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
		Hint: "its executor and its witnesses serve a result, those who are connected: sage-p2p peers",
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
