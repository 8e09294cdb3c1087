package node_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
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

// lone starts a platform that has founded a federation of its own, and waits until
// it can be used.
func lone(t *testing.T, name string, change func(*node.Config), opts ...node.Option) *platform {
	t.Helper()
	p := up(t, name, change, opts...)
	p.wait(t, "in its own federation", func(s view.Status) bool { return s.Validators == 1 && p.Current() })
	return p
}

func (p *platform) leaves(t *testing.T) bool {
	t.Helper()
	would, err := p.WouldLeave()
	if err != nil {
		t.Fatal(err)
	}
	return would
}

func stranger(t *testing.T) peer.ID {
	t.Helper()
	id, err := peer.Decode("12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestAFederationIsUnusedUntilMoreThanItsFoundingHasHappened(t *testing.T) {
	t.Parallel()
	p := lone(t, "alone", func(*node.Config) {}, offering(t, echoing()))
	registered(t, 1, p)
	for range 2 { // the second time after a restart
		if !p.leaves(t) {
			t.Error("it has only registered, and would not leave")
		}
		p.end(t)
		p = p.again(t)
		p.wait(t, "back", func(s view.Status) bool { return s.Validators == 1 })
	}
}

func TestWhatMakesAFederationAUsedOne(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*node.Config)
		use    func(*testing.T, *platform)
	}{
		{"a transfer", func(*node.Config) {}, func(t *testing.T, p *platform) { p.pays(t, stranger(t), 1) }},
		{"another platform's registration", func(*node.Config) {}, func(t *testing.T, p *platform) {
			other := up(t, "other", func(c *node.Config) { c.Bootstrap = p.wait(t, "listening", listening).Listen }, offering(t, echoing()))
			registered(t, 1, p, other)
			if other.leaves(t) {
				t.Error("the other would leave")
			}
		}},
		{"its operator's choice to found alone", func(c *node.Config) { c.Expect = 1 }, func(*testing.T, *platform) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := lone(t, "alone", tt.change)
			if tt.change(&p.cfg); p.cfg.Expect == 0 && !p.leaves(t) {
				t.Error("before, it would not leave")
			}
			tt.use(t, p)
			if p.leaves(t) {
				t.Error("it would leave")
			}
		})
	}
	t.Run("founders that are two", func(t *testing.T) {
		t.Parallel()
		all := federation2(t)
		for _, p := range all {
			if p.leaves(t) {
				t.Errorf("%s would leave", p.cfg.Name)
			}
		}
	})
}

// federation2 is one of two founders, of whom the first validates, that were
// started again without the wish to found.
func federation2(t *testing.T) []*platform {
	t.Helper()
	first := up(t, "node-0", func(c *node.Config) { c.Expect = 2 })
	where := first.wait(t, "listening", listening).Listen
	all := []*platform{first, up(t, "node-1", func(c *node.Config) { c.Expect, c.Bootstrap = 2, where })}
	for i, p := range all {
		p.wait(t, "in a federation", func(s view.Status) bool { return s.Genesis != "" })
		p.end(t)
		p.cfg.Expect = 0
		all[i] = p.again(t)
		all[i].wait(t, "back", func(s view.Status) bool { return s.Genesis != "" })
	}
	return all
}

// A store that has lost blocks, whose record knows better, is not taken for new.
func TestAFederationWhoseStoreIsLostIsNotUnused(t *testing.T) {
	t.Parallel()
	p := lone(t, "alone", func(*node.Config) {})
	p.pays(t, stranger(t), 2)
	p.end(t)
	if err := os.RemoveAll(filepath.Join(p.cfg.Home, "store")); err != nil {
		t.Fatal(err)
	}
	p = p.again(t)
	p.wait(t, "back", func(s view.Status) bool { return s.Validators == 1 })
	if p.leaves(t) {
		t.Error("it would leave")
	}
}

