package chain

import (
	"encoding/json"
	"fmt"
	"io"

	cbg "github.com/whyrusleeping/cbor-gen"

	"github.com/sage-p2p/sage-p2p/atp"
)

// OpKind numbers the operations. The numbers are part of the encoding: they
// are never reused.
type OpKind uint64

// The operations of the design. Those without an [Action] here are known by
// name only: a transaction that holds one is malformed in this version.
const (
	OpTransfer OpKind = iota + 1
	OpTransferLock
	OpTransferCommit
	OpTransferRollback
	OpPlatformRegister
	OpFederationTask
	OpTaskAccept
	OpFederationProof
	OpTaskAcknowledge
	OpTaskDispute
	OpTaskCancel
	OpWitnessCommit
	OpWitnessReveal
	OpTaskAppeal
	OpAgentRegister
	OpSocietyJoin
	OpStakeBond
	OpStakeUnbond
	OpValidatorJoin
	OpValidatorLeave
	OpValidatorVote
	OpEvidence
	OpKeyRotate
)

// opNames are the names of the design, by number.
func opNames() []string {
	return []string{
		OpTransfer:         "ATP_TRANSFER",
		OpTransferLock:     "ATP_TRANSFER_LOCK",
		OpTransferCommit:   "ATP_TRANSFER_COMMIT",
		OpTransferRollback: "ATP_TRANSFER_ROLLBACK",
		OpPlatformRegister: "PLATFORM_REGISTER",
		OpFederationTask:   "FEDERATION_TASK",
		OpTaskAccept:       "TASK_ACCEPT",
		OpFederationProof:  "FEDERATION_PROOF",
		OpTaskAcknowledge:  "TASK_ACKNOWLEDGE",
		OpTaskDispute:      "TASK_DISPUTE",
		OpTaskCancel:       "TASK_CANCEL",
		OpWitnessCommit:    "WITNESS_COMMIT",
		OpWitnessReveal:    "WITNESS_REVEAL",
		OpTaskAppeal:       "TASK_APPEAL",
		OpAgentRegister:    "AGENT_REGISTER",
		OpSocietyJoin:      "SOCIETY_JOIN",
		OpStakeBond:        "STAKE_BOND",
		OpStakeUnbond:      "STAKE_UNBOND",
		OpValidatorJoin:    "VALIDATOR_JOIN",
		OpValidatorLeave:   "VALIDATOR_LEAVE",
		OpValidatorVote:    "VALIDATOR_VOTE",
		OpEvidence:         "EVIDENCE",
		OpKeyRotate:        "KEY_ROTATE",
	}
}

// String returns the name of the design, or the number of an unknown kind.
func (k OpKind) String() string {
	if names := opNames(); k > 0 && k < OpKind(len(names)) {
		return names[k]
	}
	return fmt.Sprintf("operation %d", uint64(k))
}

// Action is what one operation does: a pointer to one of the structs of
// action.go. Actions are not changed once they are in a transaction.
type Action interface {
	atp.Value

	// Kind returns the action's number.
	Kind() OpKind

	// check reports a field that no correct platform sends, whatever the
	// state. What depends on the state is a receipt's matter.
	check() error
}

// Op is one operation of a transaction, encoded as [kind, action].
type Op struct{ Action }

// newAction returns an empty action of kind k.
func newAction(k OpKind) (Action, error) {
	switch k {
	case OpTransfer:
		return new(Transfer), nil
	case OpTransferLock:
		return new(TransferLock), nil
	case OpTransferCommit:
		return new(TransferCommit), nil
	case OpTransferRollback:
		return new(TransferRollback), nil
	case OpPlatformRegister:
		return new(PlatformRegister), nil
	case OpFederationTask:
		return new(FederationTask), nil
	case OpTaskAccept:
		return new(TaskAccept), nil
	case OpFederationProof:
		return new(FederationProof), nil
	case OpTaskAcknowledge:
		return new(TaskAcknowledge), nil
	case OpTaskCancel:
		return new(TaskCancel), nil
	case OpTaskDispute:
		return new(TaskDispute), nil
	case OpTaskAppeal:
		return new(TaskAppeal), nil
	case OpWitnessCommit:
		return new(WitnessCommit), nil
	case OpWitnessReveal:
		return new(WitnessReveal), nil
	case OpStakeBond:
		return new(StakeBond), nil
	case OpStakeUnbond:
		return new(StakeUnbond), nil
	case OpValidatorJoin:
		return new(ValidatorJoin), nil
	case OpValidatorLeave:
		return new(ValidatorLeave), nil
	case OpValidatorVote:
		return new(ValidatorVote), nil
	case OpEvidence:
		return new(Evidence), nil
	case OpKeyRotate:
		return new(KeyRotate), nil
	}
	return nil, fmt.Errorf("%w: %s", ErrUnknownOperation, k)
}

// MarshalCBOR writes the operation as [kind, action].
func (o *Op) MarshalCBOR(w io.Writer) error {
	if o.Action == nil {
		return fmt.Errorf("%w: operation without an action", ErrMalformed)
	}
	return writeUnion(w, uint64(o.Kind()), o.Action)
}

// UnmarshalCBOR reads [kind, action]. A kind that this version does not
// execute is an error that wraps [ErrUnknownOperation].
func (o *Op) UnmarshalCBOR(r io.Reader) error {
	cr := cbg.NewCborReader(r)
	kind, err := readUnion(cr)
	if err != nil {
		return err
	}
	if o.Action, err = newAction(OpKind(kind)); err != nil {
		return err
	}
	return o.Action.UnmarshalCBOR(cr)
}

// MarshalJSON writes {"kind": name, "data": action}, for people and the API.
func (o Op) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Kind string `json:"kind"`
		Data Action `json:"data"`
	}{o.Kind().String(), o.Action})
}
