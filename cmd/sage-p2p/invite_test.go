package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

func TestAnInviteIsPrintedSoThatItCanBeHandedOn(t *testing.T) {
	d := sit(t)
	golden(t, "federation-invite", d.ok("federation", "invite", "--for", "loki", "--expires", "90m"))
	for _, expires := range []string{"0s", "721h", "never"} {
		if s := d.run("federation", "invite", "--expires", expires); s.code != exitUsage {
			t.Errorf("--expires %s: %+v", expires, s)
		}
	}
}

// silence is an address at which a port was free a moment ago.
func silence(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "/ip4/127.0.0.1/tcp/" + port
}

func TestAnInviteThatOpensNothingIsRefusedAndLeavesNothing(t *testing.T) {
	good := wire.Invite{
		Network: "field", Genesis: [32]byte{1}, Until: 1_900_000_000_000,
		Peers: []wire.Contact{{ID: bft.IDFromKey([32]byte{7}), Addrs: []string{silence(t)}}},
	}
	old := good
	old.Until = 1_700_000_000_000
	text := good.String()
	file := filepath.Join(t.TempDir(), "invite.txt")
	must(t, os.WriteFile(file, []byte(old.String()+"\none use, until 2023\n"), 0o600))
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"cut", []string{"--join", text[:len(text)-3]}, exitUsage, "a part of it is missing, or was changed: copy it again, whole"},
		{"something else", []string{"--join", "/ip4/1.2.3.4/tcp/1"}, exitUsage, "it does not begin with sage1"},
		{"no file", []string{"--join", "@" + file + ".not"}, exitFailed, "cannot be opened"},
		{"expired, in a file", []string{"--join", "@" + file}, exitFailed, "it has expired on 2023-11-14"},
		{"another network", []string{"--join", text, "--network", "lan"}, exitUsage, `the invite is to a federation named "field"`},
		{"with a genesis", []string{"--join", text, "--genesis", "g.json"}, exitUsage, "an invite is to a federation that there is"},
		{"nobody there", []string{"--join", text}, exitUnreachable, "which made it, is not reached"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			home := filepath.Join(t.TempDir(), "home")
			ctx := t.Context()
			if tt.code == exitUnreachable {
				var end context.CancelFunc
				ctx, end = context.WithTimeout(ctx, 2*time.Second)
				defer end()
			}
			s := command(ctx, home, time.Now, "", append([]string{"up", "--api-addr", "127.0.0.1:0", "--no-mdns"}, tt.args...)...)
			if first, _, _ := strings.Cut(s.err, "\n"); s.code != tt.code || !strings.Contains(first, tt.want) {
				t.Errorf("%+v, want code %d and %q", s, tt.code, tt.want)
			}
			if _, err := os.Stat(home); err == nil {
				t.Error("something was written")
			}
		})
	}
}
