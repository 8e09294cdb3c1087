package exec

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/sage-p2p/sage-p2p/task"
)

// Model is the runtime of one language model, which an [Upstream] serves. A task
// of it has no program: its program is the empty one. Its input is a [Chat],
// its result an [Answer]. It is not deterministic, so only the parties of a task
// can judge it.
//
// The server is trusted no further than its answer: it is bounded in bytes and
// time, and whatever it sends is the executor's own fault ([ErrHost]) but for
// the refusal of a question, which is the requester's ([ErrInvalid]).
type Model struct {
	of   *Upstream
	name string // as the server calls it
}

// Name returns the runtime's name: [LLMPrefix] and the model's, in lower case.
func (m *Model) Name() string { return LLMPrefix + strings.ToLower(m.name) }

// Upstream is the server of the model.
func (m *Model) Upstream() *Upstream { return m.of }

// Check refuses every program but the empty one.
func (m *Model) Check(program []byte) error {
	if len(program) > 0 {
		return fmt.Errorf("%w: a language model takes no program: have %d bytes, want none", ErrProgram, len(program))
	}
	return nil
}

// Run asks the server, and tells the answer as it comes.
func (m *Model) Run(ctx context.Context, job Job) (Result, error) {
	if err := errors.Join(job.Validate(), m.Check(job.Program)); err != nil {
		return Result{}, err
	}
	chat, err := DecodeChat(job.Input)
	if err != nil {
		return Result{}, err
	}
	started := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, job.TimeLimit, errTimeLimit)
	defer cancel()
	run := modelRun{m: m, logs: head{most: MaxLogs}, listen: job.Listen}
	run.log("asked %s; messages: %d", m.Name(), len(chat.Messages))
	answer, err := run.ask(ctx, chat)
	result := Result{Elapsed: time.Since(started)}
	if err == nil {
		run.log("%q: %d tokens read, %d written in %s", answer.Finish, answer.Usage.Prompt, answer.Usage.Completion, result.Elapsed.Round(time.Millisecond))
		result.Output, err = answer.Encode()
	}
	if err == nil && len(result.Output) > int(job.OutputLimit) {
		err = fmt.Errorf("%w: the answer has %d bytes, and the task allows %d", ErrResourceLimit, len(result.Output), job.OutputLimit)
	}
	if err != nil {
		err, result.Output = cmp.Or(stopped(ctx, job), err), nil
		run.log("failed: %s", publicly(err))
	}
	result.Logs = run.logs.kept
	return result, err
}

// publicly says why a run failed without the server's address: logs are for the
// other party of the task, too.
func publicly(err error) string {
	var said *statusError
	switch {
	case errors.As(err, &said):
		return said.Error()
	case errors.Is(err, ErrResourceLimit):
		return "the time or the room for it was over"
	case errors.Is(err, errStream):
		return "the server broke its answer off, or sent what is none"
	}
	return "the server could not be reached"
}

// modelRun is one question on its way.
type modelRun struct {
	m      *Model
	logs   head
	listen Listener
}

func (r *modelRun) log(format string, args ...any) {
	before := len(r.logs.kept)
	fmt.Fprintf(&r.logs, format+"\n", args...)
	r.listen.logs(r.logs.kept[before:])
}

// request is a chat as the server takes it.
type request struct {
	Model string `json:"model"`
	Chat
	Stream        bool `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

// ask sends a question and reads the answer.
func (r *modelRun) ask(ctx context.Context, chat Chat) (Answer, error) {
	ask := request{Model: r.m.name, Chat: chat, Stream: true}
	ask.StreamOptions.IncludeUsage = true
	body, err := encodeJSON(ask)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	resp, err := r.m.of.do(ctx, http.MethodPost, "/chat/completions", body)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || media != "text/event-stream" {
		return Answer{}, fmt.Errorf("%w: %w: the server answers with %.60q, want text/event-stream", ErrHost, errStream, resp.Header.Get("Content-Type"))
	}
	answer, err := r.read(resp.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: the server's answer: %w", ErrHost, err)
	}
	answer.Model = r.m.Name()
	return answer, nil
}

// chunk is one event of a streamed answer, as far as it matters.
type chunk struct {
	Choices []struct {
		Index int `json:"index"`
		Delta struct {
			Content string `json:"content"`
		} `json:"delta"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Usage *Usage          `json:"usage"`
	Error json.RawMessage `json:"error"`
}

// read puts the answer together until the server says that it is whole.
func (r *modelRun) read(from io.Reader) (Answer, error) {
	var (
		answer Answer
		text   strings.Builder
		events = newSSEReader(from)
	)
	for {
		data, err := events.next()
		if errors.Is(err, io.EOF) && answer.Finish != "" || err == nil && string(data) == "[DONE]" {
			answer.Text, answer.Finish = text.String(), cmp.Or(answer.Finish, "stop")
			return answer, nil
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return Answer{}, fmt.Errorf("%w: %w", errStream, err)
		}
		var c chunk
		if err := json.Unmarshal(data, &c); err != nil {
			return Answer{}, fmt.Errorf("%w: %w", errStream, err)
		}
		if len(c.Error) > 0 && string(c.Error) != "null" {
			return Answer{}, fmt.Errorf("%w: it says %.200q", errStream, r.m.of.redact(string(c.Error)))
		}
		if c.Usage != nil {
			answer.Usage = *c.Usage
		}
		for _, choice := range c.Choices {
			if choice.Index != 0 {
				continue
			}
			piece := cutText(choice.Delta.Content, MaxText-text.Len())
			text.WriteString(piece)
			r.listen.text([]byte(piece))
			answer.Finish = cutText(cmp.Or(choice.FinishReason, answer.Finish), maxFinish)
			if len(piece) < len(choice.Delta.Content) { // it has been told enough
				answer.Text, answer.Finish = text.String(), "length"
				return answer, nil
			}
		}
	}
}

// ModelRuntime returns the runtime's name of the model that people call by name:
// one of the runtime, or of the model alone. It is refused if no runtime can have
// that name.
func ModelRuntime(name string) (task.Runtime, error) {
	rt := task.Runtime(LLMPrefix + strings.ToLower(strings.TrimPrefix(name, LLMPrefix)))
	if name == "" || rt.Check() != nil {
		return "", fmt.Errorf("exec: model %.80q: want 1 to %d of a-z A-Z 0-9 _ - . : /", name, 64-len(LLMPrefix))
	}
	return rt, nil
}

// modelList is what a server says that it serves.
type modelList struct {
	Data []struct {
		ID string `json:"id"`
	} `json:"data"`
}

// maxModels bounds that list, in bytes.
const maxModels = 4 << 20

// Missing asks the server which of the configured models it does not serve. That
// it does not answer is an error, which wraps [ErrHost].
func (u *Upstream) Missing(ctx context.Context) ([]string, error) {
	resp, err := u.do(ctx, http.MethodGet, "/models", nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxModels+1))
	if err != nil || len(raw) > maxModels {
		return nil, fmt.Errorf("%w: the list of the server's models is longer than %d bytes, or breaks off: %w", ErrHost, maxModels, err)
	}
	var list modelList
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&list); err != nil {
		return nil, fmt.Errorf("%w: the list of the server's models: %w", ErrHost, err)
	}
	served := map[string]bool{}
	for _, m := range list.Data {
		served[m.ID] = true
	}
	var missing []string
	for _, name := range u.models {
		if !served[name] {
			missing = append(missing, name)
		}
	}
	return missing, nil
}
