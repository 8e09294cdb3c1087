package sim

// ruleMutants break the invariants of package bft that no mutant elsewhere breaks,
// by their names there, and the beacon. The unit tests of bft catch them.
func ruleMutants() []mutant {
	breaks := func(name, test string, e edit) mutant {
		return mutant{name: name, edits: []edit{e}, pkg: "bft", test: test}
	}
	return []mutant{
		breaks("a Proposal after a Timeout", "TestWhatMayBeSaidAfterWhat", edit{ // S3
			"bft/rules.go", "return v > m.Proposed && v > m.TimedOut }", "return v > m.Proposed }",
		}),
		breaks("a PREPARE after a Timeout", "TestWhatMayBeSaidAfterWhat", edit{ // S3
			"bft/rules.go", "return v > m.Prepared && v > m.TimedOut }", "return v > m.Prepared }",
		}),
		breaks("any QC allows a COMMIT", "TestTheRecordAdmitsWhatFollowsAndNothingThatContradicts", edit{ // S4
			"bft/rules.go", "return u.QC != nil && u.QC.Height == u.Height && u.QC.View == u.View && u.QC.Block == u.Block", "return u.QC != nil",
		}),
		breaks("a Timeout forgets the lock", "TestTheRecordAdmitsWhatFollowsAndNothingThatContradicts", edit{ // S6
			"bft/rules.go", " && u.HighView >= viewOf(m.HighQC) &&\n", " &&\n",
		}),
		breaks("the lock falls", "TestTheLockOnlyRises", edit{ // S6
			"bft/rules.go", "if viewOf(qc) > viewOf(m.HighQC) {", "if qc != nil {",
		}),
		breaks("a TC counts who gave up an earlier view", "TestEachSignedFieldIsCovered", edit{ // S7
			"bft/rules.go", "return t.lowest() == t.View }", "return t.lowest() <= t.View }",
		}),
		breaks("a Proposal needs no TC", "TestWhatJustifiesAProposal", edit{ // S8
			"bft/rules.go", "return p.TC != nil && p.TC.View == p.View-1", "return p.TC == nil || p.TC.View == p.View-1",
		}),
		breaks("an invalid block is voted for", "TestAnInvalidBlockIsNotPrepared", edit{ // S9
			"bft/rules.go", "return v == Valid || v == Untimely && !fresh(p) }", "return v != Untimely || !fresh(p) }",
		}),
		breaks("a slot keeps the oldest view", "TestASlotKeepsTheHighestView", edit{ // L3
			"bft/collect.go", "if s[i] != none && s[i].Position().View >= m.Position().View {", "if s[i] != none {",
		}),
		breaks("the QC of a Timeout is overlooked", "TestAQCInATimeoutCounts", edit{ // L5
			"bft/pacemaker.go", "	c.certificates(t.HighQC, nil, out)\n", "",
		}),
		breaks("a Timeout is said once", "TestTheNewestTimeoutIsRepeatedWhileStuck", edit{ // L6
			"bft/pacemaker.go", "	if mine != nil && mine.View == c.view {\n		out.Send = append(out.Send, Envelope{Message: mine})\n	}\n", "	_ = mine\n",
		}),
		breaks("every view is skipped whose leader is gone", "TestWhenToJoinSkipAndEnter", edit{ // L7
			"bft/rules.go", "return v <= View(f) }", "return true }",
		}),
		breaks("the beacon needs no proof", "TestABeaconProofIsOfOneKeyBeaconAndHeight", edit{
			"bft/beacon.go", "	if !ok {\n		return Beacon{}, invalidf(", "	if !ok && false {\n		return Beacon{}, invalidf(",
		}),
	}
}
