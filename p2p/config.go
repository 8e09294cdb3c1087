package p2p

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

var (
	// ErrNotRunning reports a call before [Host.Run] is ready or after it ended.
	ErrNotRunning = errors.New("p2p: host is not running")

	// ErrNotConnected reports a peer without a finished hello. Wait for [PeerUp].
	ErrNotConnected = errors.New("p2p: peer is not connected")

	// ErrBusy reports a limit on concurrency, ours or the peer's. Try another
	// peer, or later.
	ErrBusy = errors.New("p2p: busy")

	// ErrTooLarge reports bytes over a cap: ours to send, or claimed by a peer.
	ErrTooLarge = errors.New("p2p: too large")

	// ErrMalformed reports bytes that no correct platform sends. Blame the sender.
	ErrMalformed = errors.New("p2p: malformed")

	// ErrRemote reports that the peer's own handler refused or failed a request;
	// its text is the peer's and must not be trusted.
	ErrRemote = errors.New("p2p: refused by the peer")

	// ErrGenesis reports an attempt to change a genesis that is already set.
	ErrGenesis = errors.New("p2p: genesis is already set")
)

// Genesis is the hash that names a federation. The zero value says that the
// platform belongs to none yet: it is forming.
type Genesis [32]byte

// IsZero reports whether g names no federation.
func (g Genesis) IsZero() bool { return g == Genesis{} }

// String returns 64 hexadecimal digits, or "none".
func (g Genesis) String() string {
	if g.IsZero() {
		return "none"
	}
	return hex.EncodeToString(g[:])
}

// Verdict is the caller's judgement of a frame or of a gossiped message.
type Verdict int

// The zero verdict blames nobody and forwards nothing.
const (
	Ignore Verdict = iota // not useful, nobody's fault: stale, known, or not ours
	Accept                // good: gossip forwards it
	Reject                // no correct platform sends this: the sender is scored down
)

func (v Verdict) String() string {
	switch v {
	case Ignore:
		return "ignore"
	case Accept:
		return "accept"
	case Reject:
		return "reject"
	}
	return fmt.Sprintf("Verdict(%d)", int(v))
}

// MaxName is the longest network or platform name, in bytes.
const MaxName = 64

// Config is what an operator chooses.
type Config struct {
	Key       crypto.PrivKey        // the platform's Ed25519 key
	Listen    []multiaddr.Multiaddr // TCP and QUIC addresses; port 0 lets the system choose
	Network   string                // the network's name: peers of another are refused
	Genesis   Genesis               // the federation, or zero while forming
	Name      string                // the platform's name, for people
	Agent     string                // the software and its version, for people
	Bootstrap []peer.AddrInfo       // dialled at once, and again whenever lost
	Public    bool                  // reachable from the internet: relays for its federation (relay.go)
	Announce  []multiaddr.Multiaddr // where it is reached besides its own interfaces: a port forwarded at a router
	MDNS      bool                  // finds peers on the LAN, and lets them find us
	MDNSSkip  []string              // patterns, as of path.Match, of interfaces left alone; nil is DefaultMDNSSkip
	Limits    Limits                // EdgeLimits or ServerLimits
}

// Validate reports every problem, not only the first.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("p2p: config: "+format, args...))
	}
	switch {
	case c.Key == nil:
		bad("key is missing")
	case c.Key.Type() != crypto.Ed25519:
		bad("key: have %s, want Ed25519", c.Key.Type())
	}
	if len(c.Listen) == 0 {
		bad("listen: have no address, want at least one")
	}
	for _, a := range c.Listen {
		if !listenable(a) {
			bad("listen: have %s, want /ip4|ip6/ADDRESS/tcp/PORT or …/udp/PORT/quic-v1", a)
		}
	}
	for _, a := range c.Announce {
		if !dialable(a) {
			bad("announce: have %s, want /ip4|ip6|dns/HOST/tcp/PORT or …/udp/PORT/quic-v1", a)
		}
	}
	if c.Network == "" {
		bad("network name is empty")
	}
	for _, text := range []struct{ field, value string }{
		{"network name", c.Network}, {"name", c.Name}, {"agent", c.Agent},
	} {
		if !printable(text.value) {
			bad("%s: have %q, want at most %d bytes of printable UTF-8", text.field, text.value, MaxName)
		}
	}
	for _, b := range c.Bootstrap {
		if b.ID.Validate() != nil || len(b.Addrs) == 0 {
			bad("bootstrap: have %s, want an address and a peer ID", b)
		}
	}
	for _, p := range c.MDNSSkip {
		if _, err := path.Match(p, ""); err != nil {
			bad("mdns: skip %q: %w", p, err)
		}
	}
	return errors.Join(append(errs, c.Limits.validate())...)
}

// listenable reports whether a is an address of one of our transports.
func listenable(a multiaddr.Multiaddr) bool {
	return ofTransport(a, multiaddr.P_IP4, multiaddr.P_IP6)
}

// dialable is listenable for an address that may have a name in place of numbers.
func dialable(a multiaddr.Multiaddr) bool {
	return ofTransport(a, multiaddr.P_IP4, multiaddr.P_IP6, multiaddr.P_DNS, multiaddr.P_DNS4, multiaddr.P_DNS6)
}

func ofTransport(a multiaddr.Multiaddr, hosts ...int) bool {
	codes := make([]int, 0, 3)
	for _, p := range a.Protocols() {
		codes = append(codes, p.Code)
	}
	if len(codes) < 2 || !slices.Contains(hosts, codes[0]) {
		return false
	}
	switch codes[1] {
	case multiaddr.P_TCP:
		return len(codes) == 2
	case multiaddr.P_UDP:
		return len(codes) == 3 && codes[2] == multiaddr.P_QUIC_V1
	}
	return false
}

// printable reports whether s can be shown in a terminal as it is.
func printable(s string) bool {
	if len(s) > MaxName || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// An Option gives the host a part that its caller writes. A protocol whose
// handler is not given is not offered to peers.
type Option func(*Host)

// WithLogger sends logs to l. The default discards them.
func WithLogger(l *slog.Logger) Option { return func(h *Host) { h.log = l } }

// WithEvents calls f for each [Event], one at a time, on a goroutine of its own.
func WithEvents(f func(Event)) Option { return func(h *Host) { h.mail.deliver = f } }

// WithFrames serves /sage/bft/1. For one peer, calls come in the order in which
// the peer sent; different peers call concurrently. The frame belongs to f.
func WithFrames(f func(from peer.ID, frame []byte) Verdict) Option {
	return func(h *Host) { h.onFrame = f }
}

// WithFetch serves /sage/fetch/1. An error is told to the peer as text; the
// context ends with the host or with the time that a request may take.
func WithFetch(f FetchFunc) Option { return func(h *Host) { h.onFetch = f } }

// WithTasks serves /sage/task/1. The stream is closed when f returns.
func WithTasks(f TaskFunc) Option { return func(h *Host) { h.onTask = f } }

// WithTopic takes part in the topic sage/<genesis>/<name>, once there is a
// genesis. Judge is called for messages of others, concurrently; the peer is the
// one that forwarded the message, not its author. It keeps what it accepts.
func WithTopic(name string, judge func(from peer.ID, data []byte) Verdict) Option {
	return func(h *Host) { h.topics[name] = judge }
}
