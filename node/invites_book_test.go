package node

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

func TestAnInviteIsUsedOnce(t *testing.T) {
	home := t.TempDir()
	var lines strings.Builder
	b := &invites{home: home, log: slog.New(slog.NewTextHandler(&lines, nil))}
	secret := [16]byte{1}
	if err := b.add(invitation{Hash: hashOf(secret), Until: epoch}, epoch-1000); err != nil {
		t.Fatal(err)
	}
	alpha, beta := newActor("alpha").id().ID, newActor("beta").id().ID
	show := func(b *invites, who string, secret [16]byte, look bool, now atp.Millis, want wire.Verdict) {
		t.Helper()
		id := alpha
		if who == "beta" {
			id = beta
		}
		if got, err := b.redeem(id, wire.Redemption{Secret: secret, Look: look}, now); err != nil || got != want {
			t.Errorf("shown by %s: %s, %v, want %s", who, got, err, want)
		}
	}
	show(b, "alpha", [16]byte{2}, false, epoch-10, wire.InviteUnknown)
	show(b, "beta", secret, true, epoch-10, wire.InviteTaken) // a look
	show(b, "alpha", secret, false, epoch, wire.InviteExpired)
	show(b, "alpha", secret, false, epoch-1, wire.InviteTaken)
	show(b, "alpha", secret, false, epoch+1, wire.InviteTaken) // its answer may have been lost
	show(b, "beta", secret, false, epoch-1, wire.InviteUsed)
	show(b, "beta", secret, true, epoch-1, wire.InviteUsed)

	if n := strings.Count(lines.String(), "\n"); n != 1 {
		t.Errorf("the log has %d lines, want one for the one use:\n%s", n, lines.String())
	}

	n := &Node{cfg: Config{Home: home}, log: slog.New(slog.DiscardHandler)} // after a crash
	if err := n.openInvites(); err != nil {
		t.Fatal(err)
	}
	show(n.invites, "beta", secret, false, epoch-1, wire.InviteUsed)
	show(n.invites, "alpha", secret, false, epoch-1, wire.InviteTaken)
}

func TestInvitesAreForgottenLongAfterTheirEnd(t *testing.T) {
	b := &invites{home: t.TempDir()}
	for i := range maxInvites {
		b.list = append(b.list, invitation{Hash: hashOf([16]byte{byte(i), byte(i >> 8)}), Until: epoch})
	}
	more := invitation{Hash: "more", Until: epoch * 2}
	if err := b.add(more, epoch); err == nil {
		t.Errorf("more than %d invites are remembered", maxInvites)
	}
	if err := b.add(more, epoch.Add(atp.Span(inviteMemory.Milliseconds())+1)); err != nil || len(b.list) != 1 {
		t.Errorf("a month later %d are remembered, %v, want the newest", len(b.list), err)
	}
}

// Strangers may show what they like: only what lets somebody in is worth a line.
func TestSecretsThatAreNoneFillNoLog(t *testing.T) {
	var lines strings.Builder
	log := slog.New(slog.NewTextHandler(&lines, nil))
	n := &Node{cfg: Config{Home: t.TempDir()}, log: log}
	if err := n.openInvites(); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		reply, err := n.welcome(newActor("alpha").id().ID, wire.Redemption{Secret: [16]byte{byte(i)}}, &running{genesisJSON: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		if w, err := wire.DecodeWelcome(reply.Data); err != nil || w.Verdict != wire.InviteUnknown || len(w.Genesis) > 0 {
			t.Fatalf("a secret that is none: %+v, %v", w, err)
		}
	}
	if lines.Len() > 0 {
		t.Errorf("the log says %.200q", lines.String())
	}
}
