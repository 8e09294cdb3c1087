package exec_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/task/exec"
)

// serves starts a server that answers a chat with f, and returns it as the
// upstream of one model, Tiny-1.
func serves(t *testing.T, f http.HandlerFunc) *exec.Upstream {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return upstream(t, exec.UpstreamConfig{URL: server.URL, Models: []string{"Tiny-1"}})
}

func upstream(t *testing.T, c exec.UpstreamConfig) *exec.Upstream {
	t.Helper()
	u, err := exec.NewUpstream(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

// says streams pieces as OpenAI's servers do.
func says(w http.ResponseWriter, pieces ...string) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	for _, piece := range pieces {
		delta, err := json.Marshal(piece)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(w, "data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%s},\"finish_reason\":null}]}\n\n", delta)
	}
}

// ends says why the answer ends, what it took, and that it is whole.
func ends(w http.ResponseWriter) {
	fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"+
		"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,\"total_tokens\":10}}\n\n"+
		"data: [DONE]\n\n")
}

// question is a job that asks a model something.
func question(t *testing.T, text string) exec.Job {
	t.Helper()
	temperature := 0.25
	input, err := exec.Chat{Messages: []exec.Message{{Role: "user", Content: text}}, Temperature: &temperature, MaxTokens: 9}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	j := job(t, nil, string(input))
	j.TimeLimit = time.Minute
	return j
}

func TestAModelAnswersInPieces(t *testing.T) {
	var asked struct {
		Model       string
		Stream      bool
		MaxTokens   int `json:"max_tokens"`
		Temperature float64
		Messages    []exec.Message
	}
	u := serves(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" || r.URL.Path != "/v1/chat/completions" || r.Header.Get("Authorization") != "" {
			t.Errorf("%s %s with %q", r.Method, r.URL.Path, r.Header.Get("Authorization"))
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		says(w, "Hel", "lo, ", "Wörld\n")
		ends(w)
	})
	model := u.Runtimes()[0]
	if model.Name() != "openai/tiny-1" {
		t.Errorf("its runtime is called %s", model.Name())
	}
	j := question(t, "Who <is> it?")
	var pieces []string
	var logs []byte
	j.Listen = exec.Listener{
		Text: func(p []byte) { pieces = append(pieces, string(p)) },
		Logs: func(p []byte) { logs = append(logs, p...) },
	}
	got, err := model.Run(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	if asked.Model != "Tiny-1" || !asked.Stream || asked.MaxTokens != 9 || asked.Temperature != 0.25 || asked.Messages[0].Content != "Who <is> it?" {
		t.Errorf("the server was asked %+v", asked)
	}
	if !slices.Equal(pieces, []string{"Hel", "lo, ", "Wörld\n"}) {
		t.Errorf("it came in the pieces %q", pieces)
	}
	answer, err := exec.DecodeAnswer(got.Output)
	want := exec.Answer{Model: "openai/tiny-1", Text: "Hello, Wörld\n", Finish: "stop", Usage: exec.Usage{Prompt: 7, Completion: 3}}
	if diff := cmp.Diff(want, answer); err != nil || diff != "" {
		t.Errorf("%v, the answer (-want +got):\n%s", err, diff)
	}
	if string(got.Logs) != string(logs) || !strings.Contains(string(logs), "3 written") {
		t.Errorf("logs: %q as they came, %q at the end", logs, got.Logs)
	}
}

func TestAHostileServerIsTheExecutorsOwnFault(t *testing.T) {
	var other atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		other.Add(1)
		says(w, "from elsewhere")
		ends(w)
	}))
	defer elsewhere.Close()
	stream := func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/event-stream") }
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		class  error
	}{
		{"it fails", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, exec.ErrHost},
		{"it has no such model", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"error":"no model"}`, 404) }, exec.ErrHost},
		{"it wants a key", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, exec.ErrHost},
		{"it is full", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, exec.ErrHost},
		{"it refuses the question", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "too long", 400) }, exec.ErrInvalid},
		{"it sends elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/v1/chat/completions", http.StatusTemporaryRedirect)
		}, exec.ErrHost},
		{"it does not stream", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"choices":[]}`)
		}, exec.ErrHost},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { stream(w); fmt.Fprint(w, "data: {nope\n\n") }, exec.ErrHost},
		{"it breaks off", func(w http.ResponseWriter, _ *http.Request) { says(w, "half an ans") }, exec.ErrHost},
		{"it reports an error midway", func(w http.ResponseWriter, _ *http.Request) {
			says(w, "half")
			fmt.Fprint(w, "data: {\"error\":{\"message\":\"out of memory\"}}\n\n")
		}, exec.ErrHost},
		{"a huge line", func(w http.ResponseWriter, _ *http.Request) {
			stream(w)
			fmt.Fprint(w, "data: "+strings.Repeat("x", 1<<20)+"\n\n")
		}, exec.ErrHost},
		{"an endless stream of nothing", func(w http.ResponseWriter, r *http.Request) {
			stream(w)
			line := strings.Repeat(": \n", 10_000)
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, line); err != nil {
					return
				}
			}
		}, exec.ErrHost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := serves(t, tt.answer).Runtimes()[0].Run(t.Context(), question(t, "?"))
			if !errors.Is(err, tt.class) || len(got.Output) > 0 {
				t.Errorf("%v with %d bytes, want %v", err, len(got.Output), tt.class)
			}
			if !strings.Contains(string(got.Logs), "failed: ") || strings.Contains(string(got.Logs), "127.0.0.1") {
				t.Errorf("the other party reads %q", got.Logs)
			}
		})
	}
	if n := other.Load(); n != 0 {
		t.Errorf("the other server was asked %d times", n)
	}
}

