package chain

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

// Task returns the task that an event tells about, or the undefined CID.
func (e Event) Task() cid.Cid {
	switch f := e.Fact.(type) {
	case *task.Locked:
		return f.Task
	case *task.Moved:
		return f.Task
	case *task.Engaged:
		return f.Task
	case *task.Paid:
		return f.Task
	case *task.ReputationChanged:
		return f.Task
	case *task.Challenged:
		return f.Task
	case *task.Drawn:
		return f.Task
	case *task.Revealed:
		return f.Task
	case *task.Judged:
		return f.Task
	case *task.SeatPaid:
		return f.Task
	}
	return cid.Undef
}

// verifyTask checks every receipt of the task and that together they tell its
// whole life, from its posting to the payment.
func (p Proof) verifyTask(scheme bft.Scheme, entropy io.Reader) (*ProvenTask, error) {
	s := story{genesis: p.Genesis, task: ProvenTask{ID: p.Task.Task}}
	txs, err := p.verifyTxs(scheme, entropy)
	if err != nil {
		return nil, err
	}
	for i, e := range p.Task.Entries {
		step, err := p.verifyEntry(e, txs[i])
		if err == nil {
			err = s.tell(step, txs[i])
		}
		if err != nil {
			return nil, fmt.Errorf("%w: receipt %d of block %d: %w", ErrProof, e.Position, e.Height, err)
		}
	}
	if err := s.end(); err != nil {
		return nil, fmt.Errorf("%w: task %s: %w", ErrProof, s.task.ID, err)
	}
	return &s.task, nil
}

// verifyTxs returns the transactions of the entries, whose signatures hold. It
// is the zero one for a deadline.
func (p Proof) verifyTxs(scheme bft.Scheme, entropy io.Reader) ([]VerifiedTx, error) {
	all := make([]VerifiedTx, len(p.Task.Entries))
	var txs []Transaction
	var of []int // the entry of each
	for i, e := range p.Task.Entries {
		if e.Tx != nil {
			txs, of = append(txs, *e.Tx), append(of, i)
		}
	}
	verified, errs := VerifyTxs(scheme, entropy, p.Genesis, txs)
	for k, i := range of {
		if errs[k] != nil {
			e := p.Task.Entries[i]
			return nil, fmt.Errorf("%w: transaction %d of block %d: %w", ErrProof, e.Position, e.Height, errs[k])
		}
		all[i] = verified[k]
	}
	return all, nil
}

// verifyEntry checks that a receipt, and its transaction, are those of the
// place that the entry names.
func (p Proof) verifyEntry(e ProofEntry, tx VerifiedTx) (ProvenStep, error) {
	header, err := p.block(e.Height)
	if err != nil {
		return ProvenStep{}, err
	}
	if e.Receipt.Detail != "" {
		return ProvenStep{}, errors.New("it has a sentence, which no block covers")
	}
	id, err := e.Receipt.ID()
	if err != nil {
		return ProvenStep{}, err
	}
	if err := followList(header.ReceiptsRoot, e.Position, e.ReceiptPath, id); err != nil {
		return ProvenStep{}, fmt.Errorf("from the receipts' root: %w", err)
	}
	step := ProvenStep{
		ReceiptPlace: ReceiptPlace{e.Height, int(e.Position)}, Time: header.Time, Tx: tx.id, By: tx.tx.From,
		TxNodes: len(e.TxPath), ReceiptNodes: len(e.ReceiptPath),
	}
	for _, event := range e.Receipt.Events {
		if event.Task() == p.Task.Task {
			step.Events = append(step.Events, event)
		}
	}
	if e.Tx == nil {
		return step, e.isDeadlineOf(p.Task.Task)
	}
	if err := followList(header.BodyRoot, e.Position, e.TxPath, tx.address); err != nil {
		return step, fmt.Errorf("its transaction, from the body's root: %w", err)
	}
	if e.Receipt.Subject != tx.id {
		return step, fmt.Errorf("it is that of %s, not of transaction %s", e.Receipt.Subject, tx.id)
	}
	return step, nil
}

// isDeadlineOf checks that an entry without a transaction needs none.
func (e ProofEntry) isDeadlineOf(id cid.Cid) error {
	switch {
	case e.Receipt.Subject != id:
		return fmt.Errorf("its transaction, %s, is missing", e.Receipt.Subject)
	case len(e.TxPath) > 0:
		return errors.New("it has a path to a transaction, and no transaction")
	}
	return nil
}

