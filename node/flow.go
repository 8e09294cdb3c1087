package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-varint"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/p2p"
	"github.com/sage-p2p/sage-p2p/task"
)

// A flow on /sage/task/1 begins with blobHere and the number of its beginning, or
// with blobRefused. Frames follow, by their first byte:
const (
	flowPiece byte = 1 // the next bytes follow
	flowPause byte = 2 // all that there is has been told; more may come
	flowEnd   byte = 3 // no more will
)

// Bounds of a flow.
const (
	maxPiece  = 32 << 10         // bytes in a frame
	maxPauses = 10_000           // in one stream
	flowBeat  = 15 * time.Second // between signs of life while nothing is told
)

// serveTask serves one stream of /sage/task/1.
func (n *Node) serveTask(ctx context.Context, from peer.ID, conn *p2p.FrameConn) {
	raw, err := conn.ReadFrame(max(wire.MaxBlobRequest, wire.MaxFlowRequest))
	switch {
	case err != nil:
	case wire.AsksForFlow(raw):
		err = n.serveFlow(ctx, from, conn, raw)
	default:
		err = n.serveBlob(from, conn, raw)
	}
	if err != nil {
		n.log.Debug("nothing served", "peer", from, "err", err)
	}
}

// serveFlow tells a peer of the work that it has asked for.
func (n *Node) serveFlow(ctx context.Context, from peer.ID, s stream, raw []byte) error {
	req, err := wire.DecodeFlowRequest(raw)
	if err != nil {
		n.host.Blame(from, err.Error())
		return err
	}
	t, err := n.audible(atp.ID{ID: from}, req)
	if err != nil {
		return refuseBlob(s, err)
	}
	return tellFlow(ctx, s, t, req, flowBeat)
}

// audible returns what a task gives who a right to hear: its requester hears its
// executor, and nobody else does.
func (n *Node) audible(who atp.ID, req wire.FlowRequest) (*tale, error) {
	r := n.chain.Load()
	if r == nil {
		return nil, errNotHere
	}
	t, known, err := n.knownTask(req.Task)
	switch {
	case err != nil || !known:
		return nil, fmt.Errorf("task %s is not known here", req.Task)
	case t.Acceptance == nil || t.Acceptance.Executor.ID != n.id() || t.Requester.ID != who:
		return nil, fmt.Errorf("task %s gives no right to its %s", req.Task, req.Flow)
	}
	told, err := n.ownTale(r, req.Task, req.Flow)
	if err == nil && told == nil {
		err = fmt.Errorf("task %s is not being executed here now", req.Task)
	}
	return told, err
}

// tellFlow tells what there is and what comes, until it is over or begins anew:
// then it is to be asked for again.
func tellFlow(ctx context.Context, s stream, t *tale, req wire.FlowRequest, every time.Duration) error {
	at := t.look(req.Begun, int(min(req.From, uint64(t.most))))
	begun, from := at.begun, at.from
	if err := s.WriteFrame(append([]byte{blobHere}, varint.ToUvarint(begun)...)); err != nil {
		return err
	}
	beat := time.NewTicker(every)
	defer beat.Stop()
	for quiet := true; ; {
		at := t.look(begun, from)
		if at.begun != begun {
			return nil
		}
		from += len(at.piece)
		for left := at.piece; len(left) > 0; {
			n := min(len(left), maxPiece)
			if err := s.WriteFrame(append([]byte{flowPiece}, left[:n]...)); err != nil {
				return err
			}
			left = left[n:]
		}
		if at.over {
			return s.WriteFrame([]byte{flowEnd})
		}
		if quiet {
			if err := s.WriteFrame([]byte{flowPause}); err != nil {
				return err
			}
		}
		select {
		case <-at.changed:
			quiet = false
		case <-beat.C:
			quiet = true
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// hear listens to what the executor of a task of ours tells, and tells it again,
// from where it is. Without follow it returns when all that there is was told.
func (n *Node) hear(ctx context.Context, t task.Task, of wire.Flow, into *tale, follow bool) error {
	executor := t.Acceptance.Executor.ID.ID
	s, err := n.host.OpenTask(ctx, executor)
	if err != nil {
		return err
	}
	defer s.Reset() // how the stream ends does not matter
	at := into.look(0, 0)
	req := wire.FlowRequest{Task: t.ID, Flow: of, Begun: at.begun, From: uint64(len(at.piece))}
	err = hearFlow(s, req, into, follow)
	if errors.Is(err, errLied) {
		n.host.Blame(executor, err.Error())
	}
	return err
}

// hearOut hears again and again, until all was told, ctx ends, or the work is over
// and the executor does not tell.
func (n *Node) hearOut(ctx context.Context, id cid.Cid, of wire.Flow, into *tale) error {
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		t, known, err := n.knownTask(id)
		if err != nil || !known || t.Acceptance == nil {
			return errors.Join(err, fmt.Errorf("%w: nobody works on the task %s", errNotHere, id))
		}
		before := len(into.look(0, 0).piece)
		if err = n.hear(ctx, t, of, into, true); err == nil || ctx.Err() != nil || t.Stage != task.Accepted {
			return err
		}
		n.log.Debug("not heard", "task", id, "flow", of, "err", err)
		if len(into.look(0, 0).piece) > before {
			pause = retryFirst
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

func hearFlow(s stream, req wire.FlowRequest, into *tale, follow bool) error {
	number, err := ask(s, &req)
	if err != nil {
		return err
	}
	begun, n, err := varint.FromUvarint(number)
	if err != nil || n != len(number) {
		return fmt.Errorf("%w: a flow without a number", errLied)
	}
	if begun != req.Begun {
		into.restart(begun)
	}
	for pauses := 0; pauses <= maxPauses; {
		frame, err := s.ReadFrame(1 + maxPiece)
		switch {
		case errors.Is(err, p2p.ErrTooLarge):
			return fmt.Errorf("%w: %w", errLied, err)
		case err != nil:
			return err
		case len(frame) > 1 && frame[0] == flowPiece:
			if !into.add(frame[1:]) {
				return fmt.Errorf("%w: more than %d bytes of %s", errLied, into.most, req.Flow)
			}
		case len(frame) == 1 && frame[0] == flowPause:
			if pauses++; !follow {
				return nil
			}
		case len(frame) == 1 && frame[0] == flowEnd:
			into.end()
			return nil
		default:
			return fmt.Errorf("%w: a frame of a flow that is none", errLied)
		}
	}
	return fmt.Errorf("node: the flow paused %d times", maxPauses)
}
