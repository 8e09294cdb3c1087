package task

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Dispute sets the requester's bond aside, and asks for witnesses of a result
// that was not drawn for an audit.
func (b Book) Dispute(id cid.Cid, by atp.ID, at atp.Clock) ([]Event, error) {
	t, m, err := b.begin(id, OpDispute, by, at)
	if err != nil {
		return nil, err
	}
	bond := b.charges(t).Dispute
	if err := b.ledger().Bond(by, bond); err != nil {
		return nil, err
	}
	t.Review.Disputed = true
	moved, err := b.ask(t, m, by, Committee, at)
	return []Event{moved, &Challenged{id, by, false, bond}}, err
}

// Appeal sets a bond of who lost by the committee's word aside, and asks for
// everyone's.
func (b Book) Appeal(id cid.Cid, by atp.ID, at atp.Clock) ([]Event, error) {
	t, m, err := b.begin(id, OpAppeal, by, at)
	if err != nil {
		return nil, err
	}
	bond := b.charges(t).Appeal
	if err := b.ledger().Bond(by, bond); err != nil {
		return nil, err
	}
	t.Review.Appealed = true
	moved, err := b.ask(t, m, by, Everyone, at)
	return []Event{moved, &Challenged{id, by, true, bond}}, err
}

// charges returns what an accepted task costs whom.
func (b Book) charges(t Task) Charges {
	return b.State.Economy().Charges(t.Terms.Price, t.Acceptance.Seats)
}

// ask has a task wait for the beacon that draws, or spares it. Its deadline is
// the block's own time, so that it is looked at in every block above the next.
// [Book.Summon] is to be called at the end of this one.
func (b Book) ask(t Task, m move, by atp.ID, level Level, at atp.Clock) (*Moved, error) {
	review := *t.Review
	review.Level, review.Asked, review.Until = level, b.State.Block().Height, 0
	review.Committed, review.Revealed, review.Final = 0, 0, level == Everyone
	t.Review = &review
	return b.advance(t, m, by, at.Block)
}

// Summon notes who could witness a task that has asked for a draw in this
// block, as it is when all else in the block was done. If they are too few, or
// nobody without a part in it could draw, the wait is over at once. For a task that waits
// for no such note it does nothing.
func (b Book) Summon(id cid.Cid, at atp.Clock) ([]Event, error) {
	t, open, err := b.State.Task(id)
	if err != nil || !open || t.Stage != Drawing || t.Review.Until != 0 {
		return nil, err
	}
	t, candidates, err := b.convene(t)
	if err != nil {
		return nil, err
	}
	council, err := b.State.Council()
	if err != nil {
		return nil, fmt.Errorf("task: validators: %w", err)
	}
	fair, err := b.drawer(t, council)
	if err != nil {
		return nil, err
	}
	chance := t.Review.Level == Committee || len(candidates) > maxSeats
	if len(candidates) < enoughWitnesses || chance && !fair {
		return b.unheard(t, uint64(len(candidates)), at)
	}
	if len(candidates) > maxCandidates {
		candidates = Draw(b.State.Block().Beacon, id, t.Review.Level, maxCandidates, candidates)
	}
	review := *t.Review
	review.Until = review.Asked + 2 // any proposer will do where all sit
	if fair {
		review.Until = review.Asked + 1 + 2*Height(council.Size)
	}
	t.Review = &review
	if err := b.setPanel(t, Panel{Candidates: candidates}); err != nil {
		return nil, err
	}
	return nil, b.setTask(t)
}

