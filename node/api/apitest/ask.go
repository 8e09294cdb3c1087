package apitest

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// Models implements api.Asks: beta and gamma offer one, this platform has another.
func (n *Node) Models(context.Context) (view.Models, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return view.Models{Models: []view.Model{
		{ID: "openai/large", Platforms: []string{"beta", "gamma"}, LeastUATP: 10_000_000},
		{ID: "openai/small", Here: true},
	}}, n.Fail
}

// Ask implements api.Asks: it tells News. An AskFailed among them is the end; with
// Hold no more comes after the first.
func (n *Node) Ask(ctx context.Context, _ view.Question, _ peer.ID, tell func(view.AskNews) error) error {
	n.mu.Lock()
	news, fail, hold := n.News, n.Fail, n.Hold
	n.mu.Unlock()
	if news == nil {
		news = Answered("Hello, ", "world")
	}
	for _, x := range news {
		if x.Step == view.AskFailed {
			return x.Error
		}
		if err := tell(x); err != nil {
			return err
		}
		if hold {
			<-ctx.Done()
			return ctx.Err()
		}
	}
	return fail
}

// Answered is what is told of a question that beta answers with these pieces.
func Answered(pieces ...string) []view.AskNews {
	id, text := CID("a question"), ""
	news := []view.AskNews{
		{
			Step: view.AskPosted, Model: "openai/large", TaskID: id, Executor: ID("beta"), ExecutorName: "beta",
			Routing: "beta, drawn by score from 2 of 3 platforms", PriceUATP: 10_000_000, FeeUATP: 300_000,
		},
		{Step: view.AskAccepted, TaskID: id, Executor: ID("beta"), ExecutorName: "beta"},
	}
	for _, piece := range pieces {
		text += piece
		news = append(news, view.AskNews{Step: view.AskText, TaskID: id, Text: piece})
	}
	t := view.Task{
		ID: id, State: view.TaskSettled, Settlement: view.SettledCommit, Cause: "acknowledged", Requester: ID("alpha"), RequesterName: "alpha",
		Executor: ID("beta"), ExecutorName: "beta", FeeUATP: 300_000, ConsensusMS: 24, ConsensusSharePPM: 8_000,
		Spec: view.Spec{Type: "llm_inference", Runtime: "openai/large", PriceUATP: 10_000_000, Verify: "mutual"},
	}
	return append(news,
		view.AskNews{Step: view.AskAnswer, TaskID: id, Answer: &view.Answer{Model: "openai/large", Text: text, Finish: "stop", PromptTokens: 7, CompletionTokens: 3}},
		view.AskNews{Step: view.AskSettled, TaskID: id, Task: &t})
}

// TaskLogs implements api.Asks: it tells Logs of every task that there is.
func (n *Node) TaskLogs(ctx context.Context, task view.CID, _ bool, tell func([]byte) error) error {
	if _, err := n.Task(ctx, task); err != nil {
		return err
	}
	n.mu.Lock()
	logs := n.Logs
	n.mu.Unlock()
	if logs == "" {
		return nil
	}
	return tell([]byte(logs))
}
