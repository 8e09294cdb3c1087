package task

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Op is something that happens to a task.
type Op string

// What happens to a task. A proof whose claim is below what was asked for is a
// withdrawal, an acknowledgement whose mark is below it a refusal.
const (
	OpPost        Op = "post"
	OpAccept      Op = "accept"
	OpCancel      Op = "cancel"
	OpProve       Op = "prove"
	OpWithdraw    Op = "withdraw"
	OpAcknowledge Op = "acknowledge"
	OpRefuse      Op = "refuse"
	OpExpire      Op = "expire"

	OpDispute Op = "dispute"
	OpAppeal  Op = "appeal"
	OpCommit  Op = "commit"
	OpReveal  Op = "reveal"

	OpSpare    Op = "spare"    // the beacon does not draw it, or nobody could witness
	OpSeat     Op = "seat"     // the beacon draws witnesses
	OpVoid     Op = "void"     // nobody could witness what must be
	OpUnseal   Op = "unseal"   // the window for commitments ends
	OpDecide   Op = "decide"   // a committee has found
	OpWiden    Op = "widen"    // a committee does not agree: it is everyone's turn
	OpConclude Op = "conclude" // those who have the last word have found, or not
)

// who may make a move.
type who uint8

const (
	anyEligible  who = iota // whom the terms name; if nobody, the first; registered for the work
	theRequester            //
	theExecutor             //
	theLoser                // by the word of a committee
	aSeat                   // a witness of the level that sits
	nobody                  // the state machine itself, once the stage's deadline has passed
	everySeat               // like nobody, or once every seat has done its part
)

// classes that a move is made in.
type scope uint8

const (
	inAll scope = iota
	inMutual
	inWitnessed
)

func (s scope) has(c Class) bool { return s == inAll || (s == inMutual) == (c == Mutual) }

// A move is one legal step in a task's life. All but those of nobody and of
// every seat are in time only.
type move struct {
	from Stage
	op   Op
	who  who
	in   scope
	to   Stage
	path Path // of the settlement, if to is Settled; empty where a verdict chooses it
}

// moves is the table of legal moves: what is not in it is refused with
// [ErrStage]. Every stage but the last has one of nobody's (A3).
var moves = [...]move{
	{Posted, OpAccept, anyEligible, inAll, Accepted, ""},
	{Posted, OpCancel, theRequester, inAll, Settled, PostedEnds},
	{Posted, OpExpire, nobody, inAll, Settled, PostedEnds},

	{Accepted, OpProve, theExecutor, inMutual, Proven, ""},
	{Accepted, OpProve, theExecutor, inWitnessed, Drawing, ""},
	{Accepted, OpWithdraw, theExecutor, inAll, Settled, Late},
	{Accepted, OpExpire, nobody, inAll, Settled, Late},

	{Proven, OpAcknowledge, theRequester, inAll, Settled, Unaudited},
	{Proven, OpRefuse, theRequester, inMutual, Settled, Refused},
	{Proven, OpDispute, theRequester, inWitnessed, Drawing, ""},
	{Proven, OpExpire, nobody, inAll, Settled, Unaudited},

	{Drawing, OpSpare, nobody, inWitnessed, Proven, ""},
	{Drawing, OpSeat, nobody, inWitnessed, Committing, ""},
	{Drawing, OpVoid, nobody, inWitnessed, Settled, DisputeNoWitnesses},

	{Committing, OpCommit, aSeat, inWitnessed, Committing, ""},
	{Committing, OpUnseal, everySeat, inWitnessed, Revealing, ""},

	{Revealing, OpReveal, aSeat, inWitnessed, Revealing, ""},
	{Revealing, OpDecide, everySeat, inWitnessed, Decided, ""},
	{Revealing, OpWiden, everySeat, inWitnessed, Drawing, ""},
	{Revealing, OpConclude, everySeat, inWitnessed, Settled, ""},

	{Decided, OpAppeal, theLoser, inWitnessed, Drawing, ""},
	{Decided, OpExpire, nobody, inWitnessed, Settled, ""},
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
	Witnesses
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
	t := Task{ID: id, Requester: requester, Terms: p.Terms, Posted: at.Block, PostedAt: b.State.Block().Height}
	if _, err := b.witnessed(t); err != nil {
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
	t.Fee = fee
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
	charges, err := b.ChargesTo(by, t)
	if err != nil {
		return nil, err
	}
	if least := charges.MinBond(t.Terms.Class); bond < least {
		return nil, fmt.Errorf("%w: have %s ATP, want at least %s ATP", ErrBond, bond, least)
	}
	discharged := Discharged(t.Fee)
	e := atp.Engagement{Task: id, Payee: by, Bond: bond, Discharged: discharged, ToPool: t.Fee - discharged}
	if err := b.ledger().Engage(e); err != nil {
		return nil, err
	}
	t.Acceptance = &Acceptance{Executor: executor, Bond: bond, LateCharge: charges.Late, Seats: charges.Seats, Time: at.Block}
	moved, err := b.advance(t, m, by, at.Block.Add(t.Terms.ExecutionWindow))
	return []Event{moved, &Engaged{id, t.Requester.ID, by, bond, e.Discharged, e.ToPool}}, err
}

// Prove names the result of an accepted task. A claim below what was asked for
// withdraws: the task ends as if late. Outside class mutual a beacon is awaited,
// which may draw the result for an audit.
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
	var moved *Moved
	switch m.to {
	case Settled:
		return b.settle(t, m, ending{by: by, path: m.path}, at)
	case Drawing:
		t.Review = &Review{Audit: b.State.Economy().AuditProbability(t.Terms.Price, t.Acceptance.Bond)}
		moved, err = b.ask(t, m, by, Committee, at)
	default:
		moved, err = b.advance(t, m, by, at.Block.Add(b.State.Economy().Silence))
	}
	return []Event{moved}, err
}

