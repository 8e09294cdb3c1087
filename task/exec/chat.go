package exec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// LLMPrefix begins the name of a runtime that is a language model. The model's
// name follows, in lower case.
const LLMPrefix = "openai/"

// Bounds of a question to a language model, and of its answer, in bytes.
const (
	MaxChat   = 1 << 20 // a Chat, encoded
	MaxText   = 1 << 20 // the text of an Answer
	MaxAnswer = 8 << 20 // an Answer, encoded: a control character takes six

	maxMessages = 1024
	maxStops    = 4
	maxStop     = 256 // one text that ends an answer
	maxFinish   = 64
)

// ErrChat reports an input that is no question to a language model, in its one
// form.
var ErrChat = fmt.Errorf("%w: no question to a language model", ErrInvalid)

// errAnswer reports a result that is no answer of one.
var errAnswer = errors.New("exec: no answer of a language model")

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"` // system, user or assistant
	Content string `json:"content"`
}

// Chat is the input of a task whose runtime is a language model: a conversation,
// whose next turn is asked for. What is left out is the server's own choice.
type Chat struct {
	Messages    []Message `json:"messages"`
	MaxTokens   uint32    `json:"max_tokens,omitempty"` // of the answer
	Temperature *float64  `json:"temperature,omitempty"`
	TopP        *float64  `json:"top_p,omitempty"`
	Seed        *int64    `json:"seed,omitempty"`
	Stop        []string  `json:"stop,omitempty"` // texts that end the answer
}

// Answer is the result of such a task.
type Answer struct {
	Model  string `json:"model"`  // as the runtime is called
	Text   string `json:"text"`   // at most MaxText
	Finish string `json:"finish"` // why it ends there: stop, length, or the server's own word
	Usage  Usage  `json:"usage"`
}

// Usage is what the server says to have read and written. Nothing relies on it.
type Usage struct {
	Prompt     uint64 `json:"prompt_tokens"`
	Completion uint64 `json:"completion_tokens"`
}

// Encode returns the one form of c, or what is wrong with it, as [ErrChat].
func (c Chat) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	raw, err := encodeJSON(c)
	if err == nil && len(raw) > MaxChat {
		err = fmt.Errorf("have %d bytes, want at most %d", len(raw), MaxChat)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChat, err)
	}
	return raw, nil
}

// DecodeChat reads a question in the form of [Chat.Encode], and no other.
func DecodeChat(raw []byte) (Chat, error) {
	var c Chat
	if len(raw) > MaxChat {
		return c, fmt.Errorf("%w: have %d bytes, want at most %d", ErrChat, len(raw), MaxChat)
	}
	if err := decodeJSON(raw, &c); err != nil {
		return Chat{}, fmt.Errorf("%w: %w", ErrChat, err)
	}
	again, err := c.Encode()
	switch {
	case err != nil:
		return Chat{}, err
	case !bytes.Equal(raw, again):
		return Chat{}, fmt.Errorf("%w: it is not in its one form", ErrChat)
	}
	return c, nil
}

// check reports the first thing that no server could make sense of.
func (c Chat) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrChat}, args...)...)
	}
	if len(c.Messages) == 0 || len(c.Messages) > maxMessages {
		return bad("have %d messages, want 1 to %d", len(c.Messages), maxMessages)
	}
	for _, m := range c.Messages {
		if !slices.Contains([]string{"system", "user", "assistant"}, m.Role) {
			return bad("role: have %.40q, want system, user or assistant", m.Role)
		}
		if !utf8.ValidString(m.Content) {
			return bad("a message is not valid UTF-8")
		}
	}
	if !within(c.Temperature, 2) || !within(c.TopP, 1) {
		return bad("want a temperature of 0 to 2 and a top_p of 0 to 1")
	}
	if len(c.Stop) > maxStops {
		return bad("have %d texts that end the answer, want at most %d", len(c.Stop), maxStops)
	}
	for _, s := range c.Stop {
		if s == "" || len(s) > maxStop || !utf8.ValidString(s) {
			return bad("a text that ends the answer: have %d bytes, want 1 to %d of valid UTF-8", len(s), maxStop)
		}
	}
	return nil
}

// within reports whether x, if it is there, is from 0 to most.
func within(x *float64, most float64) bool { return x == nil || *x >= 0 && *x <= most }

// Encode returns the one form of a.
func (a Answer) Encode() ([]byte, error) {
	raw, err := encodeJSON(a)
	if err == nil && len(raw) > MaxAnswer {
		err = fmt.Errorf("have %d bytes, want at most %d", len(raw), MaxAnswer)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	return raw, nil
}

// DecodeAnswer reads an answer in the form of [Answer.Encode]. It is another
// machine's word: its text may hold anything that is valid UTF-8.
func DecodeAnswer(raw []byte) (Answer, error) {
	var a Answer
	if len(raw) > MaxAnswer {
		return a, fmt.Errorf("%w: have %d bytes, want at most %d", errAnswer, len(raw), MaxAnswer)
	}
	if err := decodeJSON(raw, &a); err != nil {
		return Answer{}, fmt.Errorf("%w: %w", errAnswer, err)
	}
	again, err := a.Encode()
	switch {
	case err != nil:
		return Answer{}, err
	case len(a.Text) > MaxText || len(a.Finish) > maxFinish || !bytes.Equal(raw, again):
		return Answer{}, fmt.Errorf("%w: it is too long, or not in its one form", errAnswer)
	}
	return a, nil
}

func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// decodeJSON reads the one JSON value that raw is, of known members.
func decodeJSON(raw []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("it goes on after its end")
	}
	return nil
}

// cutText returns at most most bytes of s, whole characters.
func cutText(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}
