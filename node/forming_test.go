package node

import (
	"context"
	"errors"
	"testing"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/signer"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// Power went when the key was bound to a federation that was found, before its
// genesis was on the disk. The key signs for no other, so no other is looked for,
// and none is founded.
func TestWhoWasBoundToAFederationLooksForThatOne(t *testing.T) {
	home, bound := t.TempDir(), bft.GenesisHash{9}
	s, err := signer.OpenOrCreate(home)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Bind(bound), s.Close()); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Home, cfg.Name, cfg.Listen = home, "loki", []string{"/ip4/127.0.0.1/tcp/0"}
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.open(); err != nil {
		t.Fatal(errors.Join(err, n.close()))
	}
	defer n.close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nobody is there
	if _, err := n.rendezvous(ctx); err != nil {
		t.Fatal(err)
	}
	if have := n.host.Genesis(); have != p2p.Genesis(bound) {
		t.Errorf("it looks for %s, want %s", have, bound)
	}
}
