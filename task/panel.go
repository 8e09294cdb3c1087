package task

import (
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Height is a block's number.
type Height uint64

// Level says which witnesses look at a result.
type Level uint8

// The levels. Each is called upon once in a task, at most.
const (
	Committee Level = iota // a few, drawn
	Everyone               // one platform of each society that could
)

// Verdict is what the witnesses of a level found.
type Verdict string

// The verdicts.
const (
	Pass         Verdict = "PASS"           // at least the quality that was asked for
	Fail         Verdict = "FAIL"           // less, or there was nothing to look at
	OverLimit    Verdict = "RESOURCE_LIMIT" // it cannot be run within the limits that the requester chose
	Inconclusive Verdict = "INCONCLUSIVE"   // a committee did not agree
	NoVerdict    Verdict = "VOID"           // nor did everyone
)

// Answer is what a witness says of a result: its quality in ppm, or one of
// [Unavailable] and [ResourceLimit]. It has 32 bits.
type Answer uint64

// Answers that are no quality.
const (
	Unavailable   Answer = 1<<32 - 2 // the executor did not serve the result; it counts below what was asked for
	ResourceLimit Answer = 1<<32 - 1 // the run ended at a limit of time, stack or address space; in class checker it counts below what was asked for
)

// Score returns the quality that the answer names, if it does.
func (a Answer) Score() (q PPM, ok bool) { return PPM(a), a < Unavailable }

// Check reports, as [ErrAnswer], what no class has a use for.
func (a Answer) Check() error {
	if q, scored := a.Score(); a > ResourceLimit || scored && q > S {
		return fmt.Errorf("%w: have %d, want at most %d ppm, or %d or %d", ErrAnswer, uint64(a), S, uint64(Unavailable), uint64(ResourceLimit))
	}
	return nil
}

// String returns the quality in ppm, or the answer's name.
func (a Answer) String() string {
	switch a {
	case Unavailable:
		return "UNAVAILABLE"
	case ResourceLimit:
		return string(OverLimit)
	}
	return fmt.Sprintf("%d ppm", uint64(a))
}

// validate reports, as [ErrAnswer], what the class has no use for.
func (a Answer) validate(c Class) error {
	if q, scored := a.Score(); scored && c == Recompute && q != 0 && q != S {
		return fmt.Errorf("%w: have %d ppm, want 0 or %d in class %s", ErrAnswer, q, S, c)
	}
	return a.Check()
}

// Digest is a SHA-256.
type Digest [32]byte

// String returns d in hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText writes d as String does.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Review is how witnesses look at a result. A task has one from its proof on,
// in every class but mutual.
type Review struct {
	Audit     PPM     `json:"audit_ppm"` // the probability of an audit
	Disputed  bool    `json:"disputed"`  // the requester asked for witnesses; else it is an audit
	Appealed  bool    `json:"appealed"`  // by whom First does not suit
	First     Verdict `json:"first"`     // of the committee; empty before it decided
	Quality   PPM     `json:"quality_ppm"`
	Level     Level   `json:"level"`     // of the draw that is awaited, or of those who sit now
	Asked     Height  `json:"asked"`     // of the block that asked for the draw
	Until     Height  `json:"until"`     // the last block whose beacon may draw
	Committee uint64  `json:"committee"` // seats of that level
	Everyone  uint64  `json:"everyone"`  // seats of that level
	Final     bool    `json:"final"`     // the level seats all who could: it has the last word
	Committed uint64  `json:"committed"` // seats of the level that have committed
	Revealed  uint64  `json:"revealed"`  // and revealed
}

// seats returns how many sit at the level.
func (r Review) seats() uint64 {
	if r.Level == Everyone {
		return r.Everyone
	}
	return r.Committee
}

// Panel is who looks at a result at one level.
type Panel struct {
	// Candidates are, while the draw is awaited, one platform of each society
	// that could witness, in the order of the names of their societies.
	Candidates []atp.ID `json:"candidates" cborgen:"maxlen=100"`
	Seats      []Seat   `json:"seats" cborgen:"maxlen=41"` // as drawn
}

// Bounds of a panel, so that it is a value of the state. Of more candidates,
// and at the level of everyone of more seats, so many are drawn.
const (
	maxCandidates = 100
	maxSeats      = 41
)

// Seat is a witness of a task. What it has reserved of its stake is free again
// when the task is settled.
type Seat struct {
	Witness   atp.ID     `json:"witness"`
	Bond      atp.Amount `json:"bond_uatp"` // reserved
	Committed bool       `json:"committed"`
	Revealed  bool       `json:"revealed"`
	Answer    Answer     `json:"answer"` // once revealed
	Digest    Digest     `json:"digest"` // the commitment; once revealed, the hash of memory or evidence
}

// Seat returns the place of a witness among the seats, or -1.
func (p Panel) Seat(witness atp.ID) int {
	return slices.IndexFunc(p.Seats, func(s Seat) bool { return s.Witness == witness })
}

// OpenSeat is what a witness has to do.
type OpenSeat struct {
	Task Task  `json:"task"` // its stage says what, its deadline until when
	Seat Seat  `json:"seat"`
	Of   Level `json:"level"`
}

// Due reports whether the seat has yet to do what the task's stage asks.
func (o OpenSeat) Due() bool {
	if o.Task.Review == nil || o.Task.Review.Level != o.Of {
		return false
	}
	switch o.Task.Stage {
	case Committing:
		return !o.Seat.Committed
	case Revealing:
		return o.Seat.Committed && !o.Seat.Revealed
	}
	return false
}

// Stake is what a platform has set aside to be a witness. It is part of what
// its account has bonded, and apart from every other bond.
type Stake struct {
	Amount   atp.Amount `json:"amount_uatp"`
	Leaving  atp.Amount `json:"leaving_uatp"`  // of it: asked back, not yet released
	Reserved atp.Amount `json:"reserved_uatp"` // of it: for open seats
	Open     uint64     `json:"open_seats"`
	Seen     Height     `json:"seen"` // of the newest block with its signature or a transaction of its
}

// Staying is what is not on its way back.
func (s Stake) Staying() atp.Amount { return s.Amount - min(s.Amount, s.Leaving) }

// Free is what new seats may reserve.
func (s Stake) Free() atp.Amount { return s.Staying() - min(s.Staying(), s.Reserved) }
