package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/p2p/lantest"
)

// asides are the chains that a machine has set aside.
func (m *machine) asides() []string {
	m.t.Helper()
	list, err := filepath.Glob(filepath.Join(m.home, "aside-*"))
	must(m.t, err)
	return list
}

// apart starts two machines, each of which founds a federation of its own since the
// second's cable is not plugged in. Mend on its place brings them together.
func apart(t *testing.T) (first, second *machine) {
	t.Helper()
	l := lantest.New(t)
	first, second = newMachine(t, on(l, 1), "thor"), newMachine(t, on(l, 2), "loki")
	second.place.Cut()
	first.up()
	second.up()
	if a, b := first.joins(), second.joins(); a.Genesis == b.Genesis || a.Origin != "founded" || b.Origin != "founded" {
		t.Fatalf("apart, they have %+v and %+v", a, b)
	}
	return first, second
}

// pays makes a machine's federation a used one.
func (m *machine) pays() {
	m.t.Helper()
	must(m.t, m.tell(nil, "transfer", "--new", "12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7", "5"))
}

// Of two lone federations in which nothing has happened the one with the lower
// genesis stays; of a used one and a new one, the used one.
func TestALoneFederationGivesWay(t *testing.T) {
	for _, used := range []int{0, 1, 2} { // 0: neither
		t.Run(fmt.Sprintf("used %d", used), func(t *testing.T) {
			t.Parallel()
			a, b := apart(t)
			stays, moves := a, b
			if b.joins().Genesis < a.joins().Genesis {
				stays, moves = b, a
			}
			switch used {
			case 1:
				stays, moves = a, b
				a.pays()
			case 2:
				stays, moves = b, a
				b.pays()
			}
			left := moves.joins()
			begun := time.Now()
			b.place.Mend()
			found := moves.await("the other's federation", func(l lanLine) bool { return l.Genesis == stays.joins().Genesis })
			t.Logf("it gave way %s after the cable was in", found.at.Sub(begun).Round(time.Millisecond))
			if found.Origin != "found" {
				t.Errorf("it says %+v", found)
			}
			agrees(stays, moves)
			alarm := moves.await("what it left", func(l lanLine) bool { return l.Alarm != "" })
			aside := moves.asides()
			if len(aside) != 1 || !strings.Contains(alarm.Alarm, left.Genesis) || !strings.Contains(alarm.Alarm, filepath.Base(aside[0])) {
				t.Errorf("set aside %v, and said %q", aside, alarm.Alarm)
			}
			for _, name := range []string{"genesis.json", "signer", "store"} {
				if _, err := os.Stat(filepath.Join(aside[0], name)); err != nil {
					t.Errorf("of the chain that was left: %v", err)
				}
			}
			if len(stays.asides()) > 0 {
				t.Error("both gave way")
			}
			must(t, stays.tell(nil, "transfer", "--new", moves.id(), "2"))
			agrees(stays, moves)
			moves.down() // and it stays there
			if again := moves.up().joins(); again.Genesis != found.Genesis || again.Origin != "home" {
				t.Errorf("after a restart it says %+v", again)
			}
			agrees(stays, moves)
		})
	}
}

// Two that are used stay apart, and both operators hear how to choose.
func TestTwoUsedFederationsThatMeetSaySo(t *testing.T) {
	t.Parallel()
	a, b := apart(t)
	a.pays()
	b.pays()
	b.place.Mend()
	for _, pair := range [][2]*machine{{a, b}, {b, a}} {
		m, other := pair[0], pair[1]
		alarm := m.await("that there is another", func(l lanLine) bool { return l.Alarm != "" }).Alarm
		for _, want := range []string{`"lan"`, m.joins().Genesis, other.joins().Genesis, "--home", "--bootstrap"} {
			if !strings.Contains(alarm, want) {
				t.Errorf("%s says %q, want it to say %s", m.name, alarm, want)
			}
		}
		st := m.until("of its own federation", view.Status.Ready)
		if st.Genesis != m.joins().Genesis || len(st.Alarms) != 1 || st.Alarms[0] != alarm {
			t.Errorf("status of %s: %+v", m.name, st)
		}
		if len(m.asides()) > 0 {
			t.Errorf("%s has left a federation that is used", m.name)
		}
	}
}

