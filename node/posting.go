package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// PostTask implements api.Wallet.
func (n *Node) PostTask(ctx context.Context, t view.NewTask, executor peer.ID) (view.Submission, error) {
	r, err := n.ready()
	if err != nil {
		return view.Submission{}, err
	}
	terms, err := n.terms(r, t)
	if err != nil {
		return view.Submission{}, err
	}
	sub := view.Submission{Executor: executor}
	switch {
	case executor != "":
		terms.Executor = atp.OptionalID{ID: atp.ID{ID: executor}}
	case t.To != view.ToOpen:
		picked, err := n.route(r, terms)
		if err != nil {
			return view.Submission{}, err
		}
		terms.Executor, terms.Price = atp.OptionalID{ID: picked.id}, cmp.Or(terms.Price, picked.quote)
		sub.Executor, sub.Routing = picked.id.ID, picked.why
	}
	if err := n.priceOf(r, &terms); err != nil {
		return view.Submission{}, err
	}
	if sub.Because, err = n.chooseClass(r, &terms); err != nil {
		return view.Submission{}, err
	}
	sub.Verify = string(terms.Class)
	if executor != "" {
		if sub.Note, err = n.checkNamed(r, terms); err != nil {
			return view.Submission{}, err
		}
	}
	if err := terms.Validate(r.state().Params().Economy, r.state().Totals().Supply); err != nil {
		return view.Submission{}, refuse(err)
	}
	if _, err := r.state().CouldWitness(n.id(), terms); err != nil {
		return view.Submission{}, refuse(err)
	}
	fee := r.state().Params().Economy.Charges(terms.Price, 0).Fee
	if err := n.afford(r, terms.Price, fee); err != nil {
		return view.Submission{}, err
	}
	tx, err := r.wallet.submit(ctx, &chain.FederationTask{Terms: terms}, 0)
	if err != nil {
		return view.Submission{}, err
	}
	id, err := chain.TaskID(r.genesis, tx.Tx(), 0)
	if err == nil {
		r.wallet.about(tx.ID(), id)
	}
	sub.TxID, sub.TaskID = viewCID(tx.ID()), viewCID(id)
	return sub, err
}

// checkWindows refuses windows that no task of its class may have, in the words of
// the API.
func checkWindows(e task.Economy, t task.Terms) error {
	for _, w := range []struct {
		name string
		have atp.Span
	}{{"execution window", t.ExecutionWindow}, {"offer window", t.OfferWindow}} {
		if w.have < e.MinWindow || w.have > e.MaxWindow {
			return &view.Error{
				Code:    view.CodeInvalid,
				Message: fmt.Sprintf("%s %s: want %s to %s", w.name, lasting(w.have), lasting(e.MinWindow), lasting(e.MaxWindow)),
			}
		}
	}
	if t.Class == task.Recompute && t.ExecutionWindow > e.RecomputeWindow {
		return &view.Error{
			Code:    view.CodeInvalid,
			Message: fmt.Sprintf("execution window %s: want at most %s in class %s", lasting(t.ExecutionWindow), lasting(e.RecomputeWindow), t.Class),
		}
	}
	return nil
}

// checkNamed refuses an executor to whom the ledger would let nobody post the task,
// and notes why one that was named is not likely to accept it.
func (n *Node) checkNamed(r *running, terms task.Terms) (note string, err error) {
	all, err := n.candidates(r, terms.Type)
	if err != nil {
		return "", err
	}
	refused := func(who, why string) error {
		return &view.Error{
			Code: view.CodeRefused, Message: fmt.Sprintf("%s %s: it cannot take this task", who, why),
			Hint: "see who offers what with sage-p2p platforms, or leave the choice to --to auto", Height: view.Height(r.state().Tip().Height),
		}
	}
	i := slices.IndexFunc(all, func(c candidate) bool { return c.id == terms.Executor.ID })
	if i < 0 {
		name, _, err := r.state().NameOf(terms.Executor.ID)
		return "", cmp.Or(err, refused(cmp.Or(string(name), terms.Executor.ID.String()), "has not registered as a platform"))
	}
	name := string(all[i].platform.Name)
	var why []string
	for _, t := range r.router.tests(time.Now(), terms, all[i]) {
		switch {
		case t.ok || t.ours():
		case t.what == "type", t.what == "runtime":
			return "", refused(name, t.text)
		case t.what == "price":
			why = append(why, fmt.Sprintf("%s ATP is below its list price of %s ATP", terms.Price, all[i].quote(terms)))
		case t.what == "reachable":
			why = append(why, "it "+t.text)
		default:
			why = append(why, t.text)
		}
	}
	if len(why) == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s will hardly accept it as things are: %s", name, strings.Join(why, "; ")), nil
}

// terms fills in what a new task leaves to the defaults.
func (n *Node) terms(r *running, t view.NewTask) (task.Terms, error) {
	terms := r.state().Params().Economy.DefaultTerms()
	terms.Type, terms.Runtime = task.Type(t.Type), task.Runtime(t.Runtime)
	terms.Program, terms.Input = t.Program.Cid, t.Input.Cid
	terms.Price, terms.Private = atp.Amount(t.PriceUATP), t.Private
	terms.Horizon = horizonOver(terms.Horizon, t.Horizon)
	if t.Complexity != "" {
		terms.Complexity = task.Complexity(t.Complexity)
	}
	if t.MinQualityPPM != 0 {
		terms.MinQuality = task.PPM(t.MinQualityPPM)
	}
	terms.Class = task.Class(t.Verify)
	contents := []cid.Cid{terms.Program, terms.Input}
	if !t.Checker.IsZero() {
		terms.Checker = &t.Checker.Cid
		contents = append(contents, t.Checker.Cid)
	}
	if t.OfferWindowMS != 0 {
		terms.OfferWindow = atp.Span(t.OfferWindowMS)
	}
	if t.ExecutionWindowMS != 0 {
		terms.ExecutionWindow = atp.Span(t.ExecutionWindowMS)
	}
	if err := checkWindows(r.state().Params().Economy, terms); err != nil {
		return terms, err
	}
	for _, blob := range contents {
		if !n.blobs.has(blob) {
			return terms, &view.Error{
				Code: view.CodeNotFound, Message: fmt.Sprintf("this node does not hold the content %s", blob),
				Hint: "send the file itself with the request",
			}
		}
	}
	size, _ := n.blobs.size(terms.Input)
	terms.InputSize = task.Size(size)
	return terms, n.checkProgram(terms)
}

