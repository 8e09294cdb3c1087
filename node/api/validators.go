package api

import (
	"context"
	"net/http"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func (s *Server) joinValidators(_ http.ResponseWriter, r *http.Request) (view.Submission, error) {
	return s.node.JoinValidators(r.Context())
}

func (s *Server) leaveValidators(_ http.ResponseWriter, r *http.Request) (view.Submission, error) {
	return s.node.LeaveValidators(r.Context())
}

func (s *Server) voteOnValidator(w http.ResponseWriter, r *http.Request) (view.Submission, error) {
	ask, err := readJSON[view.NewVote](s, w, r)
	if err != nil {
		return view.Submission{}, err
	}
	id, err := s.newcomer(r.Context(), ask.Platform)
	if err != nil {
		return view.Submission{}, err
	}
	return s.node.VoteOnValidator(r.Context(), id, ask)
}

// newcomer finds the platform meant by what finds an account, or by the name or a
// part of the ID of one that is connected: no block need have touched it.
func (s *Server) newcomer(ctx context.Context, text string) (peer.ID, error) {
	id, unknown := s.account(ctx, text)
	if unknown == nil {
		return id, nil
	}
	peers, err := s.node.Peers(ctx)
	if err != nil {
		return "", err
	}
	var found []peer.ID
	part, enough := parseShort(text)
	for _, p := range peers {
		if p.Name == text || enough && part.matches(p.PeerID.String()) {
			found = append(found, p.PeerID)
		}
	}
	if len(found) != 1 {
		return "", unknown
	}
	return found[0], nil
}