// Whoever has only watched a federation follows its founder out of it.
func TestAnObserverFollowsItsFounder(t *testing.T) {
	t.Parallel()
	l := lantest.New(t)
	used, founder, watcher := newMachine(t, on(l, 1), "thor"), newMachine(t, on(l, 2), "loki"), newMachine(t, on(l, 3), "freya")
	used.place.Cut()
	used.up().joins()
	used.pays()
	left := founder.up().joins()
	if joined := watcher.up("--observer", "--no-work").joins(); joined.Genesis != left.Genesis {
		t.Fatalf("the observer is in %s", joined.Genesis)
	}
	agrees(founder, watcher)
	used.place.Mend()
	for _, m := range []*machine{founder, watcher} {
		m.await("the used federation", func(l lanLine) bool { return l.Genesis == used.joins().Genesis })
		if aside := m.asides(); len(aside) != 1 {
			t.Errorf("%s has set aside %v", m.name, aside)
		}
	}
	agrees(used, founder, watcher)
}

// A machine whose interface comes up after it was started ends in the others'
// federation, and one that moves to another address is reached again.
func TestAMachineWhoseNetworkComesLate(t *testing.T) {
	t.Parallel()
	l := lantest.New(t)
	first := newMachine(t, on(l, 1), "thor").up()
	first.joins()
	first.pays()
	late := newMachine(t, l.Place(), "loki").up() // its eth0 is down and has no address
	late.joins()
	begun := time.Now()
	late.place.Plug("10.7.0.2/24")
	found := late.await("the other's federation", func(l lanLine) bool { return l.Genesis == first.joins().Genesis })
	l.Check("it is in", found.at.Sub(begun))
	agrees(first, late)
	must(t, first.tell(nil, "transfer", "--new", late.id(), "2"))
	late.place.IP("addr", "del", "10.7.0.2/24", "dev", "eth0")
	late.place.IP("addr", "add", "10.7.0.99/24", "dev", "eth0")
	begun = time.Now()
	must(t, first.tell(nil, "transfer", late.id(), "2"))
	agrees(first, late)
	l.Check("with another address it follows", time.Since(begun))
}

// A platform that was off comes back by the addresses that it knew, without mDNS
// too; with mDNS, also when addresses have changed meanwhile.
func TestAMachineThatWasOffComesBack(t *testing.T) {
	t.Parallel()
	l := lantest.New(t)
	first, second := newMachine(t, on(l, 1), "thor").up(), newMachine(t, on(l, 2), "loki")
	first.joins()
	second.up().joins()
	agrees(first, second)
	second.until("registered", func(view.Status) bool {
		var p view.Platforms
		return second.tell(&p, "platforms") == nil && len(p.Platforms) == 2
	})
	second.down()
	first.pays()
	second.up("--no-mdns").joins()
	agrees(first, second)
	second.down()
	first.down()
	first.place.IP("addr", "del", "10.7.0.1/24", "dev", "eth0")
	first.place.IP("addr", "add", "10.7.0.77/24", "dev", "eth0")
	first.up().joins()
	begun := time.Now()
	second.up().joins()
	first.pays()
	agrees(first, second)
	l.Check("at a new address it is found", time.Since(begun))
}

func TestFederationListShowsWhatIsHeard(t *testing.T) {
	t.Parallel()
	l := lantest.New(t)
	listener := newMachine(t, on(l, 9), "nobody")
	var list heardList
	must(t, listener.tell(&list, "federation", "list"))
	if len(list.Federations.Federations) != 0 || list.Silence == "" {
		t.Errorf("on an empty LAN: %+v", list)
	}
	thor, loki := newMachine(t, on(l, 1), "thor").up(), newMachine(t, on(l, 2), "loki")
	home := newMachine(t, on(l, 3), "freya").up("--network", "home")
	founded := thor.joins()
	other := home.joins()
	loki.up().joins()
	agrees(thor, loki)
	for _, m := range []*machine{listener, thor} {
		m.eventually("both federations", func() bool {
			list = heardList{}
			return m.tell(&list, "federation", "list") == nil && len(list.Federations.Federations) == 2 &&
				len(federationNamed(list, "lan").Platforms) == 2 && federationNamed(list, "home").Genesis != ""
		})
		for network, want := range map[string]lanLine{"lan": founded, "home": other} {
			f := federationNamed(list, network)
			if f.Genesis != want.Genesis || f.Founder != want.Founder || f.SinceMS == 0 || f.Here != (m == thor && network == "lan") {
				t.Errorf("%s hears %+v, want that of %+v", m.name, f, want)
			}
		}
	}
	text, err := listener.program("federation", "list").Output()
	if must(t, err); !strings.Contains(string(text), "NETWORK") || !strings.Contains(string(text), "freya") {
		t.Errorf("it prints\n%s", text)
	}
	t.Logf("\n%s", text)
}

func federationNamed(list heardList, network string) (found view.Federation) {
	for _, f := range list.Federations.Federations {
		if f.Network == network {
			found = f
		}
	}
	return found
}

func (m *machine) eventually(what string, holds func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(lanPatience); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("%s: not %s", m.name, what)
		}
	}
}
