package node_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	coin "github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/signer"
	"github.com/sage-p2p/sage-p2p/task"
)

// A platform takes another key while it runs: it begins anew as another peer, with
// its money, its name and its vote. Whoever knew it knows it still.
func TestAPlatformTakesAnotherKey(t *testing.T) {
	thor := up(t, "thor", func(c *node.Config) { c.Expect = 1 }, offering(t, echoing()))
	loki := joining(t, "loki", thor)
	registered(t, 2, loki)
	before := thor.wait(t, "alone with a vote", func(s view.Status) bool { return s.Validator && s.Height >= 2 })

	sub, err := thor.RotateKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := thor.fails(t); !errors.Is(err, node.ErrAgain) {
		t.Fatalf("Run: %v, want ErrAgain", err)
	}
	again := thor.again(t)
	after := again.wait(t, "back with its vote", func(s view.Status) bool { return s.Validator && s.Ready() })
	if after.PeerID != sub.NewID || after.PeerID == before.PeerID || after.Name != "thor" || after.BalanceUATP != before.BalanceUATP {
		t.Errorf("it is back as %+v, and was %+v", after, before)
	}
	_, aside := os.Stat(filepath.Join(again.cfg.Home, signer.OldKeyFile))
	if _, next := os.Stat(filepath.Join(again.cfg.Home, signer.NextKeyFile)); aside != nil || !errors.Is(next, fs.ErrNotExist) {
		t.Errorf("the old key is not aside, or the next one not in its place: %v, %v", aside, next)
	}
	pay, err := again.Transfer(t.Context(), loki.id(t), 5)
	if err != nil {
		t.Fatal(err)
	}
	again.final(t, pay)
	account, err := again.Account(t.Context(), before.PeerID)
	if err != nil || account.AvailableUATP != 0 || account.BondedUATP != 0 || account.ReplacedBy != sub.NewID {
		t.Errorf("the old key has %+v: %v", account, err)
	}
}

// By default a platform stakes as a witness: it is told how to get at another key all
// the same, and gets it.
func TestWhoHasAStakeIsToldHowToTakeAnotherKey(t *testing.T) {
	t.Parallel()
	c := newCourt(t, func(e *task.Economy) { e.Unbonding = coin.Second }, honest(4)...)
	witness := c.all[2]
	refused := func() *view.Error {
		t.Helper()
		_, err := witness.RotateKey(t.Context())
		var no *view.Error
		if !errors.As(err, &no) || no.Code != view.CodeRefused {
			t.Fatalf("with a stake: %v", err)
		}
		return no
	}
	if no := refused(); !strings.Contains(no.Hint, "1s later: sage-p2p stake unbond 150") {
		t.Errorf("%s (%s)", no.Message, no.Hint)
	}
	sub, err := witness.UnbondStake(t.Context(), 150*atp)
	if err != nil {
		t.Fatal(err)
	}
	witness.final(t, sub)
	witness.wait(t, "without a stake", func(view.Status) bool {
		a, err := witness.Account(t.Context(), witness.id(t))
		return err == nil && a.Stake == nil
	})
	if _, err := witness.RotateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := witness.fails(t); !errors.Is(err, node.ErrAgain) {
		t.Fatalf("Run: %v, want ErrAgain", err)
	}
}
