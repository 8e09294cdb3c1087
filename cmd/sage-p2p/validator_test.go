package main

import (
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func TestWhoWaitsForAVoteIsShown(t *testing.T) {
	d := sit(t)
	d.node.Candidates = []view.Candidate{{
		PeerID: apitest.ID("epsilon"), Name: "epsilon", Connected: true, UntilMS: apitest.Start + 50_000, BondedUATP: 100_000_000,
	}}
	out := d.ok("validators")
	for _, want := range []string{"4 validators decide height 2: 3 must agree, 1 may fail", "1 candidate waits for a vote", "epsilon"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
}

func TestAVoteIsAskedForAndGivenBack(t *testing.T) {
	d := sit(t)
	for command, kind := range map[string]string{"join": "VALIDATOR_JOIN", "leave": "VALIDATOR_LEAVE"} {
		out := d.ok("validator", command)
		if !strings.Contains(out, "one of 4 validators") || !strings.Contains(out, "final in block") {
			t.Errorf("%s says %q", command, out)
		}
		if tx := d.ok("block", strings.Fields(out[strings.Index(out, "block "):])[1]); !strings.Contains(tx, kind) {
			t.Errorf("%s made %s", command, tx)
		}
	}
}

func TestHowTheVotesOnAPlatformStandIsShown(t *testing.T) {
	d := sit(t)
	d.node.Admissions = []view.Admission{{
		PeerID: apitest.ID("epsilon"), Name: "epsilon", Society: "north", GrantUATP: 1_000_000_000, Needed: 3,
		Voters: []peer.ID{apitest.ID("alpha"), apitest.ID("beta")}, UntilMS: apitest.Start,
	}}
	for _, command := range [][]string{{"validators"}, {"validator", "vote", apitest.ID("epsilon").String(), "--grant", "5", "--society", "north"}} {
		out := d.ok(command...)
		for _, want := range []string{"1 vote is open for admission", "epsilon", "2 of 3", "1000 ATP", "north", "sage-p2p validator vote ID"} {
			if !strings.Contains(out, want) {
				t.Errorf("%v does not say %q:\n%s", command, want, out)
			}
		}
	}
}

func TestStatusNamesTheOnlyValidator(t *testing.T) {
	d := sit(t)
	if out := d.ok("status"); strings.Contains(out, "nothing becomes final") {
		t.Errorf("with four validators it says %s", out)
	}
	d.node.StatusNow.Validators, d.node.StatusNow.Quorum, d.node.StatusNow.OnlyValidator = 1, 1, "beta"
	if out := d.ok("status"); !strings.Contains(out, "if beta is off, nothing becomes final") {
		t.Errorf("it says %s", out)
	}
}

func TestHowAPlatformStands(t *testing.T) {
	self, other := apitest.ID("alpha"), apitest.ID("beta")
	for name, tt := range map[string]struct {
		set  view.Validators
		says string
	}{
		"observes": {view.Validators{Members: []view.Validator{{PeerID: other}}}, "an observer"},
		"votes":    {view.Validators{Members: []view.Validator{{PeerID: self}}}, "one of 1 validator"},
		"leaves":   {view.Validators{Members: []view.Validator{{PeerID: other}, {PeerID: self, Leaving: true}}}, "still one of 2 validators"},
		"waits":    {view.Validators{Candidates: []view.Candidate{{PeerID: self, UntilMS: 1}}}, "a candidate until"},
	} {
		if got := voteOf(view.Status{PeerID: self}, tt.set); !strings.HasPrefix(got, tt.says) {
			t.Errorf("who %s is told %q, want %q", name, got, tt.says)
		}
	}
}

func TestEachModeIsASentence(t *testing.T) {
	for _, m := range []view.Mode{view.ModeForming, view.ModeSolo, view.ModeTrusted, view.ModeVoid, view.ModeFull} {
		if got := modeText(m); got == string(m) || len(got) > helpWidth-11 {
			t.Errorf("%q is told as %q", m, got)
		}
	}
}
