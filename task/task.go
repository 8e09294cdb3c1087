// Package task is the life of a task: posted, accepted, proven, settled.
//
// A [Book] runs one table of legal moves over a [State], moves money with an
// [atp.Ledger], and computes reputation. Nobody submits a settlement or a
// reputation: both follow from what the parties did, and when (A4). Every stage
// but the last has a deadline whose edge needs nobody (A3).
//
// In class mutual the two parties find the quality themselves. In the others
// witnesses do, whom a beacon draws: of every result one in so many is audited,
// any may be disputed, and a committee's word be appealed to everyone. They
// commit and reveal, are paid by how near they are to the rest, and have a stake
// to lose.
//
// Other than the design has it: a named executor too must be registered for the
// task's type and runtime, a private task names its executor, and a task that
// weighs less than 1,000 ppm is no evidence. A task of a witnessed class is also
// refused to an executor while nobody could witness it. A dispute that no
// validator but the parties could draw for ends like one without witnesses, as
// does the level of everyone with a single witness. No level seats more than 41,
// whom then the beacon draws.
//
// All arithmetic is in integers: parts per million ([PPM]) and µATP.
package task

import (
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
)

//go:generate go run ./gen/gen.go

// Stage is how far a task has come.
type Stage string

// The stages of a task's life.
const (
	Posted   Stage = "POSTED"   // price and fee are locked; ends with the offer window
	Accepted Stage = "ACCEPTED" // the executor's bond is set aside; ends with the execution window
	Proven   Stage = "PROVEN"   // the result is named, and was not drawn; ends with the requester's silence
	Settled  Stage = "SETTLED"  // all money has gone its way; the task has left the state

	// In the classes with witnesses.
	Drawing    Stage = "DRAWING"    // waits for a beacon: ends with one that may draw, or after so many blocks
	Committing Stage = "COMMITTING" // witnesses sit; ends when all have committed, or with the window
	Revealing  Stage = "REVEALING"  // ends when all who committed have revealed, or with the window
	Decided    Stage = "DECIDED"    // by a committee; ends with the window for an appeal
)

// Society names the owner behind one or more platforms. Independence is
// counted in societies.
type Society string

// Party is a side of a task, as it was when it came in.
type Party struct {
	ID       atp.ID  `json:"id"`
	Society  Society `json:"society"`
	Admitted bool    `json:"admitted"` // its society is of the genesis, or was voted in
}

// Task is what the state holds of an open task.
type Task struct {
	ID         cid.Cid     `json:"id"`
	Requester  Party       `json:"requester"`
	Terms      Terms       `json:"terms"`
	Fee        atp.Amount  `json:"fee_uatp"` // locked with the price when posted
	Stage      Stage       `json:"stage"`
	Deadline   atp.Millis  `json:"deadline"`   // of the stage
	Posted     atp.Millis  `json:"posted"`     // time of the block that posted it
	PostedAt   Height      `json:"posted_at"`  // its height
	Acceptance *Acceptance `json:"acceptance"` // from stage Accepted on
	Proof      *Proof      `json:"proof"`      // from stage Proven on
	Review     *Review     `json:"review"`     // with the proof, in every class but mutual
}

// Acceptance is what an executor agreed to. It is not changed once made.
type Acceptance struct {
	Executor   Party      `json:"executor"`
	Bond       atp.Amount `json:"bond_uatp"`
	LateCharge atp.Amount `json:"late_charge_uatp"` // of the bond, if no proof comes in time
	Seats      uint64     `json:"seats"`            // n₀, of a committee; 0 in class mutual
	Time       atp.Millis `json:"time"`             // of the block that accepted it
}

// Proof is what an executor says of its work. It is not changed once made.
type Proof struct {
	Result cid.Cid `json:"result"` // raw; or dag-cbor, the record of a failed program
	Size   Size    `json:"size"`
	Claim  *PPM    `json:"claim_ppm"` // quality; in the classes mutual and judge only
	Record Record  `json:"record"`
}

// Record is what an executor tells about its run. It moves nothing.
type Record struct {
	Latency     atp.Span   `json:"latency_ms"`
	Cost        atp.Amount `json:"cost_uatp"`
	Tokens      uint64     `json:"tokens"`
	Iterations  uint64     `json:"iterations"`
	FinalEnergy int64      `json:"final_energy"` // in the task's own unit
	Convergence PPM        `json:"convergence_ppm"`
}

// MaxTask is the largest encoding of a Task, in bytes.
const MaxTask = 4096

// DecodeTask reads a task in its one form.
func DecodeTask(data []byte) (Task, error) {
	var t Task
	if len(data) > MaxTask {
		return t, fmt.Errorf("%w: task: have %d bytes, want at most %d", atp.ErrEncoding, len(data), MaxTask)
	}
	if err := atp.Decode(data, &t); err != nil {
		return Task{}, err
	}
	return t, t.Terms.Check()
}

// Check reports, as [ErrProof], what is wrong with the proof whatever the task.
func (p Proof) Check() error {
	if err := atp.CheckCID(p.Result, cid.Raw, cid.DagCBOR); err != nil {
		return fmt.Errorf("%w: result: %w", ErrProof, err)
	}
	switch {
	case p.Size > MaxBlob:
		return fmt.Errorf("%w: result: have %d bytes, want at most %d", ErrProof, p.Size, MaxBlob)
	case p.Claim != nil && *p.Claim > S:
		return fmt.Errorf("%w: claim: have %d ppm, want at most %d", ErrProof, *p.Claim, S)
	case p.Record.Convergence > S:
		return fmt.Errorf("%w: convergence: have %d ppm, want at most %d", ErrProof, p.Record.Convergence, S)
	}
	return nil
}

// Validate reports, as [ErrProof], what is wrong with the proof of a task of
// those terms.
func (p Proof) Validate(t Terms) error {
	if err := p.Check(); err != nil {
		return err
	}
	switch {
	case t.Class != Mutual && p.Size > witnessedBlob:
		return fmt.Errorf("%w: result: have %d bytes, want at most %d in class %s", ErrProof, p.Size, witnessedBlob, t.Class)
	case p.Claim != nil && t.Class != Mutual && t.Class != Judge:
		return fmt.Errorf("%w: claim: have one, want none in class %s, where the quality is computed", ErrProof, t.Class)
	}
	return nil
}
