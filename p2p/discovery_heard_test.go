package p2p

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// neighbourOf is an announcement of another platform.
func neighbourOf(t *testing.T, network string, seed byte, facts ...string) []byte {
	t.Helper()
	a := testAnnouncement()
	a.service, a.instance, a.facts = serviceName(network), strings.Repeat(string('a'+rune(seed%26)), 32), facts
	a.addrs = withID(lanSettings{Seed: seed}.id(), addrsOf("/ip4/192.168.1.9/tcp/1"))
	m, err := a.encode(announceTTL)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPlatformsOfAllNetworksAreOverheardAndOnlyOursAreDialled(t *testing.T) {
	b := newBench(testNIC("eth0", "192.168.1.7/24"))
	var p *fakePort
	b.open = func(nic, family) (port, error) {
		p = newFakePort(func([]byte) error { return nil })
		return p, nil
	}
	b.during(t, func() {
		p.in <- neighbourOf(t, "lan", 8, "name=thor", "genesis=07")
		p.in <- neighbourOf(t, "home", 6, "name=loki")
		p.in <- neighbourOf(t, "home", 6, "name=odin")
		p.in <- neighbourOf(t, "lan", 9, "name=itself")
		synctest.Wait()
		list := b.everyone()
		if len(list) != 2 || list[0].Network != "home" || list[0].Facts["name"] != "odin" || list[1].Network != "lan" || list[1].Facts["genesis"] != "07" {
			t.Errorf("overheard %+v", list)
		}
		if len(b.host.seen) != 1 || b.host.seen[0].peer.ID != (lanSettings{Seed: 8}).id() {
			t.Errorf("the host was told of %+v, want of its own network only", b.host.seen)
		}
		time.Sleep(announceTTL + time.Second)
		if list := b.everyone(); len(list) != 0 {
			t.Errorf("after the time that they gave: %+v", list)
		}
	})
}

func TestThousandsOfOverheardPlatformsFindNoRoom(t *testing.T) {
	b := newBench()
	synctest.Test(t, func(t *testing.T) {
		for i := range 100 {
			from := netip.AddrFrom4([4]byte{192, 168, 1, byte(i)})
			for j := range 100 {
				o := overheard{network: fmt.Sprintf("n%d", j), ttl: announceTTL}
				o.peer.ID = (lanSettings{Seed: byte(i)}).id()
				b.overhear(o, from, "eth0")
			}
		}
		if n := len(b.everyone()); n != maxHeard {
			t.Errorf("%d are noted, want %d", n, maxHeard)
		}
		time.Sleep(announceTTL)
		o := overheard{network: "late", ttl: announceTTL}
		b.overhear(o, netip.AddrFrom4([4]byte{192, 168, 1, 1}), "eth0")
		if list := b.everyone(); len(list) != 1 || len(b.heard) != 1 {
			t.Errorf("when they are silent again: %+v", list)
		}
	})
}

func TestFactsAreToldAtOnceAndChecked(t *testing.T) {
	h := prepare(t, func(c *Config) { c.MDNS = true })
	for name, facts := range map[string]map[string]string{
		"a key that is none":  {"Name": "x"},
		"an address as fact":  {"dnsaddr": "x"},
		"a control character": {"name": "\x1b[31m"},
		"too long":            {"name": strings.Repeat("n", maxFact)},
		"too many":            {"a": "1", "b": "2", "c": "3", "d": "4", "e": "5"},
		"too much":            {"a": strings.Repeat("1", 70), "b": strings.Repeat("2", 70), "c": strings.Repeat("3", 70)},
	} {
		if err := h.Announce(facts); err == nil {
			t.Errorf("%s: announced", name)
		}
	}
	b := newBench(testNIC("eth0", "192.168.1.7/24"))
	var told []map[string]string
	b.open = func(nic, family) (port, error) {
		return newFakePort(func(m []byte) error {
			if o, _ := decodeMDNS(b.service, m); o.tells {
				told = append(told, o.facts)
			}
			return nil
		}), nil
	}
	b.during(t, func() {
		time.Sleep(opening[2] + time.Millisecond)
		synctest.Wait()
		before := len(told)
		b.announce([]string{"name=thor"})
		synctest.Wait()
		if len(told) != before+1 || told[before]["name"] != "thor" {
			t.Errorf("told %v", told[before:])
		}
	})
}

// Overhear asks for all networks, announces nothing, and answers nobody.
func TestWhoOverhearsSaysNothingOfItself(t *testing.T) {
	eth := testNIC("eth0", "192.168.1.7/24")
	synctest.Test(t, func(t *testing.T) {
		d := newDiscovery(Config{}, "", nobody{}, slog.New(slog.DiscardHandler))
		d.silent = true
		d.nics = func() ([]nic, error) { return []nic{eth}, nil }
		var said []overheard
		var p *fakePort
		d.open = func(nic, family) (port, error) {
			p = newFakePort(func(m []byte) error {
				o, err := decodeMDNS(serviceName("lan"), m)
				if err != nil {
					t.Error(err)
				}
				said = append(said, o)
				return nil
			})
			return p, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		done := make(chan error)
		go func() { done <- d.run(ctx) }()
		synctest.Wait()
		p.in <- neighbourOf(t, "home", 8, "name=loki")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if len(said) == 0 {
			t.Error("it asked nothing")
		}
		for _, o := range said {
			if !o.lists || o.tells || o.asks {
				t.Errorf("it said %+v", o)
			}
		}
		if list := d.everyone(); len(list) != 1 || list[0].Network != "home" {
			t.Errorf("overheard %+v", list)
		}
	})
}
