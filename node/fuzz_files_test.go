package node

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// FuzzParams reads the file of --params. What is taken found a federation, and
// says the same when it is written out in full; of all else nothing is left, and
// the file is named.
func FuzzParams(f *testing.F) {
	for _, how := range []chain.Admission{chain.AdmitAuto, chain.AdmitVote} {
		raw, err := json.Marshal(chain.DefaultParams(how))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, seed := range []string{
		`{}`, `null`, `{"admission":"vote"}`, `{"admission":"vote","join_grant_uatp":1}`, `{"admission":"auto","admission":"vote"}`,
		`{"heartbeat_ms":60000,"limits":{"txs":1}}`, `{"limits":null,"economy":{}}`, `{"min_fee_uatp":18446744073709551615}`, `{} {"min_fee_uatp":9}`, `{}]`,
	} {
		f.Add([]byte(seed))
	}
	self := newActor("0")
	path := filepath.Join(f.TempDir(), "params.json")
	f.Fuzz(func(t *testing.T, raw []byte) {
		read := func(raw []byte) (chain.Params, error) {
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			return loadParams(path)
		}
		p, err := read(raw)
		if err != nil {
			if !strings.Contains(err.Error(), path) || !reflect.ValueOf(p).IsZero() {
				t.Fatalf("%q: %v with %+v, want the file named, and nothing", raw, err, p)
			}
			return
		}
		if !json.Valid(raw) {
			t.Fatalf("%q is no JSON, and is taken", raw)
		}
		draft := chain.NewGenesis("testing", epoch, p, chain.Founder{ID: self.id(), Name: "node-0"})
		if err := draft.Check(); err != nil {
			t.Fatalf("%q is taken, and founds nothing: %v", raw, err)
		}
		full, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := read(full); err != nil || again != p {
			t.Fatalf("%q is %+v, and in full %+v, %v", raw, p, again, err)
		}
	})
}

// FuzzInvitesFile reads the invites that a platform has made, from a file that may
// be damaged. One that was used by somebody is never taken from another, nor is
// one that has expired; a file that is refused is named, left as it is, and none
// of it counts.
func FuzzInvitesFile(f *testing.F) {
	secret, other := [16]byte{1}, [16]byte{2}
	alpha, beta := newActor("alpha").id().ID, newActor("beta").id().ID
	for _, list := range [][]invitation{
		nil,
		{{Hash: hashOf(secret), For: "a friend", Until: epoch}},
		{{Hash: hashOf(other), Until: epoch}, {Hash: hashOf(secret), Until: epoch + 1, UsedBy: beta.String(), Used: epoch}},
		{{Hash: hashOf(secret), Until: epoch, UsedBy: "nobody"}, {Hash: hashOf(secret), Until: epoch + 1}},
	} {
		raw, err := json.MarshalIndent(list, "", "  ")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(append(raw, "{}"...))
		f.Add(raw[:len(raw)/2])
	}
	f.Add([]byte(`[{"until_ms":1},{"until_ms":-1}]`))
	home := f.TempDir()
	path := filepath.Join(home, invitesFile)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		n := &Node{cfg: Config{Home: home}, log: slog.New(slog.DiscardHandler)}
		if err := n.openInvites(); err != nil {
			if now, readErr := os.ReadFile(path); readErr != nil || !bytes.Equal(now, raw) {
				t.Fatalf("the file has changed: %q, %v", now, readErr)
			}
			if !strings.Contains(err.Error(), invitesFile) || len(n.invites.list) > 0 {
				t.Fatalf("%q: %v, with %+v", raw, err, n.invites.list)
			}
			return
		}
		before := append([]invitation(nil), n.invites.list...)
		verdict, err := n.invites.redeem(alpha, wire.Redemption{Secret: secret}, epoch)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range before {
			if i.Hash != hashOf(secret) {
				continue
			}
			free := i.UsedBy == "" && epoch < i.Until || i.UsedBy == alpha.String()
			if (verdict == wire.InviteTaken) != free {
				t.Fatalf("%+v is shown: %s", i, verdict)
			}
			break // whatever is said of it again does not count
		}
		if verdict != wire.InviteTaken {
			return
		}
		again := &Node{cfg: n.cfg, log: n.log} // after a crash
		if err := again.openInvites(); err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
		if now, err := again.invites.redeem(beta, wire.Redemption{Secret: secret}, epoch); err != nil || now != wire.InviteUsed || len(again.invites.list) != len(before) {
			t.Fatalf("%q: used, and shown by another: %s, %v", raw, now, err)
		}
	})
}
