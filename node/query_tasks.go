package node

import (
	"context"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
)

// maxLookedAt is how many tasks, or events, one page looks at. A page that finds
// fewer than it may hold is followed by another all the same.
const maxLookedAt = 10_000

// Tasks implements api.Tasks.
func (n *Node) Tasks(_ context.Context, f view.TaskFilter) (view.Tasks, error) {
	r, err := n.ready()
	if err != nil {
		return view.Tasks{}, err
	}
	page := view.Tasks{Tasks: []view.Task{}}
	names := names{r.state(), map[atp.ID]string{}}
	page.Next = f.Cursor
	for seen := 0; seen < maxLookedAt; {
		refs, err := n.store.Tasks(page.Next, f.Limit)
		if err != nil {
			return page, err
		}
		if len(refs) == 0 {
			page.Next = ""
			return page, nil
		}
		seen += len(refs)
		for _, ref := range refs {
			page.Next = ref.Cursor
			t, err := n.store.Task(ref.ID)
			if err != nil {
				return page, err
			}
			v := n.viewTask(r, t, names)
			if (f.State == "" || f.State == v.State) && (!f.Mine || v.Requester == n.id().ID || v.Executor == n.id().ID) {
				if err := n.tellEnd(&v, t); err != nil {
					return page, err
				}
				page.Tasks = append(page.Tasks, v)
			}
			if len(page.Tasks) == f.Limit {
				return page, nil
			}
		}
	}
	return page, nil
}

// tellEnd adds how a settled task ended.
func (n *Node) tellEnd(v *view.Task, t task.Task) error {
	if t.Stage != task.Settled {
		return nil
	}
	history, err := n.store.TaskHistory(t.ID)
	if err != nil {
		return err
	}
	tell(v, history)
	v.History = nil
	return nil
}

// Task implements api.Tasks.
func (n *Node) Task(_ context.Context, id view.CID) (view.Task, error) {
	r, err := n.ready()
	if err != nil {
		return view.Task{}, err
	}
	names := names{r.state(), map[atp.ID]string{}}
	t, final, err := n.anyTask(r, id)
	if err != nil {
		return view.Task{}, err
	}
	if !final {
		return n.viewTask(r, t, names), nil
	}
	history, err := n.store.TaskHistory(id.Cid)
	if err != nil {
		return view.Task{}, err
	}
	v := n.viewTask(r, t, names)
	tell(&v, history)
	for i, seat := range v.Witnesses {
		v.Witnesses[i].Name = names.of(atp.ID{ID: seat.PeerID})
	}
	v.ConsensusMS = view.Span(r.wallet.spentOn(id.Cid))
	if len(v.History) > 0 {
		whole := view.Span(v.History[len(v.History)-1].TimeMS - v.History[0].TimeMS)
		v.ConsensusSharePPM = view.PPM(v.ConsensusMS) * 1_000_000 / view.PPM(max(1, whole))
	}
	if e, ok, err := r.worker.journal.read(id.Cid); err == nil && ok {
		v.Failure = e.Failure
	}
	return v, nil
}

// anyTask returns a task, and whether its posting is final.
func (n *Node) anyTask(r *running, id view.CID) (t task.Task, final bool, err error) {
	for range 2 { // what is at neither place has just moved from the second to the first
		if t, final, err = n.knownTask(id.Cid); err != nil || final {
			return t, final, err
		}
		if t, waits := unfinal(r, id); waits {
			return t, false, nil
		}
	}
	return task.Task{}, false, notFound(nil, "no task %s is known here", id)
}

// viewTask shows a task without its history.
func (n *Node) viewTask(r *running, t task.Task, names names) view.Task {
	terms := t.Terms
	v := view.Task{
		ID: viewCID(t.ID), State: viewStage(t.Stage), Requester: t.Requester.ID.ID, RequesterName: names.of(t.Requester.ID),
		Executor: terms.Executor.ID.ID, ExecutorName: names.of(terms.Executor.ID), Open: terms.Executor.IsZero(),
		Spec: view.Spec{
			Type: string(terms.Type), Complexity: string(terms.Complexity), Horizon: viewHorizon(terms.Horizon), Runtime: string(terms.Runtime),
			Program: viewCID(terms.Program), Input: viewCID(terms.Input), InputSize: uint64(terms.InputSize),
			PriceUATP: view.Amount(terms.Price), MinQualityPPM: view.PPM(terms.MinQuality), Verify: string(terms.Class),
			OfferWindowMS: terms.OfferWindow, ExecutionWindowMS: terms.ExecutionWindow, Private: terms.Private,
		},
		FeeUATP: view.Amount(t.Fee), DeadlineMS: view.Millis(t.Deadline),
		Witnesses: []view.Witness{}, History: []view.Step{},
	}
	if a := t.Acceptance; a != nil {
		v.Executor, v.ExecutorName = a.Executor.ID.ID, names.of(a.Executor.ID)
		v.BondUATP = view.Amount(a.Bond)
	}
	if terms.Checker != nil {
		v.Spec.Checker = viewCID(*terms.Checker)
	}
	if p := t.Proof; p != nil {
		v.Result, v.ResultSize, v.ResultHere = viewCID(p.Result), uint64(p.Size), n.blobs.has(p.Result)
		if p.Claim != nil {
			claim := view.PPM(*p.Claim)
			v.ClaimedPPM = &claim
		}
	}
	return v
}

func viewStage(s task.Stage) view.TaskState {
	switch s {
	case task.Posted:
		return view.TaskPosted
	case task.Accepted:
		return view.TaskAccepted
	case task.Proven:
		return view.TaskProven
	case task.Drawing, task.Committing, task.Revealing, task.Decided:
		return view.TaskWitnessing
	case task.Settled:
		return view.TaskSettled
	}
	return view.TaskPending
}
