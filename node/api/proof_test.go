package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// posted is a task that the executor has not begun.
func (s served) posted() view.CID {
	s.t.Helper()
	resp, body := s.ask("POST", "/api/v1/tasks?wait=final", form("spec", visionSpec, "program", module, "input", "pixels"), multipartType)
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%d %s", resp.StatusCode, body)
	}
	_, id, _ := strings.Cut(body, `"task_id":"`)
	id, _, _ = strings.Cut(id, `"`)
	c, err := view.ParseCID(id)
	if err != nil {
		s.t.Fatalf("%s: %v", body, err)
	}
	return c
}

func TestProofsAreServedAsFiles(t *testing.T) {
	s := serve(t, nil)
	id := s.posted()
	beta := apitest.ID("beta").String()
	for _, tt := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/api/v1/accounts/beta/proof", 200, "proof of " + beta},
		{"GET", "/api/v1/accounts/" + beta + "/proof", 200, "proof of " + beta},
		{"HEAD", "/api/v1/accounts/beta/proof", 200, ""},
		{"GET", "/api/v1/accounts/nobody/proof", 404, `"not_found"`},
		{"GET", "/api/v1/tasks/" + id.String() + "/receipt", 409, "the task is posted"},
		{"GET", "/api/v1/tasks/zzzzzz/receipt", 404, `"not_found"`},
	} {
		resp, body := s.ask(tt.method, tt.path, "")
		if resp.StatusCode != tt.status || !strings.Contains(body, tt.body) {
			t.Errorf("%s %s: %d %s, want %d %s", tt.method, tt.path, resp.StatusCode, body, tt.status, tt.body)
		}
		if kind := resp.Header.Get("Content-Type"); (kind == view.ProofType) != (tt.status == 200) {
			t.Errorf("%s %s: content of type %q", tt.method, tt.path, kind)
		}
	}
	s.node.SetTask(view.Task{ID: id, State: view.TaskSettled, Settlement: view.SettledCommit})
	if resp, body := s.ask("GET", "/api/v1/tasks/"+id.String()+"/receipt", ""); resp.StatusCode != 200 || body != "receipt of "+id.String() {
		t.Errorf("receipt: %d %s", resp.StatusCode, body)
	}
}

func TestFewProofsAreMadeAtOnce(t *testing.T) {
	s := serve(t, func(l *limits) { l.proofs = 1 })
	s.proofs <- struct{}{} // one is being made
	if resp, body := s.ask("GET", "/api/v1/accounts/beta/proof", ""); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a second proof: %d %s", resp.StatusCode, body)
	}
	<-s.proofs
	for range 3 { // each makes room again
		if resp, body := s.ask("GET", "/api/v1/accounts/beta/proof", ""); resp.StatusCode != http.StatusOK {
			t.Errorf("alone: %d %s", resp.StatusCode, body)
		}
	}
}
