package chain

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/ipfs/go-cid"
	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// Fact is what an event tells: a pointer to one of the structs of this package's event files or
// to one of the events of package task.
type Fact interface{ atp.Value }

// Event is something that the state machine did. The events of a chain's
// receipts, in order, are enough to follow every account, lock, task and
// reputation. It is encoded as [number, fact].
type Event struct{ Fact }

// FeePaid tells of a transaction's fee, which is discharged.
type FeePaid struct {
	From   atp.ID     `json:"from"`
	Amount atp.Amount `json:"amount_uatp"`
}

// Transferred tells of an ATP_TRANSFER.
type Transferred struct {
	From   atp.ID     `json:"from"`
	To     atp.ID     `json:"to"`
	Amount atp.Amount `json:"amount_uatp"`
}

// LockOpened tells of an ATP_TRANSFER_LOCK.
type LockOpened struct {
	Lock     cid.Cid    `json:"lock"`
	Payer    atp.ID     `json:"payer"`
	Payee    atp.ID     `json:"payee"`
	Amount   atp.Amount `json:"amount_uatp"`
	Deadline atp.Millis `json:"deadline_ms"`
}

// LockCommitted tells of an ATP_TRANSFER_COMMIT: the payee has the amount.
type LockCommitted struct {
	Lock   cid.Cid    `json:"lock"`
	Payer  atp.ID     `json:"payer"`
	Payee  atp.ID     `json:"payee"`
	Amount atp.Amount `json:"amount_uatp"`
}

// LockRolledBack tells of an ATP_TRANSFER_ROLLBACK: the payer has the amount
// again.
type LockRolledBack struct {
	Lock   cid.Cid        `json:"lock"`
	Payer  atp.ID         `json:"payer"`
	Payee  atp.ID         `json:"payee"`
	Amount atp.Amount     `json:"amount_uatp"`
	By     atp.OptionalID `json:"by"` // nobody: its deadline did
}

// PlatformRegistered tells of a PLATFORM_REGISTER.
type PlatformRegistered struct {
	ID       atp.ID        `json:"id"`
	Platform task.Platform `json:"platform"`
}

// Granted tells of a grant from the pool to a platform that joined.
type Granted struct {
	To     atp.ID     `json:"to"`
	Amount atp.Amount `json:"amount_uatp"`
}

// The numbers of the events in their encoding; they are never reused.
const (
	eventFeePaid = iota + 1
	eventTransferred
	eventLockOpened
	eventLockCommitted
	eventLockRolledBack
	eventPlatformRegistered
	eventGranted
	eventTaskLocked
	eventTaskMoved
	eventTaskEngaged
	eventTaskPaid
	eventReputationChanged
	eventValidatorCandidate
	eventCandidateLeft
	eventValidatorStays
	eventValidatorLeaving
	eventValidatorJoined
	eventValidatorLeft
	eventVoteCast
	eventVoteWithdrawn
	eventPlatformAdmitted
	eventValidatorAbsent
	eventValidatorSlashed
	eventBondReturned
	eventKeyRotated
	eventTaskChallenged
	eventTaskDrawn
	eventWitnessRevealed
	eventTaskJudged
	eventSeatPaid
	eventStakeBonded
	eventStakeLeaving
	eventStakeReleased
)

// number returns the event's number, or 0 for what is no event.
func (e Event) number() uint64 {
	switch e.Fact.(type) {
	case *FeePaid:
		return eventFeePaid
	case *Transferred:
		return eventTransferred
	case *LockOpened:
		return eventLockOpened
	case *LockCommitted:
		return eventLockCommitted
	case *LockRolledBack:
		return eventLockRolledBack
	case *PlatformRegistered:
		return eventPlatformRegistered
	case *Granted:
		return eventGranted
	case *task.Locked:
		return eventTaskLocked
	case *task.Moved:
		return eventTaskMoved
	case *task.Engaged:
		return eventTaskEngaged
	case *task.Paid:
		return eventTaskPaid
	case *task.ReputationChanged:
		return eventReputationChanged
	case *ValidatorCandidate:
		return eventValidatorCandidate
	case *CandidateLeft:
		return eventCandidateLeft
	case *ValidatorStays:
		return eventValidatorStays
	case *ValidatorLeaving:
		return eventValidatorLeaving
	case *ValidatorJoined:
		return eventValidatorJoined
	case *ValidatorLeft:
		return eventValidatorLeft
	case *task.Challenged:
		return eventTaskChallenged
	case *task.Drawn:
		return eventTaskDrawn
	case *task.Revealed:
		return eventWitnessRevealed
	case *task.Judged:
		return eventTaskJudged
	case *task.SeatPaid:
		return eventSeatPaid
	case *task.StakeBonded:
		return eventStakeBonded
	case *task.StakeLeaving:
		return eventStakeLeaving
	case *task.StakeReleased:
		return eventStakeReleased
	}
	return memberNumber(e.Fact)
}

