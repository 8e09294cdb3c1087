package node

import (
	"context"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
)

// Tasks implements api.Tasks.
func (n *Node) Tasks(_ context.Context, f view.TaskFilter) (view.Tasks, error) {
	r, err := n.ready()
	if err != nil {
		return view.Tasks{}, err
	}
	page := view.Tasks{Tasks: []view.Task{}}
	names := names{r.state(), map[atp.ID]string{}}
	cursor := f.Cursor
	for len(page.Tasks) < f.Limit {
		refs, err := n.store.Tasks(cursor, f.Limit)
		if err != nil {
			return page, err
		}
		if len(refs) == 0 {
			return page, nil
		}
		for _, ref := range refs {
			cursor = ref.Cursor
			t, err := n.store.Task(ref.ID)
			if err != nil {
				return page, err
			}
			v := n.viewTask(r, t, names)
			if (f.State == "" || f.State == v.State) && (!f.Mine || v.Requester == n.id().ID || v.Executor == n.id().ID) {
				page.Tasks = append(page.Tasks, v)
			}
			if len(page.Tasks) == f.Limit {
				page.Next = cursor
				return page, nil
			}
		}
	}
	return page, nil
}

// Task implements api.Tasks.
func (n *Node) Task(_ context.Context, id view.CID) (view.Task, error) {
	r, err := n.ready()
	if err != nil {
		return view.Task{}, err
	}
	names := names{r.state(), map[atp.ID]string{}}
	t, known, err := n.knownTask(id.Cid)
	if err != nil {
		return view.Task{}, err
	}
	if !known {
		return n.pendingTask(r, id, names)
	}
	history, err := n.store.TaskHistory(id.Cid)
	if err != nil {
		return view.Task{}, err
	}
	v := n.viewTask(r, t, names)
	tell(&v, history)
	v.ConsensusMS = view.Span(r.wallet.spentOn(id.Cid))
	if len(v.History) > 0 {
		whole := view.Span(v.History[len(v.History)-1].TimeMS-v.History[0].TimeMS) + v.ConsensusMS
		v.ConsensusSharePPM = view.PPM(v.ConsensusMS) * 1_000_000 / view.PPM(max(1, whole))
	}
	if e, ok, err := r.worker.journal.read(id.Cid); err == nil && ok {
		v.Failure = e.Failure
	}
	return v, nil
}

// pendingTask finds a task whose transaction is not final yet.
func (n *Node) pendingTask(r *running, id view.CID, names names) (view.Task, error) {
	locals, err := n.store.Locals()
	if err != nil {
		return view.Task{}, err
	}
	for _, tx := range locals {
		for i, op := range tx.Tx().Ops {
			post, ok := op.Action.(*chain.FederationTask)
			if !ok {
				continue
			}
			if got, err := chain.TaskID(r.genesis, tx.Tx(), i); err == nil && got == id.Cid {
				t := task.Task{ID: got, Requester: task.Party{ID: tx.Tx().From}, Terms: post.Terms}
				v := n.viewTask(r, t, names)
				v.State = view.TaskPending
				return v, nil
			}
		}
	}
	return view.Task{}, notFound(nil, "no task %s is known here", id)
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
	case task.Settled:
		return view.TaskSettled
	}
	return view.TaskPending
}

// tell adds a task's history: a step for each move, with the money and the
// reputation that it moved.
func tell(v *view.Task, history []store.Happening) {
	for _, h := range history {
		if m, ok := h.Event.Fact.(*task.Moved); ok {
			v.History = append(v.History, view.Step{
				TimeMS: view.Millis(h.Time), Height: view.Height(h.Height), Event: string(m.Step), By: m.By.ID.ID,
				Tx: viewCID(h.Subject), Legs: []view.Leg{}, Reputation: []view.ReputationMove{},
			})
			if m.By.IsZero() {
				v.History[len(v.History)-1].Tx = view.CID{} // the deadline's own doing
			}
			continue
		}
		if len(v.History) == 0 {
			continue // the first event of a task is its posting
		}
		step := &v.History[len(v.History)-1]
		switch f := h.Event.Fact.(type) {
		case *task.Locked:
			step.Legs = append(step.Legs, view.Leg{What: "locked", To: f.Payer.ID, AmountUATP: view.Amount(f.Amount)})
		case *task.Engaged:
			step.Legs = append(step.Legs,
				view.Leg{What: "bonded", To: f.Executor.ID, AmountUATP: view.Amount(f.Bond)},
				view.Leg{What: "fee discharged", AmountUATP: view.Amount(f.Discharged)},
				view.Leg{What: "fee to the pool", AmountUATP: view.Amount(f.ToPool)})
		case *task.Paid:
			settled(v, step, f)
		case *task.ReputationChanged:
			step.Reputation = append(step.Reputation, view.ReputationMove{
				PeerID: f.Who.ID, Role: string(f.Role), Type: string(f.Type),
				OldPPM: view.PPM(f.Old), NewPPM: view.PPM(f.New), Cause: string(f.Cause),
			})
		}
	}
}

