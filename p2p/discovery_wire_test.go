package p2p

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/net/dns/dnsmessage"
)

func addrsOf(texts ...string) (addrs []multiaddr.Multiaddr) {
	for _, t := range texts {
		addrs = append(addrs, multiaddr.StringCast(t))
	}
	return addrs
}

func textsOf(addrs []multiaddr.Multiaddr) (texts []string) {
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	return texts
}

var wireID = lanSettings{Seed: 9}.id()

func testAnnouncement() announcement {
	return announcement{
		service:  serviceName("lan"),
		instance: strings.Repeat("i", 32),
		addrs:    withID(wireID, addrsOf("/ip4/192.168.1.7/tcp/4001", "/ip6/fd00::7/udp/4001/quic-v1")),
		facts:    []string{"name=jetson-1"},
		ip:       netip.MustParseAddr("192.168.1.7"),
	}
}

func TestAServiceNameIsADNSNameOfItsOwn(t *testing.T) {
	seen := map[string]string{}
	for _, network := range []string{
		"lan", "a-b-1", strings.Repeat("n", 40), strings.Repeat("n", 41), strings.Repeat("n", 64),
		"Lan", "two words", "a.b", "größe", "x", "_sage",
	} {
		name := serviceName(network)
		if label, _, _ := strings.Cut(name, "."); len(label) > 63 {
			t.Errorf("%q: label of %d bytes", network, len(label))
		}
		if _, err := encodeQuery(name, strings.Repeat("i", 63)); err != nil {
			t.Errorf("%q: %v", network, err)
		}
		if other, ok := seen[strings.ToLower(name)]; ok {
			t.Errorf("%q and %q are both %s", network, other, name)
		}
		seen[strings.ToLower(name)] = network
	}
	if got, want := serviceName("lan"), "_sage-lan._udp.local."; got != want {
		t.Errorf("have %s, want %s", got, want)
	}
}

func TestAnAnnouncementIsReadAsItWasWritten(t *testing.T) {
	a := testAnnouncement()
	for _, ttl := range []time.Duration{announceTTL, 0} {
		b, err := a.encode(ttl)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 1400 {
			t.Errorf("%d bytes, want a single frame", len(b))
		}
		got, err := decodeMDNS(a.service, b)
		if err != nil {
			t.Fatal(err)
		}
		want := overheard{tells: true, network: "lan", facts: map[string]string{"name": "jetson-1"}, instance: a.instance, ttl: ttl, peer: peer.AddrInfo{
			ID: wireID, Addrs: addrsOf("/ip4/192.168.1.7/tcp/4001", "/ip6/fd00::7/udp/4001/quic-v1"),
		}}
		if diff := cmp.Diff(textsOf(want.peer.Addrs), textsOf(got.peer.Addrs)); diff != "" {
			t.Error(diff)
		}
		got.peer.Addrs, want.peer.Addrs = nil, nil
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(overheard{})); diff != "" {
			t.Error(diff)
		}
		if other, err := decodeMDNS(serviceName("other"), b); err != nil || other.tells || other.asks {
			t.Errorf("for another network: %+v, %v", other, err)
		}
	}
}

func TestTheLargestAnnouncementFitsAFrame(t *testing.T) {
	a := testAnnouncement()
	a.service, a.addrs, a.facts = serviceName(strings.Repeat("n", 64)), nil, nil
	for _, key := range []string{"a", "b", "c", "d"} { // as many as there may be
		a.facts = append(a.facts, key+"="+strings.Repeat("v", factBytes/maxFacts-2))
	}
	a.ip = netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6666")
	for len(a.addrs) < maxAnnounced {
		a.addrs = append(a.addrs, withID(wireID, addrsOf("/ip6/2001:db8:1111:2222:3333:4444:5555:6666/udp/65535/quic-v1"))...)
	}
	b, err := a.encode(announceTTL)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 1440 { // 1500 without the headers of IPv6 and UDP
		t.Errorf("%d bytes", len(b))
	}
}

func TestAQueryNamesTheAsker(t *testing.T) {
	a := testAnnouncement()
	b, err := encodeQuery(a.service, a.instance)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeMDNS(a.service, b)
	if err != nil || !got.asks || got.tells || got.instance != a.instance {
		t.Errorf("have %+v, %v", got, err)
	}
}

// The files are what go-libp2p v0.51.0's p2p/discovery/mdns sent.
func TestWhatLibp2pSendsIsUnderstood(t *testing.T) {
	id, err := peer.Decode("12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		file        string
		asks, tells bool
		ttl         time.Duration
	}{
		{file: "libp2p_query.bin", asks: true},
		{file: "libp2p_answer.bin", tells: true, ttl: 3200 * time.Second},
		{file: "libp2p_probe.bin"},
		{file: "libp2p_announcement.bin", tells: true, ttl: 3200 * time.Second},
		{file: "libp2p_goodbye.bin", tells: true},
	} {
		b, err := os.ReadFile(filepath.Join("testdata", "mdns", tt.file))
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeMDNS(serviceName("lan"), b)
		if err != nil || got.asks != tt.asks || got.tells != tt.tells || got.ttl != tt.ttl {
			t.Errorf("%s: have %+v, %v", tt.file, got, err)
		}
		if tt.tells && (got.peer.ID != id || len(got.peer.Addrs) == 0 || len(got.instance) < 32) {
			t.Errorf("%s: have %s at %s called %s", tt.file, got.peer.ID, got.peer.Addrs, got.instance)
		}
	}
}

func TestAnnouncementsThatNoPlatformSendsAreMalformed(t *testing.T) {
	a := testAnnouncement()
	good, err := a.encode(announceTTL)
	if err != nil {
		t.Fatal(err)
	}
	two := a
	two.addrs = append(two.addrs, withID(lanSettings{Seed: 8}.id(), addrsOf("/ip4/192.168.1.8/tcp/4001"))...)
	none := a
	none.addrs = nil
	encode := func(a announcement) []byte {
		b, err := a.encode(announceTTL)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, b := range map[string][]byte{
		"empty":           nil,
		"cut short":       good[:len(good)/2],
		"of two peers":    encode(two),
		"without address": encode(none),
		"of two processes": func() []byte {
			m := dnsmessage.Message{Header: dnsmessage.Header{Response: true}}
			for _, i := range []string{"a.", "b."} {
				m.Answers = append(m.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(i + a.service), Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.TXTResource{TXT: []string{dnsaddrPrefix + a.addrs[0].String()}},
				})
			}
			b, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			return b
		}(),
	} {
		if o, err := decodeMDNS(a.service, b); !errors.Is(err, ErrMalformed) || o.tells {
			t.Errorf("%s: have %+v, %v", name, o, err)
		}
	}
}

func FuzzDecodeMDNS(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "mdns", "*.bin"))
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	service := serviceName("lan")
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		o, err := decodeMDNS(service, b)
		switch {
		case !bytes.Equal(b, before):
			t.Error("the packet was changed")
		case err != nil && (!errors.Is(err, ErrMalformed) || o.asks || o.tells):
			t.Errorf("have %+v, %v", o, err)
		case o.asks && o.tells:
			t.Error("asks and tells")
		case o.tells && (o.peer.ID.Validate() != nil || o.instance == "" || len(o.peer.Addrs) > maxTexts):
			t.Errorf("have %+v", o)
		}
	})
}
