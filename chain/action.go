package chain

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// Transfer pays, ATP_TRANSFER.
type Transfer struct {
	To     atp.ID     `json:"to"`
	Amount atp.Amount `json:"amount_uatp"`
}

// TransferLock sets an amount, of at least [Params.MinLock], aside for a payee
// until a deadline, ATP_TRANSFER_LOCK. The lock's ID is [LockID].
type TransferLock struct {
	Payee    atp.ID     `json:"payee"`
	Amount   atp.Amount `json:"amount_uatp"`
	Deadline atp.Millis `json:"deadline_ms"`
}

// TransferCommit pays a lock to its payee, ATP_TRANSFER_COMMIT; by the payer.
type TransferCommit struct {
	Lock cid.Cid `json:"lock"`
}

// TransferRollback gives a lock back, ATP_TRANSFER_ROLLBACK; by the payee, or
// by anyone once its deadline is past.
type TransferRollback struct {
	Lock cid.Cid `json:"lock"`
}

// PlatformRegister publishes the sender's record, PLATFORM_REGISTER. A later
// one replaces it, but for the name.
type PlatformRegister struct {
	Platform task.Platform `json:"platform"`
}

// FederationTask posts a task and locks its price, FEDERATION_TASK. The
// task's ID is [TaskID].
type FederationTask struct {
	Terms task.Terms `json:"terms"`
}

// TaskAccept takes a task on, TASK_ACCEPT.
type TaskAccept struct {
	Task cid.Cid    `json:"task"`
	Bond atp.Amount `json:"bond_uatp"`
}

// FederationProof names a task's result, FEDERATION_PROOF.
type FederationProof struct {
	Task  cid.Cid    `json:"task"`
	Proof task.Proof `json:"proof"`
}

// TaskAcknowledge is the requester's mark, TASK_ACKNOWLEDGE. Below the task's
// least quality it refuses the result, in class mutual.
type TaskAcknowledge struct {
	Task cid.Cid  `json:"task"`
	Mark task.PPM `json:"mark_ppm"`
}

// TaskCancel takes back a task that nobody has accepted, TASK_CANCEL.
type TaskCancel struct {
	Task cid.Cid `json:"task"`
}

// ValidatorJoin makes the sender a candidate until its transaction expires,
// VALIDATOR_JOIN: within [MaxCandidacy] of the block. By a validator it takes
// back a VALIDATOR_LEAVE that waits.
type ValidatorJoin struct{}

// ValidatorLeave takes back a candidacy or a vote, VALIDATOR_LEAVE.
type ValidatorLeave struct{}

// Kind implements [Action].
func (*Transfer) Kind() OpKind { return OpTransfer }

// Kind implements [Action].
func (*TransferLock) Kind() OpKind { return OpTransferLock }

// Kind implements [Action].
func (*TransferCommit) Kind() OpKind { return OpTransferCommit }

// Kind implements [Action].
func (*TransferRollback) Kind() OpKind { return OpTransferRollback }

// Kind implements [Action].
func (*PlatformRegister) Kind() OpKind { return OpPlatformRegister }

// Kind implements [Action].
func (*FederationTask) Kind() OpKind { return OpFederationTask }

// Kind implements [Action].
func (*TaskAccept) Kind() OpKind { return OpTaskAccept }

// Kind implements [Action].
func (*FederationProof) Kind() OpKind { return OpFederationProof }

// Kind implements [Action].
func (*TaskAcknowledge) Kind() OpKind { return OpTaskAcknowledge }

// Kind implements [Action].
func (*TaskCancel) Kind() OpKind { return OpTaskCancel }

// Kind implements [Action].
func (*ValidatorJoin) Kind() OpKind { return OpValidatorJoin }

// Kind implements [Action].
func (*ValidatorLeave) Kind() OpKind { return OpValidatorLeave }

func (*Transfer) check() error           { return nil }
func (*TransferLock) check() error       { return nil }
func (*ValidatorJoin) check() error      { return nil }
func (*ValidatorLeave) check() error     { return nil }
func (a *TransferCommit) check() error   { return checkID("lock", a.Lock) }
func (a *TransferRollback) check() error { return checkID("lock", a.Lock) }
func (a *PlatformRegister) check() error { return blame(a.Platform.Check()) }
func (a *FederationTask) check() error   { return blame(a.Terms.Check()) }
func (a *TaskAccept) check() error       { return checkID("task", a.Task) }
func (a *TaskAcknowledge) check() error  { return checkID("task", a.Task) }
func (a *TaskCancel) check() error       { return checkID("task", a.Task) }

func (a *FederationProof) check() error {
	if err := checkID("task", a.Task); err != nil {
		return err
	}
	return blame(a.Proof.Check())
}

// checkID reports whether c can be the ID of what is named.
func checkID(what string, c cid.Cid) error {
	if err := atp.CheckCID(c, cid.DagCBOR); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrMalformed, what, err)
	}
	return nil
}

// blame turns a refusal that no state could change into the sender's fault.
func blame(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInvalid, err)
}

// lockPlace is what names a lock: where it stands in the chain, and its content.
type lockPlace struct {
	Genesis [32]byte
	Payer   atp.ID
	Nonce   uint64 // of the transaction
	Index   uint64 // of the operation in it
	Lock    TransferLock
}

// LockID returns the ID of the lock that operation index of a transaction
// opens. It fails if that operation opens none.
func LockID(genesis GenesisHash, tx Transaction, index int) (cid.Cid, error) {
	lock, ok := tx.action(index).(*TransferLock)
	if !ok {
		return cid.Undef, fmt.Errorf("%w: operation %d opens no lock", ErrInvalid, index)
	}
	id, _, err := address(&lockPlace{genesis, tx.From, tx.Nonce, uint64(index), *lock})
	return id, err
}

// TaskID returns the ID of the task that operation index of a transaction
// posts, which is also that of its lock. It fails if that operation posts none.
func TaskID(genesis GenesisHash, tx Transaction, index int) (cid.Cid, error) {
	post, ok := tx.action(index).(*FederationTask)
	if !ok {
		return cid.Undef, fmt.Errorf("%w: operation %d posts no task", ErrInvalid, index)
	}
	return posting(genesis, tx, index, post.Terms).ID()
}

func posting(genesis GenesisHash, tx Transaction, index int, terms task.Terms) task.Posting {
	return task.Posting{Genesis: genesis, Requester: tx.From, Nonce: tx.Nonce, Index: uint64(index), Terms: terms}
}

// action returns operation index of the transaction, or nil.
func (t Transaction) action(index int) Action {
	if index < 0 || index >= len(t.Ops) {
		return nil
	}
	return t.Ops[index].Action
}
