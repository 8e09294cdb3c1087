package api

import (
	"context"
	"net/http"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// patience is how long a request wants to wait, and for what.
type patience struct {
	what string         // "", or one of those below
	from view.TaskState // with waitMoved
	time time.Duration  // at most
}

// The things that a request can wait for.
const (
	waitFinal   = "final"   // the transaction is in a final block, or can never be
	waitProven  = "proven"  // the task has a result, or is over
	waitSettled = "settled" // the task is over
	waitMoved   = "moved"   // the task is not in the state that from= names, or is over
)

// readPatience reads wait=, from= and timeout= (a Go duration).
func (s *Server) readPatience(r *http.Request, allowed ...string) (patience, error) {
	q := r.URL.Query()
	p := patience{what: q.Get("wait"), from: view.TaskState(q.Get("from")), time: 30 * time.Second}
	known := p.what == ""
	for _, a := range allowed {
		known = known || p.what == a
	}
	if !known {
		return patience{}, invalid("wait %q: want one of %v", clip(p.what), allowed)
	}
	if text := q.Get("timeout"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return patience{}, invalid("timeout %q: want a length of time such as 30s", clip(text))
		}
		p.time = d
	}
	p.time = min(p.time, s.limits.wait)
	return p, nil
}

// await calls look until it is done, fails, or patience or the request ends.
// Running out of patience is no error: what was last seen is the answer.
func await[V any](ctx context.Context, s *Server, w http.ResponseWriter, p patience, look func(context.Context) (V, error), done func(V) bool) (V, error) {
	v, err := look(ctx)
	if err != nil || p.what == "" || done(v) {
		return v, err
	}
	release, ok := take(s.waiting)
	if !ok {
		return v, full("waiting requests")
	}
	defer release()
	s.setDeadlines(w, p.time+s.limits.read, p.time+s.limits.write)
	patient, cancel := context.WithTimeout(ctx, p.time)
	defer cancel()
	for {
		changed := s.node.Changed() // before looking, so that no change falls between
		if v, err = look(ctx); err != nil || done(v) {
			return v, err
		}
		select {
		case <-changed:
		case <-patient.Done():
			return v, nil
		}
	}
}

func txOver(tx view.Tx) bool { return tx.State != view.TxPending }

// taskOver returns when a task is past what is waited for.
func taskOver(p patience) func(view.Task) bool {
	return func(t view.Task) bool {
		switch p.what {
		case waitMoved:
			return t.State != p.from || t.State == view.TaskSettled
		case waitFinal:
			return t.State != view.TaskPending
		case waitProven:
			return t.State == view.TaskProven || t.State == view.TaskWitnessing || t.State == view.TaskSettled
		default:
			return t.State == view.TaskSettled
		}
	}
}
