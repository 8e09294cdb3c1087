package signer

import (
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
)

// fresh returns a bound signer on a new disk.
func fresh(t testing.TB) (*Signer, *disk) {
	t.Helper()
	d := newDisk()
	s, err := Format(NewKey(testKey("a")), d)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Bind(testGenesis); err != nil {
		t.Fatal(err)
	}
	return s, d
}

func reload(t testing.TB, d *disk) *Signer {
	t.Helper()
	s, err := Load(NewKey(testKey("a")), d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustSign(t testing.TB, s *Signer, us ...bft.Unsigned) []bft.Signature {
	t.Helper()
	signatures, err := s.Sign(us...)
	if err != nil {
		t.Fatal(err)
	}
	return signatures
}

func mustSettle(t testing.TB, s *Signer) {
	t.Helper()
	if err := s.Settle(); err != nil {
		t.Fatal(err)
	}
}

func TestSignaturesVerify(t *testing.T) {
	s, _ := fresh(t)
	us := []bft.Unsigned{propose(1, 0, "a"), prepare(1, 0, "a"), commit(1, 0, "a"), timeout(1, 0, qc(1, 0, block("a"), 4))}
	for i, signature := range mustSign(t, s, us...) {
		if !(bft.Signed{Statement: us[i].Statement, Signer: s.ID(), Signature: signature}).Valid(bft.ZIP215{}, testGenesis) {
			t.Errorf("the signature of %v does not verify", us[i].Kind)
		}
	}
}

func TestOneUpdateMakesAGroupDurable(t *testing.T) {
	s, d := fresh(t)
	before := d.syncs
	mustSign(t, s, propose(1, 0, "a"), prepare(1, 0, "a"))
	if got := d.syncs - before; got != 1 {
		t.Errorf("a group took %d syncs, want 1", got)
	}
	mustSign(t, s, propose(1, 0, "a"), prepare(1, 0, "a"))
	if got := d.syncs - before; got != 1 {
		t.Errorf("asking again took %d more syncs, want none", got-1)
	}
	if r := reload(t, d.cut()).Record(); r.Proposed != 0 || r.Prepared != 0 {
		t.Errorf("the record has proposed %d, prepared %d, want 0, 0", r.Proposed, r.Prepared)
	}
}

// The newest record is in a pair of copies at once, and in all once it settles.
func TestSettlingCopiesTheRecordOnce(t *testing.T) {
	s, d := fresh(t)
	mustSign(t, s, prepare(1, 0, "a"))
	before := d.syncs
	mustSettle(t, s)
	mustSettle(t, s)
	if got := d.syncs - before; got != 1 {
		t.Errorf("settling twice took %d syncs, want 1", got)
	}
	for slot := range pairs * copies {
		alone := d.cut()
		for other := range pairs * copies {
			if other != slot {
				alone.durable[other*slotGap+headerSize+3] ^= 1
			}
		}
		if r := reload(t, alone).Record(); r.Prepared != 0 {
			t.Errorf("copy %d alone does not know of the vote", slot)
		}
	}
	if got := s.Syncs(); got != uint64(d.syncs) {
		t.Errorf("Syncs = %d, want %d", got, d.syncs)
	}
}

func TestAFailureToSettleIsTheLastThing(t *testing.T) {
	s, d := fresh(t)
	said := mustSign(t, s, prepare(1, 0, "a"))
	d.failSync = d.syncs + 1
	if err := s.Settle(); !errors.Is(err, ErrFailed) {
		t.Fatalf("have %v, want ErrFailed", err)
	}
	if _, err := s.Sign(prepare(1, 1, "a")); !errors.Is(err, ErrFailed) {
		t.Errorf("signing afterwards: have %v, want ErrFailed", err)
	}
	if got := mustSign(t, reload(t, d.cut()), prepare(1, 0, "a")); !slices.Equal(got, said) {
		t.Error("what was handed out before is not in the record")
	}
}

// A sync fails, and the system forgets that there is anything to write: the next
// process reads what is on no disk. The power goes while that one starts; what was
// handed out before the failure is still known.
func TestARestartAfterAFailedSyncRestsOnTheDiskAlone(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	s, d := fresh(t)
	large := commit(1, 0, "a") // so that a copy fills many sectors
	large.QC = qc(1, 0, block("a"), 100)
	mustSign(t, s, prepare(1, 0, "a"), large)
	mustSettle(t, s)
	mustSign(t, s, prepare(1, 1, "a"))
	d.failSync, d.forgets = d.syncs+1, true
	if _, err := s.Sign(prepare(1, 2, "b")); !errors.Is(err, ErrFailed) {
		t.Fatalf("have %v, want ErrFailed", err)
	}
	for stop := 2; ; stop++ { // the first sync is before anything is written
		second := d.cut()
		second.cached, second.failSync = slices.Clone(d.cached), stop
		if _, err := Load(NewKey(testKey("a")), second); err == nil {
			break
		}
		for i, kept := range second.outcomes(rng) {
			if r := reload(t, second.cut(kept...)).Record(); r.Prepared < 1 {
				t.Fatalf("cut at sync %d, outcome %d: what was handed out in view 1 is not in the record: prepared %d", stop, i, r.Prepared)
			}
		}
	}
}

func TestSameStatementGetsTheSameBytes(t *testing.T) {
	s, d := fresh(t)
	want := mustSign(t, s, prepare(3, 1, "a"), commit(3, 1, "a"))
	for _, again := range []*Signer{s, reload(t, d)} {
		if got := mustSign(t, again, prepare(3, 1, "a"), commit(3, 1, "a")); !slices.Equal(got, want) {
			t.Errorf("have %x, want %x", got, want)
		}
	}
}

func TestContradictionIsRefusedAndChangesNothing(t *testing.T) {
	s, d := fresh(t)
	mustSign(t, s, propose(3, 1, "a"), prepare(3, 1, "a"), commit(3, 1, "a"), timeout(3, 2, qc(3, 1, block("a"), 4)))
	for _, tt := range []struct {
		name string
		u    bft.Unsigned
	}{
		{"another proposal in the view", propose(3, 1, "b")},
		{"another PREPARE in the view", prepare(3, 1, "b")},
		{"a PREPARE in an earlier view", prepare(3, 0, "b")},
		{"a PREPARE in a view given up", prepare(3, 2, "b")},
		{"a COMMIT without its QC", bft.Unsigned{Statement: commit(3, 5, "b").Statement}},
		{"a COMMIT in a view given up", commit(3, 2, "b")},
		{"a Timeout that hides the lock", timeout(3, 3, nil)},
		{"an earlier height", prepare(2, 9, "b")},
		{"a view below zero", prepare(4, -1, "b")},
		{"a kind that is not signed", bft.Unsigned{Statement: bft.Statement{Kind: bft.KindStatus, Height: 9}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, syncs := s.Record(), d.syncs
			// What comes before it in a group is not signed either.
			_, err := s.Sign(timeout(3, 9, qc(3, 1, block("a"), 4)), tt.u)
			if !errors.Is(err, bft.ErrContradiction) {
				t.Fatalf("have %v, want ErrContradiction", err)
			}
			if after := s.Record(); !slices.Equal(after.Encode(), before.Encode()) || d.syncs != syncs {
				t.Error("the record changed")
			}
		})
	}
}

func TestBindingIsForGood(t *testing.T) {
	d := newDisk()
	s, err := Format(NewKey(testKey("a")), d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(prepare(1, 0, "a")); !errors.Is(err, ErrRefused) {
		t.Errorf("signing before the chain is known: have %v, want ErrRefused", err)
	}
	if err := s.Bind(testGenesis); err != nil {
		t.Fatal(err)
	}
	s = reload(t, d)
	if err := s.Bind(testGenesis); err != nil {
		t.Errorf("the same chain again: %v", err)
	}
	if err := s.Bind(bft.GenesisHash{9}); !errors.Is(err, ErrForeign) {
		t.Errorf("another chain: have %v, want ErrForeign", err)
	}
	if got := s.Genesis(); got != testGenesis {
		t.Errorf("bound to %v, want %v", got, testGenesis)
	}
}

func TestLoadRefusesWhatItCannotTrust(t *testing.T) {
	_, d := fresh(t)
	if _, err := Load(NewKey(testKey("b")), d); !errors.Is(err, ErrForeign) {
		t.Errorf("another key's record: have %v, want ErrForeign", err)
	}
	damaged := d.cut()
	for slot := range pairs * copies {
		damaged.durable[slot*slotGap+headerSize+3] ^= 1
	}
	if _, err := Load(NewKey(testKey("a")), damaged); !errors.Is(err, ErrNeedsRecovery) {
		t.Errorf("all copies damaged: have %v, want ErrNeedsRecovery", err)
	}
	if _, err := Load(NewKey(testKey("a")), newDisk()); !errors.Is(err, ErrNeedsRecovery) {
		t.Errorf("a blank file: have %v, want ErrNeedsRecovery", err)
	}
}

// wrong is a key on a machine that miscalculates.
type wrong struct{ Key }

func (w wrong) Sign(message []byte) bft.Signature {
	s := w.Key.Sign(message)
	s[7] ^= 1
	return s
}

func TestAWrongSignatureIsPutRightAtTheNextStart(t *testing.T) {
	s, d := fresh(t)
	s.key = wrong{s.key}
	mustSign(t, s, propose(1, 0, "a"), prepare(1, 0, "a"), commit(1, 0, "a"), timeout(1, 0, qc(1, 0, block("a"), 4)))
	r := reload(t, d).Record()
	last := r.Timeout.Signed()
	for _, said := range []*bft.Signed{r.Proposal, r.Prepare, r.Commit, &last} {
		if !said.Valid(bft.ZIP215{}, testGenesis) {
			t.Errorf("the signature of the %v is still wrong", said.Kind)
		}
	}
}

func TestStartsAreCounted(t *testing.T) {
	s, d := fresh(t)
	for want := s.Record().BootCount + 1; want < 4; want++ {
		if got := reload(t, d).Record().BootCount; got != want {
			t.Errorf("have boot count %d, want %d", got, want)
		}
	}
}

func TestFinalHeightIsWrittenWithTheNextVoteOrAtClose(t *testing.T) {
	s, d := fresh(t)
	syncs := d.syncs
	s.Finalize(4, block("four"))
	if d.syncs != syncs {
		t.Error("a final height alone was written at once")
	}
	if _, err := s.Sign(prepare(4, 7, "b")); !errors.Is(err, bft.ErrContradiction) {
		t.Errorf("a vote at the final height: have %v, want ErrContradiction", err)
	}
	mustSign(t, s, prepare(5, 0, "a"))
	if r := reload(t, d.cut()).Record(); r.FinalHeight != 4 || r.FinalID != block("four") {
		t.Errorf("after a vote: final %d %v", r.FinalHeight, r.FinalID)
	}
	s.Finalize(5, block("a"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(prepare(6, 0, "a")); !errors.Is(err, ErrRefused) {
		t.Errorf("signing after Close: have %v, want ErrRefused", err)
	}
	if r := reload(t, d.cut()).Record(); r.FinalHeight != 5 {
		t.Errorf("after Close: final %d, want 5", r.FinalHeight)
	}
}

func TestDiskErrorIsTheLastThing(t *testing.T) {
	for _, tt := range []struct {
		name string
		fail func(*disk)
	}{
		{"first write", func(d *disk) { d.failing = d.writes + 1 }},
		{"second write", func(d *disk) { d.failing = d.writes + 2 }},
		{"sync", func(d *disk) { d.failSync = d.syncs + 1 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, d := fresh(t)
			said := mustSign(t, s, prepare(1, 0, "a"))
			tt.fail(d)
			_, first := s.Sign(commit(1, 0, "a"))
			if !errors.Is(first, ErrFailed) || !errors.Is(first, errDisk) {
				t.Fatalf("have %v, want ErrFailed for the disk's error", first)
			}
			writes, syncs := d.writes, d.syncs
			if _, err := s.Sign(prepare(1, 0, "a")); err != first {
				t.Errorf("the next call: have %v, want the first error", err)
			}
			if _, err := s.SignBytes([]byte("sage/tx/1")); err != first {
				t.Errorf("other signatures: have %v, want the first error", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if d.writes != writes || d.syncs != syncs {
				t.Error("the disk was used again")
			}
			if got := mustSign(t, reload(t, d.cut()), prepare(1, 0, "a")); !slices.Equal(got, said) {
				t.Error("what was handed out before is not in the record")
			}
		})
	}
}

// Whenever power goes during an update, whatever the disk keeps of what was
// not synced: the record holds what was handed out, and signs no contradiction
// of it.
func TestNoCrashMakesItContradictItself(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, lie := range []int{0, 1, 2} { // the sync, of the update or of Settle, that does nothing
		s, d := fresh(t)
		said := mustSign(t, s, prepare(1, 0, "a"))
		mustSettle(t, s)
		var outcomes []*disk
		file := &stepped{disk: d, after: func() {
			for _, kept := range sample(rng, d.outcomes(rng), 150) {
				outcomes = append(outcomes, d.cut(kept...))
			}
		}}
		s.slots.file = file
		if lie > 0 {
			d.lieSync = d.syncs + lie
		}
		mustSign(t, s, prepare(1, 1, "a"))
		if r := reload(t, d.cut()).Record(); r.Prepared != 1 && lie == 0 {
			t.Error("a vote that was handed out is not on the disk")
		}
		mustSettle(t, s)
		file.after()
		for i, after := range outcomes {
			again, err := Load(NewKey(testKey("a")), after)
			if err != nil {
				t.Fatalf("lie %d, outcome %d: %v", lie, i, err)
			}
			if _, err := again.Sign(prepare(1, 0, "b")); !errors.Is(err, bft.ErrContradiction) {
				t.Fatalf("lie %d, outcome %d: a contradiction: have %v", lie, i, err)
			}
			switch r := again.Record(); r.Prepared {
			case 0:
				if got := mustSign(t, again, prepare(1, 0, "a")); !slices.Equal(got, said) {
					t.Fatalf("lie %d, outcome %d: other bytes for the same vote", lie, i)
				}
			case 1:
			default:
				t.Fatalf("lie %d, outcome %d: prepared %d", lie, i, r.Prepared)
			}
		}
		// At rest it is there, one forgotten sync or not.
		if r := reload(t, d.cut()).Record(); r.Prepared != 1 {
			t.Errorf("lie %d: a vote that was handed out is not on the disk", lie)
		}
	}
}

// stepped is a disk that calls back after each step.
type stepped struct {
	*disk
	after func()
}

func (s *stepped) WriteAt(p []byte, off int64) (int, error) {
	n, err := s.disk.WriteAt(p, off)
	s.after()
	return n, err
}

func (s *stepped) Sync() error {
	err := s.disk.Sync()
	s.after()
	return err
}

// Over many random requests and power cuts, nothing that was handed out
// contradicts anything else that was.
func TestRandomCrashesNeverContradict(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 0))
		s, d := fresh(t)
		var said oracle
		for range 150 {
			var cut *disk
			if rng.IntN(10) == 0 {
				steps, at := 0, 1+rng.IntN(updateSteps)
				s.slots.file = &stepped{d, func() {
					if steps++; steps == at {
						all := d.outcomes(rng)
						cut = d.cut(all[rng.IntN(len(all))]...)
					}
				}}
			}
			u := random(rng, max(1, s.Record().Height))
			_, err := s.Sign(u)
			if cut == nil && rng.IntN(3) == 0 {
				mustSettle(t, s)
			}
			if cut != nil {
				d, cut = cut, nil // the power went before Sign returned
				s = reload(t, d)
				continue
			}
			if errors.Is(err, bft.ErrContradiction) {
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			if err := said.add(u.Statement); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if len(said) < 5 {
			t.Errorf("seed %d: only %d statements were signed: the test is blind", seed, len(said))
		}
	}
}

func TestLargestRecordFitsASlot(t *testing.T) {
	s, d := fresh(t)
	u := commit(1, 0, "a")
	u.QC = qc(1, 0, block("a"), bft.MaxValidators)
	mustSign(t, s, propose(1, 0, "a"), prepare(1, 0, "a"), u, timeout(1, 0, u.QC))
	s.Finalize(1<<63, block("a"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	raw := len(s.encode(s.Record()))
	t.Logf("%d of %d bytes", raw, maxRecord)
	if r := reload(t, d.cut()).Record(); len(r.HighQC.Signatures) != 67 || r.Timeout.HighQC == nil {
		t.Error("the certificates are not in the record")
	}
}

func TestBeaconProofsAreTheSameAfterARestart(t *testing.T) {
	s, d := fresh(t)
	below := bft.GenesisBeacon(testGenesis)
	proof := s.ProveBeacon(below, 1)
	if got := reload(t, d).ProveBeacon(below, 1); got != proof {
		t.Error("two proofs of one input differ")
	}
	if _, err := bft.NextBeacon(bft.ECVRF{}, below, 1, s.ID(), proof, false); err != nil {
		t.Error(err)
	}
}

func TestSignBytesLeavesConsensusAlone(t *testing.T) {
	s, _ := fresh(t)
	host, err := newHostKey(testKey("a"))
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []bft.Unsigned{propose(1, 0, "a"), prepare(1, 0, "a"), commit(1, 0, "a"), timeout(1, 0, nil)} {
		message := u.SignedBytes(testGenesis)
		if _, err := s.SignBytes(message); !errors.Is(err, ErrRefused) {
			t.Errorf("SignBytes of a %v: have %v, want ErrRefused", u.Kind, err)
		}
		if _, err := host.Sign(message); !errors.Is(err, ErrRefused) {
			t.Errorf("the host's key signs a %v: %v", u.Kind, err)
		}
	}
	if _, err := s.SignBytes([]byte("libp2p-pubsub:hello")); !errors.Is(err, ErrRefused) {
		t.Errorf("no domain of ours: have %v, want ErrRefused", err)
	}
	message := append([]byte("sage/tx/1"), testGenesis[:]...)
	signature, err := s.SignBytes(message)
	if err != nil {
		t.Fatal(err)
	}
	if !(bft.ZIP215{}).Verify(bft.Claim{Signer: s.ID(), Message: message, Signature: signature}) {
		t.Error("the signature of a transaction does not verify")
	}
}

func TestHostKeyDoesNotGiveTheKeyAway(t *testing.T) {
	key := testKey("a")
	host, err := newHostKey(key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := host.Raw()
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) != sha256.Size || slices.Equal(raw, key[:len(raw)]) {
		t.Errorf("Raw gives %d bytes of the key away", len(raw))
	}
	if !host.Equals(host) {
		t.Error("the key is not equal to itself")
	}
}
