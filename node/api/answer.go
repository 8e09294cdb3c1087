package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// status is the HTTP status of a code.
func status(c view.Code) int {
	switch c {
	case view.CodeInvalid:
		return http.StatusBadRequest
	case view.CodeUnauthorized:
		return http.StatusUnauthorized
	case view.CodeForbidden:
		return http.StatusForbidden
	case view.CodeNotFound:
		return http.StatusNotFound
	case view.CodeAmbiguous, view.CodeRefused, view.CodeInsufficient, view.CodeUnsafe:
		return http.StatusConflict
	case view.CodeGone:
		return http.StatusGone
	case view.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case view.CodeMisdirected:
		return http.StatusMisdirectedRequest
	case view.CodeUnsupported:
		return http.StatusUnprocessableEntity
	case view.CodeFull, view.CodeNotReady:
		return http.StatusServiceUnavailable
	case view.CodeTimeout:
		return http.StatusGatewayTimeout
	default:
		return http.StatusInternalServerError
	}
}

// explain turns any error into one that can be shown. What a [view.Error]
// does not vouch for is shown without its text.
func explain(err error) *view.Error {
	var (
		shown   *view.Error
		tooLong *http.MaxBytesError
	)
	switch {
	case errors.As(err, &shown):
		return shown
	case errors.As(err, &tooLong):
		return &view.Error{Code: view.CodeTooLarge, Message: fmt.Sprintf("the request is larger than %d bytes", tooLong.Limit)}
	case errors.Is(err, context.DeadlineExceeded):
		return &view.Error{Code: view.CodeTimeout, Message: "the node took too long to answer", Retryable: true}
	case errors.Is(err, context.Canceled):
		return &view.Error{Code: view.CodeNotReady, Message: "the node is shutting down", Retryable: true}
	default:
		return &view.Error{Code: view.CodeInternal, Message: "the node failed to answer", Hint: "its log says why"}
	}
}

// fail answers with err. A "no" says at which height, that of now unless its judge
// has named one.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	shown := explain(err)
	if shown.Code == view.CodeRefused && shown.Height == 0 {
		if st, err := s.node.Status(r.Context()); err == nil {
			no := *shown
			no.Height, shown = st.Height, &no
		}
	}
	if shown.Code == view.CodeInternal {
		s.log.ErrorContext(r.Context(), "api: request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	code := status(shown.Code)
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	s.write(w, r, code, view.Failure{Error: shown})
}

// write answers with v as JSON.
func (s *Server) write(w http.ResponseWriter, r *http.Request, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // our own views always encode, unless raw JSON in one is broken
		s.log.ErrorContext(r.Context(), "api: encode answer", "path", r.URL.Path, "err", err)
		code, b = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"the node failed to answer","retryable":false}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if _, err := w.Write(append(b, '\n')); err != nil {
		s.log.DebugContext(r.Context(), "api: write answer", "err", err) // the client left
	}
}

// answers makes a handler of a function that has a value or an error. The
// function writes nothing: it gets the writer for its deadlines.
func answers[V any](s *Server, f func(http.ResponseWriter, *http.Request) (V, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := f(w, r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.write(w, r, http.StatusOK, v)
	}
}

// readJSON reads the one JSON value that is the body of r.
func readJSON[V any](s *Server, w http.ResponseWriter, r *http.Request) (V, error) {
	return readUpTo[V](w, r, s.limits.json)
}

// readUpTo is readJSON for another limit, in bytes.
func readUpTo[V any](w http.ResponseWriter, r *http.Request, limit int64) (V, error) {
	var v V
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return v, invalid("the body must be application/json, have %.40q", r.Header.Get("Content-Type"))
	}
	return decodeJSON[V](http.MaxBytesReader(w, r.Body, limit))
}

// decodeJSON is strict: no unknown member, nothing after the value. On error there
// is no value, not even what was read of it before.
func decodeJSON[V any](r io.Reader) (V, error) {
	var v, none V
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return none, blame(err, invalid("the body is not what is expected here: %s", clip(err.Error())))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return none, invalid("the body goes on after its JSON value")
	}
	return v, nil
}

// invalid blames the request.
func invalid(format string, args ...any) *view.Error {
	return &view.Error{Code: view.CodeInvalid, Message: fmt.Sprintf(format, args...)}
}

// blame returns what err, the failure to read a body, has to say, or malformed
// if that is all there is to say.
func blame(err error, malformed *view.Error) error {
	var (
		shown   *view.Error
		tooLong *http.MaxBytesError
	)
	if errors.As(err, &shown) || errors.As(err, &tooLong) {
		return err
	}
	return malformed
}

// clip bounds a text that quotes the request.
func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
