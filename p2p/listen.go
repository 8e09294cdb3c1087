package p2p

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// listen opens one address. libp2p's TCP listener sets SO_REUSEPORT, so that two
// processes share a port without an error and each gets some of the connections:
// a plain listener, opened and closed first, finds the port in use.
func (h *Host) listen(a multiaddr.Multiaddr) error {
	if err := CouldListen(a); err != nil {
		return err
	}
	if err := h.node.Network().Listen(a); err != nil {
		return fmt.Errorf("p2p: cannot listen on %s: %w", a, err)
	}
	return nil
}

// CouldListen says why a host could not listen on an address of this machine, as
// long as nothing changes there.
func CouldListen(a multiaddr.Multiaddr) error {
	err := probe(a)
	if system := syscall.Errno(0); errors.As(err, &system) {
		err = system // what is around it names the address again
	}
	if err != nil {
		return fmt.Errorf("p2p: cannot listen on %s: %w", a, err)
	}
	return nil
}

// probe opens a plain listener and closes it.
func probe(a multiaddr.Multiaddr) error {
	network, addr, err := manet.DialArgs(a) // tcp4 or tcp6, udp4 or udp6: either may have the port
	if err != nil {
		return err
	}
	var l io.Closer
	if strings.HasPrefix(network, "udp") {
		l, err = net.ListenPacket(network, addr)
	} else {
		l, err = net.Listen(network, addr)
	}
	if err != nil {
		return err
	}
	return l.Close()
}
