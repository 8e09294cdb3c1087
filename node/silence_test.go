package node_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// The home of a validator is put back to what it was: its peers tell, it votes no
// more, says so and what to do, and a restart changes nothing.
func TestAValidatorOnAnOldImageStaysSilentThroughARestart(t *testing.T) {
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
	for start := range 2 {
		old = old.again(t)
		all[3] = old
		old.wait(t, "aware of its old record", func(s view.Status) bool {
			return len(s.Alarms) > 0 && strings.Contains(s.Alarms[0], "Nothing is signed any more") && strings.Contains(s.Alarms[0], "remove "+old.cfg.Home)
		})
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

// signedAt reports whether the certificate of a height holds the platform's vote.
func (p *platform) signedAt(t *testing.T, h view.Height) bool {
	t.Helper()
	b, err := p.BlockAt(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range b.Certificate.Signers {
		if id == p.id(t) {
			return true
		}
	}
	return false
}