func TestAnAnswerThatNeverEndsIsCut(t *testing.T) {
	u := serves(t, func(w http.ResponseWriter, r *http.Request) {
		for piece := strings.Repeat("ä", 10_000); r.Context().Err() == nil; {
			says(w, piece)
		}
	})
	told := 0
	j := question(t, "?")
	j.Listen.Text = func(p []byte) { told += len(p) }
	got, err := u.Runtimes()[0].Run(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := exec.DecodeAnswer(got.Output)
	if err != nil || len(answer.Text) != exec.MaxText || told != exec.MaxText || answer.Finish != "length" {
		t.Errorf("%v, an answer of %d bytes (%d told) that ends by %s", err, len(answer.Text), told, answer.Finish)
	}
}

func TestASlowServerIsLeftAtTheTimeLimit(t *testing.T) {
	left := make(chan struct{})
	u := serves(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(left)
		for r.Context().Err() == nil {
			says(w, ".")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	j := question(t, "?")
	j.TimeLimit = 300 * time.Millisecond
	if _, err := u.Runtimes()[0].Run(t.Context(), j); !errors.Is(err, exec.ErrResourceLimit) {
		t.Errorf("%v, want %v", err, exec.ErrResourceLimit)
	}
	<-left // nothing goes on there on our behalf
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the node ends"))
	if _, err := u.Runtimes()[0].Run(ctx, question(t, "?")); err == nil || errors.Is(err, exec.ErrHost) || !strings.Contains(err.Error(), "the node ends") {
		t.Errorf("a run that was stopped ends with %v", err)
	}
}

func TestAModelTakesNoProgramAndNoOtherInput(t *testing.T) {
	u := serves(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was asked") })
	model := u.Runtimes()[0]
	if err := model.Check([]byte("x")); !errors.Is(err, exec.ErrProgram) {
		t.Errorf("Check = %v", err)
	}
	good := string(question(t, "?").Input)
	for name, input := range map[string]string{
		"nothing": "", "no JSON": "hello", "no messages": `{"messages":[]}`, "spaces": strings.Replace(good, ":", ": ", 1),
		"more": good + "{}", "an unknown member": `{"messages":[{"role":"user","content":"?"}],"tools":[]}`,
		"an unknown role": `{"messages":[{"role":"root","content":"?"}]}`, "twice": `{"messages":[{"role":"user","content":"?","content":"?"}]}`,
		"hot": `{"messages":[{"role":"user","content":"?"}],"temperature":3}`, "not UTF-8": "{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}",
		"long": `{"messages":[{"role":"user","content":"` + strings.Repeat("x", exec.MaxChat) + `"}]}`,
	} {
		j := question(t, "?")
		j.Input = []byte(input)
		if _, err := model.Run(t.Context(), j); !errors.Is(err, exec.ErrChat) || !errors.Is(err, exec.ErrInvalid) {
			t.Errorf("%s: %v, want %v", name, err, exec.ErrChat)
		}
	}
}

func TestAKeyIsSentToItsServerAndToldToNobody(t *testing.T) {
	const key = "sk-secret"
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer "+key {
			t.Errorf("Authorization: %q", got)
		}
		http.Error(w, "your key "+key+" is no good", 400)
	}))
	defer server.Close()
	c := exec.UpstreamConfig{URL: server.URL + "/v1/", Models: []string{"m"}, KeyFile: file}
	got, err := upstream(t, c).Runtimes()[0].Run(t.Context(), question(t, "?"))
	if err == nil || strings.Contains(err.Error()+string(got.Logs), key) || !strings.Contains(err.Error(), "is no good") {
		t.Errorf("%v, %q", err, got.Logs)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.NewUpstream(c); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: %v", err)
	}
}

func TestAServerThatCannotBeIsRefusedWithAllReasons(t *testing.T) {
	err := exec.UpstreamConfig{URL: "ftp://x", Models: []string{"a", "A", "b c", ""}}.Validate()
	if err == nil {
		t.Fatal("it is taken")
	}
	for _, want := range []string{"ftp://x", `"A" is named twice`, `"b c"`, `""`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not name %s", err, want)
		}
	}
}

func TestAServerIsAskedForItsModels(t *testing.T) {
	answer := `{"object":"list","data":[{"id":"Tiny-1"}]}`
	u := serves(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/models" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		fmt.Fprint(w, answer)
	})
	if missing, err := u.Missing(t.Context()); err != nil || len(missing) > 0 {
		t.Errorf("missing %q, %v", missing, err)
	}
	answer = `{"data":[{"id":"other"}]}`
	if missing, err := u.Missing(t.Context()); err != nil || !slices.Equal(missing, []string{"Tiny-1"}) {
		t.Errorf("missing %q, %v", missing, err)
	}
	answer = `<html>`
	if _, err := u.Missing(t.Context()); !errors.Is(err, exec.ErrHost) {
		t.Errorf("no list: %v", err)
	}
}

// Whatever bytes come as an answer, one that is taken is in its one form.
func FuzzAnswer(f *testing.F) {
	good, err := exec.Answer{Model: "openai/m", Text: "<ä>\x00", Finish: "stop", Usage: exec.Usage{Prompt: 1, Completion: 2}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"model":"","text":"","finish":"","usage":{"prompt_tokens":0,"completion_tokens":0}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := exec.DecodeAnswer(raw)
		if err != nil {
			return
		}
		if again, err := a.Encode(); err != nil || string(again) != string(raw) || len(a.Text) > exec.MaxText {
			t.Fatalf("%q is taken, and encodes to %q, %v", raw, again, err)
		}
	})
}
