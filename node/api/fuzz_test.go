package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// FuzzResume reads what a browser, or anyone, resumes a stream of events with.
func FuzzResume(f *testing.F) {
	for _, s := range []string{"1", "7-3", "0", "-", "18446744073709551615-18446744073709551615", "+1", "1-", "1-2-3", "now"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseReader(text)
		if err != nil {
			if explain(err).Code != view.CodeInvalid || r.seq != 0 || r.whole != 0 {
				t.Fatalf("%q: %v with %+v", text, err, r)
			}
			return
		}
		if r.seq == 0 {
			return // it begins anew
		}
		again, err := parseReader(r.id())
		if err != nil || again.seq != r.seq || again.whole != r.whole {
			t.Fatalf("%q is %+v, and resumes as %+v, %v", text, r, again, err)
		}
	})
}

// taken reads a body as a V. What is taken is read again from what it is written
// as; of what is not nothing is left, and the request is blamed.
func taken[V any](t *testing.T, body []byte) {
	t.Helper()
	v, err := decodeJSON[V](bytes.NewReader(body))
	if err != nil {
		if explain(err).Code != view.CodeInvalid || !reflect.ValueOf(v).IsZero() {
			t.Errorf("%q: %v with %+v, want a request that is blamed, and nothing", body, err, v)
		}
		return
	}
	plain, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("%q is taken as %+v: %v", body, v, err)
	}
	again, err := decodeJSON[V](bytes.NewReader(plain))
	if err != nil {
		t.Fatalf("%q is written as %s: %v", body, plain, err)
	}
	if replain, err := json.Marshal(again); err != nil || !bytes.Equal(plain, replain) {
		t.Errorf("%q is written as %s, and that as %s, %v", body, plain, replain, err)
	}
}

// Whatever is sent as a body, it is taken as it is meant, or blamed.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		`{"to":"beta","amount_uatp":1}`, `{"to":"beta","amount_uatp":1,"deadline_ms":2}`, `{"quality_ppm":1}`, `{"offers":[{}],"hardware":null}`,
		visionSpec, `{}{}`, `[`, `{"amount_uatp":1e3}`, `{"program":"bafy"}`, "null",
		`{"messages":[{"role":"user","content":"Who?"}],"stop":["END"],"temperature":0.5,"seed":-1,"to":"auto","price_uatp":2}`,
		`{"for":"a friend","expires_ms":60000}`, `{"amount_uatp":18446744073709551616}`, `{"platform":"beta","against":true,"grant_uatp":0,"society":""}`,
		`{"amount_uatp":1,"AMOUNT_UATP":2}`, `{"messages":[null],"stop":[]} `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		taken[view.Transfer](t, body)
		taken[view.NewLock](t, body)
		taken[view.Registration](t, body)
		taken[view.Mark](t, body)
		taken[view.NewTask](t, body)
		taken[view.Question](t, body)
		taken[view.NewInvite](t, body)
		taken[view.StakeChange](t, body)
		taken[view.NewVote](t, body)
	})
}

// Whatever is sent to what changes something, a request that is taken makes one
// transaction, and one that is refused makes none, and is told why.
func FuzzWrites(f *testing.F) {
	paths := []string{"stake/bond", "stake/unbond", "validators/vote", "transfers", "locks", "platforms"}
	for i, seed := range []string{
		`{"amount_uatp":2}`, `{"amount_uatp":0}`, `{"platform":"beta","against":true}`, `{"to":"beta","amount_uatp":1}`,
		`{"to":"beta","amount_uatp":1,"deadline_ms":1800000000000}`, `{"name":"alpha"}`,
	} {
		f.Add(byte(i), []byte(seed))
		f.Add(byte(i), []byte(seed+"{}"))
		f.Add(byte(i), []byte(strings.Replace(seed, "beta", "12D3", 1)))
	}
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		n := apitest.New()
		s := New(Config{}, n)
		s.token, s.hosts = "token", map[string]bool{"localhost:1": true}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost:1/api/v1/"+paths[int(which)%len(paths)], bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer token")
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, r)
		if w.Code == http.StatusAccepted {
			var done view.Submission
			if err := json.Unmarshal(w.Body.Bytes(), &done); err != nil || n.Txs() != 1 || done.TxID.IsZero() {
				t.Fatalf("%s %q: %s, %v, with %d transactions, want one", r.URL.Path, body, w.Body, err, n.Txs())
			}
			return
		}
		var why view.Failure
		if err := json.Unmarshal(w.Body.Bytes(), &why); err != nil || why.Error == nil || w.Code < 400 || w.Code >= 500 || n.Txs() != 0 {
			t.Fatalf("%s %q: %d %s, %v, with %d transactions, want a refusal and none", r.URL.Path, body, w.Code, w.Body, err, n.Txs())
		}
	})
}

