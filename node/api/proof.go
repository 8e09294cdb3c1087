package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// Proofs is what the node can prove to whoever has the genesis alone. A proof
// is at most view.MaxProof bytes.
type Proofs interface {
	// TaskReceipt returns the proof of what became of a task. One that is not
	// settled is view.CodeRefused.
	TaskReceipt(context.Context, view.CID) ([]byte, error)

	// AccountProof returns the proof of what an account holds after the newest
	// final block; of one that no block ever touched, that it holds nothing.
	AccountProof(context.Context, peer.ID) ([]byte, error)
}

func (s *Server) getReceipt(w http.ResponseWriter, r *http.Request) {
	s.proves(w, r, func() ([]byte, error) {
		id, err := s.task(r.Context(), r.PathValue("task"))
		if err != nil {
			return nil, err
		}
		return s.node.TaskReceipt(r.Context(), id)
	})
}

func (s *Server) getProof(w http.ResponseWriter, r *http.Request) {
	s.proves(w, r, func() ([]byte, error) {
		id, err := s.account(r.Context(), r.PathValue("account"))
		if err != nil {
			return nil, err
		}
		return s.node.AccountProof(r.Context(), id)
	})
}

// proves answers with a proof. Few are made at once: each may take megabytes.
func (s *Server) proves(w http.ResponseWriter, r *http.Request, prove func() ([]byte, error)) {
	release, ok := take(s.proofs)
	if !ok {
		s.fail(w, r, full("proofs"))
		return
	}
	defer release()
	proof, err := prove()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", view.ProofType)
	h.Set("Content-Length", strconv.Itoa(len(proof)))
	h.Set("Content-Disposition", `attachment; filename="proof"`)
	if r.Method == http.MethodHead {
		return
	}
	if _, err := w.Write(proof); err != nil {
		s.log.DebugContext(r.Context(), "api: send proof", "err", err) // the client left
	}
}
