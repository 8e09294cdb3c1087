package lantest

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// NAT is how a router changes the source of what leaves its LAN. Either kind drops
// what comes from outside unasked.
type NAT int

// The kinds of NAT.
const (
	Cone      NAT = iota // one port outside for each inside, whoever it speaks to: a hole can be punched
	Symmetric            // another port for everyone that it speaks to: no hole can be
)

func (n NAT) String() string {
	if n == Symmetric {
		return "symmetric"
	}
	return "cone"
}

// Internet makes a network of public addresses, 1.2.3.0/24, without machines. What
// is set aside for documentation will not do: libp2p takes it for private. It needs
// the nft command besides what New needs, and skips the test without.
func Internet(t *testing.T) *LAN {
	t.Helper()
	l := New(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("SKIP: routers need the nft command (package nftables)")
	}
	return l
}

// Router is a machine that joins a LAN of its own to another.
type Router struct {
	*Place
	inside *LAN
	number int
	hosts  int
}

// rules are what a router does, given how it masquerades.
const rules = `
table ip sage {
	chain out { type nat hook postrouting priority 100; oifname "eth0" %s; }
	chain in { type filter hook input priority 0; iifname "eth0" ct state new drop; }
	chain through { type filter hook forward priority 0; iifname "eth0" ct state new drop; }
}
`

// Router plugs in a router at 1.2.3.number, with the LAN 10.10.number.0/24 behind it.
func (l *LAN) Router(number int, nat NAT) *Router {
	l.t.Helper()
	r := &Router{Place: l.Place().Plug(fmt.Sprintf("1.2.3.%d/24", number)), inside: bridge(l.t), number: number}
	in := r.inside
	in.next++
	port := fmt.Sprintf("port%d", in.next)
	l.ip("-n", in.name, "link", "add", port, "type", "veth", "peer", "name", "inside", "netns", r.ns)
	l.ip("-n", in.name, "link", "set", port, "master", "lan0", "up")
	r.IP("addr", "add", fmt.Sprintf("10.10.%d.254/24", number), "dev", "inside")
	r.IP("link", "set", "inside", "up")
	l.ip("netns", "exec", r.ns, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	how := "masquerade"
	if nat == Symmetric {
		how = "masquerade fully-random"
	}
	cmd := r.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(rules, how))
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
	case strings.Contains(string(out), "syntax error"):
		l.t.Fatalf("nft: %s", out)
	default:
		first, _, _ := strings.Cut(string(out), "\n")
		l.t.Skipf("SKIP: no NAT in this kernel: %s", first)
	}
	return r
}

// Home plugs in a machine behind the router.
func (r *Router) Home() *Place {
	r.inside.t.Helper()
	r.hosts++
	p := r.inside.Place().Plug(fmt.Sprintf("10.10.%d.%d/24", r.number, r.hosts))
	p.IP("route", "add", "default", "via", fmt.Sprintf("10.10.%d.254", r.number))
	return p
}

// Block drops what crosses the router over a protocol, such as udp, until Unblock.
func (r *Router) Block(protocol string) {
	r.inside.t.Helper()
	r.nft("add chain ip sage blocked { type filter hook forward priority -1; }", "add rule ip sage blocked meta l4proto "+protocol+" drop")
}

// Unblock ends Block.
func (r *Router) Unblock() {
	r.inside.t.Helper()
	r.nft("flush chain ip sage blocked", "delete chain ip sage blocked")
}

func (r *Router) nft(rules ...string) {
	r.inside.t.Helper()
	if out, err := r.Command("nft", strings.Join(rules, "; ")).CombinedOutput(); err != nil {
		r.inside.t.Fatalf("nft %s: %v: %s", rules, err, out)
	}
}
