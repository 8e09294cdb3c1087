package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// handler is everything between the socket and the routes: H1 to H7.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, h := range s.routes() {
		mux.HandleFunc(pattern, h)
	}
	foreign := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, &view.Error{
			Code:    view.CodeForbidden,
			Message: "the request comes from a page of another origin",
			Hint:    "use the command line, or a page that this node serves itself",
		})
	})
	origin := http.NewCrossOriginProtection() // H2
	origin.SetDenyHandler(foreign)
	routed := origin.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !safe(r.Method) && !s.authorized(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			s.fail(w, r, &view.Error{
				Code:    view.CodeUnauthorized,
				Message: "this request changes something, and has no valid token",
				Hint:    "send the header Authorization: Bearer TOKEN, with the token of HOME/" + view.TokenFile,
			})
			return
		}
		serveOrExplain(s, mux, w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		harden(w.Header())
		s.setDeadlines(w, s.limits.read, s.limits.write)
		if !s.hosts[strings.ToLower(r.Host)] {
			s.fail(w, r, &view.Error{
				Code:    view.CodeForbidden,
				Message: "the request was made to a host name that is not this node's",
				Hint:    "use " + s.URL(),
			})
			return
		}
		if mark := r.Header.Get(view.HomeHeader); mark != "" && mark != view.HomeMark(s.token) {
			s.fail(w, r, &view.Error{
				Code:    view.CodeMisdirected,
				Message: "another home's node is at " + s.URL(),
				Hint:    "the one that you mean is not running: start it with: sage-p2p up",
			})
			return
		}
		if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" { // H2
			foreign.ServeHTTP(w, r)
			return
		}
		release, ok := take(s.requests)
		if !ok {
			s.fail(w, r, full("requests"))
			return
		}
		defer release()
		routed.ServeHTTP(w, r)
	})
}

// harden sets what keeps a browser from making more of an answer than it is (H5).
func harden(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// safe reports whether a method changes nothing, which routes keeps (H4).
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// authorized compares the token in constant time; hashing first hides its length (H3).
func (s *Server) authorized(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	have, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.token))
	return subtle.ConstantTimeCompare(have[:], want[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// setDeadlines bounds how long the rest of the request and the answer may take.
func (s *Server) setDeadlines(w http.ResponseWriter, read, write time.Duration) {
	now := time.Now()
	c := http.NewResponseController(w)
	if err := c.SetReadDeadline(now.Add(read)); err != nil {
		s.log.Debug("api: set read deadline", "err", err) // the connection is gone
	}
	if err := c.SetWriteDeadline(now.Add(write)); err != nil {
		s.log.Debug("api: set write deadline", "err", err)
	}
}

// take takes a place in slots, if one is free.
func take(slots chan struct{}) (release func(), ok bool) {
	select {
	case slots <- struct{}{}:
		return func() { <-slots }, true
	default:
		return nil, false
	}
}

// full is the answer when there is no place for one more of what.
func full(what string) *view.Error {
	return &view.Error{Code: view.CodeFull, Message: "too many " + what + " at once", Hint: "try again in a second", Retryable: true}
}

// serveOrExplain serves r, or says as JSON what the mux says as text when no
// route fits.
func serveOrExplain(s *Server, mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	h, pattern := mux.Handler(r)
	if pattern != "" {
		mux.ServeHTTP(w, r)
		return
	}
	said := verdict{header: http.Header{}}
	h.ServeHTTP(&said, r)
	e := &view.Error{Code: view.CodeNotFound, Message: "there is nothing at this path", Hint: "paths begin with /api/v1/"}
	if allow := said.header.Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
		e.Message, e.Hint = "the path exists, but not for "+r.Method, "use "+allow
		s.write(w, r, http.StatusMethodNotAllowed, view.Failure{Error: e})
		return
	}
	s.fail(w, r, e)
}

// verdict keeps the header of an answer and drops the rest.
type verdict struct{ header http.Header }

func (v *verdict) Header() http.Header         { return v.header }
func (v *verdict) Write(b []byte) (int, error) { return len(b), nil }
func (v *verdict) WriteHeader(int)             {}
