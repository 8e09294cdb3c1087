package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

var _ Node = (*apitest.Node)(nil)

// served is a running server with a node behind it.
type served struct {
	*Server
	t    *testing.T
	node *apitest.Node
	stop func() error // ends Run and returns its error
}

// serve runs a server over a node until the test ends.
func serve(t *testing.T, change func(*limits)) served {
	t.Helper()
	n := apitest.New()
	s := New(Config{Home: t.TempDir(), Addr: "127.0.0.1:0"}, n, func(s *Server) {
		if change != nil {
			change(&s.limits)
		}
	})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stopped := false
	stop := func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return served{Server: s, t: t, node: n, stop: stop}
}

// ask is a request as it should be, changed by each of the changes.
func (s served) ask(method, path, body string, changes ...func(*http.Request)) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	for _, change := range changes {
		change(req)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(b)
}

// wantError checks that an answer is a failure of this status and code.
func (s served) wantError(resp *http.Response, body string, status int, code view.Code) *view.Error {
	s.t.Helper()
	var f view.Failure
	if err := json.Unmarshal([]byte(body), &f); err != nil || f.Error == nil {
		s.t.Fatalf("answer %d %q is no failure: %v", resp.StatusCode, body, err)
	}
	if resp.StatusCode != status || f.Error.Code != code {
		s.t.Errorf("answer = %d %+v, want %d %s", resp.StatusCode, *f.Error, status, code)
	}
	return f.Error
}

func TestReadsAnswer(t *testing.T) {
	s := serve(t, nil)
	beta, block := apitest.ID("beta").String(), apitest.CID("block 1").String()
	_, lock := s.ask("POST", "/api/v1/locks?wait=final", `{"to":"beta","amount_uatp":5,"deadline_ms":1800000000000}`)
	if !strings.Contains(lock, `"lock_id":"bafy`) {
		t.Fatalf("lock = %s", lock)
	}
	for _, tt := range []struct{ path, want string }{
		{"/healthz", `{"status":"ok"}`},
		{"/readyz", `{"status":"ready"}`},
		{"/api/v1/status", `"network":"lan"`},
		{"/api/v1/peers", `"path":"direct"`},
		{"/api/v1/federations", `"here":true`},
		{"/api/v1/validators", `"quorum":3`},
		{"/api/v1/platforms", `"name":"delta"`},
		{"/api/v1/platforms/beta", `"peer_id":"` + beta + `"`},
		{"/api/v1/platforms/" + beta, `"name":"beta"`},
		{"/api/v1/platforms/" + beta[len(beta)-6:], `"name":"beta"`},
		{"/api/v1/platforms/12D3…" + beta[len(beta)-4:], `"name":"beta"`},
		{"/api/v1/accounts/beta", `"available_uatp":1000000000`},
		{"/api/v1/accounts/alpha/history?limit=3", `"event":"ATP_TRANSFER_LOCK"`},
		{"/api/v1/accounts/beta/history", `{"movements":[]}`},
		{"/api/v1/blocks", `"height":2`},
		{"/api/v1/blocks?before=1&limit=1", `"height":0`},
		{"/api/v1/blocks/1", `"id":"` + block + `"`},
		{"/api/v1/blocks/" + block, `"height":1`},
		{"/api/v1/blocks/" + block[len(block)-8:], `"height":1`},
		{"/api/v1/txs/" + apitest.CID("tx 0").String(), `"state":"final"`},
		{"/api/v1/txs/" + apitest.CID("tx 0").String()[50:], `"state":"final"`},
		{"/api/v1/tasks", `{"tasks":[]}`},
		{"/api/v1/locks", `"amount_uatp":5`},
	} {
		resp, body := s.ask("GET", tt.path, "")
		if resp.StatusCode != http.StatusOK || !strings.Contains(body, tt.want) {
			t.Errorf("GET %s = %d %s, want 200 with %s", tt.path, resp.StatusCode, body, tt.want)
		}
		if strings.Contains(body, "null") {
			t.Errorf("GET %s = %s, want no null", tt.path, body)
		}
	}
}

