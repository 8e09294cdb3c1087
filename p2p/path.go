package p2p

import (
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// Path is how a peer is reached.
type Path int

// The paths, the best first.
const (
	PathDirect  Path = iota // one dialled the other
	PathPunched             // both dialled each other at once, through their NATs
	PathRelayed             // through a third
)

func (p Path) String() string {
	switch p {
	case PathDirect:
		return "direct"
	case PathPunched:
		return "punched"
	case PathRelayed:
		return "relayed"
	}
	return fmt.Sprintf("Path(%d)", int(p))
}

// path says how a peer is reached and, for people, why so. The caller holds mu.
func (h *Host) path(s *session) (path Path, via peer.ID, why string) {
	l := s.best()
	p, tried := h.punches.peek(s.id)
	switch {
	case !relayed(l.conn) && l.punched && tried && p.done:
		return PathPunched, "", fmt.Sprintf("both dialled at once, %s", p.took.Round(time.Millisecond))
	case !relayed(l.conn) && l.conn.Stat().Direction == network.DirInbound:
		return PathDirect, "", "it dialled this platform"
	case !relayed(l.conn):
		return PathDirect, "", "this platform dialled it"
	case !tried || p.failed == 0:
		why = "a direct way is being sought"
	default:
		why = fmt.Sprintf("no hole punched (%d ×): %s", p.failed, lastWord(p.reason))
	}
	return PathRelayed, relayOf(l.conn), why
}

// maxWhy bounds what is told of an error, which has a line for each address.
const maxWhy = 80

// lastWord is what an error of libp2p comes down to: its first line, without its way
// here.
func lastWord(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	text = text[strings.LastIndex(text, ": ")+1:]
	switch text = strings.TrimSpace(text); text {
	case "context deadline exceeded", "all dials failed":
		return "no answer"
	}
	return strings.ToValidUTF8(text[:min(len(text), maxWhy)], "")
}

// worse is 1 for an address through a relay.
func worse(a multiaddr.Multiaddr) int {
	if isCircuit(a) {
		return 1
	}
	return 0
}

// relayOf is the relay of a relayed connection.
func relayOf(c network.Conn) peer.ID {
	before, _ := multiaddr.SplitFunc(c.RemoteMultiaddr(), func(part multiaddr.Component) bool { return part.Protocol().Code == multiaddr.P_CIRCUIT })
	if before == nil {
		return ""
	}
	info, err := peer.AddrInfoFromP2pAddr(before)
	if err != nil {
		return ""
	}
	return info.ID
}
