package node

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// Bounds of questions that a model here answers.
const (
	maxAsksHere  = 2 // at once
	usualHearing = 5 * time.Minute
	mostHearing  = 24 * time.Hour
)

// asking is one question on its way.
type asking struct {
	n    *Node
	q    view.Question
	tell func(view.AskNews) error
	id   view.CID // of its task
	text *tale    // as it comes
	sent sent
}

// Ask implements api.Asks.
func (n *Node) Ask(ctx context.Context, q view.Question, executor peer.ID, tell func(view.AskNews) error) error {
	input, err := chatOf(q).Encode()
	if err != nil {
		return &view.Error{Code: view.CodeInvalid, Message: reasonOf(err)}
	}
	a := &asking{n: n, q: q, tell: tell, text: newTale(exec.MaxText)}
	var wanted task.Runtime
	if q.Model != "" {
		if wanted, err = exec.ModelRuntime(q.Model); err != nil {
			return &view.Error{Code: view.CodeInvalid, Message: reasonOf(err), Hint: "see which there are with: sage-p2p models"}
		}
	}
	if model := n.modelHere(wanted); model != nil && executor == "" {
		return a.here(ctx, model, input)
	}
	return a.elsewhere(ctx, wanted, executor, input)
}

// reasonOf is what an error says to a user.
func reasonOf(err error) string { return strings.TrimPrefix(err.Error(), "exec: invalid job: ") }

// chatOf is a question as models take it.
func chatOf(q view.Question) exec.Chat {
	c := exec.Chat{
		MaxTokens: uint32(min(q.MaxTokens, 1<<32-1)), Temperature: q.Temperature, TopP: q.TopP, Seed: q.Seed, Stop: q.Stop,
	}
	for _, m := range q.Messages {
		c.Messages = append(c.Messages, exec.Message{Role: m.Role, Content: m.Content})
	}
	return c
}

// modelsHere are the names of the runtimes here that are language models.
func (n *Node) modelsHere() []string {
	return slices.DeleteFunc(n.runtimes.Names(), func(name string) bool { return !strings.HasPrefix(name, exec.LLMPrefix) })
}

// modelHere is the model of that name, or any; nil if there is none here.
func (n *Node) modelHere(wanted task.Runtime) exec.Runtime {
	for _, name := range n.modelsHere() {
		if wanted == "" || string(wanted) == name {
			if rt, err := n.runtimes.Runtime(name); err == nil {
				return rt
			}
		}
	}
	return nil
}

// here has a model of this platform answer. Nobody is paid, and no task is made.
func (a *asking) here(ctx context.Context, model exec.Runtime, input []byte) error {
	select {
	case a.n.asks <- struct{}{}:
		defer func() { <-a.n.asks }()
	default:
		return &view.Error{
			Code: view.CodeFull, Message: fmt.Sprintf("the models of this platform answer %d questions already", maxAsksHere),
			Hint: "try again later, or have another platform answer with --to", Retryable: true,
		}
	}
	if err := a.tell(view.AskNews{Step: view.AskHere, Model: model.Name(), Executor: a.n.id().ID, ExecutorName: a.n.cfg.Name}); err != nil {
		return err
	}
	window := usualHearing
	if a.q.ExecutionWindowMS > 0 {
		window = time.Duration(min(a.q.ExecutionWindowMS, view.Span(mostHearing.Milliseconds()))) * time.Millisecond
	}
	var got exec.Result
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() (err error) {
		defer a.text.end()
		got, err = model.Run(ctx, exec.Job{
			Task: atp.Sum(input), Input: input, MemoryPages: 1, OutputLimit: exec.MaxOutput, TimeLimit: window,
			Listen: exec.Listener{Text: func(p []byte) { a.text.add(p) }},
		})
		return failedHere(err)
	})
	both.Go(func() error { return a.relay(ctx) })
	if err := both.Wait(); err != nil {
		return err
	}
	answer, err := exec.DecodeAnswer(got.Output)
	if err != nil {
		return err
	}
	return a.answer(answer)
}

// failedHere says why a model of this platform has not answered.
func failedHere(err error) error {
	no := &view.Error{Code: view.CodeRefused, Hint: "see whether its server answers with: sage-p2p doctor"}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrInvalid):
		no.Code, no.Hint = view.CodeInvalid, "ask something shorter, or with other settings"
	case errors.Is(err, exec.ErrResourceLimit):
		no.Code, no.Hint = view.CodeTimeout, "give it more time with --timeout"
	case errors.Is(err, exec.ErrHost):
		no.Retryable = true
	default:
		return err
	}
	no.Message = "the model of this platform did not answer: " + hostReason(err)
	return no
}

