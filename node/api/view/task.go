package view

import "github.com/libp2p/go-libp2p/core/peer"

// TaskState is where a task stands in its life (economy, Life of a task).
type TaskState string

// The states of a task. Settled never changes again.
const (
	TaskPending    TaskState = "pending" // its transaction is not final yet
	TaskPosted     TaskState = "posted"
	TaskAccepted   TaskState = "accepted"
	TaskProven     TaskState = "proven"
	TaskWitnessing TaskState = "witnessing"
	TaskSettled    TaskState = "settled"
)

// Settlement is how a task's lock ended.
type Settlement string

// The settlements.
const (
	SettledCommit   Settlement = "COMMIT"
	SettledRollback Settlement = "ROLLBACK"
	SettledVoid     Settlement = "VOID"
)

// Task is a task with its whole history.
type Task struct {
	ID                CID           `json:"id"`
	State             TaskState     `json:"state"`
	Settlement        Settlement    `json:"settlement,omitempty"`
	Cause             string        `json:"cause,omitempty"` // acknowledged, silence, refused, late, cancelled, not accepted, …
	Requester         peer.ID       `json:"requester"`
	RequesterName     string        `json:"requester_name,omitempty"`
	Executor          peer.ID       `json:"executor,omitempty"` // absent while an open task has none
	ExecutorName      string        `json:"executor_name,omitempty"`
	Open              bool          `json:"open"` // the first to accept executes
	Spec              Spec          `json:"spec"`
	FeeUATP           Amount        `json:"fee_uatp"`
	BondUATP          Amount        `json:"bond_uatp"`
	DeadlineMS        Millis        `json:"deadline_ms,omitempty"` // of the present state
	Result            CID           `json:"result,omitzero"`
	ResultSize        uint64        `json:"result_size,omitempty"`
	ResultHere        bool          `json:"result_here"` // this node holds its bytes
	ClaimedPPM        *PPM          `json:"claimed_ppm,omitempty"`
	QualityPPM        *PPM          `json:"quality_ppm,omitempty"` // of the settlement
	Witnesses         List[Witness] `json:"witnesses"`
	History           List[Step]    `json:"history"`
	ConsensusMS       Span          `json:"consensus_ms"`        // time spent agreeing, of the whole task
	ConsensusSharePPM PPM           `json:"consensus_share_ppm"` // the same as a share
	Failure           string        `json:"failure,omitempty"`   // why this node could not execute it, if it is the executor
}

// Spec is what was asked for.
type Spec struct {
	Type              string  `json:"type"`
	Complexity        string  `json:"complexity"`
	Horizon           Horizon `json:"horizon"`
	Runtime           string  `json:"runtime"`
	Program           CID     `json:"program,omitzero"`
	Input             CID     `json:"input,omitzero"`
	InputSize         uint64  `json:"input_size"`
	PriceUATP         Amount  `json:"price_uatp"`
	MinQualityPPM     PPM     `json:"min_quality_ppm"`
	Verify            string  `json:"verify"`
	Checker           CID     `json:"checker,omitzero"`
	OfferWindowMS     Span    `json:"offer_window_ms"`
	ExecutionWindowMS Span    `json:"execution_window_ms"`
	Private           bool    `json:"private"`
}

// Witness is a seat of a task.
type Witness struct {
	PeerID      peer.ID `json:"peer_id"`
	Name        string  `json:"name,omitempty"`
	Level       int     `json:"level"` // 0 a committee, 1 everyone
	ScorePPM    *PPM    `json:"score_ppm,omitempty"`
	Answer      string  `json:"answer,omitempty"` // the score, UNAVAILABLE or RESOURCE_LIMIT; absent before it is revealed
	EarnedUATP  Amount  `json:"earned_uatp"`
	SlashedUATP Amount  `json:"slashed_uatp"`
}

// Examination is what this platform finds when it looks at a result as a witness
// would.
type Examination struct {
	TaskID      CID    `json:"task_id"`
	Class       string `json:"class"` // recompute, also for a task of class mutual, or checker
	Did         string `json:"did"`   // in a sentence
	ScorePPM    *PPM   `json:"score_ppm,omitempty"`
	Answer      string `json:"answer"`         // the score or, without one, why there is none
	Passes      bool   `json:"passes"`         // it is at least what the task asks for
	Proved      CID    `json:"proved"`         // the result that the executor named
	Found       CID    `json:"found,omitzero"` // that of our own run, in class recompute
	MemoryHash  string `json:"memory_hash"`    // SHA-256 of our run's final memory, in hexadecimal
	MemoryAlike int    `json:"memory_alike"`   // witnesses who have revealed the same
	MemoryOther int    `json:"memory_other"`   // and another
	ElapsedMS   Span   `json:"elapsed_ms"`
}

// Step is one event of a task's life with its arithmetic.
type Step struct {
	TimeMS     Millis               `json:"time_ms"`
	Height     Height               `json:"height"`
	Event      string               `json:"event"` // posted, accepted, proven, acknowledged, refused, settled, …
	By         peer.ID              `json:"by,omitempty"`
	Tx         CID                  `json:"tx,omitzero"`
	Legs       List[Leg]            `json:"legs"`
	Reputation List[ReputationMove] `json:"reputation"`
	Note       string               `json:"note,omitempty"`
}

// Leg is one movement of money within a step.
type Leg struct {
	What       string  `json:"what"`         // locked, bonded, fee, paid, returned, to the pool, …
	To         peer.ID `json:"to,omitempty"` // absent for the pool and for what is discharged
	AmountUATP Amount  `json:"amount_uatp"`
}

// ReputationMove is one change of reputation, computed by the state machine.
type ReputationMove struct {
	PeerID peer.ID `json:"peer_id"`
	Role   string  `json:"role"`
	Type   string  `json:"type,omitempty"`
	OldPPM PPM     `json:"old_ppm"`
	NewPPM PPM     `json:"new_ppm"`
	Cause  string  `json:"cause"`
}

// Tasks is a page of tasks, newest first. Their histories are left out.
type Tasks struct {
	Tasks List[Task] `json:"tasks"`
	Next  string     `json:"next,omitempty"`
}

// TaskFilter selects tasks. The zero value selects all.
type TaskFilter struct {
	State  TaskState // "" any
	Mine   bool      // this platform is requester or executor
	Limit  int       // 1 to 1,000
	Cursor string    // Tasks.Next of the page after
}
