package p2p

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// port sends to and hears the mDNS group of one family on one interface.
type port interface {
	send(b []byte) error
	receive(b []byte) (n int, from netip.Addr, err error)
	Close() error
}

// openPort shares UDP port 5353 with the other programs of the machine that speak
// mDNS. Linux gives a socket what any socket has joined on any interface:
// receive sorts that out.
func openPort(n nic, f family) (port, error) {
	ifi := &net.Interface{Index: n.index, Name: n.name}
	if f == ip4 {
		group := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: mdnsPort}
		c, err := net.ListenMulticastUDP("udp4", ifi, group)
		if err != nil {
			return nil, err
		}
		p := port4{ipv4.NewPacketConn(c), group, n.index}
		return configured(p, p.SetControlMessage(ipv4.FlagInterface, true), p.SetMulticastLoopback(true), p.SetMulticastTTL(255))
	}
	group := &net.UDPAddr{IP: net.ParseIP("ff02::fb"), Port: mdnsPort, Zone: n.name}
	c, err := net.ListenMulticastUDP("udp6", ifi, group)
	if err != nil {
		return nil, err
	}
	p := port6{ipv6.NewPacketConn(c), group, n.index}
	return configured(p, p.SetControlMessage(ipv6.FlagInterface, true), p.SetMulticastLoopback(true), p.SetMulticastHopLimit(255))
}

// configured returns p, or closes it on the first error of its settings. Our own
// packets come back by design: they tell that no local firewall drops them, and
// they reach other platforms on this machine.
func configured(p port, errs ...error) (port, error) {
	for _, err := range errs {
		if err != nil {
			p.Close()
			return nil, err
		}
	}
	return p, nil
}

type port4 struct {
	*ipv4.PacketConn
	group *net.UDPAddr
	index int
}

func (p port4) send(b []byte) error {
	_, err := p.WriteTo(b, nil, p.group)
	return err
}

func (p port4) receive(b []byte) (int, netip.Addr, error) {
	for {
		n, cm, from, err := p.ReadFrom(b)
		if err != nil {
			return 0, netip.Addr{}, err
		}
		if cm != nil && cm.IfIndex == p.index {
			return n, sourceOf(from), nil
		}
	}
}

type port6 struct {
	*ipv6.PacketConn
	group *net.UDPAddr
	index int
}

func (p port6) send(b []byte) error {
	_, err := p.WriteTo(b, nil, p.group)
	return err
}

func (p port6) receive(b []byte) (int, netip.Addr, error) {
	for {
		n, cm, from, err := p.ReadFrom(b)
		if err != nil {
			return 0, netip.Addr{}, err
		}
		if cm != nil && cm.IfIndex == p.index {
			return n, sourceOf(from), nil
		}
	}
}

func sourceOf(a net.Addr) netip.Addr {
	if u, ok := a.(*net.UDPAddr); ok {
		return u.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