// convene returns who could witness a task at the level that is asked for. A
// committee is final if it seats all who could, whatever they have reserved; a
// dispute for which too few have a stake that is free goes to everyone at once.
// Else who fills the stakes of others with tasks of its own could choose
// who judges, or that nobody does.
func (b Book) convene(t Task) (Task, []atp.ID, error) {
	candidates, err := b.candidates(t, t.Review.Level)
	if err != nil || t.Review.Level == Everyone {
		return t, candidates, err
	}
	everyone, err := b.candidates(t, Everyone)
	if err != nil {
		return t, nil, err
	}
	review := *t.Review
	if len(candidates) < enoughWitnesses && len(everyone) >= enoughWitnesses && review.Disputed {
		candidates, review.Level = everyone, Everyone
	}
	review.Final = len(candidates) == len(everyone)
	t.Review = &review
	return t, candidates, nil
}

// unheard ends a wait for which there are no witnesses: a result is not
// audited, a dispute or a last level has no verdict.
func (b Book) unheard(t Task, candidates uint64, at atp.Clock) ([]Event, error) {
	drawn := &Drawn{Task: t.ID, Level: t.Review.Level, Disputed: t.Review.Disputed, Audit: t.chance(), Candidates: candidates}
	if t.Review.Level == Committee && !t.Review.Disputed {
		moved, err := b.spare(t, at)
		return []Event{drawn, moved}, err
	}
	m := t.move(OpVoid)
	if t.Review.Level == Everyone {
		m.path = t.path(NoVerdict)
	}
	events, err := b.settle(t, m, ending{path: m.path, verdict: NoVerdict}, at)
	return append([]Event{drawn}, events...), err
}

// chance returns the probability with which the draw that is awaited seats
// witnesses.
func (t Task) chance() PPM {
	if t.Review.Level == Committee && !t.Review.Disputed {
		return t.Review.Audit
	}
	return S
}

// spare lets a result that is not audited wait for its requester's word.
func (b Book) spare(t Task, at atp.Clock) (*Moved, error) {
	return b.advance(t, t.move(OpSpare), atp.ID{}, at.Block.Add(b.State.Economy().Silence))
}

// draw looks at the beacon of a block for a task that waits for one. It may
// still have to wait: then it tells nothing.
func (b Book) draw(t Task, at atp.Clock) ([]Event, error) {
	block, review := b.State.Block(), *t.Review
	fit, err := b.draws(t, block.Proposer)
	if err != nil || (!fit || block.Young) && block.Height < review.Until {
		return nil, err
	}
	panel, err := b.panel(t.ID, review.Level)
	if err != nil {
		return nil, err
	}
	drawn := &Drawn{
		Task: t.ID, Level: review.Level, Disputed: review.Disputed, Audit: t.chance(),
		Candidates: uint64(len(panel.Candidates)), Height: block.Height, Beacon: Digest(block.Beacon),
	}
	if !Audited(block.Beacon, t.ID, drawn.Audit) {
		if err := b.State.DeletePanel(t.ID, review.Level); err != nil {
			return nil, fmt.Errorf("task %s: panel: %w", t.ID, err)
		}
		moved, err := b.spare(t, at)
		return []Event{drawn, moved}, err
	}
	n := t.Acceptance.Seats
	if review.Level == Everyone {
		n = maxSeats
	}
	drawn.Seats = Draw(block.Beacon, t.ID, review.Level, n, panel.Candidates)
	drawn.Bond = b.State.Economy().seatBond(t.Terms.Price)
	review.Final = review.Level == Everyone || review.Final && len(drawn.Seats) == len(panel.Candidates)
	if review.Level == Everyone {
		review.Everyone = uint64(len(drawn.Seats))
	} else {
		review.Committee = uint64(len(drawn.Seats))
	}
	t.Review = &review
	moved, err := b.seat(t, drawn, at)
	return []Event{drawn, moved}, err
}

// seat has those sit who were drawn.
func (b Book) seat(t Task, drawn *Drawn, at atp.Clock) (*Moved, error) {
	var panel Panel
	for _, id := range drawn.Seats {
		seat, err := b.reserve(id, drawn.Bond)
		if err != nil {
			return nil, err
		}
		panel.Seats = append(panel.Seats, seat)
	}
	if err := b.setPanel(t, panel); err != nil {
		return nil, err
	}
	window := b.State.Economy().CommitWindow(t.Terms.ExecutionWindow)
	return b.advance(t, t.move(OpSeat), atp.ID{}, at.Block.Add(window))
}

