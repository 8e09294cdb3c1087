package bft

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func statement(k Kind, v View, block string) Statement {
	s := Statement{Kind: k, Height: 4, View: v, HighView: NoView}
	if block != "" {
		s.Block = testBlock(block)
	}
	return s
}

func qc4(v View, block string) *QC {
	return &QC{Height: 4, View: v, Block: testBlock(block), Signers: Bitmap{7}, Signatures: make([]Signature, 3)}
}

func timeout4(v View, qc *QC) Unsigned {
	s := statement(KindTimeout, v, "")
	s.HighView = viewOf(qc)
	return Unsigned{Statement: s, QC: qc}
}

// spoken is a record that proposed and prepared a in view 1, committed it, and
// gave up view 2.
func spoken(t *testing.T) Record {
	r := NewRecord()
	for i, u := range []Unsigned{
		{Statement: statement(KindProposal, 1, "a"), TC: &TC{}},
		{Statement: statement(KindPrepare, 1, "a")},
		{Statement: statement(KindCommit, 1, "a"), QC: qc4(1, "a")},
		timeout4(2, qc4(1, "a")),
	} {
		if stored, err := r.Admit(u); stored != nil || err != nil {
			t.Fatalf("Admit %v = %v, %v, want nil, nil", u.Kind, stored, err)
		}
		r = r.Keep(u, testSet(4).ID(0), Signature{byte(i + 1)})
	}
	return r
}

func TestTheRecordAdmitsWhatFollowsAndNothingThatContradicts(t *testing.T) {
	lying := timeout4(3, qc4(1, "a"))
	lying.HighView = 2
	later := Unsigned{Statement: statement(KindPrepare, 0, "x")}
	later.Height = 5
	below := Unsigned{Statement: statement(KindPrepare, 9, "x")}
	below.Height = 3
	for _, tt := range []struct {
		name string
		u    Unsigned
		ok   bool
	}{
		{"Proposal of another block in its view", Unsigned{Statement: statement(KindProposal, 1, "b")}, false},
		{"Proposal in a view given up", Unsigned{Statement: statement(KindProposal, 2, "b")}, false},
		{"Proposal above", Unsigned{Statement: statement(KindProposal, 3, "b")}, true},
		{"PREPARE of another block in its view", Unsigned{Statement: statement(KindPrepare, 1, "b")}, false},
		{"PREPARE below", Unsigned{Statement: statement(KindPrepare, 0, "b")}, false},
		{"PREPARE in a view given up", Unsigned{Statement: statement(KindPrepare, 2, "a")}, false},
		{"PREPARE above", Unsigned{Statement: statement(KindPrepare, 3, "b")}, true},
		{"COMMIT in a view given up", Unsigned{Statement: statement(KindCommit, 2, "a"), QC: qc4(2, "a")}, false},
		{"COMMIT above", Unsigned{Statement: statement(KindCommit, 3, "a"), QC: qc4(3, "a")}, true},
		{"COMMIT without QC", Unsigned{Statement: statement(KindCommit, 3, "a")}, false},
		{"COMMIT on a QC of another view", Unsigned{Statement: statement(KindCommit, 3, "a"), QC: qc4(2, "a")}, false},
		{"COMMIT on a QC for another block", Unsigned{Statement: statement(KindCommit, 3, "a"), QC: qc4(3, "b")}, false},
		{"Timeout in the same view with another highQC", timeout4(2, qc4(2, "a")), false},
		{"Timeout below", timeout4(1, qc4(1, "a")), false},
		{"Timeout above", timeout4(3, qc4(1, "a")), true},
		{"Timeout above with a higher QC", timeout4(3, qc4(3, "b")), true},
		{"Timeout that forgets the lock", timeout4(3, nil), false},
		{"Timeout with a lower QC", timeout4(3, qc4(0, "a")), false},
		{"Timeout that declares what it does not carry", lying, false},
		{"anything at the next height", later, true},
		{"anything at a lower height", below, false},
		{"a Status", Unsigned{Statement: statement(KindStatus, 3, "a")}, false},
		{"a PREPARE of nothing", Unsigned{Statement: statement(KindPrepare, 3, "")}, false},
		{"a negative view", Unsigned{Statement: statement(KindPrepare, -3, "a")}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stored, err := spoken(t).Admit(tt.u)
			if stored != nil || (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrContradiction) {
				t.Errorf("Admit = %v, %v, want allowed: %v", stored, err, tt.ok)
			}
		})
	}
}

func TestAskedAgainTheRecordReturnsTheSameSignature(t *testing.T) {
	r := spoken(t)
	for i, u := range []Unsigned{
		{Statement: statement(KindProposal, 1, "a")},
		{Statement: statement(KindPrepare, 1, "a")},
		{Statement: statement(KindCommit, 1, "a"), QC: qc4(1, "a")},
		timeout4(2, qc4(1, "a")),
	} {
		stored, err := r.Admit(u)
		if err != nil || stored == nil || stored.Signature != (Signature{byte(i + 1)}) || stored.Statement != u.Statement {
			t.Errorf("%v again: have %v, %v, want signature %d", u.Kind, stored, err, i+1)
		}
	}
}

