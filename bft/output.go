package bft

import "github.com/ipfs/go-cid"

// Output is what the caller must do, in the order of the fields. What one
// input asks for is done before the next input is given.
type Output struct {
	// Sign is what this validator says. One by one, in order: admit it by the
	// signer's Record ([Record.Admit]), make what is behind it (a proposed
	// block's body, the QC) and the Record durable, only then sign
	// ([Verifier.Seal]), send it to every validator, and give it back to
	// [Core.Message]: own votes count like everyone's, once signed.
	Sign []Unsigned

	// Send is messages that are durable and signed already.
	Send []Envelope

	// Check asks the application to judge a proposed block; its answer goes to
	// [Core.Checked], now, later or never. It replaces any earlier Check.
	Check *Check

	// Build asks the application for a block; its answer goes to [Core.Built],
	// now, later or never. It replaces any earlier Build of another view.
	Build *Build

	// Timers is timers to start; when one has run its course it goes to
	// [Core.TimerFired]. The caller turns it into a duration. A timer need not
	// be stopped: the core ignores those it has outgrown.
	Timers []Timer

	// Status asks the caller to send its Status ([Core.Status], completed) to
	// every validator.
	Status bool

	// ShareWork asks the caller to send its work (its transactions) to every
	// validator, because the height is stuck.
	ShareWork bool

	// Evidence is proof that a validator contradicted itself.
	Evidence []Evidence

	// Final is the decision of this height. After it, [Core.Message] only
	// collects late COMMITs and every other input is ignored.
	Final *Final
}

// Envelope is a message and its receiver; the zero ID stands for every validator.
type Envelope struct {
	To      ID
	Message Message
}

// Arrival is the caller's mark of when a Proposal arrived, which the core hands
// back in Check and does not read.
type Arrival uint64

// Check asks whether a block is valid: it extends the final block of the height
// below, and executes to its state root. The answer is [Valid], [Invalid], or,
// for a fresh block alone, [Untimely]. A fresh block moreover must name
// Proposer as its proposer, with a beacon proof that verifies under its key.
type Check struct {
	Height   Height
	View     View
	Block    cid.Cid
	Payload  []byte
	Fresh    bool // false: re-proposed by the QC of a TC; its time is not questioned
	Proposer ID   // the leader of the view
	Arrived  Arrival
}

// Verdict is the application's judgement of a block.
type Verdict uint8

// The verdicts.
const (
	Invalid  Verdict = iota
	Valid            // PREPARE it
	Untimely         // valid, but too far from our clock to PREPARE it while it is fresh
)

// Build asks for the block to propose in View: the block Reuse, unchanged
// (fetching its body if need be), or a fresh one if Reuse is undefined. Reuse
// may be what we proposed in View before a restart; if it is Fresh too, nothing
// but its proposer justifies it, so without our name in it there is no answer.
type Build struct {
	Height Height
	View   View
	Reuse  cid.Cid
	Fresh  bool // no QC of a TC names the block
}

// TimerKind tells what a timer is for.
type TimerKind uint8

// The timers of a view.
const (
	TimerView   TimerKind = iota + 1 // the view has lasted too long (R5): base × 1.5^View
	TimerHalf                        // half of it: tell where we are
	TimerRepeat                      // repeat the newest Timeout, with capped back-off in Attempt
)

// Timer is a timer as data. Attempt counts the repetitions before it.
type Timer struct {
	Height  Height
	View    View
	Kind    TimerKind
	Attempt int
}

// Final is a decided height. The caller executes, persists and publishes the
// block (fetching its body if need be), starts the next height, and then sends
// Cert to everyone in Tell (R4, L4).
type Final struct {
	Cert *CommitCert
	Tell []ID // the other validators from which no COMMIT was counted
}
