package sim

// memberMutants break the rules of membership.
func memberMutants() []mutant {
	grows := func(name, want string, edits ...edit) mutant {
		return mutant{name: name, edits: edits, want: want, test: "TestGrowingSets"}
	}
	return []mutant{
		grows("an absence lowers f", "f falls, or two are left|2 are left", edit{
			"chain/absence.go", "return n > 1 && n-1 != 2 && bft.Faults(n-1) == bft.Faults(n)", "return n > 1 && n-1 != 2",
		}),
		grows("an absence of a moment costs the vote", "is missing since", edit{
			"chain/absence.go", "return a.Blocks(h.Height) >= m.AbsentBlocks && h.Time >= a.Time.Add(m.AbsentTime)", "return a.Blocks(h.Height) >= m.AbsentBlocks",
		}),
		grows("an absence is a block shorter", "is missing since", edit{
			"chain/absence.go", "return a.Blocks(h.Height) >= m.AbsentBlocks &&", "return a.Blocks(h.Height)+1 >= m.AbsentBlocks &&",
		}),
		grows("a JOIN of one that is missing does not count as alive", "is missing since", edit{
			"chain/member.go", "told(errors.Join(e.stay(key, v), e.present(key)), &ValidatorStays{tx.From})", "told(e.stay(key, v), &ValidatorStays{tx.From})",
		}),
		grows("the bond of one that was absent returns at once", "gone with its vote", edit{
			"chain/absence.go", "e.hold(Held{ID: a.id, Bond: v.Bond, Since: v.Since})", "e.unbond(a.id, v.Bond)",
		}),
		grows("the bond of one that leaves returns at once", "gone with its vote", edit{
			"chain/member.go", "e.hold(Held{ID: l.id, Bond: l.Bond, Since: l.Since, Until: until})", "e.unbond(l.id, l.Bond)",
		}),
		grows("who was not voted in joins", "was not voted in", edit{
			"chain/member.go", "case e.constants.Params.Admission == AdmitVote && !p.Admitted:", "case false:",
		}),
		grows("one vote less is enough", "have voted", edit{
			"chain/admission.go", "if votes < needed || !theirs {", "if votes+1 < needed || !theirs {",
		}),
		grows("a liar keeps its vote", "ended itself|A2|A3", edit{
			"chain/evidence.go", "	case s.validator != nil:\n		return e.unseat(id, *s.validator)\n", "	case s.validator != nil:\n		return nil\n",
		}),
		grows("anybody is slashed", "which is correct, is slashed", edit{
			"chain/evidence.go", "owner, err := e.newest(key)\n	if err != nil {\n		return nil, err\n	}\n	s, err :=", "owner, err := by, error(nil)\n	key = by\n	s, err :=",
		}),
		grows("an old key is not spent", "whose key was replaced", edit{
			"chain/key.go", "e.SetAccount(old, atp.Account{Nonce: spentNonce})", "e.SetAccount(old, atp.Account{Nonce: account.Nonce})",
		}),
		grows("a key is replaced while its locks are open", "ended itself|A2|A3", edit{
			"chain/key.go", "case account.Locked > 0:", "case false:",
		}),
		grows("a new key moves the beacon at once", "the beacon of a proposer", edit{
			"chain/key.go", "	v.Joined = e.header.Height + 1\n", "",
		}),
	}
}
