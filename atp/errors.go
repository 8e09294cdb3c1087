package atp

import (
	"errors"
	"fmt"
)

// ErrRefused is the class of every operation that breaks a rule: nothing was
// changed, and the reason belongs in its sender's receipt.
var ErrRefused = errors.New("refused")

// Why a ledger refuses. Each wraps [ErrRefused].
var (
	// ErrAmount reports an amount that is malformed, or zero where something must move.
	ErrAmount = fmt.Errorf("atp: %w: invalid amount", ErrRefused)
	// ErrInsufficient reports that less is there than is asked for.
	ErrInsufficient = fmt.Errorf("atp: %w: insufficient funds", ErrRefused)
	// ErrOverflow reports a sum that does not fit in an Amount.
	ErrOverflow = fmt.Errorf("atp: %w: amount overflows", ErrRefused)
	// ErrExists reports a lock whose ID is taken.
	ErrExists = fmt.Errorf("atp: %w: lock exists", ErrRefused)
	// ErrNoLock reports a lock that never was, or has ended.
	ErrNoLock = fmt.Errorf("atp: %w: no such lock", ErrRefused)
	// ErrTaskLock reports a lock that only its task may end, or the reverse.
	ErrTaskLock = fmt.Errorf("atp: %w: not this kind of lock", ErrRefused)
	// ErrPayee reports a lock for nobody, or for its own payer.
	ErrPayee = fmt.Errorf("atp: %w: invalid payee", ErrRefused)
	// ErrNotYours reports an operation by one who has no right to it.
	ErrNotYours = fmt.Errorf("atp: %w: not yours", ErrRefused)
	// ErrTooEarly reports an operation that must wait for the deadline.
	ErrTooEarly = fmt.Errorf("atp: %w: too early", ErrRefused)
	// ErrTooLate reports an operation after its deadline.
	ErrTooLate = fmt.Errorf("atp: %w: too late", ErrRefused)
)

// ErrUnbalanced reports a settlement whose payments are not what is held for
// it. The rules that computed it are wrong; nothing was changed.
var ErrUnbalanced = errors.New("atp: settlement does not balance")
