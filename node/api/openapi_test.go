package api

import (
	"bytes"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

var rewrite = flag.Bool("rewrite", false, "write openapi.json anew")

func loadOpenAPI(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestOpenAPIDescribesTheViews(t *testing.T) {
	if *rewrite {
		rewriteOpenAPI(t)
		return
	}
	want := makeOpenAPI(t)
	if !bytes.Equal(want, openAPI) {
		t.Errorf("openapi.json differs from the views (-file +views); go test ./node/api -run OpenAPI -rewrite writes it anew:\n%s",
			cmp.Diff(strings.Split(string(openAPI), "\n"), strings.Split(string(want), "\n")))
	}
	if err := loadOpenAPI(t).Validate(t.Context()); err != nil {
		t.Errorf("openapi.json is no OpenAPI: %v", err)
	}
}

func TestOpenAPIHasEveryRouteAndNoOther(t *testing.T) {
	s := New(Config{}, apitest.New())
	var described []string
	for path, item := range loadOpenAPI(t).Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	slices.Sort(described)
	if diff := cmp.Diff(patterns(s.routes()), described); diff != "" {
		t.Errorf("routes differ (-server +openapi.json):\n%s", diff)
	}
}

// Whatever parameter a handler reads is described for some route.
func TestOpenAPIHasEveryParameter(t *testing.T) {
	described := map[string]bool{}
	for _, op := range operations() {
		for _, q := range op.query {
			described[q.name] = true
		}
	}
	reads := regexp.MustCompile(`(?:Query\(\)|\bq)\.Get\("([a-z_]+)"\)|number\([^,]+, "([a-z_]+)"`)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range reads.FindAllStringSubmatch(string(source), -1) {
			found++
			if name := m[1] + m[2]; !described[name] {
				t.Errorf("%s reads the parameter %s=, which no operation of openapi.json has", file, name)
			}
		}
	}
	if found < 10 {
		t.Errorf("found only %d parameters in the source: this test guards nothing", found)
	}
}

// lived is a server over a node where a bit of everything has happened, and
// the IDs of it by the names that the table of operations uses.
func lived(t *testing.T) (served, *strings.Replacer) {
	s := serve(t, nil)
	s.Server.metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, "sage_height 1\n")
	})
	s.node.Findings = []view.Finding{{About: "clock", Verdict: view.VerdictWarning, Text: "it is 2 s off", Cure: "set it", Command: "timedatectl"}}
	id := func(path, body string) string {
		_, answer := s.ask("POST", path+"?wait=final", body)
		m := regexp.MustCompile(`"(?:lock|task)_id":"(bafy[a-z0-9]+)"`).FindStringSubmatch(answer)
		if m == nil {
			t.Fatalf("POST %s = %s", path, answer)
		}
		return m[1]
	}
	lock := `{"to":"beta","amount_uatp":5,"deadline_ms":1900000000000}`
	lock1, lock2 := id("/api/v1/locks", lock), id("/api/v1/locks", lock)
	blob, err := s.node.PutBlob(t.Context(), strings.NewReader("edges"))
	if err != nil {
		t.Fatal(err)
	}
	q := view.PPM(950_000)
	posted := view.Task{ID: apitest.CID("posted"), State: view.TaskPosted, Requester: apitest.ID("alpha"), Spec: view.Spec{Type: "vision", Runtime: "wasm", PriceUATP: 50}}
	proven := posted
	proven.ID, proven.State, proven.Executor, proven.Result, proven.ResultSize = apitest.CID("proven"), view.TaskProven, apitest.ID("beta"), blob.CID, blob.Size
	proven.ResultHere, proven.ClaimedPPM = true, &q
	proven.History = []view.Step{{Event: "posted", By: apitest.ID("alpha"), Legs: []view.Leg{{What: "locked", AmountUATP: 51}},
		Reputation: []view.ReputationMove{{PeerID: apitest.ID("beta"), Role: "executor", Cause: "PASS"}}}}
	s.node.SetTask(posted)
	s.node.SetTask(proven)
	settled := posted
	settled.ID, settled.State, settled.Settlement = apitest.CID("settled"), view.TaskSettled, view.SettledCommit
	s.node.SetTask(settled)
	disputable, decided := posted, posted
	disputable.ID, disputable.State = apitest.CID("disputable"), view.TaskProven
	decided.ID, decided.State = apitest.CID("decided"), view.TaskWitnessing
	s.node.SetTask(disputable)
	s.node.SetTask(decided)
	return s, strings.NewReplacer("{TX}", apitest.CID("tx 0").String(), "{LOCK1}", lock1, "{LOCK2}", lock2,
		"{TASK}", proven.ID.String(), "{POSTED}", posted.ID.String(), "{SETTLED}", settled.ID.String(),
		"{DISPUTABLE}", disputable.ID.String(), "{DECIDED}", decided.ID.String())
}

