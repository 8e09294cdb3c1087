package api

import (
	"net/http"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func (s *Server) getFederations(_ http.ResponseWriter, r *http.Request) (view.Federations, error) {
	list, err := s.node.Federations(r.Context())
	return view.Federations{Federations: list}, err
}
