package bft

import (
	"errors"
	"fmt"
)

// Each error class is one decision for the caller.
var (
	// ErrInvalid reports what no correct platform sends: blame the sender.
	// Every more specific rejection wraps it.
	ErrInvalid = errors.New("bft: invalid")

	// ErrStale reports a message of a height below this one. It is expected in
	// normal operation; rule R4 may answer it (see [Answered]).
	ErrStale = errors.New("bft: stale height")

	// ErrAhead reports a message of a height above this one: nobody is to
	// blame, we are behind its sender. [Ahead] holds what is for the next height.
	ErrAhead = errors.New("bft: height ahead of ours")

	// ErrContradiction reports a signature that the signer's own record
	// forbids. It is never a peer's fault.
	ErrContradiction = errors.New("bft: contradicts the signer's record")

	// ErrCorrupt reports a stored record that cannot be read.
	ErrCorrupt = errors.New("bft: corrupt record")
)

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}