// call makes a request and checks it, and its answer, against the document.
func (s served) call(doc *openapi3.T, pattern, path, body, media string) (*http.Response, string) {
	s.t.Helper()
	method, template, _ := strings.Cut(pattern, " ")
	item := doc.Paths.Value(template)
	resp, answer := s.ask(method, path, body, header("Content-Type", media))
	req, err := http.NewRequest(method, path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", media)
	params := map[string]string{}
	have, want := strings.Split(req.URL.Path, "/"), strings.Split(template, "/")
	for i, part := range want {
		if p := pathParam.FindStringSubmatch(part); p != nil {
			params[p[1]] = have[i]
		}
	}
	in := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params,
		Route:   &routers.Route{Spec: doc, Path: template, PathItem: item, Method: method, Operation: item.GetOperation(method)},
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, ExcludeRequestBody: media != "application/json"},
	}
	if resp.StatusCode < 300 {
		if err := openapi3filter.ValidateRequest(s.t.Context(), in); err != nil {
			s.t.Errorf("%s was answered, and is no request of openapi.json: %v", pattern, err)
		}
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header, Options: in.Options}
	out.SetBodyBytes([]byte(answer))
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		err = openapi3filter.ValidateResponse(s.t.Context(), out)
	}
	if err != nil {
		s.t.Errorf("%s answers %d with what openapi.json does not describe: %v", pattern, resp.StatusCode, err)
	}
	return resp, answer
}

func TestOpenAPIHoldsForRealAnswers(t *testing.T) {
	doc := loadOpenAPI(t)
	s, ids := lived(t)
	table := operations()
	for _, pattern := range patterns(table) {
		t.Run(pattern, func(t *testing.T) {
			s := s
			s.t = t
			op := table[pattern]
			_, template, _ := strings.Cut(pattern, " ")
			path := op.try
			if path == "" {
				path = template
			}
			resp, body := s.call(doc, pattern, ids.Replace(path), op.send, op.as)
			if resp.StatusCode/100 != 2 {
				t.Fatalf("%s = %d %s", path, resp.StatusCode, body)
			}
			media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
			if op.answer == nil && !slices.Contains(op.streams, media) {
				t.Errorf("%s answers %s, want %v", pattern, media, op.streams)
			}
			if !pathParam.MatchString(template) {
				return
			}
			wrong := pathParam.ReplaceAllString(template, "nothing-of-this-name")
			if resp, body := s.call(doc, pattern, wrong, op.send, op.as); resp.StatusCode != http.StatusNotFound {
				t.Errorf("%s = %d %s, want 404", wrong, resp.StatusCode, body)
			}
		})
	}
}

// The tests above see what they are there to see.
func TestOpenAPISeesARenamedField(t *testing.T) {
	renamed := bytes.ReplaceAll(openAPI, []byte(`"peer_id"`), []byte(`"peerId"`))
	doc, err := openapi3.NewLoader().LoadFromData(renamed)
	if err != nil {
		t.Fatal(err)
	}
	item := doc.Paths.Value("/api/v1/status")
	req, _ := http.NewRequest("GET", "/api/v1/status", nil)
	in := &openapi3filter.RequestValidationInput{Request: req, Route: &routers.Route{Spec: doc, Path: "/api/v1/status", PathItem: item, Method: "GET", Operation: item.Get}}
	s, _ := lived(t)
	resp, body := s.ask("GET", "/api/v1/status", "")
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: resp.StatusCode, Header: resp.Header}
	out.SetBodyBytes([]byte(body))
	if openapi3filter.ValidateResponse(t.Context(), out) == nil {
		t.Error("a status with peer_id passes for one with peerId")
	}
}
