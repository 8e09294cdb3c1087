package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

const boundary = "b0undary"

// form writes a multipart form of name, content pairs.
func form(parts ...string) string {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	_ = w.SetBoundary(boundary)
	for i := 0; i < len(parts); i += 2 {
		p, _ := w.CreateFormField(parts[i])
		_, _ = io.WriteString(p, parts[i+1])
	}
	_ = w.Close()
	return b.String()
}

var multipartType = header("Content-Type", "multipart/form-data; boundary="+boundary)

const (
	visionSpec = `{"type":"vision","runtime":"wasm","horizon":{}}`
	module     = "\x00asm\x01\x00\x00\x00"
)

func TestATaskIsPostedWithItsProgramAndInput(t *testing.T) {
	s := serve(t, nil)
	resp, body := s.ask("POST", "/api/v1/tasks?wait=final", form("spec", visionSpec, "program", module, "input", "pixels"), multipartType)
	var sub view.Submission
	if err := json.Unmarshal([]byte(body), &sub); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("answer %d %s: %v", resp.StatusCode, body, err)
	}
	if sub.Executor != apitest.ID("beta") || sub.Tx == nil || !sub.Tx.OK || sub.TaskID.IsZero() {
		t.Errorf("submission = %+v", sub)
	}
	_, body = s.ask("GET", "/api/v1/tasks/"+sub.TaskID.String()[50:], "")
	var task view.Task
	if err := json.Unmarshal([]byte(body), &task); err != nil {
		t.Fatal(err)
	}
	if got := string(s.node.Blob(task.Spec.Program)); got != module {
		t.Errorf("program = %q", got)
	}
	if got := string(s.node.Blob(task.Spec.Input)); got != "pixels" {
		t.Errorf("input = %q", got)
	}
}

func TestBadTasksAreRefusedAndMakeNoTransaction(t *testing.T) {
	s := serve(t, func(l *limits) { l.json, l.program, l.input = 500, 100, 100 })
	for name, tt := range map[string]struct {
		form   string
		status int
		about  string
	}{
		"no spec":              {form("program", module, "input", "x"), 400, "spec"},
		"no form":              {"hello", 400, "spec"},
		"cut off":              {form("spec", visionSpec, "program", module, "input", "x")[:250], 400, "cannot be read"},
		"spec too large":       {form("spec", `{"type":"`+strings.Repeat("a", 500)), 413, "spec"},
		"spec not JSON":        {form("spec", "type: vision"), 400, "not what is expected"},
		"spec twice":           {form("spec", visionSpec, "spec", visionSpec), 400, "unknown part"},
		"unknown member":       {form("spec", `{"type":"vision","runtime":"wasm","horizon":{},"bribe":1}`), 400, "bribe"},
		"no type":              {form("spec", `{"runtime":"wasm","horizon":{}}`), 400, "type"},
		"no runtime":           {form("spec", `{"type":"vision","horizon":{}}`), 400, "runtime"},
		"quality over 1":       {form("spec", `{"type":"vision","runtime":"wasm","horizon":{},"min_quality_ppm":1000001}`), 400, "quality"},
		"price with a point":   {form("spec", `{"type":"vision","runtime":"wasm","horizon":{},"price_uatp":1.5}`), 400, "price_uatp"},
		"no program":           {form("spec", visionSpec, "input", "x"), 400, "no program"},
		"no input":             {form("spec", visionSpec, "program", module), 400, "no input"},
		"program not WASM":     {form("spec", visionSpec, "program", "#!/bin/sh", "input", "x"), 400, "not a WASM module"},
		"program empty":        {form("spec", visionSpec, "program", "", "input", "x"), 400, "not a WASM module"},
		"program too large":    {form("spec", visionSpec, "program", module+strings.Repeat("a", 100), "input", "x"), 413, "program"},
		"input too large":      {form("spec", visionSpec, "program", module, "input", strings.Repeat("a", 101)), 413, "input"},
		"input twice":          {form("spec", visionSpec, "program", module, "input", "x", "input", "y"), 400, "twice"},
		"unknown executor":     {form("spec", `{"type":"vision","runtime":"wasm","horizon":{},"to":"nobody"}`, "program", module, "input", "x"), 404, "nobody"},
		"more than it can pay": {form("spec", `{"type":"vision","runtime":"wasm","horizon":{},"price_uatp":1000000000}`, "program", module, "input", "x"), 409, "needs 1030 ATP"},
	} {
		t.Run(name, func(t *testing.T) {
			s := s
			s.t = t
			resp, body := s.ask("POST", "/api/v1/tasks", tt.form, multipartType)
			var f view.Failure
			if err := json.Unmarshal([]byte(body), &f); err != nil || f.Error == nil {
				t.Fatalf("answer %d %s: %v", resp.StatusCode, body, err)
			}
			if resp.StatusCode != tt.status || !strings.Contains(f.Error.Message, tt.about) {
				t.Errorf("answer = %d %q, want %d about %q", resp.StatusCode, f.Error.Message, tt.status, tt.about)
			}
		})
	}
	if n := s.node.Txs(); n != 0 {
		t.Errorf("bad tasks made %d transactions", n)
	}
}

