package api

import (
	"net/http"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func (s *Server) getFederations(_ http.ResponseWriter, r *http.Request) (view.Federations, error) {
	list, err := s.node.Federations(r.Context())
	return view.Federations{Federations: list}, err
}

func (s *Server) postInvite(w http.ResponseWriter, r *http.Request) (view.Invite, error) {
	ask, err := readJSON[view.NewInvite](s, w, r)
	if err != nil {
		return view.Invite{}, err
	}
	return s.node.Invite(r.Context(), ask)
}
