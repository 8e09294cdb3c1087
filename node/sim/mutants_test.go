package sim

import "slices"

// mutants is every build with one rule broken that the tests must catch.
func mutants() []mutant {
	return slices.Concat(consensusMutants(), ledgerMutants(), memberMutants(), byzantineMutants(), storageMutants(), durableMutants(), ruleMutants())
}

// tcOfOneView is a tcView that counts Timeouts of exactly one view.
const tcOfOneView = `func (c *collector) tcView() View {
	best := NoView
	for _, t := range c.timeouts {
		same := 0
		for _, o := range c.timeouts {
			if t != nil && o != nil && t.View == o.View {
				same++
			}
		}
		if same >= c.set.Quorum() {
			best = max(best, t.View)
		}
	}
	return best
}`

// consensusMutants break consensus, its signer, or the joint of both with the store.
func consensusMutants() []mutant {
	return []mutant{
		{name: "R2 ignores the QC of the TC", edits: []edit{
			{"bft/rules.go", "func justified(p *Proposal) bool { return fresh(p) || p.TC.QC.Block == p.Block }", "func justified(p *Proposal) bool { return true }"},
			{"bft/rules.go", "	if tc.QC != nil {\n		reuse = tc.QC.Block\n	}\n	return reuse, true", "	return reuse, true"},
			{"bft/rules.go", "func fresh(p *Proposal) bool { return p.TC == nil || p.TC.QC == nil }", "func fresh(p *Proposal) bool { return true }"},
		}, want: "A1"},
		{name: "quorum off by one", edits: []edit{
			{"bft/validators.go", "return (n + faults(n) + 2) / 2", "return max(1, (n+faults(n))/2)"},
		}, want: "A1"},
		{name: "a signature leaves before its record is durable", edits: []edit{
			{"node/signer/signer.go", "	if fresh {\n		if err := s.write(next); err != nil {\n			return nil, err\n		}\n	}", "	if fresh {\n		s.record = next\n	}"},
		}, want: "A6|alarm|without a reason"},
		{name: "the record is not synced", edits: []edit{
			{"node/signer/slots.go", "if err := s.file.Sync(); err != nil {", "if err := error(nil); err != nil {"},
		}, want: "ended itself|alarm|A6|without a reason"},
		{name: "highQC is not in the record", edits: []edit{
			{"bft/record.go", "	r.Marks = r.Marks.with(u)\n", "	r.Marks = r.Marks.with(u)\n	r.HighQC = nil\n"},
			{"bft/record.go", " || r.Committed > viewOf(r.HighQC) {", " {"},
			{"bft/record.go", "if r.Timeout != nil && r.Timeout.HighView() > viewOf(r.HighQC)", "if false"},
		}, want: "A6"},
		{name: "a restart forgets how far it was", edits: []edit{
			{"bft/rules.go", "return max(0, m.Proposed, m.Prepared, m.Committed, m.TimedOut, viewOf(m.HighQC))", "return 0"},
			{"bft/rules.go", "return v > m.Proposed && v > m.TimedOut }", "return v != m.Proposed && v != m.TimedOut }"},
			{"bft/rules.go", "return v > m.Prepared && v > m.TimedOut }", "return v != m.Prepared && v != m.TimedOut }"},
		}, want: "A6", test: "TestRestartedLeaderKeepsItsWord"},
		{name: "COMMIT after a Timeout", edits: []edit{
			{"bft/rules.go", "return v > m.Committed && v > m.TimedOut }", "return v > m.Committed }"},
		}, want: "A6"},
		{name: "PREPARE twice in a view", edits: []edit{
			{"bft/rules.go", "return v > m.Prepared && v > m.TimedOut }", "return v >= m.Prepared && v > m.TimedOut }"},
			{"bft/core.go", "c.asked >= c.view", "c.asked > c.view"},
			{"bft/collect.go", "s[i].Position().View >= m.Position().View", "s[i].Position().View > m.Position().View"},
		}, want: "A6"},
		{name: "a block is voted for unexecuted", edits: []edit{
			{"node/replica/candidate.go", "	case c.refusal != nil:\n		r.fault(r.checking.Proposer, c.refusal)\n		return r.judged(bft.Invalid)\n", ""},
			{"node/replica/candidate.go", "case c.parent != parentUnknown || c.refusal != nil:", "case c.parent != parentUnknown:"},
		}, want: "ended itself"},
		{name: "a body is voted for that is not on the disk", edits: []edit{
			{"node/replica/candidate.go", "	if !c.stored {\n		c.stored = true\n", "	if !c.stored && id.Defined() && r.height() == 0 {\n		c.stored = true\n"},
		}, want: "without its body|liveness"},
		{name: "a PREPARE is repeated whose body was lost", edits: []edit{
			{"node/replica/replica.go", "err != nil || !here {", "err != nil && !here {"},
		}, want: "without its body"},
		{name: "a lock pays twice", edits: []edit{
			{"atp/escrow.go", "if err := l.State.DeleteLock(lock.ID); err != nil {", "if err := l.State.SetLock(lock); err != nil {"},
		}, want: "A"},
		// These two break the simulator's own store and loop, and show that A7 is judged:
		// durableMutants break those of a node.
		{name: "the head is not synced", edits: []edit{
			{"node/sim/store.go", "	return s.sync(atFinalSync)\n", "	return nil\n"},
		}, want: "A7"},
		{name: "published before it is stored", edits: []edit{
			{"node/sim/effects.go", "	case 2:\n		return m.commit(out.Persist.Final)\n", "	case 2:\n		m.publish(out.Publish)\n		return m.commit(out.Persist.Final)\n"},
		}, want: "A7"},
		{name: "a decision is told to nobody", edits: []edit{
			{"node/replica/final.go", "	r.spread(f)\n", ""},
			{"node/replica/consensus.go", "		return r.answer(p, in.Message)\n	case h > r.height():", "		return nil\n	case h > r.height():"},
			{"node/replica/peers.go", "func (p *peer) claims(h bft.Height) { p.claim = max(p.claim, h) }", "func (p *peer) claims(bft.Height) {}"},
		}, want: "liveness|J6"},
		{name: "a TC needs Timeouts of one view", edits: []edit{
			{"bft/collect.go", "func (c *collector) tcView() View { return c.nthHighest(c.set.Quorum()) }", tcOfOneView},
		}, want: "waited in vain", test: "TestATimeoutOfALaterViewCounts"},
		{name: "an admission makes a set of two", edits: []edit{
			{"chain/member.go", "if n-leave >= 1 && n-leave+candidates != 2 {", "if n-leave >= 1 {"},
		}, want: "validators 2 are left", test: "TestGrowingSets"},
		{name: "the last validators leave", edits: []edit{
			{"chain/member.go", "case e.root.Census.Validators <= e.root.Census.Leaving+1:", "case e.root.Census.Validators < e.root.Census.Leaving:"},
			{"chain/member.go", "if n-leave >= 1 && n-leave+candidates != 2 {", "if n-leave+candidates != 2 {"},
		}, want: "ended itself|0 are left", test: "TestGrowingSets"},
		{name: "a candidate enters whose time is over", edits: []edit{
			{"chain/member.go", "if c.Until >= e.header.Time {", "if c.Until > 0 {"},
		}, want: "a candidate until", test: "TestGrowingSets"},
		{name: "the new set judges the certificate of the height before it", edits: []edit{
			{"node/replica/candidate.go", "Set: r.below.set, Message: last", "Set: r.set, Message: last"},
		}, want: "blames|liveness|J6", test: "TestGrowingSets"},
		{name: "the old set goes on", edits: []edit{
			{"node/replica/replica.go", "	r.set = r.state.Validators()\n", "	if r.set = r.state.Validators(); before.Len() > 0 {\n		r.set = before\n	}\n"},
		}, want: "A1|blames|liveness|ended itself", test: "TestGrowingSets"},
		{name: "a new height is told to the old set alone", edits: []edit{
			{"node/replica/replica.go", "	if err := r.absorb(r.core.Start()); err != nil {", "	out := r.core.Start()\n	out.Status = false\n	if err := r.absorb(out); err != nil {"},
			{"node/replica/final.go", "	r.tellObservers()\n", ""},
		}, want: "liveness|J6", test: "TestGrowingSets", args: []string{"-seeds", "1500"}},
		{name: "a block is executed in the order of a map", edits: []edit{
			{"chain/apply.go", "	for i, tx := range b.Txs {\n", "	order := make(map[int]VerifiedTx)\n	for i, tx := range b.Txs {\n		order[i] = tx\n	}\n	for i, tx := range order {\n"},
		}, want: "blames|ended itself"},
		{name: "a clock that is set right is ahead", edits: []edit{
			{"node/replica/clock.go", "	c.shift -= min(c.shift, atp.Millis(max(by, 0)))\n", ""},
		}, pkg: "node/replica", test: "TestAClockThatIsSetRightIsRight"},
		{name: "a clock that is set right is ahead, and follows nobody", edits: []edit{
			{"node/replica/clock.go", "	c.shift -= min(c.shift, atp.Millis(max(by, 0)))\n", ""},
			{"node/replica/clock.go", "		c.follow()\n", ""},
		}, want: "A3|liveness", test: "TestScripts"},
		{name: "a clock that runs on follows nobody", edits: []edit{
			{"node/replica/clock.go", "		c.follow()\n", ""},
		}, want: "A3|liveness", test: "TestScripts"},
		{name: "liars are the median of few clocks", edits: []edit{
			{"node/replica/clock.go", "	case len(c.peers) < 2*c.faulty: // with our own fewer than 2f + 1: liars could be the median\n", ""},
		}, pkg: "node/replica", test: "TestALiarTakesNoClockThatRunsOnAway"},
		{name: "a clock that runs on is never our own again", edits: []edit{
			{"node/replica/clock.go", "		c.move(-int64(c.shift))\n", ""},
		}, pkg: "node/replica", test: "TestAClockThatRunsOnIsOursAgainOnceAnotherAgreesWithIt"},
		{name: "who gave a view up for nothing says so for ever", edits: []edit{
			{"node/replica/status.go", "		return r.rest()\n", ""},
		}, pkg: "node/replica", test: "TestWhoGaveAViewUpForNothingFallsSilent"},
		{name: "who fell silent stays silent", edits: []edit{
			{"node/replica/status.go", "	if r.resting {\n", "	if false {\n"},
		}, pkg: "node/replica", test: "TestWhoFellSilentSpeaksAgain"},
		{name: "nobody is greeted", edits: []edit{
			{"node/replica/peers.go", "	r.tell([]bft.ID{id})\n", ""},
		}, want: "liveness|before machine . has answered"},
		{name: "who could not hear the greeting is told no more", edits: []edit{
			{"node/replica/status.go", "	first := p.came && s.FinalHeight <= r.head().Height\n", "	first := false\n"},
		}, pkg: "node/replica", test: "TestAnOldImageThatWasGreetedBeforeItCouldHearIsFoundOut"},
		{name: "who is far below is shown one certificate", edits: []edit{
			{"node/replica/status.go", "	below := s.Height < r.head().Height && second != p.showing\n", "	below := false\n"},
		}, pkg: "node/replica", test: "TestAStatusFromFarBelowIsAnsweredOncePerSecond"},
		{name: "who is far below is answered without end", edits: []edit{
			{"node/replica/status.go", "	below := s.Height < r.head().Height && second != p.showing\n", "	below := s.Height < r.head().Height\n"},
		}, pkg: "node/replica", test: "TestAStatusFromFarBelowIsAnsweredOncePerSecond"},
		{name: "every Status is answered", edits: []edit{
			{"node/replica/status.go", "	if first || challenged || below {\n", "	if first || challenged || below || !first {\n"},
		}, pkg: "node/replica", test: "TestAnAnswerToAGreetingIsNotAnswered"},
		{name: "whom nobody has told calls itself up to date", edits: []edit{
			{"node/replica/progress.go", "	return there && !r.met\n", "	return there && r.met\n"},
		}, pkg: "node/replica", test: "TestANewcomerThatWasGreetedBeforeItCouldHearAsksForWhatItLacks"},
	}
}