// checkProgram refuses a program that no platform could execute, before a price
// is locked for it. Of a runtime that is not here nothing is known.
func (n *Node) checkProgram(terms task.Terms) error {
	rt, err := n.runtimes.Runtime(string(terms.Runtime))
	if err != nil {
		return nil
	}
	program, err := n.blobs.get(terms.Program)
	if err != nil {
		return err
	}
	if err := rt.Check(program); err != nil {
		return &view.Error{Code: view.CodeInvalid, Message: fmt.Sprintf("no platform could execute the program: %v", err), Hint: "see what a program is: sage-p2p task submit --help"}
	}
	wasm, err := n.runtimes.Runtime(exec.WASMName)
	if err != nil || terms.Checker == nil {
		return nil
	}
	checker, err := n.blobs.get(*terms.Checker)
	if err != nil {
		return err
	}
	if err := wasm.Check(checker); err != nil {
		return &view.Error{Code: view.CodeInvalid, Message: fmt.Sprintf("no platform could run the checker: %v", err), Hint: "try it with: sage-p2p task check --help"}
	}
	return nil
}

// chooseClass sets the class of a task for which none was asked: that of its
// checker or, where the work can be done again and there are witnesses, recompute,
// or else mutual. It returns why.
func (n *Node) chooseClass(r *running, terms *task.Terms) (because string, err error) {
	switch {
	case terms.Class == task.Judge:
		return "", &view.Error{
			Code: view.CodeRefused, Message: "no platform of this version judges results: nobody would accept a task of class judge",
			Hint: "write what makes a result good as a program, and give it with --checker FILE",
		}
	case terms.Class != "":
		return "", nil
	case terms.Checker != nil:
		terms.Class = task.Checker
		return "a checker is named", nil
	}
	terms.Class = task.Mutual
	switch {
	case terms.Private:
		return "the task is private", nil
	case terms.Runtime != exec.WASMName:
		return fmt.Sprintf("what runtime %s does cannot be done again alike", terms.Runtime), nil
	}
	again := *terms
	again.Class = task.Recompute
	if err := again.Validate(r.state().Params().Economy, r.state().Totals().Supply); err != nil {
		return "witnesses take no such task: " + strings.TrimPrefix(err.Error(), "task: "), nil
	}
	_, err = r.state().CouldWitness(n.id(), again)
	switch {
	case errors.Is(err, task.ErrClass):
		return "fewer than two other owners could witness it", nil
	case err != nil:
		return "", err
	}
	*terms = again
	return "there are independent witnesses", nil
}

// priceOf fills in the executor's own quote where no price was named.
func (n *Node) priceOf(r *running, terms *task.Terms) error {
	if terms.Price > 0 {
		return nil
	}
	p, registered, err := r.state().Platform(terms.Executor.ID)
	if err != nil {
		return err
	}
	offer, offered := p.Offer(terms.Type)
	if !registered || !offered {
		offer = task.DefaultOffer(terms.Type)
	}
	terms.Price = offer.Quote(terms.Complexity, 0)
	return nil
}

// route picks the executor of a task.
func (n *Node) route(r *running, terms task.Terms) (choice, error) {
	all, err := n.candidates(r, terms.Type)
	if err != nil {
		return choice{}, err
	}
	picked, out := r.router.pick(time.Now(), terms, all)
	if picked.id.IsZero() {
		why := "no other platform is registered"
		if len(out) > 0 {
			why = reasons(out)
		}
		return choice{}, &view.Error{
			Code: view.CodeRefused, Message: "no platform can take this task: " + why,
			Hint: "see who offers what: sage-p2p platforms", Retryable: true, Height: view.Height(r.state().Tip().Height),
		}
	}
	return picked, nil
}

// candidates returns the other platforms as the router sees them.
func (n *Node) candidates(r *running, of task.Type) ([]candidate, error) {
	state := r.state()
	working := map[atp.ID]bool{}
	err := state.EachTask(func(t task.Task) error {
		if t.Stage == task.Accepted {
			working[t.Acceptance.Executor.ID] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	trips := map[peer.ID]time.Duration{}
	for _, p := range n.host.Peers() {
		trips[p.ID] = max(1, p.RTT)
	}
	day, decay := task.DayOf(state.Tip().Time), state.Params().Economy.Decay
	var all []candidate
	err = state.EachPlatform(func(id atp.ID, p task.Platform) error {
		if id == n.id() {
			return nil
		}
		e, _, err := state.Evidence(task.Key{Who: id, Role: task.Executor, Type: of})
		all = append(all, candidate{
			id: id, platform: p, lcb: e.At(day, decay).LowerBound(), busy: working[id],
			connected: trips[id.ID] > 0, roundTrip: trips[id.ID],
		})
		return err
	})
	return all, err
}
