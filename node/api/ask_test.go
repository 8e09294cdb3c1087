package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

const who = `{"messages":[{"role":"user","content":"Who?"}]}`

// data are the events of a stream.
func data(body string) (all []string) {
	for line := range strings.Lines(body) {
		if d, is := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "data: "); is {
			all = append(all, d)
		}
	}
	return all
}

func TestAQuestionIsAnsweredAsItGoes(t *testing.T) {
	s := serve(t, nil)
	resp, body := s.ask("POST", "/api/v1/ask", who)
	var steps []view.AskStep
	for _, d := range data(body) {
		var news view.AskNews
		if err := json.Unmarshal([]byte(d), &news); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, news.Step)
	}
	if len(steps) != 6 || steps[0] != view.AskPosted || steps[5] != view.AskSettled || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("told %v as %s", steps, resp.Header.Get("Content-Type"))
	}
	no := &view.Error{Code: view.CodeRefused, Message: "nobody can answer", Hint: "ask later"}
	s.node.News = []view.AskNews{{Step: view.AskFailed, Error: no}}
	resp, body = s.ask("POST", "/api/v1/ask", who)
	s.wantError(resp, body, http.StatusConflict, view.CodeRefused)
	if st, err := s.node.Status(t.Context()); err != nil || st.Height == 0 || !strings.Contains(body, fmt.Sprintf(`"height":%d`, st.Height)) {
		t.Errorf("a no without its height: %s", body)
	}
	s.node.News = append(apitest.Answered("half")[:3], s.node.News...)
	resp, body = s.ask("POST", "/api/v1/ask", who)
	if all := data(body); resp.StatusCode != 200 || len(all) != 4 || !strings.Contains(all[3], `"step":"failed"`) || !strings.Contains(all[3], no.Message) {
		t.Errorf("a question that fails later is answered %d %q", resp.StatusCode, body)
	}
	resp, body = s.ask("POST", "/api/v1/ask", who, func(r *http.Request) { r.Header.Del("Authorization") })
	s.wantError(resp, body, http.StatusUnauthorized, view.CodeUnauthorized)
	resp, body = s.ask("POST", "/api/v1/ask", `{"messages":[],"tools":[]}`)
	s.wantError(resp, body, http.StatusBadRequest, view.CodeInvalid)
	resp, body = s.ask("POST", "/api/v1/ask", `{"messages":[{"role":"user","content":"`+strings.Repeat("x", 5<<20)+`"}]}`)
	s.wantError(resp, body, http.StatusRequestEntityTooLarge, view.CodeTooLarge)
}

func TestTheGatewayAnswersAsOpenAIDoes(t *testing.T) {
	s := serve(t, nil)
	resp, body := s.ask("POST", "/v1/chat/completions", `{"model":"large","user":"me","stop":"END","messages":[{"role":"developer","content":"Be short."},{"role":"user","content":[{"type":"text","text":"Who"},{"type":"text","text":"?"}]}]}`)
	var whole view.ChatCompletion
	if err := json.Unmarshal([]byte(body), &whole); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%d %s: %v", resp.StatusCode, body, err)
	}
	if c := whole.Choices[0]; c.Message.Content != "Hello, world" || c.Message.Role != "assistant" || c.FinishReason != "stop" || whole.Usage.TotalTokens != 10 || whole.Model != "large" {
		t.Errorf("answered %+v", whole)
	}
	h := resp.Header
	if h.Get(view.HeaderTask) != apitest.CID("a question").String() || h.Get(view.HeaderExecutor) != apitest.ID("beta").String() || h.Get(view.HeaderPrice) != "10000000" {
		t.Errorf("headers: %v", h)
	}
	resp, body = s.ask("GET", "/v1/models", "")
	if want := `{"id":"small","object":"model","created":0,"owned_by":"here"}`; resp.StatusCode != 200 || !strings.Contains(body, want) {
		t.Errorf("models: %d %s, want %s in it", resp.StatusCode, body, want)
	}
}