func TestBadReadsSayWhy(t *testing.T) {
	s := serve(t, nil)
	for _, tt := range []struct {
		path   string
		status int
		code   view.Code
		about  string
	}{
		{"/api/v1/accounts/nobody", 404, view.CodeNotFound, "nobody"},
		{"/api/v1/accounts/abc", 400, view.CodeInvalid, "at least 4 characters"},
		{"/api/v1/accounts/12D3", 409, view.CodeAmbiguous, "fits 4 IDs"},
		{"/api/v1/accounts/" + apitest.ID("stranger").String(), 404, view.CodeNotFound, "no block has ever touched"},
		{"/api/v1/accounts/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", 400, view.CodeInvalid, "Ed25519"},
		{"/api/v1/accounts/bob@beta", 422, view.CodeUnsupported, "agent"},
		{"/api/v1/platforms/" + apitest.ID("stranger").String(), 404, view.CodeNotFound, "not registered"},
		{"/api/v1/blocks/99", 404, view.CodeNotFound, "no final block 99"},
		{"/api/v1/blocks/bafy", 409, view.CodeAmbiguous, "fits 2"},
		{"/api/v1/blocks?limit=0", 400, view.CodeInvalid, "limit"},
		{"/api/v1/blocks?before=-1", 400, view.CodeInvalid, "before"},
		{"/api/v1/tasks?state=lost", 400, view.CodeInvalid, "state"},
		{"/api/v1/tasks/zzzzzz", 404, view.CodeNotFound, "zzzzzz"},
		{"/api/v1/txs/" + apitest.CID("never").String(), 404, view.CodeNotFound, "no transaction"},
		{"/api/v1/txs/" + apitest.CID("never").String() + "?wait=ages", 400, view.CodeInvalid, "wait"},
		{"/api/v1/txs/" + apitest.CID("never").String() + "?wait=final&timeout=-1s", 400, view.CodeInvalid, "timeout"},
		{"/api/v1/events?after=x", 400, view.CodeInvalid, "after"},
		{"/api/v2/status", 404, view.CodeNotFound, "/api/v1/"},
		{"/", 404, view.CodeNotFound, ""},
	} {
		resp, body := s.ask("GET", tt.path, "")
		e := s.wantError(resp, body, tt.status, tt.code)
		if !strings.Contains(e.Message+e.Hint, tt.about) {
			t.Errorf("GET %s says %q (%q), want it to mention %q", tt.path, e.Message, e.Hint, tt.about)
		}
	}
}

func TestOurOwnFailuresKeepTheirTextToThemselves(t *testing.T) {
	s := serve(t, nil)
	s.node.Fail = errors.New("open /home/owner/secret: input/output error")
	resp, body := s.ask("GET", "/api/v1/status", "")
	if e := s.wantError(resp, body, 500, view.CodeInternal); strings.Contains(body, "secret") {
		t.Errorf("answer tells %q", e.Message)
	}
}

func TestNotReadySaysWhatItWaitsFor(t *testing.T) {
	s := serve(t, nil)
	s.node.StatusNow.Waiting = "waiting for 2 of 4 founders"
	resp, body := s.ask("GET", "/readyz", "")
	e := s.wantError(resp, body, 503, view.CodeNotReady)
	if !strings.Contains(e.Message, "2 of 4 founders") || !e.Retryable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("answer = %+v, Retry-After %q", *e, resp.Header.Get("Retry-After"))
	}
}

func TestRunLeavesNothingBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := serve(t, nil)
	home := s.cfg.Home
	for path := filepath.Join(home, view.AddrFile); ; time.Sleep(time.Millisecond) {
		if b, err := os.ReadFile(path); err == nil {
			if got := strings.TrimSpace(string(b)); got != s.URL() {
				t.Errorf("%s holds %q, want %q", view.AddrFile, got, s.URL())
			}
			break
		}
	}
	streaming := make(chan error, 1)
	go func() { // an open stream must not keep the server alive
		resp, err := http.Get(s.URL() + "/api/v1/events")
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			err = errors.Join(err, resp.Body.Close())
		}
		streaming <- err
	}()
	for len(s.waiting) == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := s.stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
	<-streaming
	http.DefaultClient.CloseIdleConnections()
	if _, err := os.Stat(filepath.Join(home, view.AddrFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat %s = %v, want it gone", view.AddrFile, err)
	}
	if c, err := net.Dial("tcp", s.listener.Addr().String()); err == nil {
		_ = c.Close()
		t.Error("the port is still open")
	}
}

