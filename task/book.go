package task

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Op is something that happens to a task.
type Op string

// The operations of class mutual. A proof whose claim is below what was asked
// for is a withdrawal, an acknowledgement whose mark is below it a refusal.
const (
	OpPost        Op = "post"
	OpAccept      Op = "accept"
	OpCancel      Op = "cancel"
	OpProve       Op = "prove"
	OpWithdraw    Op = "withdraw"
	OpAcknowledge Op = "acknowledge"
	OpRefuse      Op = "refuse"
	OpExpire      Op = "expire"
)

// who may make a move.
type who uint8

const (
	anyEligible who = iota // whom the terms name; if nobody, the first; registered for the work
	theRequester
	theExecutor
	nobody // the state machine itself, once the stage's deadline has passed
)

// A move is one legal step in a task's life. All but nobody's are in time only.
type move struct {
	from Stage
	op   Op
	who  who
	to   Stage
	path Path // of the settlement, if to is Settled
}

// moves is the table of legal moves: what is not in it is refused with
// [ErrStage]. Every stage but the last has one of nobody's (A3).
var moves = [...]move{
	{Posted, OpAccept, anyEligible, Accepted, ""},
	{Posted, OpCancel, theRequester, Settled, PostedEnds},
	{Posted, OpExpire, nobody, Settled, PostedEnds},

	{Accepted, OpProve, theExecutor, Proven, ""},
	{Accepted, OpWithdraw, theExecutor, Settled, Late},
	{Accepted, OpExpire, nobody, Settled, Late},

	{Proven, OpAcknowledge, theRequester, Settled, Unaudited},
	{Proven, OpRefuse, theRequester, Settled, Refused},
	{Proven, OpExpire, nobody, Settled, Unaudited},
}

// Member is what the state knows of an account as a platform. Under automatic
// admission every account is its own society, and admitted.
type Member struct {
	Registered bool
	Platform   Platform // if registered
	Society    Society
	Admitted   bool // the society is of the genesis, or was voted in
}

// State is what a [Book] runs over.
type State interface {
	atp.State
	Task(cid.Cid) (Task, bool, error)
	SetTask(Task) error
	DeleteTask(cid.Cid) error
	Evidence(Key) (Evidence, bool, error)
	SetEvidence(Key, Evidence) error
	DeleteEvidence(Key) error
	Member(atp.ID) (Member, error)
	Societies() (uint64, error) // N: the admitted ones with a registered platform
	Economy() Economy
}

// Book holds the open tasks of a State and moves them on. On an error that
// wraps [atp.ErrRefused] nothing has changed; any other is the State's own.
type Book struct{ State State }

func (b Book) ledger() atp.Ledger { return atp.Ledger{State: b.State} }

// Post locks price and fee and offers the task. An executor that the terms name
// must be registered for the work, now and when it accepts.
func (b Book) Post(p Posting, at atp.Clock) ([]Event, error) {
	economy := b.State.Economy()
	if err := p.Terms.Validate(economy, b.State.Totals().Supply); err != nil {
		return nil, err
	}
	if named := p.Terms.Executor; !named.IsZero() {
		if named.ID == p.Requester {
			return nil, fmt.Errorf("%w: executor: have the requester itself, want another", ErrTerms)
		}
		if _, err := b.worker(p.Terms, named.ID); err != nil {
			return nil, err
		}
	}
	id, err := p.ID()
	if err != nil {
		return nil, err
	}
	requester, err := b.party(p.Requester)
	if err != nil {
		return nil, err
	}
	fee := economy.Charges(p.Terms.Price, 0).Fee
	amount, err := p.Terms.Price.Add(fee)
	if err != nil {
		return nil, err
	}
	if err := b.ledger().LockTask(id, p.Requester, amount); err != nil {
		return nil, err
	}
	t := Task{ID: id, Requester: requester, Terms: p.Terms, Fee: fee, Posted: at.Block}
	moved, err := b.advance(t, move{op: OpPost, to: Posted}, p.Requester, at.Block.Add(p.Terms.OfferWindow))
	return []Event{moved, &Locked{id, p.Requester, amount}}, err
}

