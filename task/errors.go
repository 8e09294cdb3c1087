package task

import (
	"fmt"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Why a book refuses. Each wraps [atp.ErrRefused]: nothing was changed, and
// the reason belongs in the sender's receipt. Who may do what, and when, is
// told by atp.ErrNotYours, atp.ErrTooEarly and atp.ErrTooLate.
var (
	// ErrTerms reports a field of a task's terms that is out of bounds.
	ErrTerms = fmt.Errorf("task: %w: invalid terms", atp.ErrRefused)
	// ErrClass reports a verification class that lacks witnesses, or knows no
	// such step.
	ErrClass = fmt.Errorf("task: %w: verification class", atp.ErrRefused)
	// ErrNoTask reports a task that never was, or has been settled.
	ErrNoTask = fmt.Errorf("task: %w: no such open task", atp.ErrRefused)
	// ErrStage reports an operation that the task's stage does not allow.
	ErrStage = fmt.Errorf("task: %w: not at this stage", atp.ErrRefused)
	// ErrExecutor reports one who may not take an open task.
	ErrExecutor = fmt.Errorf("task: %w: not eligible", atp.ErrRefused)
	// ErrBond reports a bond below what the task asks for.
	ErrBond = fmt.Errorf("task: %w: bond too small", atp.ErrRefused)
	// ErrProof reports a field of a proof that is out of bounds.
	ErrProof = fmt.Errorf("task: %w: invalid proof", atp.ErrRefused)
	// ErrMark reports a mark above the whole.
	ErrMark = fmt.Errorf("task: %w: invalid mark", atp.ErrRefused)
	// ErrSeat reports one who has no seat, or has done its part.
	ErrSeat = fmt.Errorf("task: %w: no such seat", atp.ErrRefused)
	// ErrAnswer reports an answer that the class has no use for, or that is not
	// what was committed to.
	ErrAnswer = fmt.Errorf("task: %w: invalid answer", atp.ErrRefused)
	// ErrStake reports an amount that cannot become, or stop being, a stake.
	ErrStake = fmt.Errorf("task: %w: stake", atp.ErrRefused)
	// ErrPlatform reports a platform's record that is out of bounds.
	ErrPlatform = fmt.Errorf("task: %w: invalid platform", atp.ErrRefused)
)
