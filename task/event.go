package task

import (
	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Event is something that the state machine did: a pointer to one of the structs
// of this file or of event_witness.go. An operation returns its events in the
// order in which they happened.
type Event interface {
	atp.Value
	event()
}

// Locked tells that a task's price and fee were set aside: the
// ATP_TRANSFER_LOCK of a task.
type Locked struct {
	Task   cid.Cid    `json:"task"`
	Payer  atp.ID     `json:"payer"`
	Amount atp.Amount `json:"amount_uatp"`
}

// Moved tells of a step in a task's life.
type Moved struct {
	Task     cid.Cid        `json:"task"`
	From     Stage          `json:"from"` // empty when posted
	To       Stage          `json:"to"`
	Step     Op             `json:"step"`
	By       atp.OptionalID `json:"by"`       // nobody: a deadline's own edge
	Deadline atp.Millis     `json:"deadline"` // of the new stage; 0 once settled

	// After is the task as the step left it, also when it leaves the state:
	// for indexes. It is not part of the encoding.
	After Task `json:"-" cborgen:"ignore"`
}

// Engaged tells what an acceptance did to the money.
type Engaged struct {
	Task       cid.Cid    `json:"task"`
	Requester  atp.ID     `json:"requester"`
	Executor   atp.ID     `json:"executor"`
	Bond       atp.Amount `json:"bond_uatp"`       // of the executor, set aside
	Discharged atp.Amount `json:"discharged_uatp"` // of the fee, from the lock
	ToPool     atp.Amount `json:"to_pool_uatp"`    // the rest of the fee, from the lock
}

// Paid tells how the money held for a task was paid out: the
// ATP_TRANSFER_COMMIT or _ROLLBACK of its lock.
type Paid struct {
	Task        cid.Cid        `json:"task"`
	Path        Path           `json:"path"`
	Outcome     Outcome        `json:"outcome"`
	Quality     *PPM           `json:"quality_ppm"` // found for the result; of COMMIT only, but where it hit a limit
	Requester   atp.ID         `json:"requester"`
	Executor    atp.OptionalID `json:"executor"`
	Lock        atp.Amount     `json:"lock_uatp"`         // what the lock held
	Bond        atp.Amount     `json:"bond_uatp"`         // what the bond held
	Dispute     atp.Amount     `json:"dispute_bond_uatp"` // of the requester, if it disputed
	Appeal      atp.Amount     `json:"appeal_bond_uatp"`  // of the appellant, if there is one
	Appellant   atp.OptionalID `json:"appellant"`
	ToRequester atp.Amount     `json:"to_requester_uatp"`
	ToExecutor  atp.Amount     `json:"to_executor_uatp"`
	ToSeats     atp.Amount     `json:"to_seats_uatp"`
	ToPool      atp.Amount     `json:"to_pool_uatp"`
	FromPool    atp.Amount     `json:"from_pool_uatp"`
}

// ReputationChanged is FEDERATION_REPUTATION: what a task did to a reputation.
// Nobody can submit one.
type ReputationChanged struct {
	Task  cid.Cid `json:"task"`
	Who   atp.ID  `json:"who"`
	Role  Role    `json:"role"`
	Type  Type    `json:"type"` // empty where the role has no types
	Old   PPM     `json:"old_ppm"`
	New   PPM     `json:"new_ppm"`
	Cause Cause   `json:"cause"`
}

func (*Locked) event()            {}
func (*Moved) event()             {}
func (*Engaged) event()           {}
func (*Paid) event()              {}
func (*ReputationChanged) event() {}
