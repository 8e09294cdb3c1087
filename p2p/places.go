package p2p

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// streamMemory is what a stream reserves of Limits.Memory: yamux's first window.
const streamMemory = 256 << 10

// strangerStreams is how many streams a stranger may have open to us at once:
// all that each protocol allows would be forty.
const strangerStreams = 24

// ip6Network is the bits of an IPv6 address that name whose it is: a home is given
// a network of them.
const ip6Network = 56

// places is libp2p's resource manager, which knows no difference between peers:
// here strangers find room for a share of what others open to us, so that those
// who matter find the rest whatever strangers do.
type places struct {
	network.ResourceManager
	apart    *rcmgr.Allowlist // addresses whose connections are counted apart
	standing func(peer.ID) standing
	displace func(*connPlace) // ends the connection of a place that another takes
	most     struct{ opening, address, conns, streams int }

	mu      sync.Mutex
	opening map[netip.Addr]int          // guarded by mu: connections of which the peer is not known yet, by addressOf
	pending int                         // guarded by mu: their sum
	conns   int                         // guarded by mu: of strangers
	guests  map[netip.Addr][]*connPlace // guarded by mu: these, by addressOf, the newest last
	streams map[peer.ID]int             // guarded by mu: of each stranger
	open    int                         // guarded by mu: their sum
	relayed int                         // guarded by mu: of these, those that a relay serves
}

func newPlaces(l Limits, standing func(peer.ID) standing, displace func(*connPlace)) (*places, error) {
	inner, err := resourceManager(l)
	if err != nil {
		return nil, err
	}
	p := &places{
		ResourceManager: inner, apart: rcmgr.GetAllowlist(inner), standing: standing, displace: displace,
		opening: map[netip.Addr]int{}, guests: map[netip.Addr][]*connPlace{}, streams: map[peer.ID]int{},
	}
	p.most.opening = max(8, l.Connections/2)
	p.most.address = max(4, l.Connections/4)
	p.most.conns = max(1, l.Connections*3/4) // to so many the connection manager trims, too
	p.most.streams = int(l.Memory / streamMemory * 3 / 4)
	return p, nil
}

// OpenConnection implements network.ResourceManager. Of the connections that
// others open and that have not said yet who they are, one address has half.
func (p *places) OpenConnection(dir network.Direction, usefd bool, far multiaddr.Multiaddr) (network.ConnManagementScope, error) {
	if dir != network.DirInbound {
		return p.ResourceManager.OpenConnection(dir, usefd, far)
	}
	ip := addressOf(far)
	p.mu.Lock()
	full := p.pending >= p.most.opening && !p.apart.Allowed(far) || p.opening[ip] >= p.most.address
	if !full {
		p.opening[ip]++
		p.pending++
	}
	p.mu.Unlock()
	if full {
		return nil, fmt.Errorf("p2p: connection from %s: %w: too many have not said who they are", far, network.ErrResourceLimitExceeded)
	}
	scope, err := p.ResourceManager.OpenConnection(dir, usefd, far)
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.opened(ip)
		return nil, err
	}
	return &connPlace{ConnManagementScope: scope, of: p, ip: ip, opening: true}, nil
}

// addressOf is what counts as one address: one of IPv4, or a network of IPv6, in
// which a machine has as many as it likes.
func addressOf(far multiaddr.Multiaddr) netip.Addr {
	ip, err := manet.ToIP(far)
	if err != nil {
		return netip.Addr{} // relayed
	}
	a, _ := netip.AddrFromSlice(ip)
	if a = a.Unmap(); a.Is6() {
		a = netip.PrefixFrom(a, ip6Network).Masked().Addr()
	}
	return a
}

// opened notes that a connection is no longer being opened. The caller holds mu.
func (p *places) opened(ip netip.Addr) {
	p.pending--
	if p.opening[ip]--; p.opening[ip] == 0 {
		delete(p.opening, ip)
	}
}

// connPlace is the place of a connection that another opened. QUIC may be done
// with one while its peer is being named.
type connPlace struct {
	network.ConnManagementScope
	of *places
	ip netip.Addr

	// Guarded by places.mu.
	opening, stranger, displaced, done bool
}