func TestOnlyLoopbackIsServed(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.org:0", "127.0.0.1", "nonsense"} {
		home := t.TempDir()
		s := New(Config{Home: home, Addr: addr}, apitest.New())
		if err := s.Listen(); err == nil {
			t.Errorf("Listen on %q = nil, want a refusal", addr)
			_ = s.listener.Close()
		}
		if left, _ := os.ReadDir(home); len(left) != 0 {
			t.Errorf("Listen on %q left %v in the home", addr, left)
		}
	}
	for _, addr := range []string{"127.0.0.1:0", "localhost:0", "127.0.0.2:0"} {
		s := New(Config{Home: t.TempDir(), Addr: addr}, apitest.New())
		if err := s.Listen(); err != nil {
			t.Errorf("Listen on %q = %v", addr, err)
			continue
		}
		_ = s.listener.Close()
	}
}

func TestATakenAddressIsRefusedWithTheCure(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	err = New(Config{Home: t.TempDir(), Addr: ln.Addr().String()}, apitest.New()).Listen()
	var e *view.Error
	if !errors.As(err, &e) || !strings.Contains(e.Message, "address already in use") || !strings.Contains(e.Hint, "--api-addr") {
		t.Errorf("Listen = %#v, want the reason and --api-addr", err)
	}
}

func TestTheTokenIsMadeOnceAndKept(t *testing.T) {
	home := t.TempDir()
	first, err := loadToken(home)
	if err != nil {
		t.Fatal(err)
	}
	second, err := loadToken(home)
	if err != nil || second != first || len(first) != 2*view.TokenBytes {
		t.Errorf("token = %q, then %q, %v", first, second, err)
	}
	path := filepath.Join(home, view.TokenFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("stat = %v, %v, want mode 0600", info, err)
	}

	for _, tt := range []struct {
		name  string
		spoil func() error
	}{
		{"readable by others", func() error { return os.Chmod(path, 0o640) }},
		{"damaged", func() error { return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte("12ab\n"), 0o600)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.spoil(); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = loadToken(home)
			var e *view.Error
			if !errors.As(err, &e) || e.Code != view.CodeUnsafe || e.Hint == "" {
				t.Errorf("loadToken = %#v, want %s with a hint", err, view.CodeUnsafe)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(after, before) {
				t.Errorf("the token file changed from %q to %q", before, after)
			}
		})
	}
}

// A slip in an ID makes the ID of nobody, and what nobody has is lost.
func TestANewAccountIsPaidOnlyIfItIsSaidToBeNew(t *testing.T) {
	s := serve(t, nil)
	for path, body := range map[string]string{
		"/api/v1/transfers": `{"to":"` + apitest.ID("stranger").String() + `","amount_uatp":1`,
		"/api/v1/locks":     `{"to":"` + apitest.ID("another").String() + `","amount_uatp":1,"deadline_ms":1800000000000`,
	} {
		before := s.node.Txs()
		resp, text := s.ask("POST", path, body+"}")
		if e := s.wantError(resp, text, http.StatusNotFound, view.CodeNotFound); !strings.Contains(e.Hint, "--new") {
			t.Errorf("POST %s: hint %q", path, e.Hint)
		}
		if n := s.node.Txs(); n != before {
			t.Errorf("POST %s made %d transactions", path, n-before)
		}
		if resp, text := s.ask("POST", path, body+`,"new":true}`); resp.StatusCode != http.StatusAccepted {
			t.Errorf("POST %s, new: %d %s, want 202", path, resp.StatusCode, text)
		}
	}
}

func TestNobodyExecutesTheirOwnTask(t *testing.T) {
	s := serve(t, nil)
	_, err := s.executor(t.Context(), &view.NewTask{To: "alpha"})
	var no *view.Error
	if !errors.As(err, &no) || no.Code != view.CodeInvalid {
		t.Errorf("executor = %v, want %s", err, view.CodeInvalid)
	}
}