// FuzzChat reads what clients of OpenAI send. What is taken is the question that
// its plainest form asks, too; else the request is blamed, or asks for what there
// is not.
func FuzzChat(f *testing.F) {
	for _, seed := range []struct{ body, price, quality, verify string }{
		{`{"model":"large","user":"me","stop":"END","messages":[{"role":"developer","content":"Be short."},{"role":"user","content":[{"type":"text","text":"Who"},{"type":"text","text":"?"}]}]}`, "", "", ""},
		{`{"model":"auto","max_tokens":7,"max_completion_tokens":9,"temperature":0.5,"top_p":1,"seed":-3,"n":1,"tools":[],"stop":["a","b"],"messages":[{"role":"user","content":null}]}`, "2.5", "0.9", "mutual"},
		{`{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, "", "", ""},
		{`{"messages":[{"role":"user"}]}`, "0", "1", "recompute"},
		{`{"messages":[],"stop":7}`, "cheap", "NaN", ""},
		{`{"messages":[],"stop":[null,"\ud800"],"tools":null}`, "0.000001", "-0", ""},
		{`{"messages":[],"n":2}{}`, "18446744073709.551616", "1e-320", ""},
	} {
		f.Add([]byte(seed.body), seed.price, seed.quality, seed.verify)
	}
	s := New(Config{}, apitest.New())
	read := func(body []byte, h http.Header) (q view.Question, err error) {
		r := httptest.NewRequest(http.MethodPost, "http://localhost:1/v1/chat/completions", bytes.NewReader(body))
		r.Header = h
		ask, err := readChat(s, httptest.NewRecorder(), r)
		if err != nil {
			return q, err
		}
		return chatQuestion(ask, h)
	}
	f.Fuzz(func(t *testing.T, body []byte, price, quality, verify string) {
		h := http.Header{"Content-Type": {"application/json"}}
		h.Set(view.HeaderMaxPrice, price)
		h.Set(view.HeaderMinQuality, quality)
		h.Set(view.HeaderVerify, verify)
		q, err := read(body, h)
		if err != nil {
			if code := explain(err).Code; code != view.CodeInvalid && code != view.CodeUnsupported {
				t.Fatalf("%q: %v of code %s, want a request that is blamed", body, err, code)
			}
			return
		}
		if q.MinQualityPPM > maxPPM || (q.MostUATP == 0) != (price == "") || verify != "" && verify != "mutual" {
			t.Fatalf("%q, %q, %q are taken as %+v", price, quality, verify, q)
		}
		again, err := read(plainChat(t, q), h)
		if diff := cmp.Diff(q, again); err != nil || diff != "" {
			t.Fatalf("%q, in its plainest form (-first +second): %v\n%s", body, err, diff)
		}
	})
}

// plainChat is the request that asks q and has nothing else.
func plainChat(t *testing.T, q view.Question) []byte {
	t.Helper()
	plain := view.ChatRequest{Model: q.Model, MaxTokens: q.MaxTokens, Temperature: q.Temperature, TopP: q.TopP, Seed: q.Seed}
	must := func(v any) json.RawMessage {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for _, m := range q.Messages {
		plain.Messages = append(plain.Messages, view.ChatMessage{Role: m.Role, Content: must(m.Content)})
	}
	if plain.Stop = must(q.Stop); q.Stop == nil {
		plain.Stop = nil
	}
	return must(plain)
}