// A new federation gives way to the one that its operator names, and keeps its
// chain; what is asked for in the meantime is refused, not lost.
func TestANewFederationGivesWayToAUsedOne(t *testing.T) {
	t.Parallel()
	used := lone(t, "used", func(*node.Config) {})
	used.pays(t, stranger(t), 1)
	where := used.wait(t, "listening", listening).Listen
	p := lone(t, "new", func(*node.Config) {})
	left := p.wait(t, "in its own", listening).Genesis
	p.end(t)
	p.cfg.Bootstrap = where
	p = p.again(t)
	if err := p.fails(t); !errors.Is(err, node.ErrAgain) {
		t.Fatalf("Run: %v, want ErrAgain", err)
	}
	if _, err := os.Stat(filepath.Join(p.cfg.Home, node.LeavingFile)); err != nil {
		t.Errorf("it has decided nothing: %v", err)
	}
	p = p.again(t)
	s := p.wait(t, "in the other federation", func(s view.Status) bool {
		return s.Genesis == used.wait(t, "there", listening).Genesis && s.Ready()
	})
	if len(s.Alarms) != 1 || !strings.Contains(s.Alarms[0], left) {
		t.Errorf("alarms: %q, want what it left", s.Alarms)
	}
	if aside, err := filepath.Glob(filepath.Join(p.cfg.Home, "aside-*", "genesis.json")); err != nil || len(aside) != 1 {
		t.Errorf("set aside: %v, %v", aside, err)
	}
	if _, err := os.Stat(filepath.Join(p.cfg.Home, node.LeavingFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still leaving: %v", err)
	}
	used.pays(t, p.id(t), 2)
	agree(t, used, p)
}

// Two that are used, or were chosen, stay apart and say so; once, however often
// they meet.
func TestFederationsThatStayApartSaySo(t *testing.T) {
	t.Parallel()
	used := lone(t, "used", func(*node.Config) {})
	used.pays(t, stranger(t), 1)
	where := used.wait(t, "listening", listening)
	p := lone(t, "chosen", func(c *node.Config) { c.Expect = 1 })
	p.end(t)
	p.cfg.Bootstrap = where.Listen
	p = p.again(t)
	s := p.wait(t, "alarmed", func(s view.Status) bool { return len(s.Alarms) > 0 })
	for _, want := range []string{s.Genesis, where.Genesis, `"test"`, "--bootstrap"} {
		if !strings.Contains(s.Alarms[0], want) {
			t.Errorf("alarm %q, want it to say %s", s.Alarms[0], want)
		}
	}
	if len(s.Alarms) != 1 || s.Genesis == where.Genesis {
		t.Errorf("status: %+v", s)
	}
}

// Operate begins anew where the platform was: at its addresses and its API.
func TestANewLifeIsAtTheSameAddress(t *testing.T) {
	t.Parallel()
	used := lone(t, "used", func(*node.Config) {})
	used.pays(t, stranger(t), 1)
	p := lone(t, "new", func(*node.Config) {})
	p.end(t)
	cfg := p.cfg
	cfg.Bootstrap, cfg.Listen = used.wait(t, "listening", listening).Listen, []string{"/ip4/127.0.0.1/tcp/0"}
	present, joined, alarms := make(chan node.Presence, 2), make(chan node.Federation, 2), make(chan string, 8)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var g errgroup.Group
	g.Go(func() error {
		return node.Operate(ctx, cfg, node.WithPresence(func(p node.Presence) { present <- p }),
			node.WithFederation(func(f node.Federation) { joined <- f }), node.WithAlarms(func(text string) { alarms <- text }))
	})
	for _, want := range []node.Origin{node.OriginHome, node.OriginFound} {
		if f := next(t, joined); f.Origin != want || (want == node.OriginFound) != (f.Genesis.String() == used.wait(t, "there", listening).Genesis) {
			t.Errorf("federation %+v, want it %s", f, want)
		}
	}
	if text := next(t, alarms); !strings.Contains(text, "has left the federation") {
		t.Errorf("alarm %q", text)
	}
	where := next(t, present)
	resp, err := http.Get(where.API + "/healthz")
	if err != nil {
		t.Errorf("its API: %v", err)
	} else if resp.Body.Close(); resp.StatusCode != http.StatusOK {
		t.Errorf("its API: %s", resp.Status)
	}
	http.DefaultClient.CloseIdleConnections()
	for _, a := range where.Listen {
		_, addr, err := manet.DialArgs(multiaddr.StringCast(a).Decapsulate(multiaddr.StringCast("/p2p/" + where.Self.String())))
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Errorf("where it listened: %v", err)
			continue
		}
		c.Close()
	}
	stop()
	if err := g.Wait(); err != nil {
		t.Errorf("Operate: %v", err)
	}
	if len(present) > 0 {
		t.Error("it told its addresses twice")
	}
}

// next is what comes next.
func next[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatalf("no %T has come", v)
	}
	return v
}
