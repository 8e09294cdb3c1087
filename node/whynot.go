package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
)

// maxExplained bounds how many platforms are explained at once.
const maxExplained = 256

// WhyNot implements api.Explains. It asks the router's own tests.
func (n *Node) WhyNot(_ context.Context, id view.CID, platform peer.ID) (view.WhyNot, error) {
	r, err := n.ready()
	if err != nil {
		return view.WhyNot{}, err
	}
	t, _, err := n.anyTask(r, id)
	if err != nil {
		return view.WhyNot{}, err
	}
	all, err := n.candidates(r, t.Terms.Type)
	if err != nil {
		return view.WhyNot{}, err
	}
	why := view.WhyNot{
		TaskID: id, State: viewStage(t.Stage), Height: view.Height(r.state().Tip().Height), MostUATP: view.Amount(mostFor(t.Terms)),
	}
	var notes []string
	if t.Requester.ID != n.id() {
		notes = append(notes, "another platform posted it: so would the router of this one judge, by what it knows")
	}
	if why.Candidates = r.router.explain(time.Now(), t, all, platform); len(why.Candidates) > maxExplained {
		notes = append(notes, fmt.Sprintf("these are %d of %d platforms", maxExplained, len(why.Candidates)))
		why.Candidates = why.Candidates[:maxExplained]
	}
	if platform != "" && len(why.Candidates) == 0 {
		stranger, err := n.noCandidate(r, t, platform)
		if err != nil {
			return why, err
		}
		why.Candidates = append(why.Candidates, stranger)
	}
	why.Note = strings.Join(notes, "; ")
	return why, nil
}

// noCandidate explains a platform that the router does not even look at.
func (n *Node) noCandidate(r *running, t task.Task, platform peer.ID) (view.Contender, error) {
	name, _, err := r.state().NameOf(atp.ID{ID: platform})
	c := view.Contender{PeerID: platform, Name: string(name), Chosen: executes(t, atp.ID{ID: platform}), Tests: []view.Test{
		{What: "registered", Text: "has not registered as a platform"},
	}}
	if platform == n.id().ID {
		c.Tests[0] = view.Test{What: "another", Text: "is this platform itself, which the router gives no task"}
	}
	return c, err
}

// executes reports whether who is a task's executor, or the only one who may be.
func executes(t task.Task, who atp.ID) bool {
	return t.Terms.Executor.ID == who || t.Acceptance != nil && t.Acceptance.Executor.ID == who
}

// explain returns what the router thinks of the candidates, or of one of them,
// those that fit first.
func (r *router) explain(now time.Time, t task.Task, all []candidate, only peer.ID) []view.Contender {
	var fit []candidate
	list := make([]view.Contender, 0, len(all))
	for _, c := range all {
		v := view.Contender{
			PeerID: c.id.ID, Name: string(c.platform.Name), Chosen: executes(t, c.id), Fit: true, Busy: c.busy,
		}
		for _, test := range r.tests(now, t.Terms, c) {
			v.Tests = append(v.Tests, view.Test{What: test.what, OK: test.ok, Text: test.text})
			v.Fit = v.Fit && test.ok
		}
		if c.id == t.Requester.ID {
			v.Fit = false
			v.Tests = append(v.Tests, view.Test{What: "another", Text: "posted the task itself"})
		}
		if v.Fit {
			fit = append(fit, c)
		}
		list = append(list, v)
	}
	r.chances(t.Terms, fit, list)
	list = slices.DeleteFunc(list, func(c view.Contender) bool { return only != "" && c.PeerID != only })
	slices.SortFunc(list, func(a, b view.Contender) int {
		if a.Fit != b.Fit {
			if a.Fit {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list
}

// chances fills in how likely a draw by score is to end at each one that fits.
func (r *router) chances(terms task.Terms, fit []candidate, list []view.Contender) {
	if len(fit) == 0 {
		return
	}
	total := 0.0
	weights := map[peer.ID]float64{}
	for i, score := range r.scores(terms, fit) {
		weights[fit[i].id.ID] = score
		total += score
	}
	for i := range list {
		if total > 0 {
			list[i].ChancePPM = view.PPM(weights[list[i].PeerID] / total * float64(task.S))
		}
	}
}

// unfinal returns a task that was posted here and whose transaction is not
// final yet.
func unfinal(r *running, id view.CID) (task.Task, bool) {
	for _, tx := range r.wallet.allWaiting() {
		for i, op := range tx.Tx().Ops {
			post, ok := op.Action.(*chain.FederationTask)
			if !ok {
				continue
			}
			if got, err := chain.TaskID(r.genesis, tx.Tx(), i); err == nil && got == id.Cid {
				return task.Task{ID: got, Requester: task.Party{ID: tx.Tx().From}, Terms: post.Terms}, true
			}
		}
	}
	return task.Task{}, false
}