func TestTheGatewayStreamsAsOpenAIDoes(t *testing.T) {
	s := serve(t, nil)
	_, body := s.ask("POST", "/v1/chat/completions", `{"model":"auto","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Who?"}]}`)
	all := data(body)
	if len(all) != 6 || all[5] != "[DONE]" {
		t.Fatalf("streamed %q", all)
	}
	text, finish := "", ""
	for _, d := range all[:5] {
		var c view.ChatChunk
		if err := json.Unmarshal([]byte(d), &c); err != nil {
			t.Fatal(err)
		}
		for _, choice := range c.Choices {
			if text += choice.Delta.Content; choice.FinishReason != nil {
				finish += *choice.FinishReason
			}
		}
	}
	if text != "Hello, world" || finish != "stop" || !strings.Contains(all[4], `"total_tokens":10`) {
		t.Errorf("streamed the text %q that ends by %q: %q", text, finish, all)
	}
	again := apitest.Answered("right")
	s.node.News = append(again[:2:2], append([]view.AskNews{{Step: view.AskText, Text: "wrong"}, {Step: view.AskAgain}}, again[2:]...)...)
	_, body = s.ask("POST", "/v1/chat/completions", `{"stream":true,"messages":[{"role":"user","content":"Who?"}]}`)
	if all := data(body); !strings.Contains(all[len(all)-1], "begun anew") || strings.Contains(body, "right") {
		t.Errorf("an answer that is begun anew is streamed as %q", all)
	}
	if resp, body := s.ask("POST", "/v1/chat/completions", who); resp.StatusCode != 200 || !strings.Contains(body, `"content":"right"`) {
		t.Errorf("without a stream it is %d %s", resp.StatusCode, body)
	}
}

func TestTheGatewaySaysNoAsItsClientsExpect(t *testing.T) {
	for _, tt := range []struct {
		name   string
		body   string
		change func(*http.Request)
		fail   *view.Error
		status int
		code   view.Code
	}{
		{"too little ATP", who, nil, &view.Error{Code: view.CodeInsufficient, Message: "x"}, http.StatusPaymentRequired, view.CodeInsufficient},
		{"nobody can", who, nil, &view.Error{Code: view.CodeRefused, Message: "x"}, http.StatusServiceUnavailable, view.CodeRefused},
		{"too late", who, nil, &view.Error{Code: view.CodeTimeout, Message: "x"}, http.StatusGatewayTimeout, view.CodeTimeout},
		{"not ready", who, nil, &view.Error{Code: view.CodeNotReady, Message: "x"}, http.StatusServiceUnavailable, view.CodeNotReady},
		{"no token", who, func(r *http.Request) { r.Header.Del("Authorization") }, nil, http.StatusUnauthorized, view.CodeUnauthorized},
		{"no JSON", "hello", nil, nil, http.StatusBadRequest, view.CodeInvalid},
		{"more than JSON", who + "{}", nil, nil, http.StatusBadRequest, view.CodeInvalid},
		{"a picture", `{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, nil, nil, http.StatusUnprocessableEntity, view.CodeUnsupported},
		{"a number", `{"messages":[{"role":"user","content":7}]}`, nil, nil, http.StatusBadRequest, view.CodeInvalid},
		{"tools", `{"messages":[],"tools":[{}]}`, nil, nil, http.StatusUnprocessableEntity, view.CodeUnsupported},
		{"two answers", `{"messages":[],"n":2}`, nil, nil, http.StatusUnprocessableEntity, view.CodeUnsupported},
		{"stops that are none", `{"messages":[],"stop":7}`, nil, nil, http.StatusBadRequest, view.CodeInvalid},
		{"a price that is none", who, header(view.HeaderMaxPrice, "cheap"), nil, http.StatusBadRequest, view.CodeInvalid},
		{"a quality that is none", who, header(view.HeaderMinQuality, "NaN"), nil, http.StatusBadRequest, view.CodeInvalid},
		{"witnesses", who, header(view.HeaderVerify, "recompute"), nil, http.StatusUnprocessableEntity, view.CodeUnsupported},
		{"another site", who, header("Sec-Fetch-Site", "cross-site"), nil, http.StatusForbidden, view.CodeForbidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, nil)
			if tt.fail != nil {
				s.node.News = []view.AskNews{{Step: view.AskFailed, Error: tt.fail}}
			}
			changes := []func(*http.Request){}
			if tt.change != nil {
				changes = append(changes, tt.change)
			}
			resp, body := s.ask("POST", "/v1/chat/completions", tt.body, changes...)
			s.wantError(resp, body, tt.status, tt.code)
		})
	}
}

func TestLogsAreSentAsTheyAre(t *testing.T) {
	s, ids := lived(t)
	s.node.Logs = "<script>\x00\xff\n"
	resp, body := s.ask("GET", ids.Replace("/api/v1/tasks/{TASK}/logs"), "")
	if body != s.node.Logs || resp.Header.Get("Content-Type") != "application/octet-stream" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("logs: %q with %v", body, resp.Header)
	}
}
