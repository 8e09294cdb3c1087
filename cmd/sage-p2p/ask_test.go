package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	osexec "os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func TestAskPrintsTheAnswerAndSaysTheRestBeside(t *testing.T) {
	d := sit(t)
	s := d.run("ask", "Who?")
	if s.code != exitDone || s.out != "Hello, world\n" {
		t.Errorf("ask = %+v", s)
	}
	golden(t, "ask", s.err)
	d.node.News = apitest.Answered("It is \x1b[2Jme\u202e.\n", "Ü")
	d.screen = true
	if s := d.run("ask", "Who?"); s.out != "It is ?[2Jme?.\nÜ\n" {
		t.Errorf("a terminal is sent %q", s.out)
	}
	d.screen = false
	again := apitest.Answered("right")
	again = append(again[:2:2], append([]view.AskNews{{Step: view.AskText, Text: "wrong"}, {Step: view.AskAgain}}, again[2:]...)...)
	d.node.News = again
	if s := d.run("ask", "Who?"); s.out != "wrong\nright\n" || !strings.Contains(s.err, "void") {
		t.Errorf("an answer that is begun anew: %+v", s)
	}
	var v asked
	if err := json.Unmarshal([]byte(d.ok("ask", "Who?", "--json")), &v); err != nil || v.Answer.Text != "right" || v.PriceUATP != 10_000_000 || v.Task.Cause != "acknowledged" {
		t.Errorf("%+v, %v", v, err)
	}
	d.in = "Who?\nAnd why?"
	if s := d.run("ask", "-"); s.code != exitDone {
		t.Errorf("a question from standard input: %+v", s)
	}
	d.in = ""
	if s := d.run("ask", "-"); s.code != exitUsage || !strings.Contains(s.err, "empty") {
		t.Errorf("no question from standard input: %+v", s)
	}
}

func TestAnAnswerThatIsNotAcceptedYetSaysHowTo(t *testing.T) {
	d := sit(t)
	d.node.News = apitest.Answered("me")
	last := d.node.News[len(d.node.News)-1].Task
	last.State, last.DeadlineMS = view.TaskProven, apitest.Start+130_000
	s := d.run("ask", "Who?", "--no-ack")
	for _, want := range []string{"is not paid yet", "task acknowledge bafy", "task refuse bafy", "counts as accepted"} {
		if !strings.Contains(s.err, want) {
			t.Errorf("said %q, which lacks %q", s.err, want)
		}
	}
	d.node.News = append(d.node.News[:3], view.AskNews{Step: view.AskFailed, Error: &view.Error{Code: view.CodeRefused, Message: "beta gave no answer", Hint: "see how with: sage-p2p task show x"}})
	if s := d.run("ask", "Who?"); s.code != exitFailed || !strings.HasPrefix(s.out, "me") || !strings.Contains(s.err, "beta gave no answer") {
		t.Errorf("no answer: %+v", s)
	}
	d.node.News = d.node.News[:3]
	if s := d.run("ask", "Who?"); s.code != exitUnreachable || !strings.Contains(s.err, "went away") || !strings.Contains(s.err, "goes on without you") {
		t.Errorf("an answer that breaks off: %+v", s)
	}
}

// Giving up on an answer, by its end or by Ctrl-C, takes back nothing and says so.
func TestStoppingToListenTakesBackNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		stop bool // by Ctrl-C, when the question has been posted
		code int
	}{
		"its end": {[]string{"ask", "Who?", "--timeout", "3s"}, false, exitTimeout},
		"Ctrl-C":  {[]string{"ask", "Who?"}, true, exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			d := sit(t)
			d.node.Hold = true
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			if tt.stop {
				d.hear = stopper(stop)
			}
			s := d.runCtx(ctx, tt.args...)
			id := apitest.CID("a question").String()
			if s.code != tt.code || !strings.Contains(s.err, "stopped listening") || !strings.Contains(s.err, "goes on without you") || !strings.Contains(s.err, "sage-p2p --home "+d.home+" task wait "+id) {
				t.Errorf("said %+v", s)
			}
		})
	}
}

