package view

// Code says what kind of "no" an error is; it decides the HTTP status.
type Code string

// The codes. The comment gives the HTTP status.
const (
	CodeInvalid      Code = "invalid"      // 400: the request is malformed
	CodeUnauthorized Code = "unauthorized" // 401: the token is missing or wrong
	CodeForbidden    Code = "forbidden"    // 403: foreign Host or origin
	CodeNotFound     Code = "not_found"    // 404
	CodeAmbiguous    Code = "ambiguous"    // 409: a short ID fits several
	CodeRefused      Code = "refused"      // 409: the state does not allow it
	CodeInsufficient Code = "insufficient" // 409: not enough ATP
	CodeUnsafe       Code = "unsafe"       // 409: refused for safety (signer, key)
	CodeGone         Code = "gone"         // 410: known, but its bytes are not here any more
	CodeTooLarge     Code = "too_large"    // 413
	CodeMisdirected  Code = "misdirected"  // 421: meant for the node of another home
	CodeUnsupported  Code = "unsupported"  // 422: not in this version
	CodeFull         Code = "full"         // 503 with Retry-After
	CodeNotReady     Code = "not_ready"    // 503 with Retry-After: forming or syncing
	CodeTimeout      Code = "timeout"      // 504: what was waited for has not happened; nothing was undone
	CodeInternal     Code = "internal"     // 500
)

// Error is a "no": what and why, the remedy, and the height at which it was
// judged. A node returns it as an error; over HTTP it is the value of the
// member "error" of the answer.
type Error struct {
	Code      Code   `json:"code"`
	Message   string `json:"message"`          // what and why, one sentence without a full stop
	Hint      string `json:"hint,omitempty"`   // what to do, with the command for it
	Retryable bool   `json:"retryable"`        // the same request may succeed later
	Height    Height `json:"height,omitempty"` // where the state was read
}

func (e *Error) Error() string { return e.Message }

// Failure is the body of every answer that is not a success.
type Failure struct {
	Error *Error `json:"error"`
}
