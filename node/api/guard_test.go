package api

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// writes are all requests that change something, as they should be.
func writes() map[string]string {
	return map[string]string{
		"/api/v1/txs":                     "\x00",
		"/api/v1/transfers":               `{"to":"beta","amount_uatp":1}`,
		"/api/v1/validators/join":         `{}`,
		"/api/v1/stake/bond":              `{"amount_uatp":2}`,
		"/api/v1/stake/unbond":            `{"amount_uatp":1}`,
		"/api/v1/validators/leave":        `{}`,
		"/api/v1/key/rotate":              `{}`,
		"/api/v1/validators/vote":         `{"platform":"beta"}`,
		"/api/v1/locks":                   `{"to":"beta","amount_uatp":1,"deadline_ms":1800000000000}`,
		"/api/v1/locks/bafyx/commit":      `{}`,
		"/api/v1/locks/bafyx/rollback":    `{}`,
		"/api/v1/platforms":               `{}`,
		"/api/v1/tasks":                   ``,
		"/api/v1/tasks/bafyx/cancel":      `{}`,
		"/api/v1/tasks/bafyx/dispute":     `{}`,
		"/api/v1/tasks/bafyx/appeal":      `{}`,
		"/api/v1/tasks/bafyx/acknowledge": `{}`,
	}
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func TestWritesNeedTheToken(t *testing.T) {
	s := serve(t, nil)
	for path, body := range writes() {
		for name, value := range map[string]string{
			"none": "", "empty": "Bearer ", "wrong": "Bearer " + strings.Repeat("0", 64), "longer": "Bearer " + s.token + "0",
			"another scheme": "Basic " + s.token, "no scheme": s.token, "half": "Bearer " + s.token[:32],
		} {
			resp, text := s.ask("POST", path, body, header("Authorization", value))
			e := s.wantError(resp, text, http.StatusUnauthorized, view.CodeUnauthorized)
			if resp.Header.Get("WWW-Authenticate") != "Bearer" || !strings.Contains(e.Hint, view.TokenFile) {
				t.Errorf("POST %s with token %s: WWW-Authenticate %q, hint %q", path, name, resp.Header.Get("WWW-Authenticate"), e.Hint)
			}
		}
	}
	if n := s.node.Txs(); n != 0 {
		t.Errorf("%d transactions were made without a token", n)
	}
}

func TestForeignHostNamesAreRefused(t *testing.T) {
	s := serve(t, nil)
	_, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"evil.example:" + port, "evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", "127.0.0.1.evil.example:" + port, "127.0.0.2:" + port} {
		for _, method := range []string{"GET", "POST"} {
			resp, body := s.ask(method, "/api/v1/status", "", func(r *http.Request) { r.Host = host })
			s.wantError(resp, body, http.StatusForbidden, view.CodeForbidden)
		}
	}
	for _, host := range []string{"localhost:" + port, "LOCALHOST:" + port, "127.0.0.1:" + port} {
		if resp, body := s.ask("GET", "/api/v1/status", "", func(r *http.Request) { r.Host = host }); resp.StatusCode != http.StatusOK {
			t.Errorf("Host %s: %d %s, want 200", host, resp.StatusCode, body)
		}
	}
}

// A page of another origin cannot write even if it knew the token, nor can
// one of another port of this machine.
func TestForeignOriginsCannotWrite(t *testing.T) {
	s := serve(t, nil)
	for _, origin := range []func(*http.Request){
		header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Site", "same-site"),
		header("Origin", "https://evil.example"), header("Origin", "null"), header("Origin", "http://127.0.0.1:1"),
	} {
		resp, body := s.ask("POST", "/api/v1/transfers", `{"to":"beta","amount_uatp":1}`, origin)
		s.wantError(resp, body, http.StatusForbidden, view.CodeForbidden)
	}
	if n := s.node.Txs(); n != 0 {
		t.Errorf("%d transactions were made from foreign origins", n)
	}
	resp, body := s.ask("POST", "/api/v1/transfers", `{"to":"beta","amount_uatp":1}`, header("Origin", s.URL()))
	if resp.StatusCode != http.StatusAccepted {
		t.Errorf("same origin: %d %s, want 202", resp.StatusCode, body)
	}
}

// Reads cost work and places, too: a foreign page may not even ask, though its
// browser would not let it see the answer.
func TestForeignPagesCannotAsk(t *testing.T) {
	s := serve(t, nil)
	for _, path := range []string{"/api/v1/status", "/api/v1/events", "/metrics", "/healthz"} {
		for _, site := range []string{"cross-site", "same-site"} {
			resp, body := s.ask("GET", path, "", header("Sec-Fetch-Site", site))
			s.wantError(resp, body, http.StatusForbidden, view.CodeForbidden)
		}
	}
	for _, site := range []string{"none", "same-origin"} {
		if resp, body := s.ask("GET", "/api/v1/status", "", header("Sec-Fetch-Site", site)); resp.StatusCode != http.StatusOK {
			t.Errorf("Sec-Fetch-Site %s: %d %s, want 200", site, resp.StatusCode, body)
		}
	}
}

// A form or a simple request, which a browser sends without asking first,
// has none of the accepted content types.
func TestWritesNeedTheirContentType(t *testing.T) {
	s := serve(t, nil)
	for path, body := range writes() {
		for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded"} {
			if strings.HasSuffix(path, "/cancel") || strings.HasSuffix(path, "/dispute") || strings.HasSuffix(path, "/appeal") || strings.Contains(path, "/locks/") || strings.HasSuffix(path, "/join") || strings.HasSuffix(path, "/leave") || strings.HasSuffix(path, "/rotate") {
				continue // no body to misread; the token is what they need
			}
			resp, text := s.ask("POST", path, body, header("Content-Type", kind))
			s.wantError(resp, text, http.StatusBadRequest, view.CodeInvalid)
		}
	}
}

