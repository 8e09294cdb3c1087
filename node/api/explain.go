package api

import (
	"net/http"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// explanations are the routes that say why things are as they are.
func (s *Server) explanations() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /api/v1/doctor": answers(s, func(_ http.ResponseWriter, r *http.Request) (view.Doctor, error) {
			return s.node.Doctor(r.Context())
		}),
		"GET /api/v1/peers/why": answers(s, func(_ http.ResponseWriter, r *http.Request) (view.PeersWhy, error) {
			return s.node.PeersWhy(r.Context())
		}),
		"GET /api/v1/why-idle": answers(s, func(_ http.ResponseWriter, r *http.Request) (view.WhyIdle, error) {
			return s.node.WhyIdle(r.Context())
		}),
		"GET /api/v1/tasks/{task}/why-not":            answers(s, s.getWhyNot),
		"GET /api/v1/platforms/{platform}/reputation": answers(s, s.getReputation),
	}
}

func (s *Server) getWhyNot(_ http.ResponseWriter, r *http.Request) (view.WhyNot, error) {
	id, err := s.task(r.Context(), r.PathValue("task"))
	if err != nil {
		return view.WhyNot{}, err
	}
	var platform peer.ID
	if text := r.URL.Query().Get("platform"); text != "" {
		if platform, err = s.account(r.Context(), text); err != nil {
			return view.WhyNot{}, err
		}
	}
	return s.node.WhyNot(r.Context(), id, platform)
}

func (s *Server) getReputation(_ http.ResponseWriter, r *http.Request) (view.ReputationStory, error) {
	id, err := s.account(r.Context(), r.PathValue("platform"))
	if err != nil {
		return view.ReputationStory{}, err
	}
	return s.node.Reputation(r.Context(), id)
}
