package bft

import (
	"testing"

	"github.com/sage-p2p/sage-p2p/bft/fieldtest"
)

// unsigned are the fields that no signature covers, and why that does no harm.
// Only a named one itself is meant, such as that Status/HighQC is taken away: what
// is below it, such as Status/HighQC.View, is covered.
var unsigned = map[string]string{
	"Proposal/Payload":         "the block's ID is signed: the replica refuses a payload whose header has another",
	"Proposal on a TC/Payload": "likewise",
	"Status/Height":            "a Status is unsigned: its stream is its sender's own, and what it says is a hint where to ask",
	"Status/View":              "likewise",
	"Status/FinalHeight":       "likewise",
	"Status/FinalID":           "likewise",
	"Status/Clock":             "likewise; the median of many is taken",
	"Status/Challenge":         "likewise; it is answered to its sender alone",
	"Status/Answer":            "likewise; one that answers no challenge of ours counts for nothing",
	"Status/HighQC":            "it may be left out; one that is there proves itself, as the test sees",
	"Status/TC":                "likewise",
	"Status/Newest":            "likewise",
}

// TestOneFieldOfASignedMessageChanged changes each field of each message, and
// has it judged as the node does: decoded, and then by a Verifier that
// remembers the certificates as they were.
func TestOneFieldOfASignedMessageChanged(t *testing.T) {
	s := newSigners(t, 4)
	s.Memory = NewRing(64)
	s.Entropy = endless{}
	valid := s.messages()
	for name, m := range valid {
		if _, err := s.Verify(m); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	used := make(map[string]bool)
	for name, m := range valid {
		raw := Encode(m)
		changes := 0
		fresh := func() any {
			m, err := Decode(raw)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		fieldtest.Each(fresh, func(c fieldtest.Change) {
			changes++
			field := name + "/" + c.Field
			if _, ok := unsigned[field]; ok {
				used[field] = true
				return
			}
			sent, err := Decode(Encode(c.Value.(Message)))
			if err == nil {
				_, err = s.Verify(sent)
			}
			if err == nil {
				t.Errorf("%s: %s: it verifies", field, c.What)
			}
		})
		if changes < 150 {
			t.Errorf("%s: %d changes, want more", name, changes)
		}
	}
	for field := range unsigned {
		if !used[field] {
			t.Errorf("no message has a field %s", field)
		}
	}
}

// What a stranger signs is signed, and counts for nothing.
func TestAStrangersOwnWordDoesNotCount(t *testing.T) {
	s, five := newSigners(t, 4), newSigners(t, 5)
	five.Height = s.Height
	for i := range five.Set.Len() {
		if s.Set.Contains(five.Set.ID(i)) {
			continue
		}
		for _, kind := range []Kind{KindPrepare, KindCommit, KindTimeout} {
			u := Unsigned{Statement: Statement{Kind: kind, View: 0}}
			if kind != KindTimeout {
				u.Block = testBlock("a")
			}
			if _, err := five.Verify(five.sign(i, u)); err != nil {
				t.Fatalf("%v: among five: %v", kind, err)
			}
			if _, err := s.Verify(five.sign(i, u)); err == nil {
				t.Errorf("%v of a stranger verifies", kind)
			}
		}
	}
}
