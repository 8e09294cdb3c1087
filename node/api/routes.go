package api

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// routes is the whole surface, by method and path.
func (s *Server) routes() map[string]http.HandlerFunc {
	all := map[string]http.HandlerFunc{
		"GET /healthz":      s.healthz,
		"GET /readyz":       s.readyz,
		"GET /metrics":      s.getMetrics,
		"GET /openapi.json": s.getOpenAPI,

		"GET /api/v1/status": answers(s, func(_ http.ResponseWriter, r *http.Request) (view.Status, error) { return s.node.Status(r.Context()) }),
		"GET /api/v1/validators": answers(s, func(_ http.ResponseWriter, r *http.Request) (view.Validators, error) {
			return s.node.Validators(r.Context())
		}),
		"GET /api/v1/peers":                      answers(s, s.getPeers),
		"GET /api/v1/federations":                answers(s, s.getFederations),
		"GET /api/v1/platforms":                  answers(s, s.getPlatforms),
		"GET /api/v1/locks":                      answers(s, s.getLocks),
		"GET /api/v1/platforms/{platform}":       answers(s, s.getPlatform),
		"GET /api/v1/accounts/{account}":         answers(s, s.getAccount),
		"GET /api/v1/accounts/{account}/history": answers(s, s.getHistory),
		"GET /api/v1/blocks":                     answers(s, s.getBlocks),
		"GET /api/v1/blocks/{block}":             answers(s, s.getBlock),
		"GET /api/v1/txs/{tx}":                   answers(s, s.getTx),
		"GET /api/v1/tasks":                      answers(s, s.getTasks),
		"GET /api/v1/tasks/{task}":               answers(s, s.getTask),
		"GET /api/v1/tasks/{task}/result":        s.getResult,
		"GET /api/v1/tasks/{task}/receipt":       s.getReceipt,
		"GET /api/v1/tasks/{task}/logs":          s.getLogs,
		"GET /api/v1/models":                     answers(s, func(_ http.ResponseWriter, r *http.Request) (view.Models, error) { return s.node.Models(r.Context()) }),
		"GET /api/v1/accounts/{account}/proof":   s.getProof,
		"GET /api/v1/events":                     s.getEvents,

		"POST /api/v1/stop": answers(s, func(_ http.ResponseWriter, r *http.Request) (view.Stopping, error) { return s.node.Stop(r.Context()) }),

		"POST /api/v1/ask":     s.postAsk,
		"POST /api/v1/invites": answers(s, s.postInvite),

		"POST /api/v1/txs":                   s.submits(s.postTx),
		"POST /api/v1/transfers":             s.submits(s.postTransfer),
		"POST /api/v1/locks":                 s.submits(s.postLock),
		"POST /api/v1/locks/{lock}/commit":   s.submits(s.commitLock),
		"POST /api/v1/locks/{lock}/rollback": s.submits(s.rollbackLock),
		"POST /api/v1/platforms":             s.submits(s.postPlatform),
		"POST /api/v1/validators/join":       s.submits(s.joinValidators),
		"POST /api/v1/validators/leave":      s.submits(s.leaveValidators),
		"POST /api/v1/validators/vote":       s.submits(s.voteOnValidator),
		"POST /api/v1/key/rotate": s.submits(func(_ http.ResponseWriter, r *http.Request) (view.Submission, error) {
			return s.node.RotateKey(r.Context())
		}),
		"POST /api/v1/stake/bond":               s.submits(s.bondStake),
		"POST /api/v1/stake/unbond":             s.submits(s.unbondStake),
		"POST /api/v1/tasks":                    s.submits(s.postTask),
		"POST /api/v1/tasks/{task}/acknowledge": s.submits(s.acknowledge),
		"POST /api/v1/tasks/{task}/cancel":      s.submits(s.ofTask(s.node.CancelTask)),
		"POST /api/v1/tasks/{task}/dispute":     s.submits(s.ofTask(s.node.DisputeTask)),
		"POST /api/v1/tasks/{task}/appeal":      s.submits(s.ofTask(s.node.AppealTask)),
		"POST /api/v1/tasks/{task}/verify":      answers(s, s.verifyTask),
	}
	maps.Copy(all, s.explanations())
	maps.Copy(all, s.gateway())
	return all
}

