package chain

import (
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// Code says why operations failed. Codes are part of the chain: a receipt's
// root covers them, so they are never reused. [CodeOK] is success.
type Code uint64

// The codes.
const (
	CodeOK Code = iota
	CodeRefused
	CodeAmount
	CodeInsufficient
	CodeOverflow
	CodePayee
	CodeExists
	CodeNoLock
	CodeTaskLock
	CodeNotYours
	CodeTooEarly
	CodeTooLate
	CodeTerms
	CodeClass
	CodeNoTask
	CodeStage
	CodeExecutor
	CodeBond
	CodeProof
	CodeMark
	CodePlatform
	CodeName
	CodeDeadline
	CodeSociety
	CodeAdmission
	CodeMember
	CodeVote
	CodeEvidence
	CodeKey
	CodeSeat
	CodeAnswer
	CodeStake
)

// Refusals of this package. Like all that wrap [atp.ErrRefused], they fail a
// transaction's operations and nothing else.
var (
	// ErrName reports a platform's name that is taken, or that would change.
	ErrName = fmt.Errorf("chain: %w: name", atp.ErrRefused)
	// ErrDeadline reports a deadline too far ahead.
	ErrDeadline = fmt.Errorf("chain: %w: deadline too far ahead", atp.ErrRefused)
	// ErrSociety reports a society that is not admitted.
	ErrSociety = fmt.Errorf("chain: %w: society not admitted", atp.ErrRefused)
)

// reason is a class of refusals with its code and its short name.
type reason struct {
	code Code
	name string
	err  error
}

// reasons lists every refusal; the last is their common class.
func reasons() []reason {
	return []reason{
		{CodeAmount, "amount", atp.ErrAmount},
		{CodeInsufficient, "insufficient", atp.ErrInsufficient},
		{CodeOverflow, "overflow", atp.ErrOverflow},
		{CodePayee, "payee", atp.ErrPayee},
		{CodeExists, "exists", atp.ErrExists},
		{CodeNoLock, "no_lock", atp.ErrNoLock},
		{CodeTaskLock, "task_lock", atp.ErrTaskLock},
		{CodeNotYours, "not_yours", atp.ErrNotYours},
		{CodeTooEarly, "too_early", atp.ErrTooEarly},
		{CodeTooLate, "too_late", atp.ErrTooLate},
		{CodeTerms, "terms", task.ErrTerms},
		{CodeClass, "class", task.ErrClass},
		{CodeNoTask, "no_task", task.ErrNoTask},
		{CodeStage, "stage", task.ErrStage},
		{CodeExecutor, "executor", task.ErrExecutor},
		{CodeBond, "bond", task.ErrBond},
		{CodeProof, "proof", task.ErrProof},
		{CodeMark, "mark", task.ErrMark},
		{CodePlatform, "platform", task.ErrPlatform},
		{CodeName, "name", ErrName},
		{CodeDeadline, "deadline", ErrDeadline},
		{CodeSociety, "society", ErrSociety},
		{CodeAdmission, "admission", ErrAdmission},
		{CodeMember, "member", ErrMember},
		{CodeVote, "vote", ErrVote},
		{CodeEvidence, "evidence", ErrEvidence},
		{CodeKey, "key", ErrKey},
		{CodeSeat, "seat", task.ErrSeat},
		{CodeAnswer, "answer", task.ErrAnswer},
		{CodeStake, "stake", task.ErrStake},
		{CodeRefused, "refused", atp.ErrRefused},
	}
}

// codeOf returns the code of a refusal.
func codeOf(err error) Code {
	for _, r := range reasons() {
		if errors.Is(err, r.err) {
			return r.code
		}
	}
	return CodeRefused
}

// String returns the code's short name.
func (c Code) String() string {
	if c == CodeOK {
		return "ok"
	}
	for _, r := range reasons() {
		if r.code == c {
			return r.name
		}
	}
	return fmt.Sprintf("code %d", uint64(c))
}

// MaxReceiptBytes bounds an encoded receipt.
const MaxReceiptBytes = 1 << 20

// maxReceiptEvents is how many events a transaction may make: as a receipt they
// have an encoding, within its bytes.
const maxReceiptEvents = 4096

// Receipt tells what became of one transaction of a block, or of one deadline
// that fired in it. A block has one for each of its transactions, in order,
// then one for each deadline, in order, then one for itself if its validators
// or candidates changed, then one for each task whose wait for a draw has ended
// before it began, since nobody could witness it.
type Receipt struct {
	Subject cid.Cid // the transaction; the lock or task that was due; or the block below, for the block itself
	Code    Code    // why nothing but nonce and fee took effect; CodeOK if all did
	Op      uint64  // the operation that failed; 0 if none did
	Events  []Event // `FEE` first; of a failed transaction that one alone

	// Detail is Code in a sentence, for people. The root of the receipts does
	// not cover it, so that a reworded sentence splits no chain.
	Detail string `cborgen:"maxlen=1024"`
}

// OK reports whether everything took effect.
func (r Receipt) OK() bool { return r.Code == CodeOK }

// ID returns the receipt's address in the block's receipts: the CID of its
// form without Detail.
func (r Receipt) ID() (cid.Cid, error) {
	r.Detail = ""
	id, _, err := address(&r)
	return id, err
}

// Encode returns the receipt's canonical form, with Detail.
func (r Receipt) Encode() ([]byte, error) { return encode(&r) }

// DecodeReceipt reads what [Receipt.Encode] returned.
func DecodeReceipt(raw []byte) (Receipt, error) {
	var r Receipt
	err := DecodeExactly(raw, MaxReceiptBytes, &r)
	return r, err
}

// receiptsRoot returns the root of a block's receipts.
func receiptsRoot(receipts []Receipt) (cid.Cid, error) {
	ids, err := receiptIDs(receipts)
	if err != nil {
		return cid.Undef, err
	}
	return listRoot(ids)
}

func receiptIDs(receipts []Receipt) ([]cid.Cid, error) {
	ids := make([]cid.Cid, len(receipts))
	for i, r := range receipts {
		var err error
		if ids[i], err = r.ID(); err != nil {
			return nil, err
		}
	}
	return ids, nil
}
