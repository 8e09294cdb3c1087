package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A start that cannot listen makes nothing, and says once why it cannot.
func TestAStartThatCannotListenLeavesNothing(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	multi := func(a net.Addr, before, after string) string {
		_, port, err := net.SplitHostPort(a.String())
		if err != nil {
			t.Fatal(err)
		}
		return "/ip4/127.0.0.1/" + before + "/" + port + after
	}
	const free = "/ip4/127.0.0.1/tcp/0"
	onTCP, onUDP := multi(tcp.Addr(), "tcp", ""), multi(udp.LocalAddr(), "udp", "/quic-v1")
	for _, tt := range []struct {
		name string
		args []string
		want string
		hint string
	}{
		{"a TCP port in use", []string{"--api-addr", "127.0.0.1:0", "--listen", free, "--listen", onTCP}, "cannot listen on " + onTCP + ": address already in use", "another port"},
		{"a UDP port in use", []string{"--api-addr", "127.0.0.1:0", "--listen", onUDP}, "cannot listen on " + onUDP + ": address already in use", "another port"},
		{"an address of no machine here", []string{"--api-addr", "127.0.0.1:0", "--listen", "/ip4/192.0.2.1/tcp/0"}, "cannot listen on /ip4/192.0.2.1/tcp/0: cannot assign requested address", ""},
		{"an API port in use", []string{"--api-addr", tcp.Addr().String(), "--listen", free}, "the API cannot listen on " + tcp.Addr().String() + ": address already in use", "--api-addr"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			home := filepath.Join(t.TempDir(), "home")
			start := func() said {
				return command(t.Context(), home, time.Now, "", append([]string{"up", "--log-level", "error", "--no-mdns"}, tt.args...)...)
			}
			s := start()
			first, hint, _ := strings.Cut(s.err, "\n")
			if s.code != exitFailed || first != "sage-p2p: "+tt.want || !strings.Contains(hint, tt.hint) {
				t.Errorf("up = %d %q, want %q with a remedy about %q", s.code, s.err, tt.want, tt.hint)
			}
			if _, err := os.Stat(home); !os.IsNotExist(err) {
				t.Errorf("it left a home: %v", err)
			}
			if err := os.Mkdir(home, 0o700); err != nil { // what was there stays
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(home, "notes"), []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
			start()
			if left, err := os.ReadDir(home); err != nil || len(left) != 1 {
				t.Errorf("the home holds %v, %v, want only what was there", left, err)
			}
		})
	}
}
