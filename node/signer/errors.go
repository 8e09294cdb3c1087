package signer

import "errors"

// Error classes.
var (
	// ErrInUse reports that another process holds the key. Nothing is wrong
	// with the files.
	ErrInUse = errors.New("signer: in use")

	// ErrExposed reports a key file that others may read.
	ErrExposed = errors.New("signer: key is exposed")

	// ErrNeedsRecovery reports that what the key has signed is not known, so
	// that it must not sign: see [Recover].
	ErrNeedsRecovery = errors.New("signer: needs recovery")

	// ErrForeign reports a record of another chain or of another key.
	ErrForeign = errors.New("signer: foreign record")

	// ErrRefused reports a request that no correct part of this platform
	// makes. Nothing was signed and nothing changed.
	ErrRefused = errors.New("signer: refused")

	// ErrElsewhere reports a key that another process has, too. This one signs
	// nothing any more, and must end.
	ErrElsewhere = errors.New("signer: key in use elsewhere")

	// ErrFailed reports that the record could not be written. What is on disk
	// is not known: the signer signs nothing any more, and the process must
	// end.
	ErrFailed = errors.New("signer: failed")
)
