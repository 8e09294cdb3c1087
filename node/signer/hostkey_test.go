package signer

import (
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
)

// A libp2p host runs on the key that signs nothing of ours, over every
// transport that we use.
func TestHostsConnectWithTheKey(t *testing.T) {
	for _, listen := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		var infos []peer.AddrInfo
		for _, name := range []string{"a", "b"} {
			key, err := newHostKey(testKey(name))
			if err != nil {
				t.Fatal(err)
			}
			h, err := libp2p.New(libp2p.Identity(key), libp2p.ListenAddrStrings(listen))
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			if want := NewKey(testKey(name)).ID().ID; h.ID() != want {
				t.Errorf("the host is %s, want %s", h.ID(), want)
			}
			if len(infos) > 0 {
				if err := h.Connect(t.Context(), infos[0]); err != nil {
					t.Errorf("%s: %v", listen, err)
				}
			}
			infos = append(infos, peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
		}
	}
}