// SetPeer implements network.ConnManagementScope: the peer is known now. When
// strangers have all their places, one of an address that has no more of them
// than others finds none.
func (c *connPlace) SetPeer(id peer.ID) error {
	p, as := c.of, c.of.standing(id)
	p.mu.Lock()
	var out *connPlace
	if as == asStranger && !c.done && p.conns >= p.most.conns {
		if out = p.crowdOut(c.ip); out == nil {
			p.mu.Unlock()
			return fmt.Errorf("p2p: connection of %s: %w: no more strangers", id, network.ErrResourceLimitExceeded)
		}
	}
	if c.opening {
		c.opening = false
		p.opened(c.ip)
	}
	if as == asStranger && !c.done {
		c.stranger = true
		p.conns++
		p.guests[c.ip] = append(p.guests[c.ip], c)
	}
	p.mu.Unlock()
	if out != nil {
		p.displace(out)
	}
	return c.ConnManagementScope.SetPeer(id)
}

// crowdOut takes the newest place from the address that has the most, unless
// there would be more of ip then. The caller holds mu.
func (p *places) crowdOut(ip netip.Addr) *connPlace {
	var crowd []*connPlace
	for _, of := range p.guests {
		if len(of) > len(crowd) {
			crowd = of
		}
	}
	if len(crowd) < len(p.guests[ip])+2 {
		return nil
	}
	out := crowd[len(crowd)-1]
	out.displaced = true
	out.leave()
	return out
}

// leave gives back the place of a stranger. The caller holds places.mu.
func (c *connPlace) leave() {
	p := c.of
	c.stranger = false
	p.conns--
	p.guests[c.ip] = slices.DeleteFunc(p.guests[c.ip], func(o *connPlace) bool { return o == c })
	if len(p.guests[c.ip]) == 0 {
		delete(p.guests, c.ip)
	}
}

// isDisplaced reports whether a connection has lost its place to another.
func isDisplaced(conn network.Conn) bool {
	c, ok := conn.Scope().(*connPlace)
	if !ok {
		return false
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	return c.displaced
}

// Done implements network.ConnManagementScope.
func (c *connPlace) Done() {
	p := c.of
	p.mu.Lock()
	if c.opening {
		p.opened(c.ip)
	}
	if c.stranger {
		c.leave()
	}
	c.opening, c.done = false, true
	p.mu.Unlock()
	c.ConnManagementScope.Done()
}

// OpenStream implements network.ResourceManager.
func (p *places) OpenStream(id peer.ID, dir network.Direction) (network.StreamManagementScope, error) {
	if dir != network.DirInbound || p.standing(id) != asStranger {
		return p.ResourceManager.OpenStream(id, dir)
	}
	p.mu.Lock()
	full := p.open >= p.most.streams || p.streams[id] >= strangerStreams
	if !full {
		p.streams[id]++
		p.open++
	}
	p.mu.Unlock()
	if full {
		return nil, fmt.Errorf("p2p: stream of %s: %w: no more of strangers", id, network.ErrResourceLimitExceeded)
	}
	place := &streamPlace{of: p}
	place.closed = sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.open--
		if p.streams[id]--; p.streams[id] == 0 {
			delete(p.streams, id)
		}
		if place.done = true; place.relayed {
			p.relayed--
		}
	})
	scope, err := p.ResourceManager.OpenStream(id, dir)
	if err != nil {
		place.closed()
		return nil, err
	}
	place.StreamManagementScope = scope
	return place, nil
}

// streamPlace is the place of a stranger's stream.
type streamPlace struct {
	network.StreamManagementScope
	of     *places
	closed func()

	// Guarded by places.mu.
	relayed bool // it asks for a circuit, or is one
	done    bool
}

// SetService implements network.StreamManagementScope. It keeps Y4.
func (s *streamPlace) SetService(name string) error {
	if err := s.StreamManagementScope.SetService(name); err != nil || name != relay.ServiceName {
		return err
	}
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if s.done || s.of.relayed >= maxStrangeCircuits {
		return fmt.Errorf("p2p: %w: no more circuits of strangers", network.ErrResourceLimitExceeded)
	}
	s.relayed = true
	s.of.relayed++
	return nil
}

// Done implements network.StreamManagementScope.
func (s *streamPlace) Done() {
	s.closed()
	s.StreamManagementScope.Done()
}
