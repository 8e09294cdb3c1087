package node

import (
	"context"
	"fmt"
	"time"

	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// Acknowledge implements api.Wallet.
func (n *Node) Acknowledge(ctx context.Context, id view.CID, m view.Mark) (view.Submission, error) {
	r, t, err := n.ownTask(id)
	if err != nil {
		return view.Submission{}, err
	}
	if t.Stage != task.Proven {
		return view.Submission{}, n.wrongStage(t, "it can be judged once its result is proven, and until it is settled")
	}
	mark := task.S
	switch {
	case m.Refuse:
		mark = 0
	case m.QualityPPM != nil:
		mark = task.PPM(*m.QualityPPM)
	case t.Proof.Claim != nil:
		mark = *t.Proof.Claim
	}
	if mark < t.Terms.MinQuality && t.Terms.Class != task.Mutual {
		return view.Submission{}, &view.Error{
			Code: view.CodeRefused, Message: fmt.Sprintf("in class %s a result is not refused: witnesses find its quality", t.Terms.Class),
			Hint: "ask for them with: sage-p2p task dispute " + t.ID.String(),
		}
	}
	tx, err := r.wallet.submit(ctx, &chain.TaskAcknowledge{Task: t.ID, Mark: mark}, 0)
	if err == nil {
		r.wallet.about(tx.ID(), t.ID)
	}
	return view.Submission{TxID: viewCID(tx.ID()), TaskID: id}, err
}

// CancelTask implements api.Wallet.
func (n *Node) CancelTask(ctx context.Context, id view.CID) (view.Submission, error) {
	r, t, err := n.ownTask(id)
	if err != nil {
		return view.Submission{}, err
	}
	if t.Stage != task.Posted {
		return view.Submission{}, n.wrongStage(t, "it can be cancelled only until somebody accepts it")
	}
	tx, err := r.wallet.submit(ctx, &chain.TaskCancel{Task: t.ID}, 0)
	return view.Submission{TxID: viewCID(tx.ID()), TaskID: id}, err
}

// ownTask returns a task that this platform has posted.
func (n *Node) ownTask(id view.CID) (*running, task.Task, error) {
	r, err := n.ready()
	if err != nil {
		return nil, task.Task{}, err
	}
	t, known, err := n.knownTask(id.Cid)
	switch {
	case err != nil:
		return nil, task.Task{}, err
	case !known:
		return nil, task.Task{}, notFound(nil, "no task %s is known here", id)
	case t.Requester.ID != n.id():
		return nil, task.Task{}, &view.Error{
			Code: view.CodeRefused, Message: "this platform did not post the task",
			Hint: "ask its requester, whom sage-p2p task show names",
		}
	}
	return r, t, nil
}

func (n *Node) wrongStage(t task.Task, when string) error {
	return &view.Error{
		Code: view.CodeRefused, Message: fmt.Sprintf("the task is %s: %s", t.Stage, when),
		Hint: "see it: sage-p2p task show " + t.ID.String(),
	}
}

// DisputeTask implements api.Wallet.
func (n *Node) DisputeTask(ctx context.Context, id view.CID) (view.Submission, error) {
	r, t, err := n.ownTask(id)
	if err != nil {
		return view.Submission{}, err
	}
	switch {
	case t.Terms.Class == task.Mutual:
		return view.Submission{}, &view.Error{
			Code: view.CodeRefused, Message: "in class mutual there are no witnesses: the two parties find the quality",
			Hint: "refuse the result instead: sage-p2p task refuse " + t.ID.String(),
		}
	case t.Stage != task.Proven:
		return view.Submission{}, n.wrongStage(t, "it can be disputed once its result is proven and not drawn for an audit, and until it is settled")
	}
	if err := n.afford(r, r.worker.chargesOf(t).Dispute); err != nil {
		return view.Submission{}, err
	}
	tx, err := r.wallet.submit(ctx, &chain.TaskDispute{Task: t.ID}, 0)
	return view.Submission{TxID: viewCID(tx.ID()), TaskID: id}, err
}

// AppealTask implements api.Wallet.
func (n *Node) AppealTask(ctx context.Context, id view.CID) (view.Submission, error) {
	r, err := n.ready()
	if err != nil {
		return view.Submission{}, err
	}
	t, known, err := n.knownTask(id.Cid)
	switch {
	case err != nil:
		return view.Submission{}, err
	case !known:
		return view.Submission{}, notFound(nil, "no task %s is known here", id)
	case t.Stage != task.Decided:
		return view.Submission{}, n.wrongStage(t, "it can be appealed once a committee of witnesses has decided, and until the window for it ends")
	}
	loser := t.Requester.ID
	if t.Review.First == task.Fail {
		loser = t.Acceptance.Executor.ID
	}
	if loser != n.id() {
		return view.Submission{}, &view.Error{
			Code: view.CodeRefused, Message: fmt.Sprintf("the verdict is %s: only %s may appeal, whom it is against", t.Review.First, loser),
			Hint: "see it: sage-p2p task show " + t.ID.String(),
		}
	}
	if err := n.afford(r, r.worker.chargesOf(t).Appeal); err != nil {
		return view.Submission{}, err
	}
	tx, err := r.wallet.submit(ctx, &chain.TaskAppeal{Task: t.ID}, 0)
	return view.Submission{TxID: viewCID(tx.ID()), TaskID: id}, err
}

// verifyPatience is how long what an examination needs may take to come.
const verifyPatience = 30 * time.Second

// VerifyTask implements api.Tasks. A task of class mutual is executed again as one
// of class recompute would be.
func (n *Node) VerifyTask(ctx context.Context, id view.CID) (view.Examination, error) {
	r, err := n.ready()
	if err != nil {
		return view.Examination{}, err
	}
	t, known, err := n.knownTask(id.Cid)
	switch {
	case err != nil:
		return view.Examination{}, err
	case !known:
		return view.Examination{}, notFound(nil, "no task %s is known here", id)
	case t.Proof == nil:
		return view.Examination{}, n.wrongStage(t, "there is no result yet")
	}
	if t.Terms.Class == task.Mutual && t.Terms.Runtime == exec.WASMName {
		t.Terms.Class = task.Recompute
	}
	if err := n.judgesHere(t.Terms); err != nil {
		return view.Examination{}, &view.Error{Code: view.CodeRefused, Message: err.Error(), Hint: "see its class and runtime: sage-p2p task show " + t.ID.String()}
	}
	if err := r.worker.gather(ctx, t, verifyPatience); err != nil {
		return view.Examination{}, gone(err)
	}
	began := time.Now()
	found, err := r.worker.lookAgain(ctx, t, runTime(t.Terms))
	if err != nil {
		return view.Examination{}, err
	}
	x := viewExamination(t, found)
	x.ElapsedMS = view.Span(time.Since(began).Milliseconds())
	return x, n.compareMemory(&x, t)
}

func viewExamination(t task.Task, found verdict) view.Examination {
	x := view.Examination{
		TaskID: viewCID(t.ID), Class: string(t.Terms.Class), Did: "executed the program again on the task's input, for as long as a witness would",
		Answer: found.answer.String(), Passes: found.passes(t), Proved: viewCID(t.Proof.Result), Found: viewCID(found.result), MemoryHash: found.hash.String(),
	}
	if t.Terms.Class == task.Checker {
		x.Did = "ran the task's checker on its input and its result"
	}
	if q, scored := found.answer.Score(); scored {
		ppm := view.PPM(q)
		x.ScorePPM = &ppm
	}
	return x
}

// compareMemory counts the witnesses who have revealed the same memory.
func (n *Node) compareMemory(x *view.Examination, t task.Task) error {
	history, err := n.store.TaskHistory(t.ID)
	for _, h := range history {
		revealed, is := h.Event.Fact.(*task.Revealed)
		if _, scored := revealedScore(revealed); !is || !scored {
			continue
		}
		if revealed.Hash.String() == x.MemoryHash {
			x.MemoryAlike++
		} else {
			x.MemoryOther++
		}
	}
	return err
}

func revealedScore(f *task.Revealed) (task.PPM, bool) {
	if f == nil {
		return 0, false
	}
	return f.Answer.Score()
}