// Accept takes an offered task: the fee is taken, the bond set aside.
func (b Book) Accept(id cid.Cid, by atp.ID, bond atp.Amount, at atp.Clock) ([]Event, error) {
	t, m, err := b.begin(id, OpAccept, by, at)
	if err != nil {
		return nil, err
	}
	executor, err := b.party(by)
	if err != nil {
		return nil, err
	}
	charges := b.State.Economy().Charges(t.Terms.Price, 0) // mutual: no witnesses
	if least := charges.MinBond(t.Terms.Class); bond < least {
		return nil, fmt.Errorf("%w: have %s ATP, want at least %s ATP", ErrBond, bond, least)
	}
	discharged := Discharged(t.Fee)
	e := atp.Engagement{Task: id, Payee: by, Bond: bond, Discharged: discharged, ToPool: t.Fee - discharged}
	if err := b.ledger().Engage(e); err != nil {
		return nil, err
	}
	t.Acceptance = &Acceptance{Executor: executor, Bond: bond, LateCharge: charges.Late, Time: at.Block}
	moved, err := b.advance(t, m, by, at.Block.Add(t.Terms.ExecutionWindow))
	return []Event{moved, &Engaged{id, t.Requester.ID, by, bond, e.Discharged, e.ToPool}}, err
}

// Prove names the result of an accepted task. A claim below what was asked for
// withdraws: the task ends as if late.
func (b Book) Prove(id cid.Cid, by atp.ID, proof Proof, at atp.Clock) ([]Event, error) {
	t, err := b.task(id)
	if err != nil {
		return nil, err
	}
	if err := proof.Validate(t.Terms); err != nil {
		return nil, err
	}
	op := OpProve
	if proof.Claim != nil && *proof.Claim < t.Terms.MinQuality {
		op = OpWithdraw
	}
	m, err := t.legal(op, by, at)
	if err != nil {
		return nil, err
	}
	t.Proof = &proof
	if m.to == Settled {
		return b.settle(t, m, by, nil, at)
	}
	moved, err := b.advance(t, m, by, at.Block.Add(b.State.Economy().Silence))
	return []Event{moved}, err
}

// Acknowledge gives a proven task the requester's mark. One below what was
// asked for refuses the result: the requester keeps the price, not the fee.
func (b Book) Acknowledge(id cid.Cid, by atp.ID, mark PPM, at atp.Clock) ([]Event, error) {
	if mark > S {
		return nil, fmt.Errorf("%w: have %d ppm, want at most %d", ErrMark, mark, S)
	}
	t, err := b.task(id)
	if err != nil {
		return nil, err
	}
	op := OpAcknowledge
	if mark < t.Terms.MinQuality {
		op = OpRefuse
	}
	m, err := t.legal(op, by, at)
	if err != nil {
		return nil, err
	}
	return b.settle(t, m, by, &mark, at)
}

// Cancel takes back a task that nobody has accepted.
func (b Book) Cancel(id cid.Cid, by atp.ID, at atp.Clock) ([]Event, error) {
	t, m, err := b.begin(id, OpCancel, by, at)
	if err != nil {
		return nil, err
	}
	return b.settle(t, m, by, nil, at)
}

// Expire makes the move of a stage whose deadline has passed, which nobody
// asks for: an offer that no one took and a result that never came roll back,
// a result that the requester was silent about is paid.
func (b Book) Expire(id cid.Cid, at atp.Clock) ([]Event, error) {
	t, m, err := b.begin(id, OpExpire, atp.ID{}, at)
	if err != nil {
		return nil, err
	}
	return b.settle(t, m, atp.ID{}, nil, at)
}

// begin returns an open task, and the move that op is, if it is legal.
func (b Book) begin(id cid.Cid, op Op, by atp.ID, at atp.Clock) (Task, move, error) {
	t, err := b.task(id)
	if err != nil {
		return Task{}, move{}, err
	}
	m, err := t.legal(op, by, at)
	if err != nil {
		return Task{}, move{}, err
	}
	if m.who == anyEligible {
		err = b.eligible(t, by)
	}
	return t, m, err
}

