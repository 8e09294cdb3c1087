package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// getEvents streams events as server-sent events, after Last-Event-ID (or
// after=, for a first connection) or all that the node still has, of the kinds
// that kinds= lists. With follow=false it answers with a page of them.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) {
	kinds, err := eventKinds(r.URL.Query())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	seq, err := s.eventStart(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if r.URL.Query().Get("follow") == "false" {
		s.eventsPage(w, r, seq, kinds)
		return
	}
	release, ok := take(s.waiting)
	if !ok {
		s.fail(w, r, full("event streams"))
		return
	}
	defer release()
	w.Header().Set("Content-Type", "text/event-stream")
	beat := time.NewTicker(s.limits.beat)
	defer beat.Stop()
	for {
		changed := s.node.Changed() // before looking, so that no event falls between
		if seq, err = s.sendEvents(w, r, seq, kinds); err != nil {
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

// sendEvents sends what came after seq, or a sign of life, and returns the
// newest sequence number it saw.
func (s *Server) sendEvents(w http.ResponseWriter, r *http.Request, seq uint64, kinds []view.EventKind) (uint64, error) {
	s.setDeadlines(w, s.limits.beat+s.limits.read, s.limits.beat+s.limits.write)
	life := ": \n"
	if seq > 0 { // it also tells a reader of few kinds where to resume
		life = fmt.Sprintf("id: %d\n\n", seq)
	}
	if _, err := fmt.Fprint(w, life); err != nil {
		return seq, err
	}
	for {
		events, err := s.node.Events(r.Context(), seq, eventPage)
		if err != nil {
			return seq, err
		}
		for _, e := range events {
			if gap, ok := gapBefore(seq, e); ok {
				if err := sendEvent(w, gap); err != nil {
					return seq, err
				}
			}
			seq = e.Seq
			if len(kinds) > 0 && !slices.Contains(kinds, e.Kind) {
				continue
			}
			if err := sendEvent(w, e); err != nil {
				return seq, err
			}
		}
		if len(events) < eventPage {
			return seq, http.NewResponseController(w).Flush()
		}
	}
}

const eventPage = 256

func sendEvent(w http.ResponseWriter, e view.Event) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if e.Seq > 0 { // a gap is no place to resume at
		if _, err := fmt.Fprintf(w, "id: %d\n", e.Seq); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", e.Kind, data)
	return err
}

// eventStart reads where the stream begins: after an event, or after=now;
// without any word, at the first event that the node still has.
func (s *Server) eventStart(r *http.Request) (uint64, error) {
	text := r.Header.Get("Last-Event-ID")
	switch {
	case text == "" && r.URL.Query().Get("after") == "now":
		return s.newest(r.Context())
	case text == "":
		return number(r.URL.Query(), "after", 0)
	}
	seq, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, invalid("Last-Event-ID %q: want a whole number", clip(text))
	}
	return seq, nil
}
