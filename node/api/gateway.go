package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// gateway is the routes at which clients of OpenAI find the federation. Their API
// key is the node's token.
func (s *Server) gateway() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /v1/models":            answers(s, s.getChatModels),
		"POST /v1/chat/completions": s.postChat,
	}
}

// modelPrefix begins the ID of a language model; clients may leave it out.
const modelPrefix = "openai/"

func (s *Server) getChatModels(_ http.ResponseWriter, r *http.Request) (view.ChatModels, error) {
	models, err := s.node.Models(r.Context())
	list := view.ChatModels{Object: "list"}
	for _, m := range models.Models {
		owners := []string(m.Platforms)
		if m.Here {
			owners = append([]string{"here"}, owners...)
		}
		list.Data = append(list.Data, view.ChatModel{
			ID: strings.TrimPrefix(m.ID, modelPrefix), Object: "model", OwnedBy: strings.Join(owners, ", "),
		})
	}
	return list, err
}

// postChat answers a chat as OpenAI does, by a model here or a task, which is
// acknowledged when its answer is whole.
func (s *Server) postChat(w http.ResponseWriter, r *http.Request) {
	ask, err := readChat(s, w, r)
	if err != nil {
		s.failChat(w, r, err)
		return
	}
	q, err := chatQuestion(ask, r.Header)
	if err != nil {
		s.failChat(w, r, err)
		return
	}
	release, ok := take(s.waiting)
	if !ok {
		s.failChat(w, r, full("questions"))
		return
	}
	defer release()
	s.setDeadlines(w, s.limits.ask, s.limits.write)
	c := &completion{s: s, w: w, ask: ask, created: time.Now().Unix()}
	err = s.node.Ask(r.Context(), q, "", c.hear)
	switch {
	case c.done && c.begun: // all was said; whatever err is, it concerns the payment
	case c.done:
		s.setDeadlines(w, s.limits.ask, s.limits.write)
		s.write(w, r, http.StatusOK, c.whole)
	case c.begun:
		s.log.DebugContext(r.Context(), "api: chat broke off", "err", err)
		_ = s.sendNews(w, view.Failure{Error: explain(err)}) // to whoever is still there
	default:
		s.failChat(w, r, err)
	}
}

// readChat reads a request as clients of OpenAI write it, who send more than is of
// use here.
func readChat(s *Server, w http.ResponseWriter, r *http.Request) (view.ChatRequest, error) {
	var ask view.ChatRequest
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return ask, invalid("the body must be application/json, have %.40q", r.Header.Get("Content-Type"))
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, s.limits.chat))
	if err := d.Decode(&ask); err != nil {
		return ask, blame(err, invalid("the body is no chat: %s", clip(err.Error())))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return ask, invalid("the body goes on after its JSON value")
	}
	if ask.N > 1 || len(ask.Tools) > 0 && string(ask.Tools) != "null" && string(ask.Tools) != "[]" {
		return ask, &view.Error{Code: view.CodeUnsupported, Message: "one answer is given, as text: neither n above 1 nor tools are known here"}
	}
	return ask, nil
}

// chatQuestion is the question that a chat and its headers ask.
func chatQuestion(ask view.ChatRequest, h http.Header) (q view.Question, err error) {
	q = view.Question{
		Model: ask.Model, MaxTokens: max(ask.MaxTokens, ask.MaxCompletionTokens), Temperature: ask.Temperature, TopP: ask.TopP, Seed: ask.Seed,
	}
	if q.Model == view.ToAuto {
		q.Model = ""
	}
	if q.Stop, err = stops(ask.Stop); err != nil {
		return q, err
	}
	for _, m := range ask.Messages {
		content, err := chatContent(m.Content)
		if err != nil {
			return q, err
		}
		if m.Role == "developer" { // as OpenAI calls it of late
			m.Role = "system"
		}
		q.Messages = append(q.Messages, view.Message{Role: m.Role, Content: content})
	}
	if text := h.Get(view.HeaderMaxPrice); text != "" {
		if q.MostUATP, err = atp.ParseAmount(text); err != nil || q.MostUATP == 0 {
			return q, invalid("%s: have %.40q, want an amount of ATP such as 2.5", view.HeaderMaxPrice, text)
		}
	}
	if text := h.Get(view.HeaderMinQuality); text != "" {
		share, err := strconv.ParseFloat(text, 64)
		if err != nil || !(share >= 0 && share <= 1) {
			return q, invalid("%s: have %.40q, want a number from 0 to 1", view.HeaderMinQuality, text)
		}
		q.MinQualityPPM = view.PPM(share * maxPPM)
	}
	if text := h.Get(view.HeaderVerify); text != "" && text != "mutual" {
		return q, &view.Error{Code: view.CodeUnsupported, Message: fmt.Sprintf("%s: have %.40q: a chat is of class mutual, which its requester judges", view.HeaderVerify, text)}
	}
	return q, nil
}

