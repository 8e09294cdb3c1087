package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// company starts a federation of as many platforms as there are options, each
// with its own, none for nil.
func company(t *testing.T, opts ...node.Option) []*platform {
	t.Helper()
	given := func(i int) []node.Option {
		if opts[i] == nil {
			return nil
		}
		return []node.Option{opts[i]}
	}
	all := []*platform{up(t, "node-0", func(c *node.Config) { c.Expect = len(opts) }, given(0)...)}
	first := all[0].wait(t, "listening", listening)
	for i := 1; i < len(opts); i++ {
		all = append(all, up(t, fmt.Sprintf("node-%d", i), func(c *node.Config) { c.Expect, c.Bootstrap = len(opts), first.Listen }, given(i)...))
	}
	for _, p := range all {
		p.wait(t, "in a federation of all", func(s view.Status) bool { return s.Ready() && s.Peers >= len(opts)-1 })
	}
	return all
}

// piece streams a piece of an answer, as OpenAI's servers do.
func piece(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/event-stream")
	delta, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%s}}]}\n\n", delta)
	_ = http.NewResponseController(w).Flush()
}

// whole ends an answer.
func whole(w http.ResponseWriter) {
	fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n")
}

// modelled has a platform offer the model tiny, of a real server that answers by f.
func modelled(t *testing.T, f http.HandlerFunc) node.Option {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	upstream, err := exec.NewUpstream(exec.UpstreamConfig{URL: server.URL, Models: []string{"tiny"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(upstream.Close)
	return offering(t, upstream.Runtimes()[0])
}

// told collects what is told of a question.
type told struct {
	mu   sync.Mutex
	all  []view.AskNews
	hear func(view.AskNews) // may be nil
}

func (h *told) tell(x view.AskNews) error {
	h.mu.Lock()
	h.all = append(h.all, x)
	h.mu.Unlock()
	if h.hear != nil {
		h.hear(x)
	}
	return nil
}

// steps are those told, text that comes in several pieces as one.
func (h *told) steps() []view.AskStep {
	var steps []view.AskStep
	for _, x := range h.all {
		steps = append(steps, x.Step)
	}
	return slices.Compact(steps)
}

// text is what a reader has in the end.
func (h *told) text() string {
	text := ""
	for _, x := range h.all {
		if text += x.Text; x.Step == view.AskAgain {
			text = ""
		}
	}
	return text
}

func question(text string) view.Question {
	return view.Question{Messages: []view.Message{{Role: "user", Content: text}}}
}

// offered waits until p knows of a model that another platform offers.
func (p *platform) offered(t *testing.T, model string) {
	t.Helper()
	p.wait(t, "aware of "+model, func(view.Status) bool {
		list, err := p.Models(t.Context())
		return err == nil && slices.ContainsFunc(list.Models, func(m view.Model) bool { return m.ID == model && len(m.Platforms) > 0 })
	})
}

// The server goes on only after the first piece has come all the way to who
// asked: what is told before the work is done is seen, not timed.
func TestAnAnswerComesInPiecesWhileItIsWritten(t *testing.T) {
	t.Parallel()
	heard := make(chan struct{})
	all := company(t, nil, modelled(t, func(w http.ResponseWriter, r *http.Request) {
		piece(w, "Hello, W")
		select {
		case <-heard:
			piece(w, "örld")
			whole(w)
		case <-r.Context().Done():
		}
	}))
	asker, executor := all[0], all[1]
	asker.offered(t, "openai/tiny")
	h := &told{}
	h.hear = func(x view.AskNews) {
		if x.Step == view.AskText && x.Text == "Hello, W" {
			if v, err := asker.Task(t.Context(), x.TaskID); err != nil || v.State != view.TaskAccepted {
				t.Errorf("the task is %s, %v, want it to be worked on", v.State, err)
			}
			close(heard)
		}
	}
	before := asker.has(t, asker.id(t))
	q := question("Who?")
	q.MostUATP = 15 * atp // the list price is paid all the same
	if err := asker.Ask(t.Context(), q, "", h.tell); err != nil {
		t.Fatal(err)
	}
	want := []view.AskStep{view.AskPosted, view.AskAccepted, view.AskText, view.AskAnswer, view.AskSettled}
	if got := h.steps(); !slices.Equal(got, want) || h.text() != "Hello, Wörld" {
		t.Errorf("told %v with the text %q, want %v", got, h.text(), want)
	}
	posted, last := h.all[0], h.all[len(h.all)-1]
	if posted.Executor != executor.id(t) || posted.PriceUATP != 10*atp || posted.Model != "openai/tiny" || !strings.Contains(posted.Routing, "node-1") {
		t.Errorf("posted: %+v", posted)
	}
	if a := h.all[len(h.all)-2].Answer; a.Text != "Hello, Wörld" || a.CompletionTokens != 2 || a.Finish != "stop" {
		t.Errorf("the answer is %+v", a)
	}
	if v := last.Task; v.Settlement != view.SettledCommit || v.Cause != "acknowledged" || v.Spec.Verify != "mutual" {
		t.Errorf("settled: %+v", v)
	}
	if paid := before - asker.has(t, asker.id(t)); paid != posted.PriceUATP+posted.FeeUATP {
		t.Errorf("it cost %s, want %s and the fee %s", paid, posted.PriceUATP, posted.FeeUATP)
	}
	t.Run("logs", func(t *testing.T) { logsAreForTheParties(t, posted.TaskID, asker, executor) })
}

func logsAreForTheParties(t *testing.T, id view.CID, parties ...*platform) {
	for _, p := range parties {
		for _, follow := range []bool{false, true} {
			var logs strings.Builder
			err := p.TaskLogs(t.Context(), id, follow, func(b []byte) error { logs.Write(b); return nil })
			if err != nil || !strings.Contains(logs.String(), "2 written") {
				t.Errorf("%s reads (follow %v) %q, %v", p.cfg.Name, follow, logs.String(), err)
			}
		}
	}
}

func TestAModelHereIsAskedForNothing(t *testing.T) {
	t.Parallel()
	p := lone(t, "alone", func(*node.Config) {}, modelled(t, func(w http.ResponseWriter, _ *http.Request) {
		piece(w, "me")
		whole(w)
	}))
	h := &told{}
	if err := p.Ask(t.Context(), question("Who?"), "", h.tell); err != nil {
		t.Fatal(err)
	}
	if got := h.steps(); !slices.Equal(got, []view.AskStep{view.AskHere, view.AskText, view.AskAnswer}) || h.text() != "me" {
		t.Errorf("told %v with the text %q", got, h.text())
	}
	patient := question("Who?")
	patient.ExecutionWindowMS = 1<<64 - 1
	if err := p.Ask(t.Context(), patient, "", h.tell); err != nil {
		t.Errorf("one that waits for ever is told %v", err)
	}
	list, err := p.Models(t.Context())
	if err != nil || len(list.Models) != 1 || !list.Models[0].Here {
		t.Errorf("its models are %+v, %v", list, err)
	}
}

func TestAQuestionThatNobodyCanAnswerSaysWhy(t *testing.T) {
	t.Parallel()
	all := company(t, nil, modelled(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }), nil)
	asker, executor, third := all[0], all[1], all[2]
	asker.offered(t, "openai/tiny")
	dear := question("?")
	dear.PriceUATP = 9 * atp
	capped := question("?")
	capped.MostUATP = 9 * atp
	other := question("?")
	other.Model = "Other"
	odd := question("?")
	odd.Model = "no name"
	rude := question("?")
	rude.Messages[0].Role = "root"
	for _, tt := range []struct {
		name string
		q    view.Question
		to   *platform
		code view.Code
		why  string
	}{
		{"too little is offered", dear, nil, view.CodeRefused, "node-1 asks 10 ATP, more than 9 ATP"},
		{"too little may be paid", capped, nil, view.CodeRefused, "node-1 asks 10 ATP, more than 9 ATP"},
		{"nobody has the model", other, nil, view.CodeRefused, "openai/other: node-1 has no runtime openai/other"},
		{"no model has such a name", odd, nil, view.CodeInvalid, `"no name"`},
		{"no model takes such a message", rude, nil, view.CodeInvalid, `"root"`},
		{"who was named has none", question("?"), third, view.CodeRefused, "offers no language model"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &told{}
			var no *view.Error
			var err error
			if tt.to == nil {
				err = asker.Ask(t.Context(), tt.q, "", h.tell)
			} else {
				err = asker.Ask(t.Context(), tt.q, tt.to.id(t), h.tell)
			}
			if !errors.As(err, &no) || no.Code != tt.code || !strings.Contains(no.Message, tt.why) || len(h.all) > 0 {
				t.Errorf("%v after %v, want %s with %q before anything is posted", err, h.steps(), tt.code, tt.why)
			}
		})
	}
	t.Run("the server fails", func(t *testing.T) {
		h := &told{}
		var no *view.Error
		err := asker.Ask(t.Context(), question("?"), "", h.tell)
		if !errors.As(err, &no) || !strings.Contains(no.Message, "node-1 gave no answer, and the price came back (withdrawn)") {
			t.Errorf("%v, want that the executor has withdrawn", err)
		}
		var logs strings.Builder
		id := h.all[0].TaskID
		if err := asker.TaskLogs(t.Context(), id, false, func(b []byte) error { logs.Write(b); return nil }); err != nil || !strings.Contains(logs.String(), "500 Internal Server Error") {
			t.Errorf("its logs are %q, %v", logs.String(), err)
		}
		for _, of := range []wire.Flow{wire.Text, wire.Logs} {
			if err := third.Hear(t.Context(), executor.id(t), id.Cid, of); err == nil || !strings.Contains(err.Error(), "gives no right") {
				t.Errorf("a third platform hears the %s: %v", of, err)
			}
		}
		if err := third.TaskLogs(t.Context(), id, false, func([]byte) error { return nil }); !errors.As(err, &no) || no.Code != view.CodeRefused {
			t.Errorf("a third platform reads the logs: %v", err)
		}
	})
}

// talker is a model whose runs are what a test says.
type talker struct{ *scripted }

func (talker) Name() string { return "openai/talker" }

func answers(t *testing.T, text string) exec.Result {
	t.Helper()
	raw, err := exec.Answer{Model: "openai/talker", Text: text, Finish: "stop"}.Encode()
	if err != nil {
		t.Error(err)
	}
	return exec.Result{Output: raw}
}

func TestOnlyTheResultCountsAsTheAnswer(t *testing.T) {
	t.Parallel()
	heard := make(chan struct{}, 8)
	run := func(ctx context.Context, j exec.Job) (exec.Result, error) {
		j.Listen.Text([]byte("a draft \xc3")) // half a character, which is never told
		select {
		case <-heard:
		case <-ctx.Done():
			return exec.Result{}, ctx.Err()
		}
		switch text := string(j.Input); {
		case strings.Contains(text, "other words"):
			return answers(t, "the answer"), nil
		case strings.Contains(text, "no answer"):
			return exec.Result{Output: []byte("<script>")}, nil
		case strings.Contains(text, "again"):
			j.Listen.Logs([]byte("once\n"))
			return exec.Result{}, exec.ErrHost // it is run again, and tells the same
		}
		return answers(t, "a draft £"), nil
	}
	all := company(t, nil, offering(t, talker{&scripted{run: run}}))
	asker := all[0]
	asker.offered(t, "openai/talker")
	ask := func(text string) (*told, error) { // by name: it is not left alone after a failure
		h := &told{}
		h.hear = func(x view.AskNews) {
			if x.Step == view.AskText && x.Text == "a draft " {
				heard <- struct{}{}
			}
		}
		return h, asker.Ask(t.Context(), question(text), all[1].id(t), h.tell)
	}
	t.Run("that it completes", func(t *testing.T) {
		if h, err := ask("go on"); err != nil || h.text() != "a draft £" || slices.Contains(h.steps(), view.AskAgain) {
			t.Errorf("%q after %v, %v", h.text(), h.steps(), err)
		}
	})
	t.Run("that is in other words", func(t *testing.T) {
		if h, err := ask("other words"); err != nil || h.text() != "the answer" || !slices.Contains(h.steps(), view.AskAgain) {
			t.Errorf("%q after %v, %v", h.text(), h.steps(), err)
		}
	})
	t.Run("that is none", func(t *testing.T) {
		h, err := ask("no answer")
		var no *view.Error
		if !errors.As(err, &no) || !strings.Contains(no.Message, "no answer") {
			t.Errorf("%v after %v", err, h.steps())
		}
		asker.waitTask(t, h.all[0].TaskID, "refused", func(v view.Task) bool { return v.Cause == "refused" })
	})
	t.Run("that is begun anew", func(t *testing.T) {
		h, err := ask("again")
		again := 0
		for _, x := range h.all {
			if x.Step == view.AskAgain {
				again++
			}
		}
		if err == nil || again != 2 || h.text() != "a draft " {
			t.Errorf("%v: %q after %d new beginnings, want two of three tries", err, h.text(), again)
		}
	})
}

// What was posted goes on when nobody listens any more.
func TestWhoStopsListeningTakesBackNothing(t *testing.T) {
	t.Parallel()
	left := make(chan struct{})
	all := company(t, nil, offering(t, talker{&scripted{run: func(ctx context.Context, j exec.Job) (exec.Result, error) {
		j.Listen.Text([]byte("half"))
		select {
		case <-left:
		case <-ctx.Done():
		}
		return answers(t, "half and half"), nil
	}}}))
	asker := all[0]
	asker.offered(t, "openai/talker")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := &told{hear: func(x view.AskNews) {
		if x.Step == view.AskText {
			cancel()
		}
	}}
	if err := asker.Ask(ctx, question("?"), "", h.tell); !errors.Is(err, context.Canceled) {
		t.Errorf("Ask = %v", err)
	}
	close(left)
	v := asker.waitTask(t, h.all[0].TaskID, "proven, its result here", hasResult)
	if answer, err := exec.DecodeAnswer(asker.read(t, v.Result)); err != nil || answer.Text != "half and half" {
		t.Errorf("the answer is %+v, %v", answer, err)
	}

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	owing := &told{hear: func(x view.AskNews) {
		if x.Step == view.AskAnswer {
			cancel()
		}
	}}
	_ = asker.Ask(ctx, question("And?"), "", owing.tell) // it may be settled before it sees that it is stopped
	asker.waitTask(t, owing.all[0].TaskID, "paid for, since the answer was given", func(v view.Task) bool { return v.Cause == "acknowledged" })
}

// named is a model of any name.
type named struct {
	talker
	name string
}

func (n named) Name() string { return n.name }

func TestModelsAreRegisteredAsTheSettingsSay(t *testing.T) {
	t.Parallel()
	p := lone(t, "alone", func(*node.Config) {}, offering(t, echoing()))
	offers := func(claim string, models []string, price view.Amount) {
		t.Helper()
		var last view.Platform
		p.wait(t, "registered with "+claim, func(view.Status) bool {
			list, err := p.Platforms(t.Context())
			if err != nil || len(list) != 1 {
				return false
			}
			last = list[0]
			i := slices.IndexFunc(last.Offers, func(o view.Offer) bool { return o.Type == "llm_inference" })
			return slices.Equal(last.Runtimes, append([]string{exec.WASMName}, models...)) && (i < 0 && price == 0 || i >= 0 && last.Offers[i].LowUATP == price)
		})
	}
	offers("none", nil, 0)
	restart := func(price string, models ...string) {
		t.Helper()
		p.end(t)
		all := []exec.Runtime{echoing()}
		for _, name := range models {
			all = append(all, named{talker{echoing()}, name})
		}
		r, err := exec.NewRegistry(all...)
		if err != nil {
			t.Fatal(err)
		}
		p.cfg.OpenAIPrice, p.opts = price, []node.Option{node.WithRuntimes(r)}
		p = p.again(t)
	}
	restart("", "openai/a", "openai/b")
	offers("two", []string{"openai/a", "openai/b"}, 10*atp)
	restart("2.5", "openai/b", "openai/c")
	offers("another one and another price", []string{"openai/b", "openai/c"}, 2_500_000)
	restart("")
	offers("none any more", nil, 2_500_000)
}
