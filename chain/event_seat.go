package chain

import (
	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// VoteCast tells of a VALIDATOR_VOTE for a platform.
type VoteCast struct {
	Voter    atp.ID     `json:"voter"`
	Platform atp.ID     `json:"platform"`
	Grant    atp.Amount `json:"grant_uatp"`
	Society  string     `json:"society" cborgen:"maxlen=64"`
	Votes    uint64     `json:"votes"`  // for it on these terms, this one included
	Needed   uint64     `json:"needed"` // of so many
}

// VoteWithdrawn tells of a VALIDATOR_VOTE that takes an earlier one back.
type VoteWithdrawn struct {
	Voter    atp.ID `json:"voter"`
	Platform atp.ID `json:"platform"`
}

// PlatformAdmitted tells of a platform that a quorum of validators has voted
// for: it may join them, and is of the society, if one is named.
type PlatformAdmitted struct {
	ID      atp.ID `json:"id"`
	Society string `json:"society" cborgen:"maxlen=64"`
}

// ValidatorAbsent tells of a validator that was missing for so long that it has
// no vote from a height on. Its bond stays where it is.
type ValidatorAbsent struct {
	ID   atp.ID     `json:"id"`
	From bft.Height `json:"from_height"`
	Bond atp.Amount `json:"bond_uatp"`
}

// ValidatorSlashed tells of an EVIDENCE: what answered for the key went to the
// pool, and its owner has no vote from the next height on, unless it has the
// last one.
type ValidatorSlashed struct {
	ID     atp.ID     `json:"id"`
	Key    atp.ID     `json:"key"`       // that contradicted itself; the owner's, or one that it had
	Height bft.Height `json:"height"`    // at which it did
	Bond   atp.Amount `json:"bond_uatp"` // gone
	By     atp.ID     `json:"by"`        // who showed it
}

// BondReturned tells of a bond that answers for nothing any more.
type BondReturned struct {
	ID   atp.ID     `json:"id"`
	Bond atp.Amount `json:"bond_uatp"`
}

// KeyRotated tells of a KEY_ROTATE: all that was the old key's is the new one's.
type KeyRotated struct {
	Old       atp.ID     `json:"old"`
	New       atp.ID     `json:"new"`
	Available atp.Amount `json:"available_uatp"` // that went over
}

// memberNumber is [Event.number] for the facts of this file.
func memberNumber(f Fact) uint64 {
	switch f.(type) {
	case *VoteCast:
		return eventVoteCast
	case *VoteWithdrawn:
		return eventVoteWithdrawn
	case *PlatformAdmitted:
		return eventPlatformAdmitted
	case *ValidatorAbsent:
		return eventValidatorAbsent
	case *ValidatorSlashed:
		return eventValidatorSlashed
	case *BondReturned:
		return eventBondReturned
	case *KeyRotated:
		return eventKeyRotated
	}
	return 0
}

// newMemberFact is newFact for those of this file; nil for others.
func newMemberFact(number uint64) Fact {
	switch number {
	case eventVoteCast:
		return new(VoteCast)
	case eventVoteWithdrawn:
		return new(VoteWithdrawn)
	case eventPlatformAdmitted:
		return new(PlatformAdmitted)
	case eventValidatorAbsent:
		return new(ValidatorAbsent)
	case eventValidatorSlashed:
		return new(ValidatorSlashed)
	case eventBondReturned:
		return new(BondReturned)
	case eventKeyRotated:
		return new(KeyRotated)
	}
	return nil
}

// memberName is [Event.Name] for the facts of this file.
func memberName(f Fact) string {
	switch f.(type) {
	case *VoteCast:
		return OpValidatorVote.String()
	case *VoteWithdrawn:
		return "VALIDATOR_VOTE_WITHDRAWN"
	case *PlatformAdmitted:
		return "PLATFORM_ADMITTED"
	case *ValidatorAbsent:
		return "VALIDATOR_ABSENT"
	case *ValidatorSlashed:
		return "VALIDATOR_SLASHED"
	case *BondReturned:
		return "BOND_RETURNED"
	case *KeyRotated:
		return OpKeyRotate.String()
	}
	return ""
}
