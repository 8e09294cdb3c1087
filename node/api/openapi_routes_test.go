package api

import (
	"maps"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// operation is a route as openapi.json describes it, and how a test calls it.
type operation struct {
	does    string // one sentence
	query   []query
	body    any      // of a view, as JSON; nil for none
	media   string   // of the body, where it is not JSON
	answer  any      // of a view
	streams []string // media types of the answer, where it is not only JSON
	try     string   // a path that succeeds in the test; "" is the pattern itself
	send    string   // the body of that request
	as      string   // its media type
}

// query is a parameter of a query.
type query struct {
	name, does string
	number     bool
	values     []string
}

// Parameters that several routes take.
var (
	limitParam   = query{name: "limit", does: "How many items at most, 1 to 1,000.", number: true}
	cursorParam  = query{name: "cursor", does: "The next of the page before."}
	waitFinalQ   = query{name: "wait", does: "Answer when the transaction is final, or can never be.", values: []string{"final"}}
	waitTaskQ    = query{name: "wait", does: "Answer when the task has moved on from from=, has a result, or is over.", values: []string{"moved", "proven", "settled"}}
	waitAnyQ     = query{name: "wait", does: "Answer when the transaction is final, the task has a result, or is over.", values: []string{"final", "proven", "settled"}}
	timeoutParam = query{name: "timeout", does: "How long to wait at most, such as 30s; then the answer is what was last seen."}
	fromParam    = query{name: "from", does: "The state that the task is to have left, with wait=moved."}
)

// status is what health checks answer.
type health struct {
	Status string `json:"status"`
}

// submits is an operation that submits a transaction.
func submitsOp(does string, body any, send string) operation {
	return operation{does: does, query: []query{waitAnyQ, timeoutParam}, body: body, answer: view.Submission{}, send: send, as: "application/json"}
}

// operations is every route of the server. A new one is added here; then
// go test ./node/api -run OpenAPI -rewrite makes openapi.json anew.
func operations() map[string]operation {
	all := map[string]operation{}
	for _, table := range []map[string]operation{nodeOperations(), chainOperations(), taskOperations(), writeOperations(), gatewayOperations()} {
		maps.Copy(all, table)
	}
	return all
}

func nodeOperations() map[string]operation {
	return map[string]operation{
		"GET /healthz":      {does: "The process answers.", answer: health{}},
		"GET /readyz":       {does: "The node has a chain and follows it; 503 says what it waits for.", answer: health{}},
		"GET /metrics":      {does: "Metrics in the text format of Prometheus.", streams: []string{"text/plain"}},
		"GET /openapi.json": {does: "This document.", answer: map[string]any{}},

		"GET /api/v1/status":      {does: "The node's health in one object; also while it has no chain.", answer: view.Status{}},
		"GET /api/v1/validators":  {does: "The set that decides the next height.", answer: view.Validators{}},
		"GET /api/v1/peers":       {does: "Connections, by peer ID.", query: []query{limitParam, cursorParam}, answer: view.Peers{}},
		"GET /api/v1/federations": {does: "The node's own federation, and those heard on its LAN by what their platforms say.", answer: view.Federations{}},
		"GET /api/v1/peers/why":   {does: "Who is not connected, was turned away, or has done what no correct platform does, and why.", answer: view.PeersWhy{}},
		"GET /api/v1/doctor":      {does: "What the node finds when it looks at itself; also while it has no chain.", answer: view.Doctor{}},
		"GET /api/v1/why-idle":    {does: "Why this platform, as an executor, gets no work.", answer: view.WhyIdle{}},
		"GET /api/v1/platforms":   {does: "Registered platforms, by name.", query: []query{limitParam, cursorParam}, answer: view.Platforms{}},
		"GET /api/v1/platforms/{platform}": {
			does: "One platform, by its name, peer ID or an unambiguous part of one.", answer: view.Platform{}, try: "/api/v1/platforms/beta",
		},
		"GET /api/v1/platforms/{platform}/reputation": {
			does: "How a platform's reputation came about.", answer: view.ReputationStory{}, try: "/api/v1/platforms/beta/reputation",
		},
	}
}

func chainOperations() map[string]operation {
	return map[string]operation{
		"GET /api/v1/accounts/{account}": {does: "An account at the newest final height.", answer: view.Account{}, try: "/api/v1/accounts/beta"},
		"GET /api/v1/accounts/{account}/history": {
			does: "Movements of an account, newest first.", query: []query{limitParam, cursorParam}, answer: view.Movements{}, try: "/api/v1/accounts/alpha/history",
		},
		"GET /api/v1/accounts/{account}/proof": {
			does: "A proof of what an account holds after the newest final block, for whoever has the genesis alone.", streams: []string{view.ProofType}, try: "/api/v1/accounts/beta/proof",
		},
		"GET /api/v1/locks": {does: "Open locks that are no task's, the earliest deadline first.", query: []query{limitParam, cursorParam}, answer: view.Locks{}},
		"GET /api/v1/blocks": {
			does: "Headers of final blocks, newest first.", answer: view.Headers{},
			query: []query{limitParam, {name: "before", does: "Only blocks below this height; 0 or absent: from the head.", number: true}},
		},
		"GET /api/v1/blocks/{block}": {does: "A final block, by height, ID or an unambiguous part of one.", answer: view.Block{}, try: "/api/v1/blocks/2"},
		"GET /api/v1/txs/{tx}": {
			does: "A transaction and what became of it.", query: []query{waitFinalQ, timeoutParam}, answer: view.Tx{}, try: "/api/v1/txs/{TX}",
		},
	}
}

func taskOperations() map[string]operation {
	return map[string]operation{
		"GET /api/v1/tasks": {
			does: "Tasks, newest first, without their histories.", answer: view.Tasks{},
			query: []query{
				limitParam, cursorParam, {name: "state", does: "Only tasks in this state.", values: []string{"pending", "posted", "accepted", "proven", "witnessing", "settled"}},
				{name: "mine", does: "Only tasks that this platform requested or executes.", values: []string{"true", "false"}},
			},
		},
		"GET /api/v1/tasks/{task}": {
			does: "A task with its history.", query: []query{waitTaskQ, fromParam, timeoutParam}, answer: view.Task{}, try: "/api/v1/tasks/{TASK}",
		},
		"GET /api/v1/tasks/{task}/receipt": {
			does: "A proof of how a settled task was paid, for whoever has the genesis alone.", streams: []string{view.ProofType}, try: "/api/v1/tasks/{SETTLED}/receipt",
		},
		"GET /api/v1/tasks/{task}/result": {
			does: "The bytes of a task's result; the ETag is their CID.", streams: []string{"application/octet-stream"}, try: "/api/v1/tasks/{TASK}/result",
		},
		"GET /api/v1/tasks/{task}/logs": {
			does:    "What the executor's runtime wrote to standard error, for the two parties: its first 64 KiB, as bytes.",
			query:   []query{{name: "follow", does: "true: until the work ends.", values: []string{"true", "false"}}},
			streams: []string{"application/octet-stream"}, try: "/api/v1/tasks/{TASK}/logs?follow=true",
		},
		"GET /api/v1/models": {does: "Language models that can be asked, here or by a task.", answer: view.Models{}},
		"GET /api/v1/tasks/{task}/why-not": {
			does:   "Whether the router of this node would give the task to a platform now, and what speaks against it.",
			query:  []query{{name: "platform", does: "Only this platform; absent: each one."}},
			answer: view.WhyNot{}, try: "/api/v1/tasks/{TASK}/why-not",
		},
		"GET /api/v1/events": {
			does: "Events, as a stream of server-sent events that Last-Event-ID resumes or, with follow=false, as one page. An event of kind gap stands for those that are gone; those of blocks follow it.",
			query: []query{
				{name: "after", does: "The ID of the last event seen, SEQ or SEQ-HEIGHT, or now; absent: all that the node has."},
				{name: "kinds", does: "Only these kinds, with commas: block, tx, task, transfer, reputation, peer, validator, alarm."},
				{name: "follow", does: "false: a page of what there is.", values: []string{"true", "false"}}, limitParam,
			},
			answer: view.Events{}, streams: []string{"text/event-stream"}, try: "/api/v1/events?follow=false",
		},
	}
}

// writeOperations are the routes that change something: they need the token.
func writeOperations() map[string]operation {
	return map[string]operation{
		"POST /api/v1/ask": {
			does: "Ask a language model, here or by a task of class mutual, as a stream of server-sent events: each is an AskNews, the last settled, failed or, without a task, answer.",
			body: view.Question{}, answer: view.AskNews{}, streams: []string{"text/event-stream"},
			send: `{"messages":[{"role":"user","content":"Who are you?"}],"temperature":0.5}`, as: "application/json",
		},
		"POST /api/v1/stop": {does: "End the node in order; the answer comes before it has ended.", answer: view.Stopping{}},
		"POST /api/v1/invites": {
			does: "Make an invite to the federation, which one platform may use, once.", body: view.NewInvite{}, answer: view.Invite{},
			send: `{"for":"loki","expires_ms":3600000}`, as: "application/json",
		},
		"POST /api/v1/txs": {
			does: "Submit a transaction that was signed elsewhere.", query: []query{waitAnyQ, timeoutParam}, media: "application/vnd.ipld.dag-cbor",
			answer: view.Submission{}, as: "application/vnd.ipld.dag-cbor", send: "signed",
		},
		"POST /api/v1/transfers": submitsOp("Pay from this platform's account.", view.Transfer{}, `{"to":"beta","amount_uatp":1}`),
		"POST /api/v1/locks":     submitsOp("Lock an amount for a payee until a deadline.", view.NewLock{}, `{"to":"beta","amount_uatp":5,"deadline_ms":1900000000000}`),
		"POST /api/v1/locks/{lock}/commit": {
			does: "Pay a lock to its payee.", query: []query{waitAnyQ, timeoutParam}, answer: view.Submission{}, try: "/api/v1/locks/{LOCK1}/commit",
		},
		"POST /api/v1/locks/{lock}/rollback": {
			does: "Give a lock back to its payer.", query: []query{waitAnyQ, timeoutParam}, answer: view.Submission{}, try: "/api/v1/locks/{LOCK2}/rollback",
		},
		"POST /api/v1/validators/join":  {does: "Ask for a vote.", query: []query{waitAnyQ, timeoutParam}, answer: view.Submission{}},
		"POST /api/v1/key/rotate":       {does: "Replace the platform's key.", query: []query{waitAnyQ, timeoutParam}, answer: view.Submission{}},
		"POST /api/v1/validators/vote":  submitsOp("Vote for a platform to join, or take that back.", view.NewVote{}, `{"platform":"beta"}`),
		"POST /api/v1/validators/leave": {does: "Give the vote back.", query: []query{waitAnyQ, timeoutParam}, answer: view.Submission{}},
		"POST /api/v1/stake/bond":       submitsOp("Set an amount aside to be drawn as a witness.", view.StakeChange{}, `{"amount_uatp":2000000}`),
		"POST /api/v1/stake/unbond":     submitsOp("Ask an amount of the stake back: it counts no more at once, and is released later.", view.StakeChange{}, `{"amount_uatp":1000000}`),
		"POST /api/v1/platforms":        submitsOp("Register this platform, or register it anew: what is left out stays as it is.", view.Registration{}, `{"name":"alpha"}`),
		"POST /api/v1/tasks": {
			does: "Post a task: the part spec (a NewTask) first, then program, input and, in class checker, checker.", query: []query{waitAnyQ, timeoutParam}, media: "multipart/form-data",
			answer: view.Submission{}, as: "multipart/form-data; boundary=" + boundary,
			send: form("spec", visionSpec, "program", module, "input", "x"),
		},
		"POST /api/v1/tasks/{task}/acknowledge": {
			does: "Answer a task's proof with a mark.", query: []query{waitAnyQ, timeoutParam}, body: view.Mark{}, answer: view.Submission{},
			try: "/api/v1/tasks/{TASK}/acknowledge", send: `{"quality_ppm":900000}`, as: "application/json",
		},
		"POST /api/v1/tasks/{task}/cancel": {
			does: "Take back a task that nobody has accepted.", query: []query{waitAnyQ, timeoutParam}, answer: view.Submission{}, try: "/api/v1/tasks/{POSTED}/cancel",
		},
		"POST /api/v1/tasks/{task}/dispute": {
			does: "Ask for witnesses of a result, as its requester.", query: []query{waitAnyQ, timeoutParam}, answer: view.Submission{}, try: "/api/v1/tasks/{DISPUTABLE}/dispute",
		},
		"POST /api/v1/tasks/{task}/appeal": {
			does: "Ask for everyone's word after a committee's, as the party that it was against.", query: []query{waitAnyQ, timeoutParam}, answer: view.Submission{}, try: "/api/v1/tasks/{DECIDED}/appeal",
		},
		"POST /api/v1/tasks/{task}/verify": {
			does: "Find the quality of a result here as a witness would, by executing the task again or by its checker.", answer: view.Examination{}, try: "/api/v1/tasks/{TASK}/verify",
		},
	}
}

// gatewayOperations are the routes for clients of OpenAI.
func gatewayOperations() map[string]operation {
	return map[string]operation{
		"GET /v1/models": {does: "Language models that can be asked, as clients of OpenAI read it.", answer: view.ChatModels{}},
		"POST /v1/chat/completions": {
			does: "Answer a chat as OpenAI does, streamed too, by a model here or a task; X-Sage-Max-Price, X-Sage-Min-Quality and X-Sage-Verify are its terms. 402: too little ATP; 503: nobody can answer; 504: too late.",
			body: view.ChatRequest{}, answer: view.ChatCompletion{}, streams: []string{"text/event-stream"},
			send: `{"model":"auto","messages":[{"role":"user","content":"Who are you?"}]}`, as: "application/json",
		},
	}
}