func TestLogsOfATaskAreHarmlessOnATerminal(t *testing.T) {
	d := eventful(t)
	task := apitest.CID("a task").String()
	if s := d.run("task", "logs", task); s.code != exitDone || s.out != "" || !strings.Contains(s.err, "wrote nothing") {
		t.Errorf("no logs: %+v", s)
	}
	d.node.Logs = "Ü \x1b[2J\nend\xc3"
	if out := d.ok("task", "logs", task); out != d.node.Logs {
		t.Errorf("a pipe is sent %q", out)
	}
	d.screen = true
	if out := d.ok("task", "logs", task, "--follow"); out != "Ü ?[2J\nend?" {
		t.Errorf("a terminal is sent %q", out)
	}
	var all strings.Builder
	w := &lineWriter{to: &all, screen: true}
	for _, b := range []byte("a Ü€𝄞 z") {
		if _, err := w.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if w.end(); all.String() != "a Ü€𝄞 z" {
		t.Errorf("byte by byte: %q", all.String())
	}
}

// tiny is a server of the model tiny that says Hello, and goes on when it may.
func tiny(t *testing.T, goOn <-chan struct{}) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/models" {
			fmt.Fprint(w, `{"object":"list","data":[{"id":"tiny"}]}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-goOn:
			fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\", world\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// askerAndModel starts two nodes, one of which offers the model at url.
func askerAndModel(t *testing.T, ctx context.Context, url string) (asker, executor *actor) {
	t.Helper()
	executor = &actor{name: "loki", home: t.TempDir()}
	executor.args = loopback("--network", "test", "--expect", "1", "--openai-url", url, "--openai-models", "tiny", "--openai-price", "2.5")
	launch(t, ctx, executor)
	waitReady(t, ctx, executor)
	st, err := executor.node.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	asker = &actor{name: "thor", home: t.TempDir()}
	asker.args = loopback("--network", "test", "--bootstrap", st.Listen[0])
	launch(t, ctx, asker)
	waitReady(t, ctx, asker)
	if err := asker.until(ctx, "to see the model", func() (bool, error) {
		models, err := asker.node.Models(ctx)
		return len(models) == 1 && len(models[0].Platforms) == 1, err
	}); err != nil {
		t.Fatal(err)
	}
	tell(t, executor, nil, "transfer", asker.id.String(), "50", "--new")
	if err := asker.until(ctx, "to have its ATP", func() (bool, error) {
		st, err := asker.node.Status(ctx)
		return st.BalanceUATP > 0, err
	}); err != nil {
		t.Fatal(err)
	}
	return asker, executor
}

// Two processes: the first piece of an answer is on the asker's output while the
// server waits for a word of this test, which it gets only then.
func TestAskThroughTwoProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	goOn := make(chan struct{}, 4)
	t.Setenv(asProgram, "1")
	asker, executor := askerAndModel(t, ctx, tiny(t, goOn))
	ask := osexec.CommandContext(ctx, os.Args[0], "--home", asker.home, "ask", "Who?")
	ask.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var said strings.Builder
	ask.Stderr = &said
	out, err := ask.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ask.Start(); err != nil {
		t.Fatal(err)
	}
	answer := bufio.NewReader(out)
	first := make([]byte, len("Hello"))
	if _, err := io.ReadFull(answer, first); err != nil || string(first) != "Hello" {
		t.Fatalf("the first piece is %q, %v; %s", first, err, said.String())
	}
	var tasks view.Tasks
	tell(t, asker, &tasks, "task", "list")
	if len(tasks.Tasks) != 1 || tasks.Tasks[0].State != view.TaskAccepted {
		t.Errorf("when the first piece is here the tasks are %+v", tasks.Tasks)
	}
	goOn <- struct{}{}
	rest, err := io.ReadAll(answer)
	if err := ask.Wait(); err != nil {
		t.Fatalf("ask: %v\n%s", err, said.String())
	}
	if err != nil || string(rest) != ", world\n" || !strings.Contains(said.String(), "answered by loki for 2.5 ATP") {
		t.Errorf("the rest is %q, %v; beside it: %s", rest, err, said.String())
	}

	askTheGateway(t, ctx, asker, goOn)
	id := short(tasks.Tasks[0].ID.String())
	if logs := tell(t, asker, nil, "task", "logs", id, "--follow"); !strings.Contains(logs, "asked openai/tiny") {
		t.Errorf("its logs are %q", logs)
	}
	if out := tell(t, executor, nil, "doctor"); !strings.Contains(out, "openai/tiny") {
		t.Errorf("the doctor says nothing of the model:\n%s", out)
	}
	goOn <- struct{}{}
	if s := command(ctx, executor.home, time.Now, "", "ask", "Who?"); s.code != exitDone || s.out != "Hello, world\n" || !strings.Contains(s.err, "here, for nothing") {
		t.Errorf("asked where the model is: %+v", s)
	}
}

// askTheGateway asks as any client of OpenAI does, with the token as its API key.
func askTheGateway(t *testing.T, ctx context.Context, a *actor, goOn chan<- struct{}) {
	t.Helper()
	token, err := view.ReadToken(a.home)
	if err != nil {
		t.Fatal(err)
	}
	const chat = `{"model":"tiny","stream":true,"messages":[{"role":"user","content":"Who?"}]}`
	req, err := http.NewRequestWithContext(ctx, "POST", a.node.URL()+"/v1/chat/completions", strings.NewReader(chat))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(view.HeaderMaxPrice, "3")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if resp.StatusCode != 200 || resp.Header.Get(view.HeaderPrice) != "2500000" || resp.Header.Get(view.HeaderTask) == "" {
		t.Errorf("the gateway answers %s with %v", resp.Status, resp.Header)
	}
	lines := bufio.NewReader(resp.Body)
	seen := ""
	for !strings.Contains(seen, "Hello") {
		line, err := lines.ReadString('\n')
		if seen += line; err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
	}
	goOn <- struct{}{}
	rest, err := io.ReadAll(lines)
	if err != nil || !strings.Contains(string(rest), ", world") || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("the rest is %q, %v", rest, err)
	}
	if err := a.until(ctx, "to have paid", func() (bool, error) {
		v, err := a.node.Task(ctx, resp.Header.Get(view.HeaderTask))
		return v.Cause == "acknowledged", err
	}); err != nil {
		t.Error(err)
	}
}
