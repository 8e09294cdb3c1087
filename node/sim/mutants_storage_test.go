package sim

// storageMutants break a rule of the signer, of restored images, or of who is silent.
func storageMutants() []mutant {
	return []mutant{
		{name: "what is known from others is not kept for its user", edits: []edit{
			{"node/replica/work.go", "if in.Local && (err == nil || errors.Is(err, mempool.ErrKnown)) {", "if in.Local && err == nil && !errors.Is(err, mempool.ErrKnown) {"},
		}, want: "liveness", test: "TestScripts"},
		{name: "one copy of a record", edits: []edit{
			{"node/signer/slots.go", "	for i := range copies {\n		if _, err := s.file.WriteAt(raw, offset(pair, i));", "	for i := range 1 {\n		if _, err := s.file.WriteAt(raw, offset(pair, i));"},
		}, want: "needs recovery|was handed out", test: "TestARecordOutlivesItsDisk"},
		{name: "an update overwrites the newest pair", edits: []edit{
			{"node/signer/slots.go", "next: 1 - i/copies}", "next: i / copies}"},
		}, want: "needs recovery|was handed out", test: "TestARecordOutlivesItsDisk"},
		{name: "a record that was loaded is not confirmed", edits: []edit{
			{"node/signer/slots.go", "	if !s.older {\n", "	if s.older || !s.older {\n"},
		}, want: "was handed out", test: "TestARecordOutlivesItsDisk"},
		{name: "an old image is not found out", edits: []edit{
			{"node/replica/status.go", "	if s.Signer != r.self || !r.forgot(s) {\n", "	if s.Signer != r.self || r.forgot(s) || !r.forgot(s) {\n"},
		}, want: "A6", test: "TestRestoredDisks"},
		{name: "a founder whose disk looks new decides at once", edits: []edit{
			{"node/replica/listen.go", "r.head().Height == 0 && r.record.BootCount == 0", "r.head().Height == 0 && r.record.Height == 0"},
		}, pkg: "node/replica", test: "TestAFounderOnAnImageFromBeforeItsFirstBlockDecidesNothing"},
		{name: "a restart ends the silence", edits: []edit{
			{"node/replica/replica.go", "mute: cfg.Mute,", "mute: false,"},
		}, want: "silenced|A6|without a reason", test: "TestRestoredDisks"},
		{name: "one comes back too low", edits: []edit{
			{"node/replica/reentry.go", "b.watermark = max(e+1, r.record.Height)", "b.watermark = max(1, r.record.Height)"},
		}, want: "A6|without a reason|fell silent", test: "TestRestoredDisks"},
		{name: "answers of those who are further count", edits: []edit{
			{"node/replica/reentry.go", "return p.first <= e }", "return p.first <= e || p.first > e }"},
			{"node/replica/reentry.go", "b.watermark = max(e+1, r.record.Height)", "b.watermark = max(b.at+1, r.record.Height)"},
		}, want: "A6|without a reason|fell silent", test: "TestRestoredDisks"},
		{name: "one answer is enough to come back", edits: []edit{
			{"node/replica/reentry.go", "return n >= enough(r.set)", "return n >= 1"},
		}, want: "A6|fell silent", test: "TestOneAnswerBringsNobodyBack"},
		{name: "the watermark is not written", edits: []edit{
			{"node/signer/silence.go", "	if err := s.engrave(next); err != nil {\n", "	if err := s.engrave(s.record); err != nil {\n"},
		}, want: "A6|without a reason", test: "TestRestoredDisks"},
		{name: "what is below the watermark counts as forgotten", edits: []edit{
			{"bft/record.go", "	if s.Height <= r.Watermark {\n		return false\n	}\n", ""},
		}, want: "without a reason", test: "TestRestoredDisks"},
		{name: "one who is back speaks below the watermark", edits: []edit{
			{"node/replica/consensus.go", "if r.mute || u.Height <= r.record.Watermark {", "if r.mute {"},
			{"node/replica/reentry.go", "r.record.Watermark = max(r.record.Watermark, r.back.watermark)", "r.out.Persist.Return = max(r.record.Watermark, r.back.watermark)"},
			{"node/replica/reentry.go", "	r.out.Persist.Return = r.record.Watermark\n", ""},
			{"node/signer/silence.go", "max(next.Watermark, above)", "max(next.Watermark, min(above, 1))"},
		}, want: "A6|without a reason", test: "TestRestoredDisks"},
	}
}

// durableMutants break the store of a real node, and the loop that keeps its order:
// of both the simulator has stand-ins, so tests of their own packages catch these.
func durableMutants() []mutant {
	const inOrder = "TestTheLoopCarriesOutAnOutputInItsOrder"
	return []mutant{
		{name: "the store syncs nothing", edits: []edit{
			{"chain/store/store.go", "		err = s.db.Sync(ctx, ds.NewKey(\"/\"))\n", ""},
		}, pkg: "chain/store", test: "TestPowerCutLeavesAWholeHead", want: "corrupt|head is"},
		{name: "a block is stored with the certificate of another", edits: []edit{
			{"chain/store/commit.go", "case f.Cert.Height != h.Height || f.Cert.Block != id:", "case false:"},
		}, pkg: "chain/store", test: "TestStores$/^memory", want: "another's certificate"},
		{name: "the loop sends nothing", edits: []edit{
			{"node/loop.go", "	each(out.Send, l.net.send)\n", ""},
		}, pkg: "node", test: inOrder},
		{name: "the loop publishes before it stores", edits: []edit{
			{"node/loop.go", "	if next, err = l.secure(out); err != nil {\n", "	l.publish(out.Publish)\n	if next, err = l.secure(out); err != nil {\n"},
			{"node/loop.go", "	l.publish(out.Publish)\n	return next, nil\n", "	return next, nil\n"},
		}, pkg: "node", test: inOrder},
	}
}