// healthz says that the process answers.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	s.write(w, r, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz says whether the node has a chain and follows it.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	st, err := s.node.Status(r.Context())
	switch {
	case err != nil:
		s.fail(w, r, err)
	case !st.Ready():
		why := st.Waiting
		if why == "" {
			why = "it is catching up"
		}
		s.fail(w, r, &view.Error{Code: view.CodeNotReady, Message: "the node is not ready: " + why, Retryable: true, Height: st.Height})
	default:
		s.write(w, r, http.StatusOK, map[string]string{"status": "ready"})
	}
}

func (s *Server) getPlatform(_ http.ResponseWriter, r *http.Request) (view.Platform, error) {
	id, err := s.account(r.Context(), r.PathValue("platform"))
	if err != nil {
		return view.Platform{}, err
	}
	platforms, err := s.node.Platforms(r.Context())
	if err != nil {
		return view.Platform{}, err
	}
	for _, p := range platforms {
		if p.PeerID == id {
			return p, nil
		}
	}
	return view.Platform{}, &view.Error{
		Code:    view.CodeNotFound,
		Message: fmt.Sprintf("%s has not registered as a platform", id),
		Hint:    "see who has with: sage-p2p platforms",
	}
}

func (s *Server) getAccount(_ http.ResponseWriter, r *http.Request) (view.Account, error) {
	id, err := s.account(r.Context(), r.PathValue("account"))
	if err != nil {
		return view.Account{}, err
	}
	return s.node.Account(r.Context(), id)
}

func (s *Server) getHistory(_ http.ResponseWriter, r *http.Request) (view.Movements, error) {
	id, err := s.account(r.Context(), r.PathValue("account"))
	if err != nil {
		return view.Movements{}, err
	}
	limit, err := pageLimit(r.URL.Query())
	if err != nil {
		return view.Movements{}, err
	}
	return s.node.History(r.Context(), id, clip(r.URL.Query().Get("cursor")), limit)
}

func (s *Server) getBlocks(_ http.ResponseWriter, r *http.Request) (view.Headers, error) {
	q := r.URL.Query()
	before, err := number(q, "before", 0)
	if err != nil {
		return view.Headers{}, err
	}
	limit, err := pageLimit(q)
	if err != nil {
		return view.Headers{}, err
	}
	headers, err := s.node.Headers(r.Context(), view.Height(before), limit)
	answer := view.Headers{Blocks: headers}
	if n := len(headers); n == limit {
		answer.Next = headers[n-1].Height // 0 after the genesis: nothing is before it
	}
	return answer, err
}

// getBlock takes a height, an ID or a part of one. All digits is a height.
func (s *Server) getBlock(_ http.ResponseWriter, r *http.Request) (view.Block, error) {
	text := r.PathValue("block")
	if h, err := strconv.ParseUint(text, 10, 64); err == nil {
		return s.node.BlockAt(r.Context(), view.Height(h))
	}
	id, err := s.blockID(r.Context(), text)
	if err != nil {
		return view.Block{}, err
	}
	return s.node.BlockByID(r.Context(), id)
}

func (s *Server) getTasks(_ http.ResponseWriter, r *http.Request) (view.Tasks, error) {
	q := r.URL.Query()
	limit, err := pageLimit(q)
	if err != nil {
		return view.Tasks{}, err
	}
	f := view.TaskFilter{State: view.TaskState(q.Get("state")), Mine: q.Get("mine") == "true", Limit: limit, Cursor: clip(q.Get("cursor"))}
	switch f.State {
	case "", view.TaskPending, view.TaskPosted, view.TaskAccepted, view.TaskProven, view.TaskWitnessing, view.TaskSettled:
	default:
		return view.Tasks{}, invalid("state %q: want posted, accepted, proven, witnessing or settled", clip(string(f.State)))
	}
	return s.node.Tasks(r.Context(), f)
}

// pageLimit reads how many items are wanted.
func pageLimit(q url.Values) (int, error) { return limitOr(q, 50) }

func limitOr(q url.Values, missing uint64) (int, error) {
	n, err := number(q, "limit", missing)
	if err == nil && (n < 1 || n > recent) {
		err = invalid("limit %d: want 1 to %d", n, recent)
	}
	return int(min(n, recent)), err
}

// number reads an optional number from a query.
func number(q url.Values, name string, missing uint64) (uint64, error) {
	text := q.Get(name)
	if text == "" {
		return missing, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, invalid("%s %q: want a whole number", name, clip(text))
	}
	return n, nil
}