func TestNothingIsSignedAtOrBelowAFinalHeight(t *testing.T) {
	r := NewRecord().Finalize(4, testBlock("a"))
	for h, want := range map[Height]bool{3: false, 4: false, 5: true} {
		u := Unsigned{Statement: statement(KindPrepare, 0, "x")}
		u.Height = h
		if _, err := r.Admit(u); (err == nil) != want {
			t.Errorf("height %d above final 4: %v, want allowed: %v", h, err, want)
		}
	}
	if r = r.Finalize(3, testBlock("b")); r.FinalHeight != 4 || r.FinalID != testBlock("a") {
		t.Errorf("final went back to %d", r.FinalHeight)
	}
}

func TestARecordSurvivesItsEncoding(t *testing.T) {
	for _, r := range []Record{NewRecord(), spoken(t), spoken(t).Finalize(3, testBlock("f"))} {
		r.WriteCounter, r.BootCount = 7, 1<<40
		got, err := DecodeRecord(r.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, got, cmp.Comparer(func(a, b ID) bool { return a == b }), equalBlocks); d != "" {
			t.Errorf("record changed (-before +after):\n%s", d)
		}
	}
}

func TestTheLargestRecordFitsItsSlot(t *testing.T) {
	set := testSet(MaxValidators)
	qc := func(v View) *QC {
		q := &QC{Height: 1 << 60, View: MaxView - v, Block: testBlock("a"), Signers: newBitmap(100), Signatures: make([]Signature, set.Quorum())}
		return q
	}
	r := NewRecord().at(1<<60).Finalize(1<<60-1, testBlock("f"))
	u := func(k Kind, v View) Unsigned {
		return Unsigned{Statement: Statement{k, 1 << 60, MaxView - v, testBlock("a"), NoView}}
	}
	timeout := timeout4(MaxView-1, qc(1))
	timeout.Height = 1 << 60
	commit := u(KindCommit, 0)
	commit.QC = qc(0)
	for _, x := range []Unsigned{u(KindProposal, 0), u(KindPrepare, 0), timeout, commit} {
		r = r.Keep(x, set.ID(0), Signature{})
	}
	r.WriteCounter, r.BootCount = 1<<64-1, 1<<64-1
	b := r.Encode()
	if len(b) > MaxRecord {
		t.Errorf("record of %d bytes, want at most %d", len(b), MaxRecord)
	}
	if _, err := DecodeRecord(b); err != nil {
		t.Error(err)
	}
}

func TestARecordWhosePartsDisagreeIsCorrupt(t *testing.T) {
	for name, spoil := range map[string]func(*Record){
		"a view without its statement": func(r *Record) { r.Prepare = nil },
		"a statement without its view": func(r *Record) { r.Committed = NoView },
		"a view that went back":        func(r *Record) { r.TimedOut = 1 },
		"a COMMIT without its QC":      func(r *Record) { r.HighQC = nil },
		"a highQC of another height":   func(r *Record) { r.HighQC = qcAt(1, "a") },
		"a statement elsewhere":        func(r *Record) { r.Prepare = r.Commit },
		"a height of its own":          func(r *Record) { r.Height++ },
	} {
		r := spoken(t)
		spoil(&r)
		if _, err := DecodeRecord(r.Encode()); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: have %v, want ErrCorrupt", name, err)
		}
	}
}

func TestASignatureBeyondTheRecordIsFoundOut(t *testing.T) {
	signed := func(s Statement) Signed { return Signed{Statement: s, Signer: testSet(4).ID(0)} }
	next := statement(KindPrepare, 0, "x")
	next.Height = 5
	old := statement(KindPrepare, 7, "x")
	old.Height = 3
	for _, tt := range []struct {
		name string
		s    Statement
		want bool
	}{
		{"what it remembers", statement(KindPrepare, 1, "a"), false},
		{"an earlier view", statement(KindPrepare, 0, "z"), false},
		{"another block in the same view", statement(KindPrepare, 1, "b"), true},
		{"a later view", statement(KindCommit, 2, "a"), true},
		{"a later Timeout", timeout4(3, qc4(1, "a")).Statement, true},
		{"its Timeout with another highQC", timeout4(2, nil).Statement, true},
		{"a later height", next, true},
		{"a height of which nothing is kept", old, false},
	} {
		if got := spoken(t).Forgot(signed(tt.s)); got != tt.want {
			t.Errorf("%s: Forgot = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestARecoveredRecordStartsAboveItsWatermark(t *testing.T) {
	r := NewRecord()
	r.Watermark = 5
	for h, admits := range map[Height]bool{4: false, 5: false, 6: true} {
		s := statement(KindPrepare, 0, "x")
		s.Height = h
		if _, err := r.Admit(Unsigned{Statement: s}); (err == nil) != admits {
			t.Errorf("a PREPARE at height %d: %v", h, err)
		}
		if got := r.Forgot(Signed{Statement: s, Signer: testSet(4).ID(0)}); got != admits {
			t.Errorf("another PREPARE at height %d, shown by a peer: Forgot = %v, want %v", h, got, admits)
		}
	}
	if back, err := DecodeRecord(r.Encode()); err != nil || back.Watermark != 5 {
		t.Errorf("read again: watermark %d, %v", back.Watermark, err)
	}
}
