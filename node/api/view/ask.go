package view

import "github.com/libp2p/go-libp2p/core/peer"

// Message is one turn of a conversation with a language model.
type Message struct {
	Role    string `json:"role"` // system, user or assistant
	Content string `json:"content"`
}

// Question is asked of a language model: of one that this platform has, for
// nothing, or else of another platform's, as a task of class mutual.
type Question struct {
	Messages          List[Message] `json:"messages"`
	Model             string        `json:"model,omitempty"` // as GET /v1/models names it; empty: any
	To                string        `json:"to,omitempty"`    // as Transfer.To, or ToAuto (default): here if there is such a model, else routed
	MaxTokens         uint64        `json:"max_tokens,omitempty"`
	Temperature       *float64      `json:"temperature,omitempty"`
	TopP              *float64      `json:"top_p,omitempty"`
	Seed              *int64        `json:"seed,omitempty"`
	Stop              []string      `json:"stop,omitempty"`       // texts that end the answer
	PriceUATP         Amount        `json:"price_uatp,omitempty"` // what is paid; absent: the list price
	MostUATP          Amount        `json:"most_uatp,omitempty"`  // the most that a list price may be; of no meaning with a price
	MinQualityPPM     PPM           `json:"min_quality_ppm,omitempty"`
	ExecutionWindowMS Span          `json:"execution_window_ms,omitempty"`
	NoAcknowledge     bool          `json:"no_acknowledge,omitempty"` // the answer is neither accepted nor refused by the node
}

// AskStep says what an AskNews tells.
type AskStep string

// The steps of a question, in their order.
const (
	AskHere     AskStep = "here"     // a model of this platform answers, for nothing
	AskPosted   AskStep = "posted"   // a task asks another platform's
	AskAccepted AskStep = "accepted" // it works
	AskText     AskStep = "text"     // the next piece of the answer
	AskAgain    AskStep = "again"    // the pieces before are void: the answer begins anew
	AskAnswer   AskStep = "answer"   // the whole answer, against whose CID the pieces were checked
	AskSettled  AskStep = "settled"  // it is paid
	AskFailed   AskStep = "failed"   // there will be no answer
)

// AskNews is one thing that happens to a question. What a step has nothing to
// say of is absent.
type AskNews struct {
	Step         AskStep `json:"step"`
	Model        string  `json:"model,omitempty"` // here, posted
	TaskID       CID     `json:"task_id,omitzero"`
	Executor     peer.ID `json:"executor,omitempty"`
	ExecutorName string  `json:"executor_name,omitempty"`
	Routing      string  `json:"routing,omitempty"`    // why it was picked, in one line
	PriceUATP    Amount  `json:"price_uatp,omitempty"` // posted
	FeeUATP      Amount  `json:"fee_uatp,omitempty"`   // posted
	Text         string  `json:"text,omitempty"`       // text
	Answer       *Answer `json:"answer,omitempty"`     // answer
	Task         *Task   `json:"task,omitempty"`       // settled
	Error        *Error  `json:"error,omitempty"`      // failed
}

// Answer is what a language model has said.
type Answer struct {
	Model            string `json:"model"`
	Text             string `json:"text"`
	Finish           string `json:"finish"` // why it ends there: stop, length, or the server's own word
	PromptTokens     uint64 `json:"prompt_tokens"`
	CompletionTokens uint64 `json:"completion_tokens"`
}

// Model is a language model that can be asked.
type Model struct {
	ID        string       `json:"id"`                   // the name of its runtime
	Here      bool         `json:"here"`                 // this platform has it
	Platforms List[string] `json:"platforms"`            // names of the others that offer it
	LeastUATP Amount       `json:"least_uatp,omitempty"` // the lowest price of one question among them
}

// Models lists language models, by ID.
type Models struct {
	Models List[Model] `json:"models"`
}
