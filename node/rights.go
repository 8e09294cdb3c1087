package node

import (
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/task"
)

// roles says what one has to do with a task.
type roles struct {
	requester, executor bool
	seated              bool // as a witness, at any level; until the task is settled
}

// any reports whether one has a part in the task at all.
func (r roles) any() bool { return r.requester || r.executor || r.seated }

// rolesOf returns the roles of who in a task, as of a state.
func rolesOf(s chain.State, t task.Task, who atp.ID) (roles, error) {
	r := roles{requester: t.Requester.ID == who, executor: t.Acceptance != nil && t.Acceptance.Executor.ID == who}
	seats, err := s.Seats(t)
	for _, seat := range seats {
		r.seated = r.seated || seat.Seat.Witness == who
	}
	return r, err
}

// witnesses are those who sit over a task or, once the state has forgotten them,
// sat until it was settled.
func (n *Node) witnesses(s chain.State, t task.Task) (all []atp.ID, err error) {
	seats, err := s.Seats(t)
	for _, s := range seats {
		all = append(all, s.Seat.Witness)
	}
	if err != nil || len(all) > 0 {
		return all, err
	}
	history, err := n.store.TaskHistory(t.ID)
	for _, h := range history {
		if drawn, is := h.Event.Fact.(*task.Drawn); is {
			all = append(all, drawn.Seats...)
		}
	}
	return all, err
}

// posted is where what the requester of a task has posted is kept here: program,
// input and checker.
func (n *Node) posted(t task.Task) blobs {
	if t.Requester.ID == n.id() {
		return n.blobs
	}
	return n.blobs.from(t.Requester.ID)
}

// proved is where the result of a task is kept here.
func (n *Node) proved(t task.Task) blobs {
	if t.Requester.ID == n.id() || t.Acceptance == nil || t.Acceptance.Executor.ID == n.id() {
		return n.blobs
	}
	return n.blobs.from(t.Acceptance.Executor.ID)
}

// isPosted reports whether the terms name content.
func isPosted(t task.Terms, blob cid.Cid) bool {
	return blob == t.Program || blob == t.Input || t.Checker != nil && blob == *t.Checker
}

// entitled returns where the content is kept that a task gives who a right to, or
// why it gives none. What was posted is for whoever may accept the task or has,
// from its requester, and for its witnesses, from all who hold it. What was proved,
// the result, is for the requester and the witnesses, from the executor and the
// witnesses; for the requester also when the task is settled, from all who have it
// still: it has paid. A task in which we have no part gives nobody a right to
// anything here.
func (n *Node) entitled(who atp.ID, req wire.BlobRequest) (blobs, error) {
	r := n.chain.Load()
	if r == nil {
		return blobs{}, errNotHere
	}
	t, known, err := n.knownTask(req.Task)
	if err != nil || !known {
		return blobs{}, fmt.Errorf("task %s is not known here", req.Task)
	}
	we, err := rolesOf(r.state(), t, n.id())
	if err != nil {
		return blobs{}, errNotHere
	}
	they, err := rolesOf(r.state(), t, who)
	if err != nil {
		return blobs{}, errNotHere
	}
	proved := t.Proof != nil && t.Proof.Result == req.Blob
	if proved && they.requester && t.Stage == task.Settled && !we.executor {
		sat, err := n.witnesses(r.state(), t)
		if err != nil {
			return blobs{}, errNotHere
		}
		we.seated = slices.Contains(sat, n.id())
	}
	if proved && (we.executor || we.seated) && (they.requester || they.seated) {
		return n.proved(t), nil
	}
	if isPosted(t.Terms, req.Blob) && (we.requester && mayExecute(r.state(), t, who) || we.any() && they.seated) {
		return n.posted(t), nil
	}
	return blobs{}, fmt.Errorf("task %s gives no right to %s", req.Task, req.Blob)
}