func newFact(number uint64) (Fact, error) {
	switch number {
	case eventFeePaid:
		return new(FeePaid), nil
	case eventTransferred:
		return new(Transferred), nil
	case eventLockOpened:
		return new(LockOpened), nil
	case eventLockCommitted:
		return new(LockCommitted), nil
	case eventLockRolledBack:
		return new(LockRolledBack), nil
	case eventPlatformRegistered:
		return new(PlatformRegistered), nil
	case eventGranted:
		return new(Granted), nil
	case eventTaskLocked:
		return new(task.Locked), nil
	case eventTaskMoved:
		return new(task.Moved), nil
	case eventTaskEngaged:
		return new(task.Engaged), nil
	case eventTaskPaid:
		return new(task.Paid), nil
	case eventReputationChanged:
		return new(task.ReputationChanged), nil
	case eventValidatorCandidate:
		return new(ValidatorCandidate), nil
	case eventCandidateLeft:
		return new(CandidateLeft), nil
	case eventValidatorStays:
		return new(ValidatorStays), nil
	case eventValidatorLeaving:
		return new(ValidatorLeaving), nil
	case eventValidatorJoined:
		return new(ValidatorJoined), nil
	case eventValidatorLeft:
		return new(ValidatorLeft), nil
	case eventTaskChallenged:
		return new(task.Challenged), nil
	case eventTaskDrawn:
		return new(task.Drawn), nil
	case eventWitnessRevealed:
		return new(task.Revealed), nil
	case eventTaskJudged:
		return new(task.Judged), nil
	case eventSeatPaid:
		return new(task.SeatPaid), nil
	case eventStakeBonded:
		return new(task.StakeBonded), nil
	case eventStakeLeaving:
		return new(task.StakeLeaving), nil
	case eventStakeReleased:
		return new(task.StakeReleased), nil
	}
	if f := newMemberFact(number); f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("%w: event %d", ErrMalformed, number)
}

// Name returns the event's name in the words of the design.
func (e Event) Name() string {
	switch f := e.Fact.(type) {
	case *FeePaid:
		return "FEE"
	case *Transferred:
		return OpTransfer.String()
	case *LockOpened, *task.Locked:
		return OpTransferLock.String()
	case *LockCommitted:
		return OpTransferCommit.String()
	case *LockRolledBack:
		return OpTransferRollback.String()
	case *PlatformRegistered:
		return OpPlatformRegister.String()
	case *Granted:
		return "GRANT"
	case *task.Moved:
		return string(f.Step)
	case *task.Engaged:
		return "TASK_ENGAGED"
	case *task.Paid:
		return "ATP_TRANSFER_" + string(f.Outcome)
	case *task.ReputationChanged:
		return "FEDERATION_REPUTATION"
	case *ValidatorCandidate:
		return "VALIDATOR_CANDIDATE"
	case *CandidateLeft:
		return "VALIDATOR_CANDIDATE_LEFT"
	case *ValidatorStays:
		return "VALIDATOR_STAYS"
	case *ValidatorLeaving:
		return "VALIDATOR_LEAVING"
	case *ValidatorJoined:
		return "VALIDATOR_JOINED"
	case *ValidatorLeft:
		return "VALIDATOR_LEFT"
	case *task.Challenged:
		if f.Appeal {
			return OpTaskAppeal.String()
		}
		return OpTaskDispute.String()
	case *task.Drawn:
		return "WITNESS_DRAW"
	case *task.Revealed:
		return OpWitnessReveal.String()
	case *task.Judged:
		return "WITNESS_VERDICT"
	case *task.SeatPaid:
		return "WITNESS_PAID"
	case *task.StakeBonded:
		return OpStakeBond.String()
	case *task.StakeLeaving:
		return OpStakeUnbond.String()
	case *task.StakeReleased:
		return "STAKE_RELEASED"
	}
	return memberName(e.Fact)
}

// MarshalCBOR writes the event as [number, fact].
func (e *Event) MarshalCBOR(w io.Writer) error {
	number := e.number()
	if number == 0 {
		return fmt.Errorf("%w: %T is no event", ErrMalformed, e.Fact)
	}
	return writeUnion(w, number, e.Fact)
}

// UnmarshalCBOR reads what MarshalCBOR writes.
func (e *Event) UnmarshalCBOR(r io.Reader) error {
	cr := cbg.NewCborReader(r)
	number, err := readUnion(cr)
	if err != nil {
		return err
	}
	if e.Fact, err = newFact(number); err != nil {
		return err
	}
	return e.Fact.UnmarshalCBOR(cr)
}

// MarshalJSON writes {"name": …, "data": fact}, for people and the API.
func (e Event) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name string `json:"name"`
		Data Fact   `json:"data"`
	}{e.Name(), e.Fact})
}
