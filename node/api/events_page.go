package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// eventKinds reads kinds=, a list with commas. None means all of them.
func eventKinds(q url.Values) ([]view.EventKind, error) {
	var kinds []view.EventKind
	if q.Get("kinds") == "" {
		return nil, nil
	}
	for text := range strings.SplitSeq(q.Get("kinds"), ",") {
		kind := view.EventKind(text)
		if !slices.Contains(view.EventKinds(), kind) {
			return nil, invalid("kinds %q: want some of %v, with commas", clip(text), view.EventKinds())
		}
		kinds = append(kinds, kind)
	}
	return kinds, nil
}

// newest returns the number of the newest event.
func (s *Server) newest(ctx context.Context) (uint64, error) {
	var seq uint64
	for {
		events, err := s.node.Events(ctx, seq, eventPage)
		if err != nil || len(events) == 0 {
			return seq, err
		}
		seq = events[len(events)-1].Seq
	}
}

// eventsPage answers with events as one JSON object, for who does not follow.
func (s *Server) eventsPage(w http.ResponseWriter, r *http.Request, rd reader) {
	limit, err := limitOr(r.URL.Query(), recent)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	var answer view.Events
	rd.send = func(e view.Event, _ string) error {
		answer.Events = append(answer.Events, e)
		return nil
	}
	for more := true; more && len(answer.Events) < limit; {
		events, err := s.node.Events(r.Context(), rd.seq, eventPage)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		more = len(events) == eventPage
		for _, e := range events {
			if len(answer.Events) >= limit {
				break
			}
			if err := s.hear(r.Context(), &rd, e); err != nil {
				s.fail(w, r, err)
				return
			}
		}
	}
	answer.Next = rd.seq
	s.write(w, r, http.StatusOK, answer)
}
