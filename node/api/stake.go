package api

import (
	"context"
	"net/http"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func (s *Server) bondStake(w http.ResponseWriter, r *http.Request) (view.Submission, error) {
	return s.changeStake(w, r, s.node.BondStake)
}

func (s *Server) unbondStake(w http.ResponseWriter, r *http.Request) (view.Submission, error) {
	return s.changeStake(w, r, s.node.UnbondStake)
}

func (s *Server) changeStake(w http.ResponseWriter, r *http.Request, change func(context.Context, view.Amount) (view.Submission, error)) (view.Submission, error) {
	ask, err := readJSON[view.StakeChange](s, w, r)
	if err != nil {
		return view.Submission{}, err
	}
	if ask.AmountUATP == 0 {
		return view.Submission{}, invalid("amount_uatp is missing or 0")
	}
	return change(r.Context(), ask.AmountUATP)
}
