package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// patience is how long a test waits for what must happen. It is far beyond
// what it takes.
const patience = 30 * time.Second

// platform is a node that runs in the test's process.
type platform struct {
	*node.Node
	cfg  node.Config
	stop context.CancelFunc
	done chan error
}

// up starts a platform with a home of its own, on ports that the system chooses.
func up(t *testing.T, name string, change func(*node.Config)) *platform {
	t.Helper()
	cfg := node.DefaultConfig()
	cfg.Home, cfg.Name, cfg.Network = t.TempDir(), name, "test"
	cfg.Listen, cfg.APIAddr = []string{"/ip4/127.0.0.1/tcp/0"}, "127.0.0.1:0"
	change(&cfg)
	return start(t, cfg)
}

func start(t *testing.T, cfg node.Config) *platform {
	t.Helper()
	level := slog.LevelError
	if os.Getenv("SAGE_TEST_LOG") != "" {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("node", cfg.Name)
	n, err := node.New(cfg, node.WithLogger(log))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &platform{n, cfg, stop, make(chan error, 1)}
	var g errgroup.Group
	g.Go(func() error { p.done <- n.Run(ctx); return nil })
	t.Cleanup(func() { p.end(t) })
	return p
}

// end stops the platform and waits until it has.
func (p *platform) end(t *testing.T) {
	t.Helper()
	p.stop()
	select {
	case err := <-p.done:
		if err != nil {
			t.Errorf("%s: %v", p.cfg.Name, err)
		}
		p.done <- nil
	case <-time.After(patience):
		t.Errorf("%s does not stop", p.cfg.Name)
	}
}

// wait waits until what is claimed holds, looking whenever something changes.
func (p *platform) wait(t *testing.T, claim string, holds func(view.Status) bool) view.Status {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond) // until the node has opened, nothing says that it changed
	defer tick.Stop()
	for {
		select {
		case err := <-p.done:
			p.done <- nil
			t.Fatalf("%s ended while it was to be %s: %v", p.cfg.Name, claim, err)
		case <-deadline:
			s, _ := p.Status(t.Context())
			t.Fatalf("%s is not %s: %+v", p.cfg.Name, claim, s)
		case <-tick.C:
		}
		if !p.Open() {
			continue
		}
		if s, err := p.Status(t.Context()); err == nil && holds(s) {
			return s
		}
	}
}

func listening(s view.Status) bool { return len(s.Listen) > 0 }

// federation starts n platforms that found a federation together.
func federation(t *testing.T, n int) []*platform {
	t.Helper()
	all := []*platform{up(t, "node-0", func(c *node.Config) { c.Expect = n })}
	first := all[0].wait(t, "listening", listening)
	for i := 1; i < n; i++ {
		all = append(all, up(t, fmt.Sprintf("node-%d", i), func(c *node.Config) { c.Expect, c.Bootstrap = n, first.Listen }))
	}
	for _, p := range all {
		p.wait(t, "in a federation of all", func(s view.Status) bool { return s.Validators == n && s.Peers == n-1 })
	}
	return all
}

func TestFourPlatformsFoundAFederationAndPay(t *testing.T) {
	all := federation(t, 4)
	payee := all[2].id(t)
	if _, err := all[1].Transfer(t.Context(), payee, 5_000_000); err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		p.wait(t, "paid", func(view.Status) bool {
			a, err := p.Account(t.Context(), payee)
			return err == nil && a.AvailableUATP == 905_000_000
		})
	}
}

func (p *platform) id(t *testing.T) peer.ID {
	t.Helper()
	s, err := p.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.PeerID
}