// chatContent is the text of a message: one text, or the parts of one.
func chatContent(raw json.RawMessage) (string, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var parts []struct{ Type, Text string }
	if err := json.Unmarshal(raw, &parts); err != nil {
		return "", invalid("the content of a message must be a text, or a list of parts of type text")
	}
	var whole strings.Builder
	for _, p := range parts {
		if p.Type != "text" {
			return "", &view.Error{Code: view.CodeUnsupported, Message: fmt.Sprintf("a message has a part of type %.40q, and models here read text", p.Type)}
		}
		whole.WriteString(p.Text)
	}
	return whole.String(), nil
}

// stops reads the texts that end an answer: one, or a list of them.
func stops(raw json.RawMessage) (list []string, err error) {
	var one string
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil, nil
	case json.Unmarshal(raw, &one) == nil:
		return []string{one}, nil
	case json.Unmarshal(raw, &list) != nil:
		return nil, invalid("stop must be a text, or a list of texts")
	}
	return list, nil
}

// failChat answers with err as clients of OpenAI expect it: 402 where ATP lacks,
// 503 where nobody can answer.
func (s *Server) failChat(w http.ResponseWriter, r *http.Request, err error) {
	shown := explain(err)
	switch shown.Code {
	case view.CodeInsufficient:
		s.write(w, r, http.StatusPaymentRequired, view.Failure{Error: shown})
	case view.CodeRefused:
		s.write(w, r, http.StatusServiceUnavailable, view.Failure{Error: shown})
	default:
		s.fail(w, r, err)
	}
}

// completion makes of what happens to a question what clients of OpenAI read.
type completion struct {
	s       *Server
	w       http.ResponseWriter
	ask     view.ChatRequest
	id      string
	model   string
	created int64
	begun   bool // a stream has
	done    bool // the answer has been given, or put together
	whole   view.ChatCompletion
}

// errAnew ends a stream whose beginning turns out to be void: it cannot be taken
// back.
var errAnew = &view.Error{
	Code: view.CodeGone, Message: "the answer was begun anew, and what was streamed of it is void", Retryable: true,
	Hint: "ask again, or without a stream",
}

func (c *completion) hear(news view.AskNews) error {
	switch news.Step {
	case view.AskHere, view.AskPosted:
		return c.begin(news)
	case view.AskText:
		if c.ask.Stream {
			return c.send(view.ChatDelta{Delta: view.ChatText{Content: news.Text}})
		}
	case view.AskAgain:
		if c.ask.Stream {
			return errAnew
		}
	case view.AskAnswer:
		return c.end(*news.Answer)
	default: // of no interest to such a client
	}
	return nil
}

// begin says who answers.
func (c *completion) begin(news view.AskNews) error {
	c.id, c.model = "chatcmpl-here", strings.TrimPrefix(news.Model, modelPrefix)
	h := c.w.Header()
	if !news.TaskID.IsZero() {
		c.id = "chatcmpl-" + news.TaskID.String()
		h.Set(view.HeaderTask, news.TaskID.String())
	}
	h.Set(view.HeaderExecutor, news.Executor.String())
	h.Set(view.HeaderPrice, strconv.FormatUint(uint64(news.PriceUATP), 10))
	if !c.ask.Stream {
		return nil
	}
	h.Set("Content-Type", "text/event-stream")
	c.begun = true
	return c.send(view.ChatDelta{Delta: view.ChatText{Role: "assistant"}})
}

// send streams one piece.
func (c *completion) send(deltas ...view.ChatDelta) error {
	return c.s.sendNews(c.w, c.chunk(nil, deltas...))
}

func (c *completion) chunk(usage *view.ChatUsage, deltas ...view.ChatDelta) view.ChatChunk {
	return view.ChatChunk{ID: c.id, Object: "chat.completion.chunk", Created: c.created, Model: c.model, Choices: deltas, Usage: usage}
}

// end gives the whole answer, or ends the stream. That the task is paid goes on
// behind it.
func (c *completion) end(a view.Answer) error {
	usage := view.ChatUsage{PromptTokens: a.PromptTokens, CompletionTokens: a.CompletionTokens, TotalTokens: a.PromptTokens + a.CompletionTokens}
	c.whole = view.ChatCompletion{
		ID: c.id, Object: "chat.completion", Created: c.created, Model: c.model, Usage: usage,
		Choices: []view.ChatChoice{{Message: view.ChatText{Role: "assistant", Content: a.Text}, FinishReason: a.Finish}},
	}
	c.done = true
	if !c.ask.Stream {
		return nil
	}
	err := c.send(view.ChatDelta{FinishReason: &a.Finish})
	if o := c.ask.StreamOptions; err == nil && o != nil && o.IncludeUsage {
		err = c.s.sendNews(c.w, c.chunk(&usage))
	}
	if err != nil {
		return err
	}
	if _, err := io.WriteString(c.w, "data: [DONE]\n\n"); err != nil {
		return err
	}
	return http.NewResponseController(c.w).Flush()
}
