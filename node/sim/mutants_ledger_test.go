package sim

import "slices"

// ledgerMutants break the ledger, tasks and blocks, the mempool, the checks of
// signatures, and sync. Most are caught by a test of the package that has the rule.
func ledgerMutants() []mutant {
	return slices.Concat(moneyMutants(), taskMutants(), blockMutants(), checkMutants(), mempoolMutants(), syncMutants())
}

// moneyMutants break package atp: A2 and A3.
func moneyMutants() []mutant {
	return []mutant{
		{name: "a stranger commits a lock", edits: []edit{
			{"atp/escrow.go", "case by != lock.Payer:", "case by == lock.Payee.ID && by != lock.Payer:"},
		}, pkg: "atp", test: "TestWhoEndsALockAndWhen"},
		{name: "a payee commits its own lock", edits: []edit{
			{"atp/escrow.go", "case by != lock.Payer:", "case by != lock.Payer && by != lock.Payee.ID:"},
		}, pkg: "atp", test: "TestWhoEndsALockAndWhen"},
		{name: "a lock is committed after its deadline", edits: []edit{
			{"atp/escrow.go", "case !at.InTime(lock.Deadline):", "case false:"},
		}, pkg: "atp", test: "TestWhoEndsALockAndWhen"},
		{name: "anyone takes a lock back before its deadline", edits: []edit{
			{"atp/escrow.go", "if by != lock.Payee.ID && at.InTime(lock.Deadline) {", "if false {"},
		}, pkg: "atp", test: "TestWhoEndsALockAndWhen"},
		{name: "a payer takes its lock back before its deadline", edits: []edit{
			{"atp/escrow.go", "if by != lock.Payee.ID && at.InTime(lock.Deadline) {", "if by != lock.Payer && by != lock.Payee.ID && at.InTime(lock.Deadline) {"},
		}, pkg: "atp", test: "TestWhoEndsALockAndWhen"},
		{name: "the last moment of a deadline is too late", edits: []edit{
			{"atp/time.go", "c.Parent <= deadline", "c.Parent < deadline"},
		}, pkg: "atp", test: "TestWhoEndsALockAndWhen"},
		{name: "a settlement leaves its lock open", edits: []edit{
			{"atp/escrow.go", "	return l.State.DeleteLock(lock.ID)\n}", "	return nil\n}"},
		}, pkg: "atp", test: "TestATaskTakesItsFeeAndSettlesAsAWhole"},
		{name: "what is taken need not be put", edits: []edit{
			{"atp/ledger.go", "if c.hand != 0 {", "if false {"},
		}, pkg: "atp", test: "TestWhatALedgerRefuses"},
		{name: "what is put need not be taken", edits: []edit{
			{"atp/ledger.go", "case amount > c.hand:", "case false:"},
			{"atp/ledger.go", "c.hand-amount", "c.hand-min(amount, c.hand)"},
		}, pkg: "atp", test: "TestWhatALedgerRefuses"},
		{name: "the pool pays without end", edits: []edit{
			{"atp/ledger.go", "	*field, c.hand = left, hand\n", "	if c.hand = hand; p.kind != kindPool {\n		*field = left\n	}\n"},
		}, want: "A2|supply"},
		{name: "a fee vanishes", edits: []edit{
			{"atp/ledger.go", "return &c.totals.Discharged, &c.totals.Discharged, nil", "return new(Amount), new(Amount), nil"},
		}, want: "A2|supply"},
	}
}

