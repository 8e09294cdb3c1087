package api

import (
	"net/http"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func (s *Server) joinValidators(_ http.ResponseWriter, r *http.Request) (view.Submission, error) {
	return s.node.JoinValidators(r.Context())
}

func (s *Server) leaveValidators(_ http.ResponseWriter, r *http.Request) (view.Submission, error) {
	return s.node.LeaveValidators(r.Context())
}
