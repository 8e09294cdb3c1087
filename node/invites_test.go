package node_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// invites has a platform make an invite.
func (p *platform) invites(t *testing.T, ask view.NewInvite) view.Invite {
	t.Helper()
	made, err := p.Invite(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// try asks what an invite is worth, as a newcomer.
func try(t *testing.T, text string, patience time.Duration) error {
	t.Helper()
	i, err := wire.ParseInvite(text)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = node.TryInvite(ctx, i, slog.New(slog.DiscardHandler))
	return err
}

// invited starts a platform with an invite.
func invited(t *testing.T, name, invite string) *platform {
	t.Helper()
	return up(t, name, func(c *node.Config) { c.Join = invite })
}

func TestAnInviteOpensAFederationOnce(t *testing.T) {
	alpha := up(t, "alpha", func(*node.Config) {})
	first := alpha.wait(t, "in a federation", view.Status.Ready)
	made := alpha.invites(t, view.NewInvite{For: "beta"})
	if made.Genesis != first.Genesis || made.Network != "test" || made.Reach != view.ReachLocal {
		t.Errorf("the invite is %+v, want one to %s", made, first.Genesis)
	}
	if err := try(t, made.Invite, patience); err != nil {
		t.Fatalf("a look at the invite: %v", err)
	}
	beta := invited(t, "beta", made.Invite) // a look has not used it up
	in := beta.wait(t, "in the federation", view.Status.Ready)
	if in.Genesis != first.Genesis {
		t.Errorf("beta is in %s, want %s", in.Genesis, first.Genesis)
	}
	if err := try(t, made.Invite, patience); !errors.Is(err, node.ErrInvite) || !strings.Contains(err.Error(), "has been used") {
		t.Errorf("a look at it once it is used: %v", err)
	}
	if err := invited(t, "gamma", made.Invite).fails(t); !errors.Is(err, node.ErrInvite) {
		t.Errorf("gamma, with the same: %v, want ErrInvite", err)
	}

	alpha.end(t)
	alpha = alpha.again(t)
	alpha.wait(t, "back", view.Status.Ready)
	if err := try(t, made.Invite, patience); !errors.Is(err, node.ErrInvite) {
		t.Errorf("a look once alpha has started again: %v, want ErrInvite", err)
	}
	beta.end(t)
	beta.cfg.Join = ""
	beta = beta.again(t) // it remembers
	beta.wait(t, "back, and with alpha", func(s view.Status) bool { return s.Ready() && s.Peers > 0 })
}

func TestAnInviteThatOpensNothingSaysWhy(t *testing.T) {
	alpha := up(t, "alpha", func(*node.Config) {})
	alpha.wait(t, "in a federation", view.Status.Ready)
	made := alpha.invites(t, view.NewInvite{})
	forged, err := wire.ParseInvite(made.Invite)
	if err != nil {
		t.Fatal(err)
	}
	forged.Secret[0]++
	if err := try(t, forged.String(), patience); !errors.Is(err, node.ErrInvite) || !strings.Contains(err.Error(), "never made it") {
		t.Errorf("with another secret: %v", err)
	}
	forged.Until = 1
	if err := try(t, forged.String(), patience); !errors.Is(err, node.ErrInvite) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("after its end: %v", err)
	}
	if _, err := alpha.Invite(t.Context(), view.NewInvite{ExpiresMS: 1 << 40}); err == nil {
		t.Error("an invite lasts for decades")
	}

	other := up(t, "other", func(*node.Config) {})
	other.wait(t, "in a federation of its own", view.Status.Ready)
	other.end(t)
	other.cfg.Join = made.Invite
	if err := other.again(t).fails(t); !errors.Is(err, node.ErrInvite) || !strings.Contains(err.Error(), "belongs to the federation") {
		t.Errorf("in a home of another federation: %v", err)
	}
	if _, err := os.Stat(filepath.Join(other.cfg.Home, "invite")); err == nil {
		t.Error("that home has kept the invite")
	}

	alpha.end(t)
	if err := try(t, made.Invite, 2*time.Second); !errors.Is(err, node.ErrNobodyAnswers) || strings.Contains(err.Error(), "\n") {
		t.Errorf("while alpha is off: %v", err)
	}
}