// taskMutants break package task: who may do what, who is paid, whose word counts.
func taskMutants() []mutant {
	return []mutant{
		{name: "a settled task stays open and settles again", edits: []edit{
			{"task/settlement.go", "if err := b.State.DeleteTask(t.ID); err != nil {", "if err := b.State.SetTask(t); err != nil {"},
		}, pkg: "task", test: "TestOnlyTheMovesOfTheTableAreLegal"},
		{name: "a refused result is paid for", edits: []edit{
			{"task/settle.go", "{Refused, Rollback, formula{P: 1, B: 1},\n		formula{P: 1}, formula{B: 1},", "{Refused, Rollback, formula{P: 1, B: 1},\n		formula{}, formula{P: 1, B: 1},"},
		}, pkg: "task", test: "TestHowATaskOfFiftyATPEnds"},
		{name: "a deadline binds nobody", edits: []edit{
			{"task/book.go", "case !at.InTime(t.Deadline):", "case false:"},
		}, pkg: "task", test: "TestDeadlinesAreJudgedToTheMillisecond"},
		{name: "a stage ends before its deadline", edits: []edit{
			{"task/book.go", "if at.InTime(t.Deadline) {", "if false {"},
		}, pkg: "task", test: "TestDeadlinesAreJudgedToTheMillisecond"},
		{name: "an executor acknowledges its own result", edits: []edit{
			{"task/book.go", "case m.who == theRequester && by != t.Requester.ID:", "case m.who == theRequester && by != t.Requester.ID && (t.Acceptance == nil || by != t.Acceptance.Executor.ID):"},
		}, pkg: "task", test: "TestEachMoveIsOnePartysAlone"},
		{name: "another proves the work of the executor", edits: []edit{
			{"task/book.go", "case m.who == theExecutor && by != t.Acceptance.Executor.ID:", "case false:"},
		}, pkg: "task", test: "TestEachMoveIsOnePartysAlone"},
		{name: "a requester takes its own task", edits: []edit{
			{"task/eligible.go", "if named.IsZero() && (by == t.Requester.ID || member.Society == t.Requester.Society) {", "if false {"},
		}, pkg: "task", test: "TestWhoMayAccept"},
		{name: "an executor bonds what it likes", edits: []edit{
			{"task/book.go", "bond < least {", "bond == 0 && least > 0 {"},
		}, pkg: "task", test: "TestWhatABookRefuses"},
		{name: "a claim is believed beyond the mark", edits: []edit{
			{"task/economy.go", "		q = min(q, *claim)\n	}\n	if mark != nil {", "		return min(S, *claim)\n	}\n	if mark != nil {"},
		}, pkg: "task", test: "TestWhatATaskSaysOfItsParties"},
		{name: "one society's word has no cap", edits: []edit{
			{"task/reputation.go", "return min(added, most-min(most, live))", "return added + 0*most"},
		}, pkg: "task", test: "TestOneSocietysWordIsCapped"},
		{name: "a society praises itself", edits: []edit{
			{"task/judge.go", "if cause == \"\" || t.Requester.Society == t.Acceptance.Executor.Society || !other.Admitted {", "if cause == \"\" || !other.Admitted {"},
		}, pkg: "task", test: "TestOneSocietySaysNothingOfItself"},
		{name: "the word of one never admitted counts", edits: []edit{
			{"task/judge.go", "if cause == \"\" || t.Requester.Society == t.Acceptance.Executor.Society || !other.Admitted {", "if cause == \"\" || t.Requester.Society == t.Acceptance.Executor.Society {"},
		}, pkg: "task", test: "TestTheWordOfOneNeverAdmittedCountsForNothing"},
		{name: "evidence lasts for ever", edits: []edit{
			{"task/reputation.go", "for ; e.Day < d && (e.For > 0 || e.Against > 0); e.Day++ {", "for ; false; e.Day++ {"},
		}, pkg: "task", test: "TestVectorsOfArithmetic"},
	}
}

// refund gives the fee of a failed transaction back, and keeps A2 doing so.
const refund = `	e.rollback(start)
		a, _ := e.Account(tx.From)
		a.Available += tx.Fee
		_ = e.SetAccount(tx.From, a)
		totals := e.Totals()
		totals.Available, totals.Discharged = totals.Available+tx.Fee, totals.Discharged-tx.Fee
		e.SetTotals(totals)
`