// Commit takes a witness's commitment to its answer, see [Opening]. The last one
// ends the window.
func (b Book) Commit(id cid.Cid, by atp.ID, level Level, seal Digest, at atp.Clock) ([]Event, error) {
	t, m, panel, i, err := b.sit(id, OpCommit, by, level, at)
	if err != nil {
		return nil, err
	}
	seat := &panel.Seats[i]
	if seat.Committed {
		return nil, fmt.Errorf("%w: %s has committed already", ErrSeat, by)
	}
	seat.Committed, seat.Digest = true, seal
	review := *t.Review
	review.Committed++
	t.Review = &review
	if err := b.setPanel(t, panel); err != nil {
		return nil, err
	}
	moved, err := b.advance(t, m, by, t.Deadline)
	if err != nil || review.Committed < review.seats() {
		return []Event{moved}, err
	}
	more, err := b.unseal(moved.After, at)
	return append([]Event{moved}, more...), err
}

// Reveal takes the answer that a witness has committed to. The last one ends
// the window.
func (b Book) Reveal(o Opening, at atp.Clock) ([]Event, error) {
	t, m, panel, i, err := b.sit(o.Task, OpReveal, o.Witness, o.Level, at)
	if err != nil {
		return nil, err
	}
	o.Genesis, o.Result = b.State.Block().Genesis, t.Proof.Result
	seat := &panel.Seats[i]
	switch {
	case seat.Revealed:
		return nil, fmt.Errorf("%w: %s has revealed already", ErrSeat, o.Witness)
	case !seat.Committed:
		return nil, fmt.Errorf("%w: %s has not committed to an answer in time", ErrSeat, o.Witness)
	case o.Seal() != seat.Digest:
		return nil, fmt.Errorf("%w: it is not what %s has committed to", ErrAnswer, o.Witness)
	}
	if err := o.Answer.validate(t.Terms.Class); err != nil {
		return nil, err
	}
	seat.Revealed, seat.Answer, seat.Digest = true, o.Answer, o.Hash
	review := *t.Review
	review.Revealed++
	t.Review = &review
	if err := b.setPanel(t, panel); err != nil {
		return nil, err
	}
	moved, err := b.advance(t, m, o.Witness, t.Deadline)
	events := []Event{moved, &Revealed{t.ID, o.Level, o.Witness, o.Answer, o.Hash}}
	if err != nil || review.Revealed < review.Committed {
		return events, err
	}
	more, err := b.decide(moved.After, at)
	return append(events, more...), err
}

// sit returns an open task, the move that op is if it is legal, and the seat of
// a witness at the level.
func (b Book) sit(id cid.Cid, op Op, by atp.ID, level Level, at atp.Clock) (Task, move, Panel, int, error) {
	t, m, err := b.begin(id, op, by, at)
	if err != nil {
		return Task{}, move{}, Panel{}, 0, err
	}
	if level != t.Review.Level {
		return Task{}, move{}, Panel{}, 0, fmt.Errorf("%w: level %d does not sit now, but level %d", ErrSeat, level, t.Review.Level)
	}
	panel, err := b.panel(id, level)
	if err != nil {
		return Task{}, move{}, Panel{}, 0, err
	}
	i := panel.Seat(by)
	if i < 0 {
		return Task{}, move{}, Panel{}, 0, fmt.Errorf("%w: %s was not drawn", ErrSeat, by)
	}
	return t, m, panel, i, nil
}

// unseal ends the window for commitments. If there are none, there is nothing
// to reveal.
func (b Book) unseal(t Task, at atp.Clock) ([]Event, error) {
	moved, err := b.advance(t, t.move(OpUnseal), atp.ID{}, at.Block.Add(b.State.Economy().RevealWindow))
	if err != nil || t.Review.Committed > 0 {
		return []Event{moved}, err
	}
	more, err := b.decide(moved.After, at)
	return append([]Event{moved}, more...), err
}