func TestTheResultComesWhole(t *testing.T) {
	s := serve(t, nil)
	blob, err := s.node.PutBlob(t.Context(), strings.NewReader("<script>alert(1)</script>"))
	if err != nil {
		t.Fatal(err)
	}
	id := apitest.CID("task")
	s.node.SetTask(view.Task{ID: id, State: view.TaskAccepted})
	resp, body := s.ask("GET", "/api/v1/tasks/"+id.String()+"/result", "")
	if e := s.wantError(resp, body, 404, view.CodeNotFound); !e.Retryable || !strings.Contains(e.Message, "accepted") {
		t.Errorf("error = %+v", *e)
	}

	s.node.SetTask(view.Task{ID: id, State: view.TaskProven, Result: blob.CID, ResultSize: blob.Size})
	resp, body = s.ask("GET", "/api/v1/tasks/"+id.String()+"/result", "")
	if resp.StatusCode != 200 || body != "<script>alert(1)</script>" {
		t.Errorf("answer = %d %q", resp.StatusCode, body)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/octet-stream", "Content-Disposition": `attachment; filename="result"`, "X-Content-Type-Options": "nosniff",
		"ETag": `"` + blob.CID.String() + `"`,
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}

	s.node.SetTask(view.Task{ID: id, State: view.TaskSettled, Result: apitest.CID("lost"), ResultSize: 3})
	resp, body = s.ask("GET", "/api/v1/tasks/"+id.String()+"/result", "")
	s.wantError(resp, body, http.StatusGone, view.CodeGone)
}

// The requester's node may know a proof a moment before its executor's does.
func TestAResultIsWaitedForWhileItsTaskIsOpen(t *testing.T) {
	s := serve(t, func(l *limits) { l.result = 10 * time.Second })
	blob := strings.NewReader("late")
	id, result := apitest.CID("task"), apitest.RawCID("late")
	s.node.SetTask(view.Task{ID: id, State: view.TaskProven, Result: result, ResultSize: 4})
	bodies := make(chan string, 1)
	go func() {
		_, body := s.ask("GET", "/api/v1/tasks/"+id.String()+"/result", "")
		bodies <- body
	}()
	for len(s.requests) == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := s.node.PutBlob(t.Context(), blob); err != nil {
		t.Fatal(err)
	}
	if body := <-bodies; body != "late" {
		t.Errorf("result = %q", body)
	}
}

func TestMarksAreChecked(t *testing.T) {
	s := serve(t, nil)
	id := apitest.CID("task")
	s.node.SetTask(view.Task{ID: id, State: view.TaskProven, Spec: view.Spec{MinQualityPPM: 700_000}})
	for _, body := range []string{`{"quality_ppm":1000001}`, `{"quality_ppm":900000,"refuse":true}`, `{"quality_ppm":-1}`, `{"quality_ppm":0.5}`} {
		resp, text := s.ask("POST", "/api/v1/tasks/"+id.String()+"/acknowledge", body)
		s.wantError(resp, text, 400, view.CodeInvalid)
	}
	resp, body := s.ask("POST", "/api/v1/tasks/"+id.String()+"/acknowledge?wait=settled", `{"refuse":true}`)
	if resp.StatusCode != 200 || !strings.Contains(body, `"cause":"refused"`) {
		t.Errorf("answer = %d %s", resp.StatusCode, body)
	}
}

func TestARequestCanWaitForTheEnd(t *testing.T) {
	s := serve(t, nil)
	s.node.Hold = true
	type answer struct {
		status int
		body   string
	}
	answers := make(chan answer, 1)
	go func() {
		resp, body := s.ask("POST", "/api/v1/transfers?wait=final&timeout=1m", `{"to":"beta","amount_uatp":1}`)
		answers <- answer{resp.StatusCode, body}
	}()
	for len(s.waiting) == 0 {
		time.Sleep(time.Millisecond)
	}
	select {
	case a := <-answers:
		t.Fatalf("answered before the end: %+v", a)
	default:
	}
	s.node.Release()
	if a := <-answers; a.status != http.StatusOK || !strings.Contains(a.body, `"state":"final"`) {
		t.Errorf("answer = %+v", a)
	}
}

