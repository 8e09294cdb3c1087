package chain

import (
	"errors"
	"fmt"
)

// The classes of what this package returns: each says whose fault it was.
var (
	// ErrInvalid reports bytes, a transaction or a block that no correct
	// platform makes. It blames the sender. Every more specific rejection
	// wraps it.
	ErrInvalid = errors.New("chain: invalid")

	// ErrMalformed reports bytes that are not the one canonical encoding of a
	// value within its bounds.
	ErrMalformed = fmt.Errorf("%w: malformed", ErrInvalid)

	// ErrUnknownOperation reports an operation that this version does not
	// execute: a kind that the design names for later, or none at all.
	ErrUnknownOperation = fmt.Errorf("%w: operation unknown in this version", ErrInvalid)

	// ErrSignature reports a signature that does not hold under ZIP-215.
	ErrSignature = fmt.Errorf("%w: bad signature", ErrInvalid)

	// ErrLimit reports what is larger, or more, than the genesis allows.
	ErrLimit = fmt.Errorf("%w: over the limit", ErrInvalid)

	// ErrNonce reports a transaction whose nonce is not its sender's next.
	// In a block it is the proposer's fault.
	ErrNonce = fmt.Errorf("%w: wrong nonce", ErrInvalid)

	// ErrExpired reports a transaction in a block whose time is past its end.
	ErrExpired = fmt.Errorf("%w: expired", ErrInvalid)

	// ErrGenesis reports a genesis that cannot found a chain.
	ErrGenesis = errors.New("chain: invalid genesis")

	// ErrStorage reports that the state could not be read: a node is missing,
	// or is not what its address says. It is our own disk's fault, never that
	// of whoever sent the block.
	ErrStorage = errors.New("chain: state unreadable")

	// ErrBroken reports that a law of the ledger (A2) did not hold after a
	// block. It is a defect of this program: nothing may be signed on it.
	ErrBroken = errors.New("chain: law broken")
)
