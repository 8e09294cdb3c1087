package node

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/task"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// sent is how much of a text its reader has been told.
type sent struct {
	begun uint64
	text  strings.Builder
}

// relay tells the text as it comes, until it is over.
func (a *asking) relay(ctx context.Context) error {
	for {
		at, err := a.tellText()
		if err != nil || at.over {
			return err
		}
		select {
		case <-at.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tellText tells what has come of the text since the last time.
func (a *asking) tellText() (glimpse, error) {
	at := a.text.look(a.sent.begun, a.sent.text.Len())
	if at.begun != a.sent.begun {
		if err := a.anew(); err != nil {
			return at, err
		}
		a.sent.begun = at.begun
	}
	return at, a.say(string(at.piece[:wholeRunes(at.piece)]))
}

// anew says that what was told is void, if anything was.
func (a *asking) anew() error {
	if a.sent.text.Len() == 0 {
		return nil
	}
	a.sent.text.Reset()
	return a.tell(view.AskNews{Step: view.AskAgain, TaskID: a.id})
}

// say tells a piece of the answer.
func (a *asking) say(piece string) error {
	if piece == "" {
		return nil
	}
	a.sent.text.WriteString(piece)
	return a.tell(view.AskNews{Step: view.AskText, TaskID: a.id, Text: piece})
}

// wholeRunes is the length of b without a character at its end of which more is
// to come.
func wholeRunes(b []byte) int {
	for back := 1; back < utf8.UTFMax && back <= len(b); back++ {
		if at := len(b) - back; utf8.RuneStart(b[at]) {
			if !utf8.FullRune(b[at:]) {
				return at
			}
			break
		}
	}
	return len(b)
}

// follow tells how the task goes, until its answer is here or never will be. Who
// stops following stops nothing else.
func (a *asking) follow(ctx context.Context) error {
	listening, stop := context.WithCancel(ctx)
	var ear errgroup.Group
	defer func() {
		stop()
		_ = ear.Wait() // it has no error
	}()
	for accepted := false; ; {
		changed := a.n.hub.Changed()
		v, err := a.n.Task(ctx, a.id)
		if err != nil {
			return err
		}
		switch {
		case v.Result.Defined() && v.ResultHere && !failedRecord(v.Result):
			return a.conclude(ctx, v)
		case v.State == view.TaskSettled:
			return unanswered(v)
		case v.State == view.TaskAccepted && !accepted:
			accepted = true
			if err := a.tell(view.AskNews{Step: view.AskAccepted, TaskID: a.id, Executor: v.Executor, ExecutorName: v.ExecutorName}); err != nil {
				return err
			}
			ear.Go(func() error {
				// What cannot be heard is no loss: the result is what counts.
				if err := a.n.hearOut(listening, a.id.Cid, wire.Text, a.text); err != nil {
					a.n.log.Debug("text not heard", "task", a.id, "err", err)
				}
				return nil
			})
		}
		if err := a.tellUntil(ctx, changed); err != nil {
			return err
		}
	}
}

// tellUntil tells the text as it comes, until something else has changed.
func (a *asking) tellUntil(ctx context.Context, changed <-chan struct{}) error {
	for {
		at, err := a.tellText()
		if err != nil {
			return err
		}
		select {
		case <-at.changed:
		case <-changed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// conclude tells the answer and, unless that is left to somebody else, answers it
// in turn: it is accepted, or refused if it is none.
func (a *asking) conclude(ctx context.Context, v view.Task) error {
	answer, err := a.read(v)
	if err != nil {
		if v.State == view.TaskProven && !a.q.NoAcknowledge {
			_, err := a.n.Acknowledge(ctx, a.id, view.Mark{Refuse: true})
			if err != nil {
				return err
			}
		}
		return &view.Error{
			Code: view.CodeRefused, Message: fmt.Sprintf("%s sent a result that is no answer: %v", executorName(v), err),
			Hint: "see what became of it with: sage-p2p task show " + a.id.String(),
		}
	}
	if err := a.answer(answer); err != nil {
		return err
	}
	if v.State == view.TaskProven && !a.q.NoAcknowledge {
		whole := view.PPM(task.S)
		// Who has the answer owes for it, also if it listens no longer.
		if _, err := a.n.Acknowledge(context.WithoutCancel(ctx), a.id, view.Mark{QualityPPM: &whole}); err != nil {
			return err
		}
		if v, err = a.settled(ctx); err != nil {
			return err
		}
	}
	return a.tell(view.AskNews{Step: view.AskSettled, TaskID: a.id, Task: &v})
}

// read reads the result of the task.
func (a *asking) read(v view.Task) (exec.Answer, error) {
	if v.ResultSize > exec.MaxAnswer {
		return exec.Answer{}, fmt.Errorf("it has %d bytes", v.ResultSize)
	}
	raw, err := a.n.blobs.get(v.Result.Cid)
	if err != nil {
		return exec.Answer{}, err
	}
	return exec.DecodeAnswer(raw)
}

// answer tells the answer, first what is missing of its text. Pieces that are not
// how it begins are void.
func (a *asking) answer(x exec.Answer) error {
	rest, fits := strings.CutPrefix(x.Text, a.sent.text.String())
	if !fits {
		if err := a.anew(); err != nil {
			return err
		}
		rest = x.Text
	}
	if err := a.say(rest); err != nil {
		return err
	}
	return a.tell(view.AskNews{Step: view.AskAnswer, TaskID: a.id, Answer: &view.Answer{
		Model: x.Model, Text: x.Text, Finish: x.Finish, PromptTokens: x.Usage.Prompt, CompletionTokens: x.Usage.Completion,
	}})
}

// settled waits until the task is.
func (a *asking) settled(ctx context.Context) (view.Task, error) {
	for {
		changed := a.n.hub.Changed()
		v, err := a.n.Task(ctx, a.id)
		if err != nil || v.State == view.TaskSettled {
			return v, err
		}
		select {
		case <-changed:
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}

// unanswered says how a question ended that has no answer.
func unanswered(v view.Task) error {
	no := &view.Error{
		Code: view.CodeRefused, Hint: "see how with: sage-p2p task show " + v.ID.String() + "; what its runtime said with: sage-p2p task logs " + v.ID.String(),
		Message: fmt.Sprintf("%s gave no answer, and the price came back (%s)", executorName(v), v.Cause), Retryable: true,
	}
	switch v.Cause {
	case "late":
		no.Code = view.CodeTimeout
	case "not accepted":
		no.Message = executorName(v) + " did not take the question, and the price came back"
		no.Hint = "see why with: sage-p2p task why-not " + v.ID.String()
	}
	if v.Settlement == view.SettledCommit {
		no.Message = fmt.Sprintf("%s was paid (%s), and its answer is not here", executorName(v), v.Cause)
	}
	return no
}

// executorName is what the executor of a task is called.
func executorName(v view.Task) string {
	if v.ExecutorName != "" {
		return v.ExecutorName
	}
	return v.Executor.String()
}