// elsewhere posts a task for another platform's model, and follows it.
func (a *asking) elsewhere(ctx context.Context, wanted task.Runtime, executor peer.ID, input []byte) error {
	r, err := a.n.ready()
	if err != nil {
		return err
	}
	t := view.NewTask{
		Type: string(task.LLMInference), Complexity: string(task.Low), Verify: string(task.Mutual), To: view.ToAuto,
		PriceUATP: a.q.PriceUATP, MinQualityPPM: a.q.MinQualityPPM, ExecutionWindowMS: a.q.ExecutionWindowMS,
	}
	picked, err := a.n.routeQuestion(r, wanted, executor, a.q.MostUATP, &t)
	if err != nil {
		return err
	}
	for _, blob := range []struct {
		into *view.CID
		data []byte
	}{{&t.Program, nil}, {&t.Input, input}} {
		stored, err := a.n.PutBlob(ctx, bytes.NewReader(blob.data))
		if err != nil {
			return err
		}
		*blob.into = stored.CID
	}
	sub, err := a.n.PostTask(ctx, t, picked.id.ID)
	if err != nil {
		return err
	}
	a.id = sub.TaskID
	posted, err := a.n.Task(ctx, a.id)
	if err != nil {
		return err
	}
	if err := a.tell(view.AskNews{
		Step: view.AskPosted, Model: t.Runtime, TaskID: a.id, Executor: posted.Executor, ExecutorName: posted.ExecutorName,
		Routing: picked.why, PriceUATP: posted.Spec.PriceUATP,
		FeeUATP: view.Amount(r.state().Params().Economy.Charges(atp.Amount(posted.Spec.PriceUATP), 0).Fee),
	}); err != nil {
		return err
	}
	return a.follow(ctx)
}

// routeQuestion picks who answers, with which model, and for how much, which it
// notes in t: what is stored for the question meanwhile leaves time to raise an offer.
// Without a wish it is the first model, by its name, that somebody can run.
func (n *Node) routeQuestion(r *running, wanted task.Runtime, executor peer.ID, most view.Amount, t *view.NewTask) (choice, error) {
	all, err := n.candidates(r, task.LLMInference)
	if err != nil {
		return choice{}, err
	}
	if executor != "" {
		all = slices.DeleteFunc(all, func(c candidate) bool { return c.id.ID != executor })
	}
	models := []task.Runtime{wanted}
	if wanted == "" {
		models = modelsOf(all)
	}
	terms := r.state().Params().Economy.DefaultTerms()
	terms.Type, terms.Complexity, terms.Price = task.LLMInference, task.Low, atp.Amount(cmp.Or(t.PriceUATP, most))
	var why []string
	for _, model := range models {
		terms.Runtime = model
		pick := r.router.pick
		if executor != "" {
			pick = r.router.named
		}
		picked, out := pick(time.Now(), terms, all)
		if !picked.id.IsZero() {
			t.Runtime, t.PriceUATP = string(model), cmp.Or(t.PriceUATP, view.Amount(picked.quote))
			return picked, nil
		}
		if len(out) > 0 {
			why = append(why, fmt.Sprintf("%s: %s", model, reasons(out)))
		}
	}
	no := &view.Error{
		Code: view.CodeRefused, Message: "nobody can answer: no other platform offers a language model, and this one has none", Retryable: true,
		Hint: "give this one a model with: sage-p2p up --openai-url URL --openai-models NAME; see what others offer with: sage-p2p platforms", Height: view.Height(r.state().Tip().Height),
	}
	if executor != "" {
		no.Message = "nobody can answer: the platform that was named offers no language model"
	}
	if len(why) > 0 {
		no.Message = "nobody can answer: " + strings.Join(why, "; ")
	}
	return choice{}, no
}

// modelsOf are the language models that platforms offer, by name.
func modelsOf(all []candidate) []task.Runtime {
	var models []task.Runtime
	for _, c := range all {
		for _, rt := range c.platform.Runtimes {
			if strings.HasPrefix(string(rt), exec.LLMPrefix) {
				models = append(models, rt)
			}
		}
	}
	slices.Sort(models)
	return slices.Compact(models)
}

// Models implements api.Asks.
func (n *Node) Models(context.Context) (view.Models, error) {
	byID := map[string]*view.Model{}
	of := func(id string) *view.Model {
		if byID[id] == nil {
			byID[id] = &view.Model{ID: id}
		}
		return byID[id]
	}
	for _, name := range n.modelsHere() {
		of(name).Here = true
	}
	if r := n.chain.Load(); r != nil {
		all, err := n.candidates(r, task.LLMInference)
		if err != nil {
			return view.Models{}, err
		}
		for _, c := range all {
			offer, takes := c.platform.Offer(task.LLMInference)
			for _, model := range modelsOf([]candidate{c}) {
				if m := of(string(model)); takes {
					m.Platforms = append(m.Platforms, string(c.platform.Name))
					if price := view.Amount(offer.Quote(task.Low, 0)); m.LeastUATP == 0 || price < m.LeastUATP {
						m.LeastUATP = price
					}
				}
			}
		}
	}
	var list view.Models
	for _, m := range byID {
		slices.Sort(m.Platforms)
		list.Models = append(list.Models, *m)
	}
	slices.SortFunc(list.Models, func(a, b view.Model) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// failedRecord reports whether a result is not what was asked for, but the record
// that there is none.
func failedRecord(result view.CID) bool { return result.Prefix().Codec == cid.DagCBOR }
