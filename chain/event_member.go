package chain

import (
	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// Member returns the platform whose vote, or wish for one, the event tells
// about, if it does.
func (e Event) Member() (id atp.ID, ok bool) {
	switch f := e.Fact.(type) {
	case *ValidatorCandidate:
		return f.ID, true
	case *CandidateLeft:
		return f.ID, true
	case *ValidatorStays:
		return f.ID, true
	case *ValidatorLeaving:
		return f.ID, true
	case *ValidatorJoined:
		return f.ID, true
	case *ValidatorLeft:
		return f.ID, true
	case *VoteCast:
		return f.Platform, true
	case *VoteWithdrawn:
		return f.Platform, true
	case *PlatformAdmitted:
		return f.ID, true
	case *ValidatorAbsent:
		return f.ID, true
	case *ValidatorSlashed:
		return f.ID, true
	case *BondReturned:
		return f.ID, true
	case *KeyRotated:
		return f.New, true
	}
	return atp.ID{}, false
}

// ValidatorCandidate tells of a VALIDATOR_JOIN: a new candidate, or one for
// longer, whose bond is set aside already.
type ValidatorCandidate struct {
	ID    atp.ID     `json:"id"`
	Until atp.Millis `json:"until_ms"`
	Bond  atp.Amount `json:"bond_uatp"` // set aside now
}

// CandidateLeft tells of a candidate that is one no more, by its own
// VALIDATOR_LEAVE or because its time was over: it has its bond again.
type CandidateLeft struct {
	ID   atp.ID     `json:"id"`
	Bond atp.Amount `json:"bond_uatp"`
}

// ValidatorStays tells of a VALIDATOR_JOIN of a validator.
type ValidatorStays struct {
	ID atp.ID `json:"id"`
}

// ValidatorLeaving tells of a VALIDATOR_LEAVE of a validator: it leaves with
// this block, or waits until that makes no set of two.
type ValidatorLeaving struct {
	ID atp.ID `json:"id"`
}

// ValidatorJoined tells of a candidate that has a vote from a height on.
type ValidatorJoined struct {
	ID   atp.ID     `json:"id"`
	From bft.Height `json:"from_height"`
}

// ValidatorLeft tells of a validator that has no vote from a height on. Its bond
// answers for it for a while yet ([Membership]).
type ValidatorLeft struct {
	ID    atp.ID     `json:"id"`
	From  bft.Height `json:"from_height"`
	Bond  atp.Amount `json:"bond_uatp"`
	Until atp.Millis `json:"until_ms"` // when the bond returns
}