// decide counts what the level has found. A committee that does not agree
// gives way to everyone, one that does can be appealed from; everyone's word,
// or that of all who could, is the last.
func (b Book) decide(t Task, at atp.Clock) ([]Event, error) {
	panel, err := b.panel(t.ID, t.Review.Level)
	if err != nil {
		return nil, err
	}
	review := *t.Review
	verdict, q := Decide(panel.Seats, t.Terms.Class, t.Terms.MinQuality, review.Final)
	judged := judgedBy(t, panel, verdict, q)
	switch {
	case review.Final:
		end := ending{path: t.path(verdict), verdict: verdict, quality: judged.Quality}
		events, err := b.settle(t, t.move(OpConclude), end, at)
		return append([]Event{judged}, events...), err
	case verdict == Inconclusive:
		moved, err := b.ask(t, t.move(OpWiden), atp.ID{}, Everyone, at)
		return []Event{judged, moved}, err
	}
	review.First, review.Quality = verdict, q
	t.Review = &review
	moved, err := b.advance(t, t.move(OpDecide), atp.ID{}, at.Block.Add(b.State.Economy().AppealWindow))
	return []Event{judged, moved}, err
}

func judgedBy(t Task, p Panel, v Verdict, q PPM) *Judged {
	judged := &Judged{
		Task: t.ID, Level: t.Review.Level, Final: t.Review.Final, Verdict: v,
		Seats: uint64(len(p.Seats)), Committed: t.Review.Committed, Revealed: t.Review.Revealed,
	}
	if v == Pass || v == Fail {
		judged.Quality = &q
	}
	var scores []PPM
	for _, s := range p.Seats {
		if score, ok := s.Answer.Score(); ok && s.Revealed {
			scores = append(scores, score)
		}
	}
	judged.Scores, judged.Median = uint64(len(scores)), lowerMedian(scores)
	return judged
}

// loser returns who may appeal from a committee's word.
func (t Task) loser() Party {
	if t.Review.First == Fail {
		return t.Acceptance.Executor
	}
	return t.Requester
}

// path returns the row of the table that a verdict leads to, once it is final.
// What cannot be run within the limits that the requester chose counts as
// passed.
func (t Task) path(v Verdict) Path {
	r, passed := t.Review, v == Pass || v == OverLimit
	row := map[bool]struct{ passed, vain, overturned, failed, failedVain, failedOverturned, void Path }{
		false: {AuditPass, AuditPassVain, AuditFailOverturned, AuditFail, AuditFailVain, AuditPassOverturned, AuditVoid},
		true:  {DisputeLost, DisputeLostVain, DisputeWonOverturned, DisputeWon, DisputeWonVain, DisputeLostOverturned, DisputeVoid},
	}[r.Disputed]
	switch before := r.First == Fail; {
	case v == NoVerdict:
		return row.void
	case passed && !r.Appealed:
		return row.passed
	case passed && before:
		return row.overturned
	case passed:
		return row.vain
	case !r.Appealed:
		return row.failed
	case before:
		return row.failedVain
	default:
		return row.failedOverturned
	}
}

func (b Book) panel(id cid.Cid, level Level) (Panel, error) {
	p, ok, err := b.State.Panel(id, level)
	if err == nil && !ok {
		err = fmt.Errorf("has none at level %d", level)
	}
	if err != nil {
		return Panel{}, fmt.Errorf("task %s: panel: %w", id, err)
	}
	return p, nil
}

func (b Book) setPanel(t Task, p Panel) error {
	if err := b.State.SetPanel(t.ID, t.Review.Level, p); err != nil {
		return fmt.Errorf("task %s: panel: %w", t.ID, err)
	}
	return nil
}
