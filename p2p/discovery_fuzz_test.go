package p2p

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

// FuzzOverhear has one address announce platforms, each in a packet that differs
// from the last in a byte: what is noted of it is little, and can be shown to
// people.
func FuzzOverhear(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "mdns", "*.bin"))
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint16(40), byte(1))
	}
	from := netip.AddrFrom4([4]byte{192, 168, 1, 9})
	f.Fuzz(func(t *testing.T, packet []byte, at uint16, times byte) {
		b := newBench()
		for i := range int(times)%64 + 1 {
			if len(packet) > 0 {
				packet[(int(at)+i)%len(packet)] += byte(i)
			}
			if o, err := decodeMDNS(b.service, packet); err == nil && o.network != "" {
				b.overhear(o, from, "eth0")
			}
		}
		list := b.everyone()
		if len(list) > maxFoundSource {
			t.Fatalf("%d platforms of one address are noted", len(list))
		}
		for _, h := range list {
			if h.ID.Validate() != nil || h.Network == "" || !printable(h.Network) || len(h.Facts) > maxFacts {
				t.Fatalf("noted: %+v", h)
			}
			for key, value := range h.Facts {
				if _, _, ok := factOf(key + "=" + value); !ok {
					t.Fatalf("noted as a fact: %q = %q", key, value)
				}
			}
		}
	})
}
