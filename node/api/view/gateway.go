package view

import "encoding/json"

// The headers of the gateway. Those of a request are terms of a task, if the
// question becomes one; those of an answer say what became of it.
const (
	HeaderMaxPrice   = "X-Sage-Max-Price"   // the most to pay, in ATP, such as 2.5
	HeaderMinQuality = "X-Sage-Min-Quality" // 0 to 1
	HeaderVerify     = "X-Sage-Verify"      // mutual
	HeaderTask       = "X-Sage-Task"        // absent where no task was made
	HeaderExecutor   = "X-Sage-Executor"    // peer ID
	HeaderPrice      = "X-Sage-Price-Uatp"  // 0 for a model of this platform
)

// ChatRequest is a question as clients of OpenAI ask it. Members that are not
// here are ignored, but for those that ask for something else than a text.
type ChatRequest struct {
	Model               string             `json:"model"` // as GET /v1/models names it; auto: any
	Messages            List[ChatMessage]  `json:"messages"`
	Stream              bool               `json:"stream,omitempty"`
	StreamOptions       *ChatStreamOptions `json:"stream_options,omitempty"`
	MaxTokens           uint64             `json:"max_tokens,omitempty"`
	MaxCompletionTokens uint64             `json:"max_completion_tokens,omitempty"`
	Temperature         *float64           `json:"temperature,omitempty"`
	TopP                *float64           `json:"top_p,omitempty"`
	Seed                *int64             `json:"seed,omitempty"`
	Stop                json.RawMessage    `json:"stop,omitempty"` // a text, or up to four
	N                   uint64             `json:"n,omitempty"`    // 1
	Tools               json.RawMessage    `json:"tools,omitempty"`
}

// ChatMessage is one turn of a conversation, as clients of OpenAI write it.
type ChatMessage struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"` // a text, or a list of parts of type text
}

// ChatStreamOptions says what a stream has besides the text.
type ChatStreamOptions struct {
	IncludeUsage bool `json:"include_usage,omitempty"`
}

// ChatCompletion is a whole answer.
type ChatCompletion struct {
	ID      string           `json:"id"`
	Object  string           `json:"object"`  // chat.completion
	Created int64            `json:"created"` // Unix seconds
	Model   string           `json:"model"`
	Choices List[ChatChoice] `json:"choices"` // one
	Usage   ChatUsage        `json:"usage"`
}

// ChatChoice is an answer in a ChatCompletion.
type ChatChoice struct {
	Index        int      `json:"index"`
	Message      ChatText `json:"message"`
	FinishReason string   `json:"finish_reason"`
}

// ChatText is what the model says, or a piece of it.
type ChatText struct {
	Role    string `json:"role,omitempty"`
	Content string `json:"content"`
}

// ChatUsage is what the model has read and written, by its server's word.
type ChatUsage struct {
	PromptTokens     uint64 `json:"prompt_tokens"`
	CompletionTokens uint64 `json:"completion_tokens"`
	TotalTokens      uint64 `json:"total_tokens"`
}

// ChatChunk is one event of an answer that is streamed.
type ChatChunk struct {
	ID      string          `json:"id"`
	Object  string          `json:"object"` // chat.completion.chunk
	Created int64           `json:"created"`
	Model   string          `json:"model"`
	Choices List[ChatDelta] `json:"choices"` // one, or none beside the usage
	Usage   *ChatUsage      `json:"usage,omitempty"`
}

// ChatDelta is what a ChatChunk adds.
type ChatDelta struct {
	Index        int      `json:"index"`
	Delta        ChatText `json:"delta"`
	FinishReason *string  `json:"finish_reason"`
}

// ChatModels lists language models as clients of OpenAI read it.
type ChatModels struct {
	Object string          `json:"object"` // list
	Data   List[ChatModel] `json:"data"`
}

// ChatModel is one of them.
type ChatModel struct {
	ID      string `json:"id"`
	Object  string `json:"object"`   // model
	Created int64  `json:"created"`  // 0: it is not known
	OwnedBy string `json:"owned_by"` // names of the platforms that have it
}
