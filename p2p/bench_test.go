package p2p

import (
	"context"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// benchPair is two connected hosts for a benchmark.
func benchPair(b *testing.B, optsA, optsB []Option) (*Host, *Host) {
	b.Helper()
	up := make(chan Event, 16)
	var hosts []*Host
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 2)
	for _, opts := range [][]Option{optsA, optsB} {
		cfg := testConfig(b)
		cfg.Limits.FrameRate = 1 << 30 // or it is what we measure
		h, err := New(cfg, append(opts, WithEvents(func(e Event) { up <- e }))...)
		if err != nil {
			b.Fatal(err)
		}
		go func() { ended <- h.Run(ctx) }()
		<-h.Ready()
		hosts = append(hosts, h)
	}
	b.Cleanup(func() { cancel(); <-ended; <-ended })
	for i, h := range hosts {
		other := hosts[1-i]
		infos, err := peer.AddrInfosFromP2pAddrs(other.Addrs()...)
		if err != nil {
			b.Fatal(err)
		}
		h.Keep(infos[0])
	}
	<-up // each has the other
	<-up
	return hosts[0], hosts[1]
}

// One 300-byte frame there and one back: what a vote and its answer cost.
func BenchmarkRoundTrip(b *testing.B) {
	back := make(chan []byte, 1)
	var echo *Host
	a, e := benchPair(b,
		[]Option{WithFrames(func(_ peer.ID, f []byte) Verdict { back <- f; return Accept })},
		[]Option{WithFrames(func(from peer.ID, f []byte) Verdict { echo.Send(from, 0, f); return Accept })})
	echo = e
	frame := make([]byte, 300)
	for b.Loop() {
		if err := a.Send(e.ID(), 0, frame); err != nil {
			b.Fatal(err)
		}
		<-back
	}
}

// A body of 1 MiB asked for and received.
func BenchmarkFetch(b *testing.B) {
	body := make([]byte, 1<<20)
	a, s := benchPair(b, nil, []Option{WithFetch(func(context.Context, peer.ID, []byte) ([]byte, error) { return body, nil })})
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := a.Request(b.Context(), s.ID(), []byte("x"), MaxResponse); err != nil {
			b.Fatal(err)
		}
	}
}
