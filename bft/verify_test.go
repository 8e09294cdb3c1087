package bft

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ipfs/go-cid"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

var equalBlocks = cmp.Comparer(func(a, b cid.Cid) bool { return a == b })

// signers is n validators with real keys at one height.
type signers struct {
	Verifier
	keys []ed25519.PrivateKey // in the order of the set
}

func newSigners(t testing.TB, n int) signers {
	var ids []ID
	keys := map[ID]ed25519.PrivateKey{}
	for i := range n {
		seed := sha256.Sum256([]byte(fmt.Sprint("key ", i)))
		key := ed25519.NewKeyFromSeed(seed[:])
		id := IDFromKey([32]byte(key[32:]))
		ids, keys[id] = append(ids, id), key
	}
	set, err := NewValidatorSet(ids...)
	if err != nil {
		t.Fatal(err)
	}
	s := signers{Verifier: Verifier{Scheme: ZIP215{}, Genesis: testGenesis, Height: Height(n), Set: set, Entropy: bytes.NewReader(make([]byte, 1<<20))}}
	for _, id := range set.IDs() {
		s.keys = append(s.keys, keys[id])
	}
	return s
}

func (s signers) sign(i int, u Unsigned) Message {
	u.Height = s.Height
	u.HighView = NoView
	if u.Kind == KindTimeout {
		u.HighView = viewOf(u.QC)
	}
	return u.Message(s.Set.ID(i), Signature(ed25519.Sign(s.keys[i], u.SignedBytes(s.Genesis))))
}

func (s signers) qc(kind Kind, v View, block string, by ...int) *QC {
	qc := &QC{s.Height, v, testBlock(block), newBitmap(s.Set.Len()), nil}
	for _, i := range by {
		qc.Signers.set(i)
		vote := s.sign(i, Unsigned{Statement: Statement{Kind: kind, View: v, Block: qc.Block}}).(*Vote)
		qc.Signatures = append(qc.Signatures, vote.Signature)
	}
	return qc
}

// tc makes a TC of Timeouts of the views given, by validators 0, 1, …
func (s signers) tc(v View, high *QC, views ...View) *TC {
	tc := &TC{Height: s.Height, View: v, Signers: newBitmap(s.Set.Len()), QC: high}
	for i, w := range views {
		tc.Signers.set(i)
		t := s.sign(i, Unsigned{Statement: Statement{Kind: KindTimeout, View: w}, QC: high}).(*Timeout)
		tc.Timeouts = append(tc.Timeouts, TimeoutMark{w, t.HighView(), t.Signature})
	}
	return tc
}

// messages is one of each kind, all valid, with n = 4; leaders are 0, 1, 2, ….
func (s signers) messages() map[string]Message {
	high := s.qc(KindPrepare, 1, "a", 0, 1, 3)
	newest := s.sign(2, Unsigned{Statement: Statement{Kind: KindPrepare, View: 1, Block: testBlock("a")}}).(*Vote).Signed()
	return map[string]Message{
		"Proposal":         s.sign(0, Unsigned{Statement: Statement{Kind: KindProposal, View: 0, Block: testBlock("a")}, Payload: []byte{1}}),
		"Proposal on a TC": s.sign(3, Unsigned{Statement: Statement{Kind: KindProposal, View: 3, Block: testBlock("a")}, Payload: []byte{1}, TC: s.tc(2, high, 2, 5, 2)}),
		"PREPARE":          s.sign(2, Unsigned{Statement: Statement{Kind: KindPrepare, View: 7, Block: testBlock("a")}}),
		"COMMIT":           s.sign(2, Unsigned{Statement: Statement{Kind: KindCommit, View: 7, Block: testBlock("a")}}),
		"first Timeout":    s.sign(1, Unsigned{Statement: Statement{Kind: KindTimeout, View: 0}}),
		"Timeout":          s.sign(1, Unsigned{Statement: Statement{Kind: KindTimeout, View: 4}, QC: high}),
		"CommitCert":       (*CommitCert)(s.qc(KindCommit, 2, "a", 0, 2, 3)),
		"full CommitCert":  (*CommitCert)(s.qc(KindCommit, 2, "a", 0, 1, 2, 3)),
		"Status":           &Status{s.Height, 3, s.Height - 1, testBlock("f"), 12345, high, s.tc(2, high, 2, 5, 2), &newest, 7, 8},
	}
}

