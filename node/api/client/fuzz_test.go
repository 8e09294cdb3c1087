package client

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// answers is an HTTP transport that gives every request one answer.
type answers struct {
	contentType string
	body        []byte
	asked       string // the query of the last request
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.asked = r.URL.RawQuery
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {a.contentType}},
		Body: io.NopCloser(bytes.NewReader(a.body)), Request: r,
	}, nil
}

// FuzzEventStream reads a stream of events from whatever listens at the address.
// It ends with an error; the reader resumes with a number, and never with what
// the stream's text would make of the query.
func FuzzEventStream(f *testing.F) {
	f.Add([]byte("id: 7-3\nevent: block\ndata: {\"seq\":7}\n\n"))
	f.Add([]byte(": a comment\n\nid: 1&after=now\ndata\n\n"))
	f.Add([]byte("data: {\n\n"))
	f.Add(bytes.Repeat([]byte("x"), 1<<16))
	f.Fuzz(func(t *testing.T, body []byte) {
		node := &answers{"text/event-stream", body, ""}
		c := &Client{base: "http://node", http: &http.Client{Transport: node}}
		events := 0
		r := eventReader{do: func(view.Event) error { events++; return nil }}
		if err := r.read(t.Context(), c); err == nil || !errors.Is(err, errEnded) && !errors.Is(err, errForeign) {
			t.Fatalf("a stream that has ended gives %v", err)
		}
		if events > bytes.Count(body, []byte("\n")) {
			t.Fatalf("%d events in %d bytes", events, len(body))
		}
		was := r.query
		_ = r.read(t.Context(), c) // the same again; what was asked is what counts
		if node.asked != was.values().Encode() || len(was.values()) > 1 {
			t.Fatalf("resumed with %q", node.asked)
		}
	})
}