// story is the life of a task as far as it was told.
type story struct {
	genesis GenesisHash
	task    ProvenTask
	stage   task.Stage
	paid    bool

	// By the witnesses of the level that sits. These steps leave the stage what it
	// is: they are counted instead.
	committed, revealed uint64

	// A task waits for a draw up to three times: a whole round between two waits
	// could be left out without a gap. Its seats and bonds stand in the settlement.
	judged, paidSeats [task.Everyone + 1]uint64 // seats of each level
	dispute, appeal   atp.Amount                // bonds
}

// tell adds a step. The stages must follow one another, so that none is left
// out.
func (s *story) tell(step ProvenStep, tx VerifiedTx) error {
	if len(step.Events) == 0 {
		return errors.New("it tells nothing about the task")
	}
	for _, e := range step.Events {
		switch f := e.Fact.(type) {
		case *task.Moved:
			if f.From != s.stage || s.stage == task.Settled {
				return fmt.Errorf("the task was %s and is moved from %s: a step is missing", named(s.stage), named(f.From))
			}
			s.stage = f.To
			s.count(f.Step)
			if err := s.read(f.Step, tx); err != nil {
				return err
			}
		case *task.Judged:
			if f.Committed != s.committed || f.Revealed != s.revealed {
				return fmt.Errorf("%d witnesses have committed and %d revealed, and the proof tells of %d and %d: a step is missing",
					f.Committed, f.Revealed, s.committed, s.revealed)
			}
			s.committed, s.revealed = 0, 0
			if f.Level <= task.Everyone {
				s.judged[f.Level] += f.Seats
			}
		case *task.SeatPaid:
			if f.Level <= task.Everyone {
				s.paidSeats[f.Level]++
			}
		case *task.Challenged:
			if f.Appeal {
				s.appeal = f.Bond
			} else {
				s.dispute = f.Bond
			}
		case *task.Paid:
			if s.paid {
				return errors.New("it pays out the task again")
			}
			s.task.Paid, s.paid = *f, true
		}
	}
	s.task.Steps = append(s.task.Steps, step)
	return nil
}

// count counts what witnesses have done.
func (s *story) count(step task.Op) {
	switch step {
	case task.OpCommit:
		s.committed++
	case task.OpReveal:
		s.revealed++
	}
}

// named is a stage in words.
func named(s task.Stage) string {
	if s == "" {
		return "not posted"
	}
	return strings.ToLower(string(s))
}

// read takes from a transaction what its step is about.
func (s *story) read(step task.Op, tx VerifiedTx) error {
	for i, op := range tx.tx.Ops {
		switch a := op.Action.(type) {
		case *FederationTask:
			id, err := TaskID(s.genesis, tx.tx, i)
			if err == nil && id == s.task.ID && step == task.OpPost {
				s.task.Requester, s.task.Terms = tx.tx.From, a.Terms
				return nil
			}
		case *FederationProof:
			if a.Task == s.task.ID && (step == task.OpProve || step == task.OpWithdraw) {
				s.task.Result = &a.Proof
				return nil
			}
		case *TaskAcknowledge:
			if a.Task == s.task.ID && (step == task.OpAcknowledge || step == task.OpRefuse) {
				s.task.Mark = &a.Mark
				return nil
			}
		case *TaskDispute:
			if a.Task == s.task.ID && step == task.OpDispute {
				return nil
			}
		case *TaskAppeal:
			if a.Task == s.task.ID && step == task.OpAppeal {
				return nil
			}
		case *WitnessCommit:
			if a.Task == s.task.ID && step == task.OpCommit {
				return nil
			}
		case *WitnessReveal:
			if a.Task == s.task.ID && step == task.OpReveal {
				return nil
			}
		}
	}
	switch step {
	case task.OpPost, task.OpProve, task.OpWithdraw, task.OpAcknowledge, task.OpRefuse,
		task.OpDispute, task.OpAppeal, task.OpCommit, task.OpReveal:
		return fmt.Errorf("its transaction does not %s the task", step)
	}
	return nil
}

// end checks that nothing is left to tell.
func (s *story) end() error {
	switch {
	case s.stage != task.Settled:
		return fmt.Errorf("the proof ends when the task is %s, before it is settled", named(s.stage))
	case !s.paid:
		return errors.New("nothing says how it was paid out")
	case s.judged != s.paidSeats:
		return fmt.Errorf("%d seats of each level were paid, and the proof tells what %d have found: a step is missing", s.paidSeats, s.judged)
	case s.dispute != s.task.Paid.Dispute || s.appeal != s.task.Paid.Appeal:
		return fmt.Errorf("bonds of %s ATP for a dispute and %s ATP for an appeal were settled, and the proof tells of %s ATP and %s ATP: a step is missing",
			s.task.Paid.Dispute, s.task.Paid.Appeal, s.dispute, s.appeal)
	}
	return nil
}