// Acknowledge gives a proven task the requester's mark. In class mutual one
// below what was asked for refuses the result: the requester keeps the price,
// not the fee. In the others it is to dispute it.
func (b Book) Acknowledge(id cid.Cid, by atp.ID, mark PPM, at atp.Clock) ([]Event, error) {
	if mark > S {
		return nil, fmt.Errorf("%w: have %d ppm, want at most %d", ErrMark, mark, S)
	}
	t, err := b.task(id)
	if err != nil {
		return nil, err
	}
	op := OpAcknowledge
	if mark < t.Terms.MinQuality && t.Terms.Class == Mutual {
		op = OpRefuse
	}
	m, err := t.legal(op, by, at)
	if err != nil {
		return nil, err
	}
	if op == OpAcknowledge && mark < t.Terms.MinQuality {
		return nil, fmt.Errorf("%w: have %d ppm, want at least the %d that were asked for: a result of class %s is not refused, but disputed",
			ErrMark, mark, t.Terms.MinQuality, t.Terms.Class)
	}
	return b.settle(t, m, ending{by: by, path: m.path, mark: &mark}, at)
}

// Cancel takes back a task that nobody has accepted.
func (b Book) Cancel(id cid.Cid, by atp.ID, at atp.Clock) ([]Event, error) {
	t, m, err := b.begin(id, OpCancel, by, at)
	if err != nil {
		return nil, err
	}
	return b.settle(t, m, ending{by: by, path: m.path}, at)
}

// Expire makes the move of a stage whose deadline has passed, which nobody
// asks for: an offer that no one took and a result that never came roll back,
// a result that the requester was silent about is paid, a verdict that nobody
// appealed from stands. It ends the windows of witnesses, and looks at the beacon
// of the block for a task that waits for one.
func (b Book) Expire(id cid.Cid, at atp.Clock) ([]Event, error) {
	t, err := b.task(id)
	if err != nil {
		return nil, err
	}
	if at.InTime(t.Deadline) {
		return nil, fmt.Errorf("%w: %s until %d, now %d", atp.ErrTooEarly, t.Stage, t.Deadline, at.Parent)
	}
	switch t.Stage {
	case Drawing:
		return b.draw(t, at)
	case Committing:
		return b.unseal(t, at)
	case Revealing:
		return b.decide(t, at)
	}
	m := t.move(OpExpire)
	end := ending{path: m.path}
	if t.Stage == Decided {
		end = ending{path: t.path(t.Review.First), verdict: t.Review.First}
		if end.verdict != OverLimit {
			end.quality = &t.Review.Quality
		}
	}
	return b.settle(t, m, end, at)
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
		if m.from != t.Stage || m.op != op || !m.in.has(t.Terms.Class) {
			continue
		}
		switch {
		case m.who == theRequester && by != t.Requester.ID:
			return move{}, fmt.Errorf("%w: only the requester %s may %s", atp.ErrNotYours, t.Requester.ID, op)
		case m.who == theExecutor && by != t.Acceptance.Executor.ID:
			return move{}, fmt.Errorf("%w: only the executor %s may %s", atp.ErrNotYours, t.Acceptance.Executor.ID, op)
		case m.who == theLoser && by != t.loser().ID:
			return move{}, fmt.Errorf("%w: only %s, against whom the witnesses found, may %s", atp.ErrNotYours, t.loser().ID, op)
		case !at.InTime(t.Deadline):
			return move{}, fmt.Errorf("%w: to %s was possible until %d, now %d", atp.ErrTooLate, op, t.Deadline, at.Parent)
		}
		return m, nil
	}
	return move{}, fmt.Errorf("%w: cannot %s a task of class %s that is %s", ErrStage, op, t.Terms.Class, t.Stage)
}

// move returns the move of nobody's, or of every seat's, that op is at the
// task's stage.
func (t Task) move(op Op) move {
	for _, m := range moves {
		if m.from == t.Stage && m.op == op {
			return m
		}
	}
	return move{}
}

// advance writes a task that stays open, at its next stage.
func (b Book) advance(t Task, m move, by atp.ID, deadline atp.Millis) (*Moved, error) {
	if m.from != "" {
		if err := b.State.DeleteDue(t.Deadline, t.ID); err != nil {
			return nil, fmt.Errorf("task %s: %w", t.ID, err)
		}
	}
	t.Stage, t.Deadline = m.to, deadline
	if err := b.setTask(t); err != nil {
		return nil, err
	}
	if err := b.State.SetDue(deadline, t.ID); err != nil {
		return nil, fmt.Errorf("task %s: %w", t.ID, err)
	}
	return &Moved{t.ID, m.from, m.to, m.op, atp.OptionalID{ID: by}, deadline, t}, nil
}

func (b Book) setTask(t Task) error {
	if err := b.State.SetTask(t); err != nil {
		return fmt.Errorf("task %s: %w", t.ID, err)
	}
	return nil
}
