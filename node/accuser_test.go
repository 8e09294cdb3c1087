package node_test

import (
	stded25519 "crypto/ed25519"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"

	ledger "github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// doubleCommit is two COMMITs of a platform's key for one view.
func (p *platform) doubleCommit(t *testing.T, h bft.Height) bft.Evidence {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.cfg.Home, signer.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	private, err := crypto.UnmarshalPrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := private.Raw()
	if err != nil {
		t.Fatal(err)
	}
	key := signer.NewKey(stded25519.PrivateKey(seed))
	genesis, err := p.genesis(t).Hash()
	if err != nil {
		t.Fatal(err)
	}
	say := func(block string) bft.Signed {
		s := bft.Statement{Kind: bft.KindCommit, Height: h, Block: ledger.Sum([]byte(block)), HighView: bft.NoView}
		return bft.Signed{Statement: s, Signer: key.ID(), Signature: key.Sign(s.SignedBytes(genesis))}
	}
	return bft.Evidence{First: say("one"), Second: say("other")}
}

// Two nodes see that a validator contradicted itself: it loses bond and vote, once,
// and the others go on without it.
func TestWhoIsSeenToLieIsSlashed(t *testing.T) {
	all := federation(t, 4, offering(t, echoing()))
	registered(t, 4, all...)
	liar := all[3]
	e := liar.doubleCommit(t, 1)
	id := liar.id(t)
	for _, p := range all[:2] {
		p.Accuse(e)
		p.Accuse(e)
	}
	for _, p := range all[:3] {
		p.wait(t, "rid of the liar", func(s view.Status) bool { return s.Validators == 3 })
	}
	account, err := all[0].Account(t.Context(), id)
	if err != nil || account.BondedUATP != 0 {
		t.Errorf("the liar has %+v: %v", account, err)
	}
	liar.wait(t, "told why", func(s view.Status) bool {
		return slices.ContainsFunc(s.Alarms, func(a string) bool { return strings.Contains(a, "lost its vote and its bond") })
	})
	// It does not come back by itself, with another bond to lose.
	all[0].pays(t, all[1].id(t), 2)
	if set, err := all[0].Validators(t.Context()); err != nil || len(set.Members) != 3 {
		t.Errorf("%d validate: %v", len(set.Members), err)
	}
}
