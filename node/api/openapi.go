package api

import (
	_ "embed"
	"net/http"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// openAPI describes the whole API in OpenAPI 3.0. It is made from the table of
// openapi_routes_test.go and the types of package view, by
// go test ./node/api -run OpenAPI -rewrite; the tests fail when it and the
// server differ.
//
//go:embed openapi.json
var openAPI []byte

func (s *Server) getOpenAPI(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(openAPI); err != nil {
		s.log.DebugContext(r.Context(), "api: write answer", "err", err) // the client left
	}
}

func (s *Server) getMetrics(w http.ResponseWriter, r *http.Request) {
	if s.metrics == nil {
		s.fail(w, r, &view.Error{Code: view.CodeNotFound, Message: "this node keeps no metrics"})
		return
	}
	s.metrics.ServeHTTP(w, r)
}
