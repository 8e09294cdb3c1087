package api

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// postAsk asks a language model and streams what happens as server-sent events,
// each an AskNews. A question that cannot be asked is answered by an error
// instead; one that fails later, by its last event. A client that goes away
// takes back no task.
func (s *Server) postAsk(w http.ResponseWriter, r *http.Request) {
	q, err := readUpTo[view.Question](w, r, s.limits.chat)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	executor, err := s.questioned(r, q.To)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	release, ok := take(s.waiting)
	if !ok {
		s.fail(w, r, full("questions"))
		return
	}
	defer release()
	begun := false
	tell := func(news view.AskNews) error {
		begun = true
		w.Header().Set("Content-Type", "text/event-stream")
		return s.sendNews(w, news)
	}
	s.setDeadlines(w, s.limits.ask, s.limits.write)
	switch err := s.node.Ask(r.Context(), q, executor, tell); {
	case err == nil:
	case !begun:
		s.fail(w, r, err)
	default:
		s.log.DebugContext(r.Context(), "api: question failed", "err", err)
		_ = tell(view.AskNews{Step: view.AskFailed, Error: explain(err)}) // to whoever is still there
	}
}

// questioned finds whom a question is for: empty for whoever can answer it.
func (s *Server) questioned(r *http.Request, to string) (peer.ID, error) {
	t := view.NewTask{To: to}
	if to == view.ToOpen {
		return "", invalid("a question is for one platform: want auto, or the name of one")
	}
	return s.executor(r.Context(), &t)
}

// sendNews sends one event, at once.
func (s *Server) sendNews(w http.ResponseWriter, news any) error {
	data, err := json.Marshal(news)
	if err != nil {
		return err
	}
	s.setDeadlines(w, s.limits.ask, s.limits.write)
	if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

// getLogs sends what the executor's runtime wrote to standard error: what there
// is or, with follow=true, until the work ends. It is another machine's output,
// as a result is.
func (s *Server) getLogs(w http.ResponseWriter, r *http.Request) {
	id, err := s.task(r.Context(), r.PathValue("task"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	follow := r.URL.Query().Get("follow") == "true"
	release, ok := take(s.waiting)
	if !ok {
		s.fail(w, r, full("readers of logs"))
		return
	}
	defer release()
	s.setDeadlines(w, s.limits.ask, s.limits.write)
	w.Header().Set("Content-Type", "application/octet-stream")
	begun := false
	err = s.node.TaskLogs(r.Context(), id, follow, func(piece []byte) error {
		begun = true
		s.setDeadlines(w, s.limits.ask, s.limits.write)
		if _, err := w.Write(piece); err != nil {
			return err
		}
		return http.NewResponseController(w).Flush()
	})
	switch {
	case err == nil:
	case !begun:
		s.fail(w, r, err)
	default:
		s.log.DebugContext(r.Context(), "api: logs end", "task", id, "err", err)
		panic(http.ErrAbortHandler) // so that nobody takes the rest for all of it
	}
}
