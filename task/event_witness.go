package task

import (
	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Challenged tells of a TASK_DISPUTE or a TASK_APPEAL: what its sender sets
// aside, and loses if the witnesses find against it.
type Challenged struct {
	Task   cid.Cid    `json:"task"`
	By     atp.ID     `json:"by"`
	Appeal bool       `json:"appeal"` // else a dispute
	Bond   atp.Amount `json:"bond_uatp"`
}

// Drawn tells what a beacon said, or that none was waited for, since nobody
// could witness: then Beacon is zero, and nobody sits.
type Drawn struct {
	Task       cid.Cid    `json:"task"`
	Level      Level      `json:"level"`
	Disputed   bool       `json:"disputed"`
	Audit      PPM        `json:"audit_ppm"`  // the probability, if it is a matter of chance; else 1,000,000
	Candidates uint64     `json:"candidates"` // societies that could witness
	Height     Height     `json:"height"`     // of the beacon
	Beacon     Digest     `json:"beacon"`
	Seats      []atp.ID   `json:"seats" cborgen:"maxlen=41"` // who sits: nobody, if the lot spared the task
	Bond       atp.Amount `json:"bond_uatp"`                 // of each seat, or what it has free
}

// Revealed tells of a WITNESS_REVEAL.
type Revealed struct {
	Task    cid.Cid `json:"task"`
	Level   Level   `json:"level"`
	Witness atp.ID  `json:"witness"`
	Answer  Answer  `json:"answer"`
	Hash    Digest  `json:"hash"` // of the run's final memory, or of the evidence
}

// Judged tells what the witnesses of a level found.
type Judged struct {
	Task      cid.Cid `json:"task"`
	Level     Level   `json:"level"`
	Final     bool    `json:"final"` // the level seats all who could
	Verdict   Verdict `json:"verdict"`
	Quality   *PPM    `json:"quality_ppm"` // of PASS and FAIL
	Median    PPM     `json:"median_ppm"`  // of all scores
	Seats     uint64  `json:"seats"`
	Committed uint64  `json:"committed"` // seats that have
	Revealed  uint64  `json:"revealed"`  // of those
	Scores    uint64  `json:"scores"`    // of those, with a score
}

// SeatPaid tells what became of a seat when its task was settled: it is open
// no more, and its bond is free but for what was slashed.
type SeatPaid struct {
	Task    cid.Cid    `json:"task"`
	Level   Level      `json:"level"`
	Witness atp.ID     `json:"witness"`
	Rating  PPM        `json:"rating_ppm"`
	Pay     atp.Amount `json:"pay_uatp"` // a part of what the settlement pays to seats
	Slashed atp.Amount `json:"slashed_uatp"`
}

// StakeBonded tells of a STAKE_BOND.
type StakeBonded struct {
	ID     atp.ID     `json:"id"`
	Amount atp.Amount `json:"amount_uatp"`
}

// StakeLeaving tells of a STAKE_UNBOND: the amount counts for no new seat, and
// is released later.
type StakeLeaving struct {
	Unbonding cid.Cid    `json:"unbonding"`
	ID        atp.ID     `json:"id"`
	Amount    atp.Amount `json:"amount_uatp"`
	Until     atp.Millis `json:"until_ms"`
}

// StakeReleased tells that a STAKE_UNBOND has come to its end. What was not
// there to be released, since it was slashed or a seat has it reserved, is a
// stake as before.
type StakeReleased struct {
	Unbonding cid.Cid    `json:"unbonding"`
	ID        atp.ID     `json:"id"`
	Amount    atp.Amount `json:"amount_uatp"` // available now
}

func (*Challenged) event()    {}
func (*Drawn) event()         {}
func (*Revealed) event()      {}
func (*Judged) event()        {}
func (*SeatPaid) event()      {}
func (*StakeBonded) event()   {}
func (*StakeLeaving) event()  {}
func (*StakeReleased) event() {}
