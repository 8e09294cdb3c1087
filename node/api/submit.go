package api

import (
	"context"
	"io"
	"net/http"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// submits makes a handler of a function that submits a transaction. It
// answers 202 when the transaction is durable and on its way, and 200 when it
// was asked to wait and the end has come. A client that goes away while it
// waits undoes nothing.
func (s *Server) submits(submit func(http.ResponseWriter, *http.Request) (view.Submission, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, err := s.readPatience(r, waitFinal, waitProven, waitSettled)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		sub, err := submit(w, r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		over, err := s.follow(w, r, p, &sub)
		switch {
		case err != nil: // it is submitted all the same: the answer must say what
			s.log.DebugContext(r.Context(), "api: follow submission", "tx", sub.TxID, "err", err)
			s.write(w, r, http.StatusAccepted, sub)
		case over:
			s.write(w, r, http.StatusOK, sub)
		default:
			s.write(w, r, http.StatusAccepted, sub)
		}
	}
}

// follow waits for what p says and puts what it sees into sub. It reports
// whether the end has come.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, p patience, sub *view.Submission) (over bool, err error) {
	if p.what == "" {
		return false, nil
	}
	tx, err := await(r.Context(), s, w, p, func(ctx context.Context) (view.Tx, error) { return s.node.Tx(ctx, sub.TxID) }, txOver)
	if err != nil {
		return false, err
	}
	sub.Tx = &tx
	if p.what == waitFinal || !tx.OK || sub.TaskID.IsZero() {
		return txOver(tx), nil
	}
	done := taskOver(p)
	t, err := await(r.Context(), s, w, p, func(ctx context.Context) (view.Task, error) { return s.node.Task(ctx, sub.TaskID) }, done)
	if err != nil {
		return false, err
	}
	sub.Task = &t
	return done(t), nil
}

func (s *Server) postTx(w http.ResponseWriter, r *http.Request) (view.Submission, error) {
	if t := r.Header.Get("Content-Type"); t != "application/vnd.ipld.dag-cbor" {
		return view.Submission{}, invalid("the body must be a signed transaction as application/vnd.ipld.dag-cbor, have %.40q", t)
	}
	encoded, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.limits.json))
	if err != nil {
		return view.Submission{}, blame(err, invalid("the body cannot be read: %s", clip(err.Error())))
	}
	return s.node.SubmitTx(r.Context(), encoded)
}

func (s *Server) postTransfer(w http.ResponseWriter, r *http.Request) (view.Submission, error) {
	ask, err := readJSON[view.Transfer](s, w, r)
	if err != nil {
		return view.Submission{}, err
	}
	if ask.AmountUATP == 0 {
		return view.Submission{}, invalid("amount_uatp is missing or 0")
	}
	to, err := s.payee(r.Context(), ask.To, ask.New)
	if err != nil {
		return view.Submission{}, err
	}
	return s.node.Transfer(r.Context(), to, ask.AmountUATP)
}

func (s *Server) postLock(w http.ResponseWriter, r *http.Request) (view.Submission, error) {
	ask, err := readJSON[view.NewLock](s, w, r)
	if err != nil {
		return view.Submission{}, err
	}
	if ask.AmountUATP == 0 || ask.DeadlineMS == 0 {
		return view.Submission{}, invalid("amount_uatp and deadline_ms must both be given")
	}
	to, err := s.payee(r.Context(), ask.To, ask.New)
	if err != nil {
		return view.Submission{}, err
	}
	return s.node.CreateLock(r.Context(), to, ask.AmountUATP, ask.DeadlineMS)
}

// commitLock takes a whole ID on trust, since a lock that is no longer open
// is refused by the ledger with a better reason than "not found".
func (s *Server) commitLock(_ http.ResponseWriter, r *http.Request) (view.Submission, error) {
	id, err := s.lock(r.Context(), r.PathValue("lock"))
	if err != nil {
		return view.Submission{}, err
	}
	return s.node.CommitLock(r.Context(), id)
}

func (s *Server) rollbackLock(_ http.ResponseWriter, r *http.Request) (view.Submission, error) {
	id, err := s.lock(r.Context(), r.PathValue("lock"))
	if err != nil {
		return view.Submission{}, err
	}
	return s.node.RollbackLock(r.Context(), id)
}

func (s *Server) postPlatform(w http.ResponseWriter, r *http.Request) (view.Submission, error) {
	ask, err := readJSON[view.Registration](s, w, r)
	if err != nil {
		return view.Submission{}, err
	}
	return s.node.Register(r.Context(), ask)
}

func (s *Server) acknowledge(w http.ResponseWriter, r *http.Request) (view.Submission, error) {
	mark, err := readJSON[view.Mark](s, w, r)
	if err != nil {
		return view.Submission{}, err
	}
	if mark.QualityPPM != nil && (*mark.QualityPPM > maxPPM || mark.Refuse && *mark.QualityPPM != 0) {
		return view.Submission{}, invalid("quality_ppm %d: want 0 to %d, and 0 or none with refuse", *mark.QualityPPM, maxPPM)
	}
	id, err := s.task(r.Context(), r.PathValue("task"))
	if err != nil {
		return view.Submission{}, err
	}
	return s.node.Acknowledge(r.Context(), id, mark)
}

// ofTask makes a handler of what is submitted about a task, without more to say.
func (s *Server) ofTask(do func(context.Context, view.CID) (view.Submission, error)) func(http.ResponseWriter, *http.Request) (view.Submission, error) {
	return func(_ http.ResponseWriter, r *http.Request) (view.Submission, error) {
		id, err := s.task(r.Context(), r.PathValue("task"))
		if err != nil {
			return view.Submission{}, err
		}
		return do(r.Context(), id)
	}
}

// verifyTask takes as long as the task's program does.
func (s *Server) verifyTask(w http.ResponseWriter, r *http.Request) (view.Examination, error) {
	id, err := s.task(r.Context(), r.PathValue("task"))
	if err != nil {
		return view.Examination{}, err
	}
	s.setDeadlines(w, s.limits.transfer, s.limits.transfer+s.limits.write)
	return s.node.VerifyTask(r.Context(), id)
}