// settled adds how a task ended.
func settled(v *view.Task, step *view.Step, f *task.Paid) {
	v.Settlement = view.Settlement(f.Outcome)
	if f.Quality != nil {
		q := view.PPM(*f.Quality)
		v.QualityPPM = &q
	}
	v.Cause = causeOf(f.Path, task.Op(step.Event))
	for _, leg := range []view.Leg{
		{What: "to the requester", To: f.Requester.ID, AmountUATP: view.Amount(f.ToRequester)},
		{What: "to the executor", To: f.Executor.ID.ID, AmountUATP: view.Amount(f.ToExecutor)},
		{What: "to witnesses", AmountUATP: view.Amount(f.ToSeats)},
		{What: "to the pool", AmountUATP: view.Amount(f.ToPool)},
		{What: "from the pool", AmountUATP: view.Amount(f.FromPool)},
	} {
		if leg.AmountUATP > 0 {
			step.Legs = append(step.Legs, leg)
		}
	}
}

// causeOf says in a word or two why a task ended as it did.
func causeOf(path task.Path, step task.Op) string {
	switch {
	case path == task.PostedEnds && step == task.OpCancel:
		return "cancelled"
	case path == task.PostedEnds:
		return "not accepted"
	case path == task.Late && step == task.OpWithdraw:
		return "withdrawn"
	case path == task.Late:
		return "late"
	case path == task.Refused:
		return "refused"
	case path == task.Unaudited && step == task.OpAcknowledge:
		return "acknowledged"
	case path == task.Unaudited:
		return "silence"
	}
	return string(path)
}

// Register implements api.Wallet.
func (n *Node) Register(ctx context.Context, reg view.Registration) (view.Submission, error) {
	r, err := n.ready()
	if err != nil {
		return view.Submission{}, err
	}
	p, registered, err := r.state().Platform(n.id())
	if err != nil {
		return view.Submission{}, err
	}
	if !registered {
		p = n.defaultPlatform()
	}
	overlay(&p, reg)
	if err := p.Check(); err != nil {
		return view.Submission{}, refuse(err)
	}
	tx, err := r.wallet.submit(ctx, &chain.PlatformRegister{Platform: p})
	return view.Submission{TxID: viewCID(tx.ID())}, err
}

// overlay puts what a registration says over what was there.
func overlay(p *task.Platform, reg view.Registration) {
	if reg.Name != "" {
		p.Name = task.Name(reg.Name)
	}
	if reg.Society != "" {
		p.Society = task.Society(reg.Society)
	}
	if h := reg.Hardware; h != nil {
		p.Hardware = task.Hardware{
			RAM: task.Size(h.RAMMiB) * task.MiB, Accelerators: h.AcceleratorCores, Power: h.PowerMilliwatts, Architecture: h.Architecture,
		}
	}
	if h := reg.Horizon; h != nil {
		p.Horizon = horizonOver(p.Horizon, *h)
	}
	if len(reg.Offers) > 0 {
		p.Offers = nil
	}
	for _, o := range reg.Offers {
		p.Offers = append(p.Offers, task.Offer{
			Type: task.Type(o.Type), Low: atp.Amount(o.LowUATP), Medium: atp.Amount(o.MediumUATP),
			High: atp.Amount(o.HighUATP), Critical: atp.Amount(o.CriticalUATP),
		})
	}
	if len(reg.Runtimes) > 0 {
		p.Runtimes = nil
	}
	for _, rt := range reg.Runtimes {
		p.Runtimes = append(p.Runtimes, task.Runtime(rt))
	}
}

// horizonOver puts the dimensions that h gives over those of base.
func horizonOver(base task.Horizon, h view.Horizon) task.Horizon {
	if h.Spatial != "" {
		base.Spatial = task.Spatial(h.Spatial)
	}
	if h.Temporal != "" {
		base.Temporal = task.Temporal(h.Temporal)
	}
	if h.Complexity != "" {
		base.Complexity = task.Scope(h.Complexity)
	}
	return base
}

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
		terms.Executor = atp.OptionalID{ID: picked.id}
		sub.Executor, sub.Routing = picked.id.ID, picked.why
	}
	if err := n.priceOf(r, &terms); err != nil {
		return view.Submission{}, err
	}
	if err := terms.Validate(r.state().Params().Economy, r.state().Totals().Supply); err != nil {
		return view.Submission{}, refuse(err)
	}
	fee := r.state().Params().Economy.Charges(terms.Price, 0).Fee
	if err := n.afford(r, terms.Price, fee); err != nil {
		return view.Submission{}, err
	}
	tx, err := r.wallet.submit(ctx, &chain.FederationTask{Terms: terms})
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
	if t.Verify != "" {
		terms.Class = task.Class(t.Verify)
	}
	if t.OfferWindowMS != 0 {
		terms.OfferWindow = atp.Span(t.OfferWindowMS)
	}
	if t.ExecutionWindowMS != 0 {
		terms.ExecutionWindow = atp.Span(t.ExecutionWindowMS)
	}
	for _, blob := range []cid.Cid{terms.Program, terms.Input} {
		if !n.blobs.has(blob) {
			return terms, &view.Error{
				Code: view.CodeNotFound, Message: fmt.Sprintf("this node does not hold the content %s", blob),
				Hint: "send the file itself with the request",
			}
		}
	}
	input, err := n.blobs.get(terms.Input)
	terms.InputSize = task.Size(len(input))
	return terms, err
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
	tx, err := r.wallet.submit(ctx, &chain.TaskAcknowledge{Task: t.ID, Mark: mark})
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
	tx, err := r.wallet.submit(ctx, &chain.TaskCancel{Task: t.ID})
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
