package p2p

import (
	"net"
	"net/netip"
	"path"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// DefaultMDNSSkip are the names of interfaces that lead to containers and virtual
// machines of this machine, not to other machines.
func DefaultMDNSSkip() []string {
	return []string{"docker*", "veth*", "br-*", "virbr*", "cni*", "flannel*", "cali*", "lxcbr*", "lxdbr*", "podman*", "vmnet*", "vboxnet*"}
}

// maxAnnounced bounds the addresses announced on one interface, so that a message
// fits one Ethernet frame.
const maxAnnounced = 7

// nic is a network interface at one moment.
type nic struct {
	name  string
	index int
	flags net.Flags
	nets  []netip.Prefix // its addresses, each with its subnet, sorted: IPv4 first
}

// listNICs asks the system. Addresses of interfaces with a name in skip are not
// asked for: a host of containers has hundreds.
func listNICs(skip []string) ([]nic, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	nics := make([]nic, 0, len(all))
	for _, i := range all {
		n := nic{name: i.Name, index: i.Index, flags: i.Flags}
		if n.unfit(skip) == "" {
			addrs, err := i.Addrs()
			if err != nil {
				return nil, err
			}
			for _, a := range addrs {
				if p, err := netip.ParsePrefix(a.String()); err == nil {
					n.nets = append(n.nets, p)
				}
			}
			slices.SortFunc(n.nets, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
		}
		nics = append(nics, n)
	}
	return nics, nil
}

// unfit says why an interface is left alone whatever its addresses, or "".
func (n nic) unfit(skip []string) string {
	switch {
	case n.flags&net.FlagLoopback != 0:
		return "loopback"
	case n.flags&net.FlagUp == 0:
		return "down"
	case n.flags&net.FlagRunning == 0:
		return "no link"
	case n.flags&net.FlagPointToPoint != 0:
		return "point to point"
	case n.flags&net.FlagMulticast == 0:
		return "no multicast"
	}
	for _, pattern := range skip {
		if ok, err := path.Match(pattern, n.name); ok && err == nil {
			return "name like " + pattern
		}
	}
	return ""
}

// reaches reports whether ip is in one of the interface's subnets.
func (n nic) reaches(ip netip.Addr) bool {
	return slices.ContainsFunc(n.nets, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// family is a version of IP.
type family string

const (
	ip4 family = "ip4"
	ip6 family = "ip6"
)

func familyOf(ip netip.Addr) family {
	if ip.Is4() {
		return ip4
	}
	return ip6
}

// has reports whether the interface has an address of a family: only then can it
// send.
func (n nic) has(f family) bool {
	return slices.ContainsFunc(n.nets, func(p netip.Prefix) bool { return familyOf(p.Addr()) == f })
}

// announceable returns the addresses of the interface at which a host listens,
// and the first of their IPs. libp2p's own list would do but for its cache, which hides a new
// interface for a minute. It never dials link-local IPv6 addresses.
func (n nic) announceable(listens []multiaddr.Multiaddr) (addrs []multiaddr.Multiaddr, first netip.Addr) {
	for _, p := range n.nets {
		ip := p.Addr()
		if !mayAnnounce(ip) {
			continue
		}
		for _, l := range listens {
			if a, ok := at(l, ip); ok && len(addrs) < maxAnnounced {
				addrs = append(addrs, a)
			}
		}
		if !first.IsValid() && len(addrs) > 0 {
			first = ip
		}
	}
	return addrs, first
}

func mayAnnounce(ip netip.Addr) bool {
	return !ip.IsLoopback() && !ip.IsMulticast() && !ip.IsUnspecified() && (ip.Is4() || !ip.IsLinkLocalUnicast())
}

// at returns the address under which a listener is reached at ip, if it is.
func at(listen multiaddr.Multiaddr, ip netip.Addr) (multiaddr.Multiaddr, bool) {
	bound, ok := ipOf(listen)
	if !ok || familyOf(bound) != familyOf(ip) || !bound.IsUnspecified() && bound != ip {
		return nil, false
	}
	head, err := manet.FromIP(ip.AsSlice())
	if err != nil {
		return nil, false
	}
	_, rest := multiaddr.SplitFirst(listen)
	return head.Encapsulate(rest), true
}

// ipOf returns the IP address of one of our transports' addresses.
func ipOf(a multiaddr.Multiaddr) (netip.Addr, bool) {
	if !listenable(a) {
		return netip.Addr{}, false
	}
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}, false
	}
	addr, ok := netip.AddrFromSlice(ip)
	return addr.Unmap(), ok
}

// neighbours keeps those addresses of an announcement heard on the interface that
// a platform on this LAN can have: others would make us dial for a stranger.
func (n nic) neighbours(p peer.AddrInfo) []multiaddr.Multiaddr {
	var near []multiaddr.Multiaddr
	for _, a := range p.Addrs {
		ip, ok := ipOf(a)
		if ok && mayAnnounce(ip) && (ip.IsPrivate() || ip.IsLinkLocalUnicast() || n.reaches(ip)) && len(near) < maxAnnounced {
			near = append(near, a)
		}
	}
	return near
}
