// Package lantest makes local networks for tests: machines are network
// namespaces, whose ends meet on a bridge in one more. It needs root and the ip
// command of iproute2, and skips the test without them.
package lantest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Within is the goal for machines on a LAN to find one another. It is printed; a
// test fails beyond five times as long, as machines that test are busy.
const Within = 3 * time.Second

// LAN is a bridge in a namespace of its own. Everything it makes is in namespaces
// whose names it chose, and goes with them when the test ends.
type LAN struct {
	t    *testing.T
	name string
	next int
}

// New makes a LAN without machines.
func New(t *testing.T) *LAN {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIP: network namespaces take seconds")
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIP: network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("SKIP: network namespaces need the ip command (package iproute2)")
	}
	return bridge(t)
}

// names counts the LANs of this process.
var names atomic.Uint32

// bridge makes a LAN where one can be made.
func bridge(t *testing.T) *LAN {
	t.Helper()
	l := &LAN{t: t, name: fmt.Sprintf("sage%d-%d", os.Getpid(), names.Add(1))}
	if out, err := exec.Command("ip", "netns", "add", l.name).CombinedOutput(); err != nil {
		t.Skipf("SKIP: no network namespaces here: %s", out)
	}
	t.Cleanup(func() { exec.Command("ip", "netns", "del", l.name).Run() })
	l.ip("-n", l.name, "link", "add", "lan0", "type", "bridge")
	l.ip("-n", l.name, "link", "set", "lan0", "up")
	return l
}

func (l *LAN) ip(args ...string) {
	l.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		l.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// Check prints how long something took, and fails the test if it was far beyond
// the goal.
func (l *LAN) Check(what string, took time.Duration) {
	l.t.Helper()
	l.t.Logf("%s after %s", what, took.Round(time.Millisecond))
	if took > 5*Within {
		l.t.Errorf("%s after %s, want at most %s", what, took, 5*Within)
	}
}

// Place is a machine on the LAN: a namespace with an eth0.
type Place struct {
	lan  *LAN
	ns   string
	port string // its end on the bridge
}

// Place makes a machine whose eth0 is down and has no address.
func (l *LAN) Place() *Place {
	l.t.Helper()
	l.next++
	p := &Place{lan: l, ns: fmt.Sprintf("%s-%d", l.name, l.next), port: fmt.Sprintf("port%d", l.next)}
	l.ip("netns", "add", p.ns)
	l.t.Cleanup(func() { exec.Command("ip", "netns", "del", p.ns).Run() })
	l.ip("-n", l.name, "link", "add", p.port, "type", "veth", "peer", "name", "eth0", "netns", p.ns)
	l.ip("-n", l.name, "link", "set", p.port, "master", "lan0", "up")
	p.IP("link", "set", "lo", "up")
	return p
}

// IP runs the ip command in the machine.
func (p *Place) IP(args ...string) {
	p.lan.t.Helper()
	p.lan.ip(append([]string{"-n", p.ns}, args...)...)
}

// NoIPv6 turns it off, as some administrators do.
func (p *Place) NoIPv6() {
	p.lan.t.Helper()
	p.lan.ip("netns", "exec", p.ns, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6")
}

// Plug brings eth0 up with an address.
func (p *Place) Plug(cidr string) *Place {
	p.lan.t.Helper()
	p.IP("addr", "add", cidr, "dev", "eth0")
	p.IP("link", "set", "eth0", "up")
	return p
}

// Cut pulls the machine's cable.
func (p *Place) Cut() {
	p.lan.t.Helper()
	p.lan.ip("-n", p.lan.name, "link", "set", p.port, "down")
}

// Mend plugs the cable in again.
func (p *Place) Mend() {
	p.lan.t.Helper()
	p.lan.ip("-n", p.lan.name, "link", "set", p.port, "up")
}

// Command is exec.Command in the machine. A signal sent to it reaches the program
// itself.
func (p *Place) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", p.ns, name}, args...)...)
}
