package node

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// Bounds of what peers tell about where platforms listen.
const (
	maxContacts     = 128 // platforms
	maxContactAddrs = 16  // of one; what its Contact holds
	contactsEvery   = 15 * time.Second
)

// contacts is where platforms listen, by their own word, and for those that we
// are not connected to by the word of others. A wrong address costs a failed
// dial: who answers proves its identity.
type contacts struct {
	mu    sync.Mutex
	addrs map[peer.ID][]multiaddr.Multiaddr // guarded by mu; at most maxContacts
	wake  chan struct{}                     // holds one token when there is somebody new to ask

	stored []peer.AddrInfo // what the store holds; of exchangeContacts alone
}

func newContacts() *contacts {
	return &contacts{addrs: map[peer.ID][]multiaddr.Multiaddr{}, wake: make(chan struct{}, 1)}
}

// heard takes what one peer told. Its word about itself replaces what was
// known of it; about others it only fills gaps.
func (c *contacts) heard(from peer.ID, told []wire.Contact) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range told {
		if _, known := c.addrs[t.ID.ID]; known && t.ID.ID != from || !known && len(c.addrs) >= maxContacts {
			continue
		}
		var addrs []multiaddr.Multiaddr
		for _, text := range t.Addrs {
			if a, err := multiaddr.NewMultiaddr(text); err == nil {
				addrs = append(addrs, a)
			}
		}
		if len(addrs) > 0 {
			c.addrs[t.ID.ID] = addrs
		}
	}
}

// list returns all that is known, by ID.
func (c *contacts) list() []peer.AddrInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]peer.AddrInfo, 0, len(c.addrs))
	for id, addrs := range c.addrs {
		list = append(list, peer.AddrInfo{ID: id, Addrs: slices.Clone(addrs)})
	}
	slices.SortFunc(list, func(a, b peer.AddrInfo) int { return atp.Compare(atp.ID{ID: a.ID}, atp.ID{ID: b.ID}) })
	return list
}

// nudge asks for a round of questions soon.
func (c *contacts) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// tellContacts answers where this platform and those that it knows listen.
func (n *Node) tellContacts() []wire.Contact {
	all := []wire.Contact{contact(peer.AddrInfo{ID: n.id().ID, Addrs: n.ownAddrs()})}
	for _, info := range n.contacts.list() {
		if len(all) < maxContacts && info.ID != n.id().ID {
			all = append(all, contact(info))
		}
	}
	return all
}

func contact(info peer.AddrInfo) wire.Contact {
	c := wire.Contact{ID: bft.ID{ID: info.ID}}
	for _, a := range info.Addrs[:min(len(info.Addrs), maxContactAddrs)] {
		c.Addrs = append(c.Addrs, a.String())
	}
	return c
}

// ownAddrs is where this platform listens, without its ID.
func (n *Node) ownAddrs() []multiaddr.Multiaddr {
	var addrs []multiaddr.Multiaddr
	for _, a := range n.host.Addrs() {
		if transport, _ := peer.SplitAddr(a); transport != nil {
			addrs = append(addrs, transport)
		}
	}
	return addrs
}

// exchangeContacts asks every peer where platforms listen, when it comes and
// then now and again, and stays connected with those that matter.
func (n *Node) exchangeContacts(ctx context.Context) error {
	tick := time.NewTicker(contactsEvery)
	defer tick.Stop()
	for {
		n.keepContacts()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-n.contacts.wake:
		}
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(8)
		for _, p := range n.host.Peers() {
			g.Go(func() error {
				reply, err := n.ask(ctx, p.ID, wire.Question{Peers: true})
				if err != nil {
					n.log.Debug("asking for addresses", "peer", p.ID, "err", err)
					return nil
				}
				n.contacts.heard(p.ID, reply.Peers)
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
}

// keepContacts tells the host whom to stay connected with: the validators, or
// while a federation is being founded everyone who is heard of. It notes their
// addresses for the next start.
func (n *Node) keepContacts() {
	r := n.chain.Load()
	var keep []peer.AddrInfo
	for _, info := range n.contacts.list() {
		if info.ID == n.id().ID {
			continue
		}
		if r == nil && n.cfg.Expect > 0 || r != nil && r.state().Validators().Contains(bft.ID{ID: info.ID}) {
			keep = append(keep, info)
		}
	}
	for _, info := range keep {
		n.host.Keep(info)
	}
	if r == nil || len(keep) == 0 || reflect.DeepEqual(keep, n.contacts.stored) {
		return
	}
	if err := n.store.PutPeers(keep); err != nil {
		n.log.Warn("addresses of peers not kept", "err", err)
		return
	}
	n.contacts.stored = keep
}

// event hears of peers.
func (n *Node) event(e p2p.Event) {
	switch e := e.(type) {
	case p2p.PeerUp:
		n.log.Info("peer up", "peer", e.ID, "name", e.Name, "direct", e.Direct)
		n.contacts.nudge()
	case p2p.PeerDown:
		n.log.Info("peer down", "peer", e.ID, "reason", e.Reason)
	case p2p.Refused:
		n.refused(e.Refusal)
	case p2p.Clone:
		n.hub.alarm("this platform's key is in use elsewhere too: stop one of them, or both may be punished")
	}
	if r := n.chain.Load(); r != nil {
		r.wires.event(e)
	}
	n.hub.tell()
}
