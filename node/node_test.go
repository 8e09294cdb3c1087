package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// patience is how long a test waits for what must happen. It is far beyond
// what it takes.
const patience = 60 * time.Second

// atp is one ATP in the API's unit.
const atp view.Amount = 1_000_000

// platform is a node that runs in the test's process.
type platform struct {
	*node.Node
	cfg  node.Config
	opts []node.Option
	stop context.CancelFunc
	done chan error
}

// up starts a platform with a home of its own, on ports that the system chooses.
func up(t *testing.T, name string, change func(*node.Config), opts ...node.Option) *platform {
	t.Helper()
	cfg := node.DefaultConfig()
	cfg.Home, cfg.Name, cfg.Network = t.TempDir(), name, "test"
	cfg.Listen, cfg.APIAddr = []string{"/ip4/127.0.0.1/tcp/0"}, "127.0.0.1:0"
	cfg.NoMDNS = true    // tests must not find one another
	cfg.NoWitness = true // nor have less than they count on
	change(&cfg)
	return start(t, cfg, opts...)
}

func start(t *testing.T, cfg node.Config, opts ...node.Option) *platform {
	t.Helper()
	level := slog.LevelError + 1 // tests break things on purpose
	if os.Getenv("SAGE_TEST_LOG") != "" {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("node", cfg.Name)
	n, err := node.New(cfg, append([]node.Option{node.WithLogger(log)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &platform{n, cfg, opts, stop, make(chan error, 1)}
	var g errgroup.Group
	g.Go(func() error { p.done <- n.Run(ctx); return nil })
	t.Cleanup(func() { p.end(t) })
	return p
}

// end stops the platform and waits until it has.
func (p *platform) end(t *testing.T) {
	t.Helper()
	p.settleDown()
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

// settleDown has a platform listen, when it starts again, where it listens now.
func (p *platform) settleDown() {
	if !p.Open() {
		return
	}
	s, err := p.Status(context.Background())
	if err != nil || len(s.Listen) == 0 {
		return
	}
	p.cfg.Listen = nil
	for _, a := range s.Listen {
		where, _, _ := strings.Cut(a, "/p2p/")
		p.cfg.Listen = append(p.cfg.Listen, where)
	}
}

// again starts a platform that has ended, on its home, where it listened before;
// elsewhere if the system has given its port to somebody in between.
func (p *platform) again(t *testing.T, opts ...node.Option) *platform {
	t.Helper()
	if opts == nil {
		opts = p.opts
	}
	for _, a := range p.cfg.Listen {
		where, err := multiaddr.NewMultiaddr(a)
		if err != nil {
			t.Fatal(err)
		}
		l, err := manet.Listen(where)
		if err != nil {
			p.cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
			break
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return start(t, p.cfg, opts...)
}

// fails waits until the platform has ended by itself, and returns why.
func (p *platform) fails(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.done:
		p.done <- nil
		return err
	case <-time.After(patience):
		t.Fatalf("%s goes on", p.cfg.Name)
		return nil
	}
}

// wait waits until what is claimed holds, looking whenever something changes.
func (p *platform) wait(t *testing.T, claim string, holds func(view.Status) bool) view.Status {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond) // until the node has opened, nothing says that it changed
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
func federation(t *testing.T, n int, opts ...node.Option) []*platform {
	t.Helper()
	all := []*platform{up(t, "node-0", func(c *node.Config) { c.Expect = n }, opts...)}
	first := all[0].wait(t, "listening", listening)
	for i := 1; i < n; i++ {
		all = append(all, up(t, fmt.Sprintf("node-%d", i), func(c *node.Config) { c.Expect, c.Bootstrap = n, first.Listen }, opts...))
	}
	for _, p := range all {
		p.wait(t, "in a federation of all", func(s view.Status) bool { return s.Validators == n && s.Peers >= n-1 })
	}
	return all
}

// id is the platform's account.
func (p *platform) id(t *testing.T) peer.ID {
	t.Helper()
	s, err := p.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s.PeerID
}

// has is what is available to an account, as p sees it.
func (p *platform) has(t *testing.T, who peer.ID) view.Amount {
	t.Helper()
	a, err := p.Account(t.Context(), who)
	if err != nil {
		return 0
	}
	return a.AvailableUATP
}

// pays makes so many transfers of 1 ATP, one after the other, each in a block of
// its own.
func (p *platform) pays(t *testing.T, payee peer.ID, times int) {
	t.Helper()
	for range times {
		sub, err := p.Transfer(t.Context(), payee, atp)
		if err != nil {
			t.Fatal(err)
		}
		p.wait(t, "sure of a transfer", func(view.Status) bool {
			tx, err := p.Tx(t.Context(), sub.TxID)
			return err == nil && tx.State == view.TxFinal && tx.OK
		})
	}
}

// agree waits until all are at one height with one state, and returns it.
func agree(t *testing.T, all ...*platform) view.Status {
	t.Helper()
	var first view.Status
	all[0].wait(t, "at one with the others", func(s view.Status) bool {
		first = s
		for _, p := range all[1:] {
			if !p.Open() {
				return false
			}
			other, err := p.Status(t.Context())
			if err != nil || other.Height != s.Height || other.Block != s.Block || other.StateRoot != s.StateRoot {
				return false
			}
		}
		return true
	})
	return first
}

func TestFourPlatformsFoundAFederationAndPay(t *testing.T) {
	all := federation(t, 4)
	payee := all[2].id(t)
	all[1].pays(t, payee, 5)
	for _, p := range all {
		p.wait(t, "paid", func(view.Status) bool { return p.has(t, payee) == 905*atp })
	}
	s := agree(t, all...)
	if s.Totals.SupplyUATP != 1_004_000*atp {
		t.Errorf("supply = %d µATP, want that of the genesis", s.Totals.SupplyUATP)
	}
	all[0].wait(t, "told by its peers that they are as far", func(view.Status) bool {
		peers, err := all[0].Peers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(peers) == 3 && !slices.ContainsFunc(peers, func(p view.Peer) bool { return p.Height != s.Height })
	})
}
