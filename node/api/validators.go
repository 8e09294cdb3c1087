package api

import (
	"context"
	"fmt"
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

// newcomer finds the platform meant by what finds an account. Of one that no block
// knows the whole ID is needed: anybody may come with any name, and make keys until
// one ends as another does.
func (s *Server) newcomer(ctx context.Context, text string) (peer.ID, error) {
	id, unknown := s.account(ctx, text)
	if unknown == nil {
		return id, nil
	}
	peers, err := s.node.Peers(ctx)
	if err != nil {
		return "", err
	}
	part, enough := parseShort(text)
	for _, p := range peers {
		if p.Name == text || enough && part.matches(p.PeerID.String()) {
			return "", &view.Error{
				Code:    view.CodeNotFound,
				Message: fmt.Sprintf("no block knows %q: it is what the peer %s calls itself, or is called in part", clip(text), p.PeerID),
				Hint:    fmt.Sprintf("compare the ID with its owner's; if it is right: sage-p2p validator vote %s", p.PeerID),
			}
		}
	}
	return "", unknown
}