func TestWhatCorrectValidatorsSendVerifiesAndSurvivesItsEncoding(t *testing.T) {
	s := newSigners(t, 4)
	for name, m := range s.messages() {
		got, err := Decode(Encode(m))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(m, got, cmp.Comparer(func(a, b ID) bool { return a == b }), equalBlocks); d != "" {
			t.Errorf("%s changed (-before +after):\n%s", name, d)
		}
		if _, err := s.Verify(got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// One bit anywhere in a message makes it invalid. A Proposal's payload is the
// application's to compare with its block ID, and a Status is not signed.
func TestAnyBitChangedInTransitIsRejected(t *testing.T) {
	s := newSigners(t, 4)
	for name, m := range s.messages() {
		if name == "Status" {
			continue
		}
		if p, ok := m.(*Proposal); ok {
			p.Payload = nil
		}
		b := Encode(m)
		for i := range b {
			changed := slices.Clone(b)
			changed[i] ^= 1 << (i % 8)
			got, err := Decode(changed)
			if err == nil {
				_, err = s.Verify(got)
			}
			if err == nil {
				t.Errorf("%s: byte %d of %d changed from %#x to %#x verifies", name, i, len(b), b[i], changed[i])
			}
		}
	}
}

func TestEachSignedFieldIsCovered(t *testing.T) {
	s := newSigners(t, 4)
	qc := func(m Message) *QC { return m.(*Timeout).HighQC }
	tc := func(m Message) *TC { return m.(*Proposal).TC }
	for _, tt := range []struct {
		message, field string
		change         func(Message)
	}{
		{"Proposal", "height", func(m Message) { m.(*Proposal).Height++ }},
		{"Proposal", "view", func(m Message) { m.(*Proposal).View = 4 }}, // the same leader
		{"Proposal", "block", func(m Message) { m.(*Proposal).Block = testBlock("b") }},
		{"Proposal", "signature", func(m Message) { m.(*Proposal).Signature[0] ^= 1 }},
		{"Proposal on a TC", "TC taken away", func(m Message) { m.(*Proposal).TC = nil }},
		{"Proposal", "TC added", func(m Message) { m.(*Proposal).TC = s.tc(0, nil, 0, 0, 0) }},
		{"Proposal on a TC", "TC of another view", func(m Message) { m.(*Proposal).TC = s.tc(1, nil, 1, 1, 1) }},
		{"Proposal on a TC", "TC's height", func(m Message) { tc(m).Height++ }},
		{"Proposal on a TC", "TC's view", func(m Message) { tc(m).View-- }},
		{"Proposal on a TC", "TC's signers", func(m Message) { tc(m).Signers[0] = 0b1110 }},
		{"Proposal on a TC", "a Timeout's view", func(m Message) { tc(m).Timeouts[1].View-- }},
		{"Proposal on a TC", "Timeouts above the TC", func(m Message) { m.(*Proposal).TC = s.tc(2, tc(m).QC, 3, 5, 3) }},
		{"Proposal on a TC", "a Timeout below the TC", func(m Message) { m.(*Proposal).TC = s.tc(2, tc(m).QC, 2, 1, 2) }},
		{"Proposal on a TC", "a Timeout's highQC view", func(m Message) { tc(m).Timeouts[1].HighView = 0 }},
		{"Proposal on a TC", "a Timeout's signature", func(m Message) { tc(m).Timeouts[1].Signature[9] ^= 1 }},
		{"Proposal on a TC", "a Timeout left out", func(m Message) { tc(m).Timeouts = tc(m).Timeouts[:2] }},
		{"Proposal on a TC", "a signer and Timeout left out", func(m Message) { tc(m).Signers[0], tc(m).Timeouts = 3, tc(m).Timeouts[:2] }},
		{"Proposal on a TC", "TC's QC taken away", func(m Message) { tc(m).QC = nil }},
		{"Proposal on a TC", "TC's QC lower than declared", func(m Message) { tc(m).QC = s.qc(KindPrepare, 0, "a", 0, 1, 2) }},
		{"Proposal on a TC", "TC's QC higher than declared", func(m Message) { tc(m).QC = s.qc(KindPrepare, 2, "a", 0, 1, 2) }},
		{"Proposal on a TC", "TC's QC for another block", func(m Message) { tc(m).QC = s.qc(KindPrepare, 1, "b", 0, 1, 2) }},
		{"Proposal on a TC", "TC's QC of COMMITs", func(m Message) { tc(m).QC = s.qc(KindCommit, 1, "a", 0, 1, 2) }},
		{"PREPARE", "kind", func(m Message) { m.(*Vote).Kind = KindCommit }},
		{"COMMIT", "kind", func(m Message) { m.(*Vote).Kind = KindPrepare }},
		{"PREPARE", "another kind", func(m Message) { m.(*Vote).Kind = KindTimeout }},
		{"PREPARE", "height", func(m Message) { m.(*Vote).Height-- }},
		{"PREPARE", "view", func(m Message) { m.(*Vote).View++ }},
		{"PREPARE", "block", func(m Message) { m.(*Vote).Block = testBlock("b") }},
		{"PREPARE", "no block", func(m Message) { m.(*Vote).Block = cid.Undef }},
		{"PREPARE", "signer", func(m Message) { m.(*Vote).Signer = s.Set.ID(0) }},
		{"PREPARE", "a stranger", func(m Message) { m.(*Vote).Signer = newSigners(t, 5).Set.ID(0) }},
		{"PREPARE", "signature", func(m Message) { m.(*Vote).Signature[63] ^= 1 }},
		{"Timeout", "height", func(m Message) { m.(*Timeout).Height++ }},
		{"Timeout", "view", func(m Message) { m.(*Timeout).View-- }},
		{"Timeout", "signer", func(m Message) { m.(*Timeout).Signer = s.Set.ID(0) }},
		{"Timeout", "highQC taken away", func(m Message) { m.(*Timeout).HighQC = nil }},
		{"first Timeout", "highQC added", func(m Message) { m.(*Timeout).HighQC = s.qc(KindPrepare, 0, "a", 0, 1, 2) }},
		{"Timeout", "highQC of another view", func(m Message) { m.(*Timeout).HighQC = s.qc(KindPrepare, 2, "a", 0, 1, 2) }},
		{"Timeout", "highQC above its view", func(m Message) {
			*m.(*Timeout) = *s.sign(1, Unsigned{Statement: Statement{Kind: KindTimeout, View: 4}, QC: s.qc(KindPrepare, 5, "a", 0, 1, 2)}).(*Timeout)
		}},
		{"Timeout", "highQC's block", func(m Message) { qc(m).Block = testBlock("b") }},
		{"Timeout", "highQC's height", func(m Message) { qc(m).Height++ }},
		{"Timeout", "highQC's signers", func(m Message) { qc(m).Signers[0] = 0b0111 }},
		{"Timeout", "highQC of too few", func(m Message) { *qc(m) = *s.qc(KindPrepare, 1, "a", 0, 1) }},
		{"Timeout", "highQC of more than a quorum", func(m Message) { *qc(m) = *s.qc(KindPrepare, 1, "a", 0, 1, 2, 3) }},
		{"Timeout", "highQC's bitmap too long", func(m Message) { qc(m).Signers = append(qc(m).Signers, 0) }},
		{"Timeout", "highQC names a fifth", func(m Message) { qc(m).Signers[0] = 0b10011 }},
		{"Timeout", "highQC's signatures swapped", func(m Message) { slices.Reverse(qc(m).Signatures) }},
		{"CommitCert", "of PREPAREs", func(m Message) { *m.(*CommitCert) = CommitCert(*s.qc(KindPrepare, 2, "a", 0, 2, 3)) }},
		{"CommitCert", "of too few", func(m Message) { *m.(*CommitCert) = CommitCert(*s.qc(KindCommit, 2, "a", 0, 2)) }},
		{"CommitCert", "view", func(m Message) { m.(*CommitCert).View++ }},
		{"CommitCert", "block", func(m Message) { m.(*CommitCert).Block = testBlock("b") }},
		{"CommitCert", "one signature too many", func(m Message) {
			c := m.(*CommitCert)
			c.Signatures = append(c.Signatures, c.Signatures[0])
		}},
		{"full CommitCert", "one bad signature of more than a quorum", func(m Message) { m.(*CommitCert).Signatures[3][5] ^= 1 }},
		{"Status", "highQC's signature", func(m Message) { m.(*Status).HighQC.Signatures[0][0] ^= 1 }},
		{"Status", "TC's view", func(m Message) { m.(*Status).TC.View-- }},
		{"Status", "the newest statement's view", func(m Message) { m.(*Status).Newest.View++ }},
		{"Status", "no final block", func(m Message) { m.(*Status).FinalID = cid.Undef }},
	} {
		t.Run(tt.message+"/"+tt.field, func(t *testing.T) {
			m := s.messages()[tt.message]
			tt.change(m)
			if v, err := s.Verify(m); err == nil || v != nil {
				t.Errorf("Verify = %v, %v, want an error", v, err)
			}
		})
	}
}

func TestASignatureCountsOnItsOwnChainAndHeightOnly(t *testing.T) {
	s := newSigners(t, 4)
	m := s.messages()["PREPARE"]
	other := s.Verifier
	other.Genesis[0]++
	if _, err := other.Verify(m); !errors.Is(err, ErrInvalid) {
		t.Errorf("another chain: have %v, want ErrInvalid", err)
	}
	for h, want := range map[Height]error{3: ErrAhead, 5: ErrStale} {
		other = s.Verifier
		other.Height = h
		if _, err := other.Verify(m); !errors.Is(err, want) {
			t.Errorf("at height %d: have %v, want %v", h, err, want)
		}
	}
}

func TestAnIdenticalCertificateIsCheckedOnce(t *testing.T) {
	s := newSigners(t, 4)
	counted := &counting{Scheme: s.Scheme}
	s.Scheme, s.Memory = counted, NewRing(4)
	cert := s.messages()["CommitCert"]
	for range 3 {
		if _, err := s.Verify(cert); err != nil {
			t.Fatal(err)
		}
	}
	if counted.claims != 3 {
		t.Errorf("%d signatures judged for one certificate shown three times, want 3", counted.claims)
	}
	prepares := QC(*cert.(*CommitCert))
	if err := s.QC(&prepares); err == nil {
		t.Error("a CommitCert that was remembered passes for a QC")
	}
	wrong := *cert.(*CommitCert)
	wrong.View++
	if _, err := s.Verify(&wrong); err == nil {
		t.Error("a changed certificate passes for one that was remembered")
	}
}

type counting struct {
	Scheme
	claims int
}

func (c *counting) VerifyBatch(e io.Reader, batch []Claim) []bool {
	c.claims += len(batch)
	return c.Scheme.VerifyBatch(e, batch)
}

func TestABadSignatureOfOurOwnDoesNotLeave(t *testing.T) {
	s := newSigners(t, 4)
	u := Unsigned{Statement: Statement{KindPrepare, 4, 1, testBlock("a"), NoView}}
	good := Signature(ed25519.Sign(s.keys[1], u.SignedBytes(s.Genesis)))
	if v, err := s.Seal(u, s.Set.ID(1), good); err != nil || v.Message().Position() != (Position{4, 1, KindPrepare}) {
		t.Errorf("Seal = %v, %v", v, err)
	}
	good[3] ^= 1
	if _, err := s.Seal(u, s.Set.ID(1), good); !errors.Is(err, ErrInvalid) {
		t.Errorf("have %v, want ErrInvalid", err)
	}
}

func TestEvidenceProvesItself(t *testing.T) {
	s := newSigners(t, 4)
	prepare := func(i int, block string) Signed {
		return s.sign(i, Unsigned{Statement: Statement{Kind: KindPrepare, View: 1, Block: testBlock(block)}}).(*Vote).Signed()
	}
	e := Evidence{prepare(2, "a"), prepare(2, "b")}
	var buf bytes.Buffer
	if err := e.MarshalCBOR(&buf); err != nil {
		t.Fatal(err)
	}
	var got Evidence
	if err := got.UnmarshalCBOR(&buf); err != nil || got != e {
		t.Fatalf("evidence changed: %+v, %v", got, err)
	}
	if err := got.Verify(ZIP215{}, testGenesis); err != nil {
		t.Error(err)
	}
	forged := e
	forged.Second.Block = testBlock("c")
	for name, bad := range map[string]Evidence{
		"of two validators": {prepare(1, "a"), prepare(2, "b")},
		"of one vote":       {prepare(2, "a"), prepare(2, "a")},
		"forged":            forged,
		"empty":             {},
	} {
		if err := bad.Verify(ZIP215{}, testGenesis); !errors.Is(err, ErrInvalid) {
			t.Errorf("evidence %s: have %v, want ErrInvalid", name, err)
		}
	}
}
