package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/p2p/lantest"
)

// invite has a machine make an invite, and returns what it prints in a file.
func (m *machine) invite() string {
	m.t.Helper()
	out, err := m.program("federation", "invite").Output()
	must(m.t, err)
	file := filepath.Join(m.t.TempDir(), "invite.txt")
	must(m.t, os.WriteFile(file, out, 0o600))
	return file
}

// reaches waits until a machine reaches another by a path.
func (m *machine) reaches(other *machine, path string) view.Peer {
	m.t.Helper()
	var at view.Peer
	var seen view.Peers
	m.t.Cleanup(func() {
		if m.t.Failed() {
			m.t.Logf("%s last reached: %+v", m.name, seen.Peers)
		}
	})
	m.eventually(fmt.Sprintf("with a path to %s that is %s", other.name, path), func() bool {
		var p view.Peers
		if m.tell(&p, "peers") != nil {
			return false
		}
		seen = p
		i := slices.IndexFunc(p.Peers, func(p view.Peer) bool { return p.Name == other.name && p.Path == path })
		if i >= 0 {
			at = p.Peers[i]
		}
		return i >= 0
	})
	return at
}

// votes waits until all say that so many have a vote.
func votes(n int, all ...*machine) {
	all[0].t.Helper()
	for _, m := range all {
		m.until(fmt.Sprintf("of %d votes", n), func(st view.Status) bool { return st.Ready() && st.Validators == n })
	}
}

// Three machines, one of them public and two at home behind routers, become a
// federation by invites. Behind routers through which holes can be punched, the two
// reach each other directly; behind others they stay on the relay, and what they
// decide together becomes final all the same.
func TestMachinesBehindRoutersBecomeAFederation(t *testing.T) {
	for _, tt := range []struct {
		nat  lantest.NAT
		path string
	}{{lantest.Cone, "punched"}, {lantest.Symmetric, "relayed"}} {
		t.Run(tt.nat.String(), func(t *testing.T) {
			t.Parallel()
			l := lantest.Internet(t)
			public := newMachine(t, l.Place().Plug("1.2.3.1/24"), "public").up("--public", "--network", "field")
			genesis := public.joins().Genesis
			all := []*machine{public}
			var routers []*lantest.Router
			for i, name := range []string{"left", "right"} {
				r := l.Router(2+i, tt.nat)
				routers = append(routers, r)
				invite := public.invite()
				begun := time.Now()
				m := newMachine(t, r.Home(), name).up("--join", "@"+invite)
				if got := m.joins(); got.Genesis != genesis || got.Origin != "found" {
					t.Fatalf("%s is in %+v, want the federation of the invite, %s", name, got, genesis)
				}
				t.Logf("%s is in after %s", name, time.Since(begun).Round(time.Millisecond))
				all = append(all, m)
			}
			left, right := all[1], all[2]
			votes(3, all...)
			for _, pair := range [][2]*machine{{left, right}, {right, left}} {
				at := pair[0].reaches(pair[1], tt.path)
				t.Logf("%s reaches %s: %s, %s, at %s", pair[0].name, pair[1].name, at.Path, at.Why, at.Address)
				if relayed := tt.path == "relayed"; relayed != (at.Via.String() == public.id()) {
					t.Errorf("it goes through %q", at.Via)
				}
			}
			begun := time.Now()
			must(t, left.tell(nil, "transfer", "right", "3"))
			t.Logf("a transfer is final after %s", time.Since(begun).Round(time.Millisecond))
			delegates(t, left, right)
			agrees(all...)

			routers[0].Cut()
			right.until("without left", func(st view.Status) bool { return st.Peers == 1 })
			must(t, right.tell(nil, "transfer", "public", "1")) // two of three decide
			routers[0].Mend()
			left.reaches(right, tt.path)
			must(t, left.tell(nil, "transfer", "public", "1"))
			agrees(all...)
		})
	}
}

// A relay does nothing but bring others together: it has no vote and does no work,
// and those at home found their federation without it.
func TestARelayBringsOthersTogether(t *testing.T) {
	t.Parallel()
	l := lantest.Internet(t)
	at := newMachine(t, l.Place().Plug("1.2.3.1/24"), "hub")
	home := newMachine(t, l.Router(2, lantest.Cone).Home(), "home").up("--network", "field")
	genesis := home.joins().Genesis
	at.up("--relay", "--genesis", filepath.Join(home.home, "genesis.json"), "--network", "field")
	if got := at.joins(); got.Genesis != genesis {
		t.Fatalf("the relay is in %+v", got)
	}
	home.down()
	home.up("--bootstrap", fmt.Sprintf("/ip4/1.2.3.1/udp/7422/quic-v1/p2p/%s", at.id()))
	home.until("reached through the relay", func(st view.Status) bool { return st.Ready() && len(st.Relays) == 1 })
	other := newMachine(t, l.Router(3, lantest.Cone).Home(), "other").up("--join", "@"+home.invite())
	if got := other.joins(); got.Genesis != genesis {
		t.Fatalf("the other is in %+v", got)
	}
	home.reaches(other, "punched")
	must(t, home.tell(nil, "transfer", "--new", other.id(), "5"))
	agrees(home, other, at)
	st, err := at.status()
	must(t, err)
	if !st.Public || st.Validator || st.Validators != 1 {
		t.Errorf("the relay says %+v, want no vote", st)
	}
	other.down()
	other.up() // it remembers where it belongs
	if got := other.joins(); got.Genesis != genesis {
		t.Errorf("the other came back to %+v", got)
	}
	other.reaches(home, "punched")
}
