package sim

// byzantineMutants are builds that take in what only a byzantine machine sends:
// without one every schedule is as it should be.
func byzantineMutants() []mutant {
	by := func(behaviour string, more ...string) []string {
		return append([]string{"-behaviour", behaviour, "-size", "4", "-seeds", "2000"}, more...)
	}
	const test = "TestByzantine"
	return []mutant{
		{name: "a certificate may name a signer twice", edits: []edit{
			{"bft/verify.go", "n := c.Signers.Count(); n != v.Set.Quorum()", "n := len(c.Signatures); n != v.Set.Quorum()"},
			{"bft/verify.go", "n := c.Signers.Count(); n < v.Set.Quorum()", "n := len(c.Signatures); n < v.Set.Quorum()"},
			{"bft/verify.go", "!c.Signers.fits(v.Set.Len()) || c.Signers.Count() != len(c.Signatures)", "!c.Signers.fits(v.Set.Len())"},
		}, want: "A1", test: test, args: by("duplicate-signer certificate")},
		{name: "an index beyond the set counts", edits: []edit{
			{"bft/certificate.go", "len(b) == (n+7)/8 && (n%8 == 0 || b[len(b)-1]>>(n%8) == 0)", "len(b) == (n+7)/8"},
			{"bft/verify.go", "	for i, signer := range c.Signers.indices() {\n", "	for i, signer := range c.Signers.indices() {\n		if signer >= v.Set.Len() {\n			continue\n		}\n"},
		}, want: "A1", test: test, args: by("duplicate-signer certificate")},
		{name: "LastCommit is not verified", edits: []edit{
			{"node/replica/candidate.go", "		c.parent = parentAsked\n		r.job(Job{From: r.checking.Proposer, Height: last.Height, Set: r.below.set, Message: last})\n", "		c.parent = parentGood\n"},
		}, want: "A1", test: test, args: by("duplicate-signer certificate")},
		{name: "COMMIT has the domain of PREPARE", edits: []edit{
			{"bft/message.go", `return "sage/commit/1"`, `return "sage/prepare/1"`},
		}, want: "A1", test: test, args: by("certificate transplant"), also: &guard{pkg: "bft", test: "TestEachSignedFieldIsCovered"}},
		{name: "a signature does not cover the block", edits: []edit{
			{"bft/message.go", "	return append(b, s.Block.KeyString()...)\n", "	return b\n"},
		}, want: "A1|ended itself|liveness", test: test, args: by("certificate transplant")},
		{name: "a signature does not cover the height", edits: []edit{
			{"bft/message.go", "	b = appendUint64(b, uint64(s.Height))\n", ""},
		}, want: "A1|ended itself|liveness", test: test, args: by("certificate transplant")},
		{name: "a signature does not cover the genesis", edits: []edit{
			{"bft/message.go", "	b = append(b, genesis[:]...)\n", ""},
		}, want: "A1", test: test, args: by("replayer")},
		{name: "the highQC of a Timeout is not verified", edits: []edit{
			{"bft/verify.go", "	return v.QC(t.HighQC)\n", "	return nil\n"},
		}, want: "blames|liveness|A1", test: test, args: by("highQC liar")},
		{name: "a TC may hide its QC", edits: []edit{
			{"bft/verify.go", "	if !carriesHighest(t) {", "	if t.QC != nil && !carriesHighest(t) {"},
		}, want: "A1", test: "TestALeaderThatHidesAQCIsNotFollowed"},
		{name: "one Timeout of a far view takes everyone there", edits: []edit{
			{"bft/collect.go", "return c.nthHighest(c.set.F() + 1)", "return c.nthHighest(1)"},
		}, want: "liveness|ended itself|blames", test: test, args: by("view jumper")},
		{name: "the time of a block is not checked", edits: []edit{
			{"node/replica/candidate.go", "{ return t <= clock.Add(maxLead) && clock <= t.Add(maxLag) }", "{ return true }"},
		}, want: "time is", test: test, args: by("time pusher and backdater")},
		{name: "a block may be older than its parent", edits: []edit{
			{"chain/apply.go", "case h.Time <= tip.Time:", "case h.Time == 0:"},
		}, want: "time is", test: test, args: by("time pusher and backdater")},
		{name: "a block may have any number of transactions", edits: []edit{
			{"chain/apply.go", "case uint64(len(e.txs)) >= limits.Txs:", "case uint64(len(e.txs)) >= 1000*limits.Txs:"},
		}, want: "want at most 16", test: test, args: by("oversize block")},
		{name: "a wrong state root is accepted", edits: []edit{
			{"chain/block.go", "		{\"state\", h.StateRoot, found.StateRoot},\n", ""},
		}, want: "A5", test: test, args: by("wrong state root"), also: &guard{pkg: "chain", test: "TestABlockIsInvalidFor"}},
		{name: "a nonce may be one of the past", edits: []edit{
			{"chain/apply.go", "case account.Nonce != tx.Nonce:", "case account.Nonce < tx.Nonce:"},
		}, want: "final twice", test: test, args: by("invalid-transaction packer"), also: &guard{pkg: "chain", test: "TestATransactionSpoilsABlockFor"}},
		{name: "an expired transaction is included", edits: []edit{
			{"chain/apply.go", "case tx.Expires != 0 && tx.Expires < e.header.Time:", "case tx.Expires == 1:"},
		}, want: "expired", test: test, args: by("invalid-transaction packer")},
		{name: "the fee need not be there", edits: []edit{
			{"chain/apply.go", "case account.Available < tx.Fee:", "case account.Available > 0 && tx.Fee == 1:"},
		}, want: "ended itself|A2", test: test, args: by("invalid-transaction packer")},
		{name: "the signature of a transaction is not checked", edits: []edit{
			{"chain/tx.go", "if i := claimed[k]; !good && errs[i] == nil {", "if i := claimed[k]; !good && i < 0 {"},
		}, want: "A4", test: test, args: by("invalid-transaction packer")},
		{name: "a block that was fetched need not be the certified one", edits: []edit{
			{"node/replica/sync.go", " || b.Cert.Block != id {", " || !id.Defined() {"},
		}, want: "A1|A7|ended itself", test: test, args: by("sync liar")},
		{name: "nobody listens before it speaks", edits: []edit{
			{"node/replica/listen.go", "r.listening.on = !r.self.IsZero() && !r.mute }", "r.listening.on = false }"},
		}, want: "has said", test: "TestATwinThatComesLaterFindsOutBeforeItSpeaks", also: &guard{test: "TestRestoredDisks", want: "A6|before machine"}},
		{name: "what a peer shows of us is not verified", edits: []edit{
			{"bft/verify.go", "		if !s.Newest.Valid(v.Scheme, v.Genesis) {", "		if s.Newest.Signer.IsZero() {"},
		}, want: "raises an alarm|falls silent without a reason", test: test, args: by("replayer")},
		{name: "who has nothing to do ticks on", edits: []edit{
			{"node/replica/status.go", "		if !r.unfinished() {\n", "		if false {\n"},
		}, want: "J6", test: test, args: by("key twin")},
		{name: "the fastest clock is believed", edits: []edit{
			{"node/replica/clock.go", "return all[(len(all)-1)/2], all[len(all)/2]", "return all[len(all)-1], all[len(all)-1]"},
		}, want: "liveness", test: test, args: by("time pusher and backdater")},
	}
}