// Nothing is undone by running out of patience: the answer says how far it has come.
func TestPatienceEndsWithoutHarm(t *testing.T) {
	s := serve(t, nil)
	s.node.Hold = true
	resp, body := s.ask("POST", "/api/v1/transfers?wait=final&timeout=1ms", `{"to":"beta","amount_uatp":1}`)
	if resp.StatusCode != http.StatusAccepted || !strings.Contains(body, `"state":"pending"`) {
		t.Errorf("answer = %d %s", resp.StatusCode, body)
	}
	if s.node.Txs() != 1 {
		t.Errorf("%d transactions, want 1", s.node.Txs())
	}
}

func TestWaitingHasItsOwnLimit(t *testing.T) {
	s := serve(t, func(l *limits) { l.waiting = 1 })
	s.waiting <- struct{}{}
	id := apitest.CID("task")
	s.node.SetTask(view.Task{ID: id, State: view.TaskPosted})
	resp, body := s.ask("GET", "/api/v1/tasks/"+id.String()+"?wait=settled", "")
	s.wantError(resp, body, 503, view.CodeFull)
	if resp, body := s.ask("GET", "/api/v1/tasks/"+id.String(), ""); resp.StatusCode != 200 {
		t.Errorf("without waiting: %d %s", resp.StatusCode, body)
	}
}

func TestEventsResumeWhereTheyStopped(t *testing.T) {
	s := serve(t, func(l *limits) { l.beat = 10 * time.Millisecond })
	stream := func(resume string) *bufio.Scanner {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL()+"/api/v1/events?kinds=block", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Last-Event-ID", resume)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
			t.Fatalf("Content-Type = %q", got)
		}
		return bufio.NewScanner(resp.Body)
	}
	next := func(sc *bufio.Scanner) (id string) {
		for sc.Scan() {
			if text, ok := strings.CutPrefix(sc.Text(), "id: "); ok {
				id = text
			}
			if strings.HasPrefix(sc.Text(), "data: ") {
				return id
			}
		}
		t.Fatalf("the stream ended: %v", sc.Err())
		return ""
	}
	first := stream("")
	if a, b := next(first), next(first); a != "1" || b != "2-1" {
		t.Errorf("events %s, %s, want 1, 2-1", a, b)
	}
	s.ask("POST", "/api/v1/transfers", `{"to":"beta","amount_uatp":1}`)
	if c := next(first); c != "4-2" {
		t.Errorf("live event %s, want 4-2", c)
	}
	if c := next(stream("2")); c != "4-2" {
		t.Errorf("resumed event %s, want 4-2", c)
	}
}

// Whatever is sent as a task's form, the server answers in JSON, and makes no
// transaction of what is not a whole task.
func FuzzTaskForm(f *testing.F) {
	f.Add([]byte(form("spec", visionSpec, "program", module, "input", "x")))
	f.Add([]byte(form("spec", `{"type":1}`)))
	f.Add([]byte("--" + boundary + "\r\nContent-Disposition: form-data; name=\"spec\"\r\n\r\n{"))
	n := apitest.New()
	s := New(Config{}, n)
	f.Fuzz(func(t *testing.T, body []byte) {
		r := multipart.NewReader(bytes.NewReader(body), boundary)
		task, err := s.readTask(t.Context(), r)
		if err != nil {
			if e := explain(err); e.Code == view.CodeInternal {
				t.Errorf("readTask blames the node: %v", err)
			}
			return
		}
		if task.Type == "" || task.Program.IsZero() || task.Input.IsZero() {
			t.Errorf("readTask took %+v", task)
		}
	})
}

// A short ID means at most one thing, and what it means looks like it.
func FuzzShortID(f *testing.F) {
	ids := []string{apitest.ID("a").String(), apitest.ID("b").String(), apitest.CID("a").String()}
	for _, seed := range []string{"", "12D3", "12D3…" + ids[0][48:], "..." + ids[1][40:], ids[2], "…", "bafy", ids[0][:4] + "…" + ids[1][48:]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := pick("thing", text, "list", ids)
		if err != nil {
			if explain(err).Code == view.CodeInternal {
				t.Errorf("pick(%q) = %v", text, err)
			}
			return
		}
		head, tail, cut := strings.Cut(strings.Replace(text, "...", "…", 1), "…")
		if cut && !(strings.HasPrefix(id, head) && strings.HasSuffix(id, tail)) || !cut && !strings.HasPrefix(id, text) && !strings.HasSuffix(id, text) {
			t.Errorf("pick(%q) = %s", text, id)
		}
	})
}
