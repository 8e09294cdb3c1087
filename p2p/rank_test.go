package p2p

import (
	"slices"
	"testing"
	"time"

	"github.com/multiformats/go-multiaddr"
)

func TestOnALANTCPIsDialledFirstAndQUICAMomentLater(t *testing.T) {
	const (
		tcp   = "/ip4/192.168.2.7/tcp/4001"
		quic  = "/ip4/192.168.2.7/udp/4001/quic-v1"
		far   = "/ip4/1.2.3.7/tcp/4001"
		farQ  = "/ip4/1.2.3.7/udp/4001/quic-v1"
		relay = "/ip4/192.0.2.9/tcp/4001/p2p/12D3KooWANp7kmfi1QAXrRY3aPmGcGwH8N77bxpubK9oyuJ3giAY/p2p-circuit"
	)
	for _, tt := range []struct {
		name  string
		addrs []string
		want  []string // those that are dialled at once
	}{
		{"both", []string{quic, tcp}, []string{tcp}},
		{"both, over the internet", []string{farQ, far}, []string{farQ}},
		{"QUIC alone", []string{quic}, []string{quic}},
		{"a relay over TCP is no direct address", []string{relay, farQ}, []string{farQ}},
		{"a relay alone", []string{relay}, []string{relay}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var addrs []multiaddr.Multiaddr
			for _, a := range tt.addrs {
				addrs = append(addrs, multiaddr.StringCast(a))
			}
			ranked := rankDials(addrs)
			if len(ranked) != len(addrs) {
				t.Fatalf("%d of %d addresses are dialled", len(ranked), len(addrs))
			}
			var first []string
			for _, r := range ranked {
				if r.Delay == 0 {
					first = append(first, r.Addr.String())
				}
				if r.Delay > time.Second {
					t.Errorf("%s waits for %v", r.Addr, r.Delay)
				}
			}
			if !slices.Equal(first, tt.want) {
				t.Errorf("dialled at once: %v, want %v", first, tt.want)
			}
		})
	}
}
