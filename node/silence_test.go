package node_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// onAnOldImage returns a federation of four whose last has ended, and has its home put
// back to what it was before its newest votes.
func onAnOldImage(t *testing.T) []*platform {
	t.Helper()
	all := federation(t, 4)
	payee, old, image := all[2].id(t), all[3], filepath.Join(t.TempDir(), "image")
	all[1].pays(t, payee, 1)
	agree(t, all...)
	old.end(t)
	if err := os.CopyFS(image, os.DirFS(old.cfg.Home)); err != nil {
		t.Fatal(err)
	}
	old = old.again(t)
	all[3] = old
	all[0].end(t) // the three that are left are all needed
	all[1].pays(t, payee, 3)
	all[0] = all[0].again(t)
	agree(t, all...)
	old.end(t)
	err := errors.Join(os.RemoveAll(old.cfg.Home), os.CopyFS(old.cfg.Home, os.DirFS(image)),
		os.Chmod(filepath.Join(old.cfg.Home, signer.KeyFile), 0o600), os.Chmod(filepath.Join(old.cfg.Home, "api.token"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// findsOut waits until a platform on an old image says that it is, and what to do.
func (p *platform) findsOut(t *testing.T) {
	t.Helper()
	p.wait(t, "aware of its old record", func(s view.Status) bool {
		return len(s.Alarms) > 0 && strings.Contains(s.Alarms[0], "Nothing is signed any more") &&
			strings.Contains(s.Alarms[0], "sage-p2p key rotate") && strings.Contains(s.Alarms[0], "remove "+p.cfg.Home)
	})
}

// The home of a validator is put back to what it was: its peers tell, it votes no
// more, says so and what to do, and a restart changes nothing.
func TestAValidatorOnAnOldImageStaysSilentThroughARestart(t *testing.T) {
	all := onAnOldImage(t)
	old, payee := all[3], all[2].id(t)
	for start := range 2 {
		old = old.again(t)
		all[3] = old
		old.findsOut(t)
		all[1].pays(t, payee, 2)
		if s := agree(t, all...); old.signedAt(t, s.Height) {
			t.Errorf("start %d: it has voted at height %d", start, s.Height)
		}
		old.end(t)
	}
	if _, err := os.Stat(filepath.Join(old.cfg.Home, signer.SilenceFile)); err != nil {
		t.Error(err)
	}
}

// A validator whose key is silent takes another one, as its alarm advises: the others
// agree without its vote, and the new key votes at once, where they need it.
func TestAnotherKeyVotesWhereTheOldOneIsSilent(t *testing.T) {
	all := onAnOldImage(t)
	old := all[3].again(t)
	old.findsOut(t)
	silent := old.id(t)
	sub, err := old.RotateKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := old.fails(t); !errors.Is(err, node.ErrAgain) {
		t.Fatalf("Run: %v, want ErrAgain", err)
	}
	all[3] = old.again(t)
	all[3].wait(t, "back with its vote", func(s view.Status) bool {
		return s.PeerID == sub.NewID && s.Validator && s.Ready() && len(s.Alarms) == 0
	})
	if rotated := all[1].final(t, sub); !rotated.OK || all[1].signed(t, rotated.Height, silent) {
		t.Errorf("the key was replaced by %+v, with its own vote or not at all", rotated)
	}
	if _, err := os.Stat(filepath.Join(old.cfg.Home, signer.SilenceFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the new key is silent, too: %v", err)
	}
	agree(t, all...)
	all[0].end(t) // the three that are left are all needed
	all[1].pays(t, all[2].id(t), 2)
	if s := agree(t, all[1:]...); !all[1].signed(t, s.Height, sub.NewID) {
		t.Errorf("height %d has become final without the new key", s.Height)
	}
}

// signedAt reports whether the certificate of a height holds the platform's vote.
func (p *platform) signedAt(t *testing.T, h view.Height) bool {
	t.Helper()
	return p.signed(t, h, p.id(t))
}

// signed reports whether the certificate of a height, as p has it, holds a vote.
func (p *platform) signed(t *testing.T, h view.Height, id peer.ID) bool {
	t.Helper()
	b, err := p.BlockAt(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Contains(b.Certificate.Signers, id)
}
