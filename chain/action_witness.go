package chain

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// TaskDispute asks for witnesses of a result, TASK_DISPUTE; by the requester.
type TaskDispute struct {
	Task cid.Cid `json:"task"`
}

// TaskAppeal asks for everyone's word after a committee's, TASK_APPEAL; by whom
// that was against.
type TaskAppeal struct {
	Task cid.Cid `json:"task"`
}

// WitnessCommit commits a witness to its answer, WITNESS_COMMIT. What it is made
// of is [task.Opening].
type WitnessCommit struct {
	Task   cid.Cid     `json:"task"`
	Level  uint8       `json:"level"`
	Commit task.Digest `json:"commit"`
}

// WitnessReveal is the answer that a witness has committed to, WITNESS_REVEAL.
type WitnessReveal struct {
	Task  cid.Cid     `json:"task"`
	Level uint8       `json:"level"`
	Score task.Answer `json:"score"` // 32 bits: ppm, or one of the answers that are none
	Hash  task.Digest `json:"hash"`  // of the run's final memory, or of the evidence
	Salt  task.Digest `json:"salt"`
}

// StakeBond sets an amount aside as the sender's stake as a witness, STAKE_BOND.
type StakeBond struct {
	Amount atp.Amount `json:"amount_uatp"`
}

// StakeUnbond asks an amount of the sender's stake back, STAKE_UNBOND.
type StakeUnbond struct {
	Amount atp.Amount `json:"amount_uatp"`
}

// Kind implements [Action].
func (*TaskDispute) Kind() OpKind { return OpTaskDispute }

// Kind implements [Action].
func (*TaskAppeal) Kind() OpKind { return OpTaskAppeal }

// Kind implements [Action].
func (*WitnessCommit) Kind() OpKind { return OpWitnessCommit }

// Kind implements [Action].
func (*WitnessReveal) Kind() OpKind { return OpWitnessReveal }

// Kind implements [Action].
func (*StakeBond) Kind() OpKind { return OpStakeBond }

// Kind implements [Action].
func (*StakeUnbond) Kind() OpKind { return OpStakeUnbond }

func (a *TaskDispute) check() error { return checkID("task", a.Task) }
func (a *TaskAppeal) check() error  { return checkID("task", a.Task) }
func (*StakeBond) check() error     { return nil }
func (*StakeUnbond) check() error   { return nil }

func (a *WitnessCommit) check() error {
	if err := checkID("task", a.Task); err != nil {
		return err
	}
	return checkLevel(a.Level)
}

func (a *WitnessReveal) check() error {
	if err := checkID("task", a.Task); err != nil {
		return err
	}
	if err := checkLevel(a.Level); err != nil {
		return err
	}
	return blame(a.Score.Check())
}

func checkLevel(level uint8) error {
	if task.Level(level) > task.Everyone {
		return fmt.Errorf("%w: level: have %d, want %d or %d", ErrMalformed, level, task.Committee, task.Everyone)
	}
	return nil
}

// operateWitness executes one operation of those that make witnesses, or call
// upon them; or returns that it is none.
func (e *execution) operateWitness(tx Transaction, index int, action Action) (events []Event, known bool, err error) {
	switch a := action.(type) {
	case *TaskDispute:
		events, err = wrap(e.book().Dispute(a.Task, tx.From, e.clock))
	case *TaskAppeal:
		events, err = wrap(e.book().Appeal(a.Task, tx.From, e.clock))
	case *WitnessCommit:
		events, err = wrap(e.book().Commit(a.Task, tx.From, task.Level(a.Level), a.Commit, e.clock))
	case *WitnessReveal:
		events, err = wrap(e.book().Reveal(task.Opening{
			Task: a.Task, Level: task.Level(a.Level), Witness: tx.From, Answer: a.Score, Hash: a.Hash, Salt: a.Salt,
		}, e.clock))
	case *StakeBond:
		events, err = wrap(e.book().Stake(tx.From, a.Amount))
	case *StakeUnbond:
		events, err = wrap(e.book().Unstake(task.Staking{
			Genesis: e.constants.Genesis, Owner: tx.From, Nonce: tx.Nonce, Index: uint64(index), Amount: a.Amount,
		}, e.clock))
	default:
		return nil, false, nil
	}
	return events, true, err
}