func TestReadingAWriteChangesNothing(t *testing.T) {
	s := serve(t, nil)
	for path := range writes() {
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"} {
			resp, _ := s.ask(method, path, "", header("Authorization", "Bearer "+s.token))
			if resp.StatusCode != http.StatusMethodNotAllowed && path != "/api/v1/tasks" && path != "/api/v1/locks" && path != "/api/v1/platforms" {
				t.Errorf("%s %s = %d, want 405", method, path, resp.StatusCode)
			}
		}
	}
	if n := s.node.Txs(); n != 0 {
		t.Errorf("reading made %d transactions", n)
	}
}

func TestNoAnswerCanBeFramedSniffedOrRun(t *testing.T) {
	s := serve(t, nil)
	for _, path := range []string{"/api/v1/status", "/nothing", "/api/v1/transfers", "/healthz"} {
		resp, _ := s.ask("GET", path, "")
		if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("GET %s: Content-Security-Policy %q", path, csp)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": "", "Content-Type": "application/json"} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("GET %s: %s %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestLargeAndMalformedBodiesAreRefused(t *testing.T) {
	s := serve(t, func(l *limits) { l.json = 1000 })
	for name, tt := range map[string]struct {
		body   string
		status int
		code   view.Code
	}{
		"too large":        {`{"to":"` + strings.Repeat("a", 1000) + `"}`, 413, view.CodeTooLarge},
		"not JSON":         {"amount=1", 400, view.CodeInvalid},
		"unknown member":   {`{"to":"beta","amount_uatp":1,"from":"beta"}`, 400, view.CodeInvalid},
		"two values":       {`{"to":"beta","amount_uatp":1}{}`, 400, view.CodeInvalid},
		"fraction":         {`{"to":"beta","amount_uatp":1.5}`, 400, view.CodeInvalid},
		"negative":         {`{"to":"beta","amount_uatp":-1}`, 400, view.CodeInvalid},
		"a string":         {`{"to":"beta","amount_uatp":"1"}`, 400, view.CodeInvalid},
		"over 64 bits":     {`{"to":"beta","amount_uatp":18446744073709551616}`, 400, view.CodeInvalid},
		"no amount":        {`{"to":"beta"}`, 400, view.CodeInvalid},
		"no payee":         {`{"amount_uatp":1}`, 400, view.CodeInvalid},
		"unknown payee":    {`{"to":"nobody","amount_uatp":1}`, 404, view.CodeNotFound},
		"over the balance": {`{"to":"beta","amount_uatp":1000000001}`, 409, view.CodeInsufficient},
		"empty":            {``, 400, view.CodeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			s := s
			s.t = t
			resp, body := s.ask("POST", "/api/v1/transfers", tt.body)
			s.wantError(resp, body, tt.status, tt.code)
		})
	}
	if n := s.node.Txs(); n != 0 {
		t.Errorf("bad requests made %d transactions", n)
	}
}

func TestMoreRequestsThanPlacesAreSentAway(t *testing.T) {
	s := serve(t, func(l *limits) { l.requests = 1 })
	s.requests <- struct{}{} // someone is being served
	resp, body := s.ask("GET", "/api/v1/status", "")
	e := s.wantError(resp, body, http.StatusServiceUnavailable, view.CodeFull)
	if resp.Header.Get("Retry-After") != "1" || !e.Retryable {
		t.Errorf("Retry-After %q, error %+v", resp.Header.Get("Retry-After"), *e)
	}
	<-s.requests
	if resp, body := s.ask("GET", "/api/v1/status", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("once there is a place: %d %s", resp.StatusCode, body)
	}
}

func TestMoreConnectionsThanPlacesAreClosed(t *testing.T) {
	s := serve(t, func(l *limits) { l.conns = 2 })
	for range 2 {
		c, err := net.Dial("tcp", s.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
	}
	for s.conns.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	c, err := net.Dial("tcp", s.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the third connection was answered")
	}
}

func TestLargeHeadersAndSlowRequestsAreCut(t *testing.T) {
	s := serve(t, func(l *limits) { l.read = 50 * time.Millisecond })
	t.Run("large header", func(t *testing.T) {
		s := s
		s.t = t
		resp, _ := s.ask("GET", "/api/v1/status", "", header("X-Large", strings.Repeat("a", 32<<10)))
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("status %d, want 431", resp.StatusCode)
		}
	})
	t.Run("slow body", func(t *testing.T) {
		c, err := net.Dial("tcp", s.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := fmt.Fprintf(c, "POST /api/v1/transfers HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", s.listener.Addr(), s.token); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err) // the server waits for ever, or said nothing
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("status %d, want 400", resp.StatusCode)
		}
	})
}

func TestAnotherHomesRequestsAreNotAnswered(t *testing.T) {
	s := serve(t, nil)
	other := header(view.HomeHeader, view.HomeMark(strings.Repeat("0", 64)))
	resp, body := s.ask("GET", "/api/v1/status", "", other)
	s.wantError(resp, body, http.StatusMisdirectedRequest, view.CodeMisdirected)
	resp, body = s.ask("POST", "/api/v1/transfers", `{"to":"beta","amount_uatp":1}`, other)
	s.wantError(resp, body, http.StatusMisdirectedRequest, view.CodeMisdirected)
	if n := s.node.Txs(); n != 0 {
		t.Errorf("%d transactions were made for another home", n)
	}
	if resp, body := s.ask("GET", "/api/v1/status", "", header(view.HomeHeader, view.HomeMark(s.token))); resp.StatusCode != http.StatusOK {
		t.Errorf("its own home: %d %s, want 200", resp.StatusCode, body)
	}
}
