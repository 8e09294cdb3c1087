package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// The proofs that package chain has on file, of a chain whose validators
// change, and its genesis.
const (
	taskProof    = "../../chain/testdata/task.proof"
	accountProof = "../../chain/testdata/account.proof"
	proofGenesis = "../../chain/testdata/proof-genesis.json"
)

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// offline runs a command beside no node.
func offline(t *testing.T, home string, args ...string) said {
	t.Helper()
	return command(t.Context(), home, time.Now, "", args...)
}

func TestProofsAreVerifiedOffline(t *testing.T) {
	home := t.TempDir()
	copyFile(t, proofGenesis, filepath.Join(home, genesisFile))
	for name, file := range map[string]string{"verify-task": taskProof, "verify-account": accountProof} {
		got := offline(t, home, "verify", file)
		if got.code != exitDone || got.err != "" {
			t.Fatalf("verify %s = %+v", file, got)
		}
		golden(t, name, got.out)
		for line := range strings.Lines(got.out) {
			whole := strings.Contains(line, "bafy") || strings.Contains(line, "bafk") || strings.Contains(line, "12D3") // to be copied: never cut
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 && !whole {
				t.Errorf("%d columns: %s", n, line)
			}
		}
		if given := offline(t, t.TempDir(), "verify", "--genesis", proofGenesis, file); given != got {
			t.Errorf("with a genesis named: %+v", given)
		}
		asJSON := offline(t, home, "verify", file, "--json")
		var v provenFile
		if err := json.Unmarshal([]byte(asJSON.out), &v); err != nil || v.Network != "testing" || len(v.Blocks) != 4 || v.Blocks[0].Quorum != 3 || (v.Task == nil) == (v.Account == nil) {
			t.Errorf("as JSON: %v %+v", err, asJSON)
		}
	}
}

func TestWhatProvesNothingIsRefused(t *testing.T) {
	home := t.TempDir()
	copyFile(t, proofGenesis, filepath.Join(home, genesisFile))
	raw, err := os.ReadFile(accountProof)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, content []byte) string {
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	flipped := strings.Clone(string(raw))
	bad := []byte(flipped)
	bad[len(bad)-40] ^= 4 // a signature of the last certificate
	large := file("large", nil)
	if err := os.Truncate(large, chain.MaxProofBytes+1); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"a flipped bit", []string{"verify", file("bad", bad)}, exitFailed, "proves nothing: block 7: its certificate does not hold for the 7 validators"},
		{"half a file", []string{"verify", file("half", raw[:len(raw)/2])}, exitFailed, "proves nothing"},
		{"an empty file", []string{"verify", file("empty", nil)}, exitFailed, "proves nothing"},
		{"a page", []string{"verify", file("page", []byte("<html>hello"))}, exitFailed, "proves nothing"},
		{"a large file", []string{"verify", large}, exitFailed, "is no proof: it has more than 16777216 bytes"},
		{"a folder", []string{"verify", home}, exitFailed, "is a directory"},
		{"no such file", []string{"verify", filepath.Join(home, "none")}, exitFailed, "no such file"},
		{"no file", []string{"verify"}, exitUsage, "verify takes FILE"},
		{"no genesis", []string{"verify", "--genesis", filepath.Join(home, "none"), accountProof}, exitFailed, "without one nothing can be checked"},
		{"a genesis that is none", []string{"verify", "--genesis", accountProof, accountProof}, exitFailed, "cannot be used"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := offline(t, home, tt.args...)
			if got.code != tt.code || !strings.Contains(got.err, tt.want) || strings.Contains(got.out, "proven:") {
				t.Errorf("have %+v, want %d and %q", got, tt.code, tt.want)
			}
		})
	}
	if got := offline(t, home, "verify", filepath.Join(home, "bad")); !strings.Contains(got.out, "block 5 ·") || strings.Contains(got.out, "block 7 ·") {
		t.Errorf("it should show how far the proof holds: %q", got.out)
	}
}

func TestAProofOfAnotherFederationIsRefused(t *testing.T) {
	home := t.TempDir()
	file, err := os.ReadFile(proofGenesis)
	if err != nil {
		t.Fatal(err)
	}
	g, err := chain.ParseGenesis(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.ReadFile(accountProof)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := chain.DecodeProof(p)
	if err != nil {
		t.Fatal(err)
	}
	proof.Genesis[0] ^= 1
	if p, err = proof.Encode(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(home, "proof")
	if err := os.WriteFile(path, p, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := verifyFile(path, g); err == nil || !strings.Contains(err.Error(), "genesis: it is of the chain") {
		t.Errorf("have %v", err)
	}
}

func TestProofsAreSaved(t *testing.T) {
	d := eventful(t)
	id := apitest.CID("a task")
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"receipt": {[]string{"receipt", short(id.String())}, "receipt of " + id.String()},
		"account": {[]string{"account", "prove", "beta"}, "proof of " + apitest.ID("beta").String()},
	} {
		file := filepath.Join(dir, name)
		out := d.ok(append(tt.args, "--out", file)...)
		if got, err := os.ReadFile(file); err != nil || string(got) != tt.want || !strings.Contains(out, "check it with: sage-p2p --home "+d.home+" verify "+file) {
			t.Errorf("%s: %q in the file, %v, said %q", name, got, err, out)
		}
		if got := d.ok(tt.args...); got != tt.want {
			t.Errorf("%s on standard output: %q", name, got)
		}
		var v handed
		if err := json.Unmarshal([]byte(d.ok(append(tt.args, "--out", file, "--json")...)), &v); err != nil || v.File != file || v.Bytes != len(tt.want) {
			t.Errorf("%s as JSON: %+v, %v", name, v, err)
		}
		d.screen = true
		if got := d.run(tt.args...); got.code != exitUsage || got.out != "" {
			t.Errorf("%s on a terminal: %+v", name, got)
		}
		d.screen = false
		if got := d.run(append(tt.args, "--out", filepath.Join(dir, "no", "such", "folder"))...); got.code != exitFailed {
			t.Errorf("%s into no folder: %+v", name, got)
		}
	}
	d.node.SetTask(view.Task{ID: apitest.CID("open"), State: view.TaskPosted})
	file := filepath.Join(dir, "open")
	if got := d.run("receipt", apitest.CID("open").String(), "--out", file); got.code != exitFailed || !strings.Contains(got.err, "the task is posted") {
		t.Errorf("a receipt of an open task: %+v", got)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}
