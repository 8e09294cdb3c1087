package api

import (
	"fmt"
	"net/http"
	"time"
)

// getEvents streams events as server-sent events, after Last-Event-ID (or
// after=, for a first connection) or all that the node still has, of the kinds
// that kinds= lists. With follow=false it answers with a page of them.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) {
	rd, err := s.newReader(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if r.URL.Query().Get("follow") == "false" {
		s.eventsPage(w, r, rd)
		return
	}
	release, ok := take(s.waiting)
	if !ok {
		s.fail(w, r, full("event streams"))
		return
	}
	defer release()
	w.Header().Set("Content-Type", "text/event-stream")
	rd.send, rd.most = sendTo(w), maxAgain
	beat := time.NewTicker(s.limits.beat)
	defer beat.Stop()
	for {
		changed := s.node.Changed() // before looking, so that no event falls between
		if err := s.sendEvents(w, r, &rd); err != nil {
			s.log.DebugContext(r.Context(), "api: event stream ends", "err", err)
			return
		}
		select {
		case <-changed:
		case <-beat.C:
		case <-r.Context().Done():
			return
		}
	}
}

// sendEvents sends a sign of life, which also tells a reader of few kinds where
// to resume, and what has come since.
func (s *Server) sendEvents(w http.ResponseWriter, r *http.Request, rd *reader) error {
	s.setDeadlines(w, s.limits.beat+s.limits.read, s.limits.beat+s.limits.write)
	life := ": \n"
	if id := rd.id(); id != "" {
		life = "id: " + id + "\n\n"
	}
	if _, err := fmt.Fprint(w, life); err != nil {
		return err
	}
	for {
		events, err := s.node.Events(r.Context(), rd.seq, eventPage)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := s.hear(r.Context(), rd, e); err != nil {
				return err
			}
		}
		if len(events) < eventPage {
			return http.NewResponseController(w).Flush()
		}
	}
}

const eventPage = 256

// newReader reads where to begin, and what is wanted: after an event, or
// after=now; without any word, at the first event that the node still has.
func (s *Server) newReader(r *http.Request) (rd reader, err error) {
	q := r.URL.Query()
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = q.Get("after")
	}
	switch text {
	case "", "0":
	case "now":
		rd.seq, err = s.newest(r.Context())
	default:
		rd, err = parseReader(text)
	}
	if err == nil {
		rd.kinds, err = eventKinds(q)
	}
	return rd, err
}