// blockMutants break package chain: what a block may hold and what it does.
func blockMutants() []mutant {
	return []mutant{
		{name: "a failed transaction costs no fee", edits: []edit{
			{"chain/operate.go", "	e.rollback(start)\n", refund},
		}, pkg: "chain", test: "TestAFailedTransactionCostsNonceAndFeeAndNothingElse"},
		{name: "what came before a failure stays", edits: []edit{
			{"chain/operate.go", "		e.rollback(start)\n", "		_ = start\n"},
		}, pkg: "chain", test: "TestAFailedTransactionCostsNonceAndFeeAndNothingElse"},
		{name: "a failure takes back all but the totals", edits: []edit{
			{"chain/draft.go", "	d.root.Totals, d.root.Census = s.totals, s.census\n", "	d.root.Census = s.census\n"},
		}, pkg: "chain", test: "TestARollbackRestoresEverything"},
		{name: "a nonce is used again", edits: []edit{
			{"chain/apply.go", "	account.Nonce++\n", ""},
		}, pkg: "chain", test: "TestAFailedTransactionCostsNonceAndFeeAndNothingElse"},
		{name: "an expired transaction is in a block", edits: []edit{
			{"chain/apply.go", "case tx.Expires != 0 && tx.Expires < e.header.Time:", "case false:"},
		}, pkg: "chain", test: "TestATransactionSpoilsABlockFor"},
		{name: "the least fee is a suggestion", edits: []edit{
			{"chain/apply.go", "case tx.Fee < e.constants.Params.MinFee:", "case false:"},
		}, pkg: "chain", test: "TestATransactionSpoilsABlockFor"},
		{name: "a block of any height stands on any parent", edits: []edit{
			{"chain/apply.go", "case h.Height != tip.Height+1 || h.Parent != tip.ID:", "case h.Height != tip.Height+1:"},
		}, pkg: "chain", test: "TestABlockIsInvalidFor"},
		{name: "time stands still", edits: []edit{
			{"chain/apply.go", "case h.Time <= tip.Time:", "case h.Time < tip.Time:"},
		}, pkg: "chain", test: "TestABlockIsInvalidFor"},
		{name: "a parent needs no certificate", edits: []edit{
			{"chain/apply.go", "case !tip.certifiedBy(h.LastCommit):", "case false:"},
		}, pkg: "chain", test: "TestABlockIsMadeOnTheCertificateOfItsParent"},
		{name: "anyone proposes", edits: []edit{
			{"chain/apply.go", "case !parent.validators.Contains(h.Proposer):", "case false:"},
		}, pkg: "chain", test: "TestOnlyAValidatorProposes"},
		{name: "a header claims any receipts", edits: []edit{
			{"chain/block.go", "		{\"receipts\", h.ReceiptsRoot, found.ReceiptsRoot},\n", ""},
		}, pkg: "chain", test: "TestABlockIsInvalidFor"},
		{name: "a deadline fires by its own block's time", edits: []edit{
			{"chain/apply.go", "e.due.past(e.clock.Parent,", "e.due.past(e.clock.Block,"},
		}, pkg: "chain", test: "TestADeadlineFiresInTheFirstBlockWhoseParentIsPastIt"},
		{name: "the order of deadlines is that of IDs", edits: []edit{
			{"chain/due.go", "uint16(offset<<6)", "uint16(0*offset)"},
		}, pkg: "chain", test: "TestDeadlinesFireInTheOrderOfTimeAndID"},
	}
}

// checkMutants break what is checked of signatures.
func checkMutants() []mutant {
	return []mutant{
		{name: "a batch's verdict on all but the first is ignored", edits: []edit{
			{"chain/tx.go", "if i := claimed[k]; !good && errs[i] == nil {", "if i := claimed[k]; !good && errs[i] == nil && k == 0 {"},
		}, pkg: "chain", test: "TestABadTransactionDoesNotSpoilItsBatch"},
		{name: "a batch's verdict falls on another", edits: []edit{
			{"chain/tx.go", "if i := claimed[k]; !good && errs[i] == nil {", "if i := k; !good {"},
		}, pkg: "chain", test: "TestABadTransactionDoesNotSpoilItsBatch"},
		{name: "a signature counts on every chain", edits: []edit{
			{"chain/tx.go", "	b = append(b, genesis[:]...)\n	return append(b, id.Bytes()...)", "	return append(b, id.Bytes()...)"},
		}, pkg: "chain", test: "TestASignatureCountsOnOneChainOnly"},
		{name: "a genesis needs no signature", edits: []edit{
			{"chain/genesis.go", "		errs = append(errs, f.check(message))\n", "		_ = f.check(message)\n"},
		}, pkg: "chain", test: "TestAGenesisIsFoundedByItsSignatures"},
		{name: "one bad signature of a certificate is overlooked", edits: []edit{
			{"bft/verify.go", "		if !ok {\n			return invalidf(\"certificate:", "		if !ok && i > 0 {\n			return invalidf(\"certificate:"},
		}, pkg: "bft", test: "TestAnyBitChangedInTransitIsRejected"},
		{name: "a certificate of fewer than a quorum", edits: []edit{
			{"bft/verify.go", "n < v.Set.Quorum() {", "n < v.Set.Quorum()-1 {"},
		}, pkg: "bft", test: "TestEachSignedFieldIsCovered"},
		{name: "who has no vote votes", edits: []edit{
			{"bft/verify.go", "if !v.Set.Contains(s.Signer) {", "if false {"},
		}, pkg: "bft", test: "TestAStrangersOwnWordDoesNotCount"},
		{name: "a Timeout's highQC is not signed", edits: []edit{
			{"bft/message.go", "return appendUint64(b, uint64(s.HighView))", "return b"},
		}, pkg: "bft", test: "TestEachSignedFieldIsCovered"},
	}
}

