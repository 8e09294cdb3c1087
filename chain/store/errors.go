package store

import "errors"

// Error classes.
var (
	// ErrNotFound reports that the store does not hold what was asked for, and
	// need not. Nobody is to blame.
	ErrNotFound = errors.New("store: not found")

	// ErrCorrupt reports that what must be there is missing, or that what is
	// there is not what was stored. The store must not be used any more: set
	// it aside ([SetAside]) and fetch the chain from peers.
	ErrCorrupt = errors.New("store: corrupt")

	// ErrInUse reports that another process has the store open.
	ErrInUse = errors.New("store: in use")

	// ErrForeign reports a store of another chain, or of another version.
	ErrForeign = errors.New("store: of another chain")

	// ErrFailed reports that an earlier write failed. What is on disk is not
	// known, so nothing more is written: the process must end.
	ErrFailed = errors.New("store: failed earlier")

	// ErrClosed reports a write to a store after its Close.
	ErrClosed = errors.New("store: closed")

	// ErrOutOfOrder reports a block that does not follow the head. It is the
	// caller's mistake; nothing was stored.
	ErrOutOfOrder = errors.New("store: block does not follow the head")

	// ErrNoSpace reports that the disk is too full to write. Nothing was
	// stored; the same call may succeed once there is space.
	ErrNoSpace = errors.New("store: no space left")
)
