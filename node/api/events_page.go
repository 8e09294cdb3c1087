package api

import (
	"context"
	"encoding/json"
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

// gapBefore is what a reader who has seen the event seq is told before e, if
// events between them are gone. A reader who has seen nothing misses nothing.
func gapBefore(seq uint64, e view.Event) (view.Event, bool) {
	if seq == 0 || e.Seq == seq+1 {
		return view.Event{}, false
	}
	data, err := json.Marshal(view.Gap{AfterSeq: seq, BeforeSeq: e.Seq})
	if err != nil {
		return view.Event{}, false // two numbers always encode
	}
	return view.Event{Kind: view.EventGap, Name: "GAP", Height: e.Height, TimeMS: e.TimeMS, Data: data}, true
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
func (s *Server) eventsPage(w http.ResponseWriter, r *http.Request, seq uint64, kinds []view.EventKind) {
	limit, err := limitOr(r.URL.Query(), recent)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	answer := view.Events{Next: seq}
	for len(answer.Events) < limit {
		events, err := s.node.Events(r.Context(), answer.Next, eventPage)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		for _, e := range events {
			if len(answer.Events) >= limit {
				break
			}
			if gap, ok := gapBefore(answer.Next, e); ok {
				answer.Events = append(answer.Events, gap)
			}
			answer.Next = e.Seq
			if len(kinds) == 0 || slices.Contains(kinds, e.Kind) {
				answer.Events = append(answer.Events, e)
			}
		}
		if len(events) < eventPage {
			break
		}
	}
	s.write(w, r, http.StatusOK, answer)
}
