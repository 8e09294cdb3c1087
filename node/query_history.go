package node

import (
	"fmt"

	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task"
)

// tell adds a task's history: a step for each move, with the money and the
// reputation that it moved.
func tell(v *view.Task, history []store.Happening) {
	for _, h := range history {
		if m, ok := h.Event.Fact.(*task.Moved); ok {
			v.History = append(v.History, view.Step{
				TimeMS: view.Millis(h.Time), Height: view.Height(h.Height), Event: string(m.Step), By: m.By.ID.ID,
				Tx: viewCID(h.Subject), Legs: []view.Leg{}, Reputation: []view.ReputationMove{},
			})
			if m.By.IsZero() {
				v.History[len(v.History)-1].Tx = view.CID{} // the deadline's own doing
			}
			continue
		}
		if len(v.History) == 0 {
			continue // the first event of a task is its posting
		}
		step := &v.History[len(v.History)-1]
		switch f := h.Event.Fact.(type) {
		case *task.Locked:
			step.Legs = append(step.Legs, view.Leg{What: "locked", To: f.Payer.ID, AmountUATP: view.Amount(f.Amount)})
		case *task.Engaged:
			step.Legs = append(step.Legs,
				view.Leg{What: "bonded", To: f.Executor.ID, AmountUATP: view.Amount(f.Bond)},
				view.Leg{What: "fee discharged", AmountUATP: view.Amount(f.Discharged)},
				view.Leg{What: "fee to the pool", AmountUATP: view.Amount(f.ToPool)})
		case *task.Challenged:
			step.Legs = append(step.Legs, view.Leg{What: "bonded", To: f.By.ID, AmountUATP: view.Amount(f.Bond)})
		case *task.Drawn:
			note(step, drawnNote(f))
			for _, id := range f.Seats {
				v.Witnesses = append(v.Witnesses, view.Witness{PeerID: id.ID, Level: int(f.Level)})
			}
		case *task.Revealed:
			revealed(v, f)
			note(step, fmt.Sprintf("says %s, memory %.8s", saidText(f.Answer), f.Hash))
		case *task.Judged:
			note(step, judgedNote(f))
		case *task.SeatPaid:
			seatPaid(v, step, f)
		case *task.Paid:
			settled(v, step, f)
		case *task.ReputationChanged:
			step.Reputation = append(step.Reputation, view.ReputationMove{
				PeerID: f.Who.ID, Role: string(f.Role), Type: string(f.Type),
				OldPPM: view.PPM(f.Old), NewPPM: view.PPM(f.New), Cause: string(f.Cause),
			})
		}
	}
}

// note adds a sentence to a step.
func note(step *view.Step, text string) {
	if step.Note != "" {
		step.Note += "; "
	}
	step.Note += text
}

// saidText is what a witness says, as its quality is shown elsewhere.
func saidText(a task.Answer) string {
	if q, scored := a.Score(); scored {
		return decimal(q)
	}
	return a.String()
}

// decimal is a quality or a probability in three decimals, as commands show both.
func decimal(p task.PPM) string { return fmt.Sprintf("%d.%03d", p/task.S, p%task.S/1000) }

// drawnNote says what the beacon did.
func drawnNote(f *task.Drawn) string {
	of := "audit"
	if f.Disputed {
		of = "dispute"
	}
	if f.Level == task.Everyone {
		of = "level of everyone"
	}
	switch {
	case f.Beacon == task.Digest{}:
		return fmt.Sprintf("%s: nobody could witness (%d societies could, and a drawer that is of neither party)", of, f.Candidates)
	case len(f.Seats) == 0:
		return fmt.Sprintf("%s: spared by the beacon of height %d, p = %s", of, f.Height, decimal(f.Audit))
	}
	return fmt.Sprintf("%s: drawn by the beacon of height %d, p = %s: %d of %d societies sit, with %s ATP each at stake",
		of, f.Height, decimal(f.Audit), len(f.Seats), f.Candidates, f.Bond)
}

// judgedNote says what a level found.
func judgedNote(f *task.Judged) string {
	level := "committee"
	if f.Level == task.Everyone {
		level = "everyone"
	}
	text := fmt.Sprintf("%s: %s by %d seats, %d committed, %d revealed, median %s", level, f.Verdict, f.Seats, f.Committed, f.Revealed, decimal(f.Median))
	if f.Final {
		text += ", the last word"
	}
	return text
}

// revealed adds what a witness has said.
func revealed(v *view.Task, f *task.Revealed) {
	for i, w := range v.Witnesses {
		if w.PeerID != f.Witness.ID || w.Level != int(f.Level) {
			continue
		}
		v.Witnesses[i].Answer = f.Answer.String()
		if q, scored := f.Answer.Score(); scored {
			score := view.PPM(q)
			v.Witnesses[i].ScorePPM = &score
		}
	}
}

// seatPaid adds what became of a seat.
func seatPaid(v *view.Task, step *view.Step, f *task.SeatPaid) {
	for i, w := range v.Witnesses {
		if w.PeerID == f.Witness.ID && w.Level == int(f.Level) {
			v.Witnesses[i].EarnedUATP, v.Witnesses[i].SlashedUATP = view.Amount(f.Pay), view.Amount(f.Slashed)
		}
	}
	for _, leg := range []view.Leg{
		{What: "to a witness", To: f.Witness.ID, AmountUATP: view.Amount(f.Pay)},
		{What: "slashed of a witness", To: f.Witness.ID, AmountUATP: view.Amount(f.Slashed)},
	} {
		if leg.AmountUATP > 0 {
			step.Legs = append(step.Legs, leg)
		}
	}
}

// settled adds how a task ended.
func settled(v *view.Task, step *view.Step, f *task.Paid) {
	v.Settlement = view.Settlement(f.Outcome)
	if f.Quality != nil {
		q := view.PPM(*f.Quality)
		v.QualityPPM = &q
	}
	v.Cause = causeOf(f.Path, task.Op(step.Event))
	for _, leg := range []view.Leg{
		{What: "to the requester", To: f.Requester.ID, AmountUATP: view.Amount(f.ToRequester)},
		{What: "to the executor", To: f.Executor.ID.ID, AmountUATP: view.Amount(f.ToExecutor)},
		{What: "to witnesses", AmountUATP: view.Amount(f.ToSeats)},
		{What: "to the pool", AmountUATP: view.Amount(f.ToPool)},
		{What: "from the pool", AmountUATP: view.Amount(f.FromPool)},
	} {
		if leg.AmountUATP > 0 {
			step.Legs = append(step.Legs, leg)
		}
	}
}

// causeOf says in a word or two why a task ended as it did.
func causeOf(path task.Path, step task.Op) string {
	switch {
	case path == task.PostedEnds && step == task.OpCancel:
		return "cancelled"
	case path == task.PostedEnds:
		return "not accepted"
	case path == task.Late && step == task.OpWithdraw:
		return "withdrawn"
	case path == task.Late:
		return "late"
	case path == task.Refused:
		return "refused"
	case path == task.Unaudited && step == task.OpAcknowledge:
		return "acknowledged"
	case path == task.Unaudited:
		return "silence"
	}
	return string(path)
}
