package view

import "github.com/libp2p/go-libp2p/core/peer"

// Transfer asks for a payment from the node's account.
type Transfer struct {
	To         string `json:"to"` // name, agent@platform, peer ID or an unambiguous part of one
	AmountUATP Amount `json:"amount_uatp"`
	New        bool   `json:"new,omitempty"` // the payee may be an account that no block has ever touched
}

// StakeChange asks to set an amount of the node's account aside as a stake, or
// for it back.
type StakeChange struct {
	AmountUATP Amount `json:"amount_uatp"`
}

// NewLock asks for a two-phase payment from the node's account.
type NewLock struct {
	To         string `json:"to"`
	AmountUATP Amount `json:"amount_uatp"`
	DeadlineMS Millis `json:"deadline_ms"`
	New        bool   `json:"new,omitempty"` // as of a Transfer
}

// NewVote asks for this platform's vote on another.
type NewVote struct {
	Platform  string  `json:"platform"`             // as Transfer.To, or the name or a part of the ID of a connected one
	Against   bool    `json:"against,omitempty"`    // take an earlier vote back
	GrantUATP *Amount `json:"grant_uatp,omitempty"` // left out: 1,000 ATP, or as others have voted if that is less
	Society   *string `json:"society,omitempty"`    // left out: as others have voted, or its name
}

// Registration asks to register, or to register anew, the node's platform.
// What is left out stays as it is, or takes the node's default.
type Registration struct {
	Name     string    `json:"name,omitempty"`
	Society  string    `json:"society,omitempty"`
	Hardware *Hardware `json:"hardware,omitempty"`
	Horizon  *Horizon  `json:"horizon,omitempty"`
	Offers   []Offer   `json:"offers,omitempty"`
	Runtimes []string  `json:"runtimes,omitempty"`
}

// The values of NewTask.To that name no platform.
const (
	ToAuto = "auto" // the router picks
	ToOpen = "open" // the first to accept executes
)

// NewTask is the spec part of a task's multipart form. Program, input and checker
// come in parts of these names after it, or by a CID that the node already holds.
// A zero price, window, quality, class, complexity or horizon takes the default.
type NewTask struct {
	Type              string  `json:"type"`
	Complexity        string  `json:"complexity,omitempty"`
	Horizon           Horizon `json:"horizon"`
	Runtime           string  `json:"runtime"`
	Program           CID     `json:"program,omitzero"`
	Input             CID     `json:"input,omitzero"`
	Checker           CID     `json:"checker,omitzero"` // in class checker, which it makes the default
	To                string  `json:"to,omitempty"`     // as Transfer.To, or ToAuto (default), or ToOpen
	PriceUATP         Amount  `json:"price_uatp,omitempty"`
	MinQualityPPM     PPM     `json:"min_quality_ppm,omitempty"`
	Verify            string  `json:"verify,omitempty"`
	OfferWindowMS     Span    `json:"offer_window_ms,omitempty"`
	ExecutionWindowMS Span    `json:"execution_window_ms,omitempty"`
	Private           bool    `json:"private,omitempty"`
}

// Mark is a requester's answer to a proof. A mark below the task's least
// quality refuses the result (class mutual only).
type Mark struct {
	QualityPPM *PPM `json:"quality_ppm,omitempty"` // absent: as claimed
	Refuse     bool `json:"refuse,omitempty"`      // the same as a mark of 0
}

// Blob is content that the node holds.
type Blob struct {
	CID  CID
	Size uint64
}

// Submission is the answer to every write: the transaction that carries it
// and the thing that it makes. Tx is there when the request waited for its
// end, Task when it waited for the task's.
type Submission struct {
	TxID     CID     `json:"tx_id"`
	TaskID   CID     `json:"task_id,omitzero"`
	LockID   CID     `json:"lock_id,omitzero"`
	Executor peer.ID `json:"executor,omitempty"` // whom the router picked
	Routing  string  `json:"routing,omitempty"`  // why, in one line
	NewID    peer.ID `json:"new_id,omitempty"`   // whom the platform is, once its key is replaced
	Verify   string  `json:"verify,omitempty"`   // the class of a task that was posted
	Because  string  `json:"because,omitempty"`  // why it is of that class, where it was not asked for
	Note     string  `json:"note,omitempty"`     // what keeps the executor named from accepting it, as things are
	Tx       *Tx     `json:"tx,omitempty"`
	Task     *Task   `json:"task,omitempty"`
}