func (b Book) task(id cid.Cid) (Task, error) {
	t, ok, err := b.State.Task(id)
	switch {
	case err != nil:
		return Task{}, fmt.Errorf("task %s: %w", id, err)
	case !ok:
		return Task{}, fmt.Errorf("%w: %s", ErrNoTask, id)
	}
	return t, nil
}

// legal finds the move that op is at the task's stage, and refuses it if it is
// not by's to make, or not now.
func (t Task) legal(op Op, by atp.ID, at atp.Clock) (move, error) {
	for _, m := range moves {
		if m.from != t.Stage || m.op != op {
			continue
		}
		switch {
		case m.who == theRequester && by != t.Requester.ID:
			return move{}, fmt.Errorf("%w: only the requester %s may %s", atp.ErrNotYours, t.Requester.ID, op)
		case m.who == theExecutor && by != t.Acceptance.Executor.ID:
			return move{}, fmt.Errorf("%w: only the executor %s may %s", atp.ErrNotYours, t.Acceptance.Executor.ID, op)
		case m.who == nobody && at.InTime(t.Deadline):
			return move{}, fmt.Errorf("%w: %s until %d, now %d", atp.ErrTooEarly, t.Stage, t.Deadline, at.Parent)
		case m.who != nobody && !at.InTime(t.Deadline):
			return move{}, fmt.Errorf("%w: to %s was possible until %d, now %d", atp.ErrTooLate, op, t.Deadline, at.Parent)
		}
		return m, nil
	}
	return move{}, fmt.Errorf("%w: cannot %s a task that is %s", ErrStage, op, t.Stage)
}

// eligible refuses one who may not accept the task.
func (b Book) eligible(t Task, by atp.ID) error {
	named := t.Terms.Executor
	if !named.IsZero() && by != named.ID {
		return fmt.Errorf("%w: the task is offered to %s alone", atp.ErrNotYours, named)
	}
	member, err := b.worker(t.Terms, by)
	if err != nil {
		return err
	}
	if named.IsZero() && (by == t.Requester.ID || member.Society == t.Requester.Society) {
		return fmt.Errorf("%w: %s is of the requester's society %s", ErrExecutor, by, member.Society)
	}
	return nil
}

// worker returns a member, unless it is not registered for the work.
func (b Book) worker(t Terms, id atp.ID) (Member, error) {
	member, err := b.State.Member(id)
	if err != nil {
		return Member{}, fmt.Errorf("task: member %s: %w", id, err)
	}
	_, takes := member.Platform.Offer(t.Type)
	switch {
	case !member.Registered || !takes:
		return Member{}, fmt.Errorf("%w: %s is not registered for type %s", ErrExecutor, id, t.Type)
	case !member.Platform.Runs(t.Runtime):
		return Member{}, fmt.Errorf("%w: %s is not registered for runtime %s", ErrExecutor, id, t.Runtime)
	}
	return member, nil
}

func (b Book) party(id atp.ID) (Party, error) {
	m, err := b.State.Member(id)
	if err != nil {
		return Party{}, fmt.Errorf("task: member %s: %w", id, err)
	}
	return Party{id, m.Society, m.Admitted}, nil
}

// advance writes a task that stays open, at its next stage.
func (b Book) advance(t Task, m move, by atp.ID, deadline atp.Millis) (*Moved, error) {
	if m.from != "" {
		if err := b.State.DeleteDue(t.Deadline, t.ID); err != nil {
			return nil, fmt.Errorf("task %s: %w", t.ID, err)
		}
	}
	t.Stage, t.Deadline = m.to, deadline
	if err := b.State.SetTask(t); err != nil {
		return nil, fmt.Errorf("task %s: %w", t.ID, err)
	}
	if err := b.State.SetDue(deadline, t.ID); err != nil {
		return nil, fmt.Errorf("task %s: %w", t.ID, err)
	}
	return &Moved{t.ID, m.from, m.to, m.op, atp.OptionalID{ID: by}, deadline, t}, nil
}
