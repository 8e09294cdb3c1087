package node

import (
	"context"
	stded25519 "crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// newRunningHost is a host of our own without anything behind it.
func newRunningHost(t *testing.T, name string, bootstrap ...peer.AddrInfo) *p2p.Host {
	t.Helper()
	seed := sha256.Sum256([]byte("host " + name))
	private := stded25519.NewKeyFromSeed(seed[:])
	key, err := crypto.UnmarshalEd25519PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	h, err := p2p.New(p2p.Config{
		Key: key, Listen: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/0")}, Network: "test",
		Genesis: p2p.Genesis{1}, Name: name, Agent: "test", Bootstrap: bootstrap, Limits: p2p.EdgeLimits(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return h.Run(ctx) })
	t.Cleanup(func() {
		stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	<-h.Ready()
	return h
}

// A peer's frames and the news of it come on different goroutines. Were a frame
// first, its peer would be unknown, and what it says be lost.
func TestAPeersFrameDoesNotOvertakeTheNewsOfIt(t *testing.T) {
	host := newRunningHost(t, "ours")
	info := peer.AddrInfo{ID: host.ID()}
	for _, a := range host.Addrs() {
		transport, _ := peer.SplitAddr(a)
		info.Addrs = append(info.Addrs, transport)
	}
	other := newRunningHost(t, "theirs", info).ID()
	for deadline := time.Now().Add(30 * time.Second); len(host.Peers()) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("they do not connect")
		}
	}
	inputs := make(chan replica.Input, 16)
	w := &wires{host: host, ctx: t.Context(), inputs: inputs, present: newPresence()}
	status := wire.MessageFrame(&bft.Status{Height: 1, FinalID: someDagCID("genesis")})
	stranger := newActor("stranger").ID().ID

	if got := w.frame(other, status); got != p2p.Accept {
		t.Fatalf("frame = %v", got)
	}
	w.frame(other, status)
	w.event(p2p.PeerDown{ID: other})
	w.event(p2p.PeerUp{ID: other})
	w.frame(stranger, status) // that has gone since: the loop ignores what it says
	want := fmt.Sprint([]string{
		"replica.Connected", "replica.Received", "replica.Received", "replica.Disconnected", "replica.Connected", "replica.Received",
	})
	var got []string
	for len(inputs) > 0 {
		got = append(got, fmt.Sprintf("%T", <-inputs))
	}
	if fmt.Sprint(got) != want {
		t.Errorf("inputs: %v, want %v", got, want)
	}
}

func TestThePeersHereAndTheirClaimsAreAlike(t *testing.T) {
	p := newPresence()
	a, b := newActor("a").ID().ID, newActor("b").ID().ID
	p.claim(a, 7) // of one who is not here
	p.come(b)
	p.claim(b, 8)
	if p.claimed(a) != 0 || p.claimed(b) != 8 {
		t.Errorf("claims: %d and %d, want none and 8", p.claimed(a), p.claimed(b))
	}
	p.gone(b)
	p.claim(b, 9) // a frame that was on its way
	if len(p.claims) != 0 || len(p.known) != 0 {
		t.Errorf("after the last has gone: %v and %v", p.claims, p.known)
	}
}
