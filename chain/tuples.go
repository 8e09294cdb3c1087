//go:build cborgen

package chain

// Tuples lists the types that are encoded as tuples of their fields. It is
// there for the generator alone.
func Tuples() []any {
	return []any{
		Proof{}, ProofBlock{}, TaskProof{}, ProofEntry{}, AccountProof{},
		Transaction{}, unsigned{},
		Transfer{}, TransferLock{}, TransferCommit{}, TransferRollback{}, lockPlace{},
		PlatformRegister{}, FederationTask{}, TaskAccept{}, FederationProof{}, TaskAcknowledge{}, TaskCancel{},
		ValidatorJoin{}, ValidatorLeave{}, ValidatorVote{}, Evidence{}, KeyRotate{},
		TaskDispute{}, TaskAppeal{}, WitnessCommit{}, WitnessReveal{}, StakeBond{}, StakeUnbond{},
		Header{}, Body{}, Outline{},
		FeePaid{}, Transferred{}, LockOpened{}, LockCommitted{}, LockRolledBack{}, PlatformRegistered{}, Granted{}, Receipt{},
		ValidatorCandidate{}, CandidateLeft{}, ValidatorStays{}, ValidatorLeaving{}, ValidatorJoined{}, ValidatorLeft{},
		VoteCast{}, VoteWithdrawn{}, PlatformAdmitted{}, ValidatorAbsent{}, ValidatorSlashed{}, BondReturned{}, KeyRotated{},
		genesisForm{}, founderForm{}, Allocation{}, Params{}, Limits{}, Membership{},
		stateRoot{}, constants{}, Census{}, platform{}, society{}, Validator{}, Candidate{},
		Absence{}, Held{}, Ballot{}, Vote{}, keyRecord{},
	}
}