// mempoolMutants break package mempool.
func mempoolMutants() []mutant {
	return []mutant{
		{name: "a mempool has no bound", edits: []edit{
			{"chain/mempool/pool.go", "for p.bytes > p.maxBytes || len(p.byID) > MaxTxs {", "for false {"},
		}, pkg: "chain/mempool", test: "TestAFloodDrownsInItself"},
		{name: "an expired transaction waits", edits: []edit{
			{"chain/mempool/pool.go", "case tx.Expires != 0 && tx.Expires < came:", "case false:"},
		}, pkg: "chain/mempool", test: "TestAddRefuses"},
		{name: "a transaction of another chain waits", edits: []edit{
			{"chain/mempool/pool.go", "case v.IsZero() || v.Genesis() != p.state.Genesis():", "case v.IsZero():"},
		}, pkg: "chain/mempool", test: "TestAddRefuses"},
		{name: "who cannot pay waits", edits: []edit{
			{"chain/mempool/queue.go", "if fees > q.funds {", "if false {"},
		}, pkg: "chain/mempool", test: "TestAddRefuses"},
		{name: "a replacement costs nothing", edits: []edit{
			{"chain/mempool/queue.go", "e.fee < raised(old.fee)", "e.fee < old.fee"},
		}, pkg: "chain/mempool", test: "TestAReplacementPaysATenthMore"},
		{name: "a gap is selected across", edits: []edit{
			{"chain/mempool/queue.go", "ready := q.entries[:q.connected()]", "ready := q.entries"},
		}, pkg: "chain/mempool", test: "TestSelectionKeepsNoncesInOrderAndPaysTheBestFirst"},
		{name: "what was included waits on", edits: []edit{
			{"chain/mempool/queue.go", "if e.nonce < q.next || e.expires", "if e.expires"},
		}, pkg: "chain/mempool", test: "TestAdvanceDropsWhatCannotGoAnyMore"},
		{name: "strangers fill a mempool", edits: []edit{
			{"chain/mempool/pool.go", "e.stranger && p.tooStrange(e) {", "e.stranger && false {"},
		}, pkg: "chain/mempool", test: "TestStrangersCannotFillThePool"},
	}
}

// syncMutants break how a replica takes what is final from its peers.
func syncMutants() []mutant {
	return []mutant{
		{name: "a fetched block is final before its certificate is checked", edits: []edit{
			{"node/replica/sync.go", "	r.job(Job{From: w.from, Height: r.height(), Set: r.set, Message: w.Cert})\n	return nil", "	return r.decided(&bft.Final{Cert: w.Cert})"},
		}, want: "A1|ended itself"},
		{name: "a range is taken with any certificates", edits: []edit{
			{"node/replica/sync.go", "b.Cert == nil || b.Block.Header.Height != h || b.Cert.Height != h || b.Cert.Block != id {", "b.Cert == nil || !id.Defined() {"},
		}, want: "ended itself|liveness|blames|J6|A1|A7|panic"},
		{name: "what a liar sent stays in the backlog", edits: []edit{
			{"node/replica/sync.go", "	if w, ok := b.blocks[h]; ok && bft.Message(w.Cert) == cert {", "	if w, ok := b.blocks[h]; false && ok && bft.Message(w.Cert) == cert {"},
		}, want: "liveness|J6"},
		{name: "what is unanswered is asked of nobody else", edits: []edit{
			{"node/replica/fetch.go", "return f.since <= now && now < f.since.Add(stalled) }", "return true }"},
		}, pkg: "node/replica", test: "TestADozenLiarsDoNotKeepAValidatorFromCatchingUp"},
		{name: "another block is taken for the one asked for", edits: []edit{
			{"node/replica/fetch.go", "err == nil && id == c.id {", "err == nil && id.Defined() {"},
		}, want: "A1|A7|ended itself"},
		{name: "a boast is believed for ever", edits: []edit{
			{"node/replica/peers.go", "	if p.failures == maxFailures {\n		p.claim = 0\n	}\n", ""},
		}, pkg: "node/replica", test: "TestWhoBoastsOfAHeightIsAskedAFewTimesAlone"},
	}
}
