package node

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/time/rate"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/p2p"
	"github.com/sage-p2p/sage-p2p/task"
)

// Bounds of what peers tell about where platforms listen.
const (
	maxContacts     = 128 // platforms
	maxContactAddrs = 16  // of one; what its Contact holds
	maxTellers      = 4   // others whose word about a platform is kept
	maxHearsay      = 4   // addresses, of each of them
	maxAddrText     = 256 // bytes of an address
	maxCame         = 512 // peers that came since they were last asked; others wait for the round
	maxKept         = 64  // platforms besides the validators that connections are kept with

	// Keys cost nothing: what all strangers together may have us dial, beside
	// where they say that they listen themselves, is bounded.
	maxStrange   = 64               // addresses at once,
	strangeEvery = time.Minute      // and one more each
	strangeAge   = 10 * time.Minute // after which they are forgotten

	contactsEvery = 15 * time.Second
	contactsPause = 100 * time.Millisecond // between two rounds, however often peers come and go
)

// contacts is where platforms listen: by their own word and, since they may be
// out of reach, by that of a few others. A wrong address costs a failed dial:
// who answers proves its identity. Only a platform's own word is passed on, so
// that no rumour outlives who began it.
type contacts struct {
	wake    chan struct{} // holds one token when there is somebody new to ask
	strange *rate.Limiter // of addresses that strangers tell of others

	mu    sync.Mutex
	known map[peer.ID]*contact // guarded by mu; at most maxContacts
	came  map[peer.ID]bool     // guarded by mu: peers to be asked, at most maxCame
	again bool                 // guarded by mu: all of them

	// Of exchangeContacts alone.
	stored   []peer.AddrInfo // what the store holds
	kept     map[peer.ID]bool
	favoured []peer.ID
}

// contact is where one platform listens.
type contact struct {
	own  []multiaddr.Multiaddr // by its own word
	told []hearsay             // the newest last; at most maxTellers
}

// hearsay is the word of another.
type hearsay struct {
	by    peer.ID
	addrs []multiaddr.Multiaddr
	until time.Time // for a stranger's; zero is without end
}

// teller is one who tells where platforms listen, and when.
type teller struct {
	id       peer.ID
	credible bool // a validator, or named by the operator
	beside   bool // it runs on this machine
	now      time.Time
}

func newContacts() *contacts {
	return &contacts{
		known: map[peer.ID]*contact{}, came: map[peer.ID]bool{}, wake: make(chan struct{}, 1), kept: map[peer.ID]bool{},
		strange: rate.NewLimiter(rate.Every(strangeEvery), maxStrange),
	}
}

// heard takes what one peer told about platforms that matter.
func (c *contacts) heard(by teller, told []wire.Contact, matters func(peer.ID) bool) {
	from := by.id
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range told {
		id := t.ID.ID
		addrs := parseAddrs(t.Addrs)
		if !by.beside {
			addrs = slices.DeleteFunc(addrs, onlyHere)
		}
		if len(addrs) == 0 || !matters(id) {
			continue
		}
		k := c.known[id]
		if k == nil {
			if k = c.admit(id, id == from); k == nil {
				continue
			}
		}
		if id == from {
			k.own = addrs
			continue
		}
		k.hear(by, addrs[:min(len(addrs), maxHearsay)], c.strange)
	}
}

// hear takes the word of another. A stranger's takes nobody's place but another
// stranger's, and what it adds is limited.
func (k *contact) hear(by teller, addrs []multiaddr.Multiaddr, strange *rate.Limiter) {
	i := slices.IndexFunc(k.told, func(h hearsay) bool { return h.by == by.id })
	word := hearsay{by: by.id, addrs: addrs}
	if !by.credible {
		var before []multiaddr.Multiaddr
		if i >= 0 {
			before = k.told[i].addrs
		}
		word.until = by.now.Add(strangeAge)
		if news := without(addrs, before); len(news) > 0 && !strange.AllowN(by.now, len(news)) {
			return
		}
	}
	if i < 0 && len(k.told) == maxTellers {
		i = slices.IndexFunc(k.told, func(h hearsay) bool { return !h.until.IsZero() })
		if i < 0 && !by.credible {
			return
		}
		i = max(i, 0)
	}
	if i >= 0 {
		k.told = slices.Delete(k.told, i, i+1)
	}
	k.told = append(k.told, word)
}

// without returns the addresses that are not among others.
func without(addrs, others []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a multiaddr.Multiaddr) bool {
		return slices.ContainsFunc(others, a.Equal)
	})
}

// admit makes room for a platform; one that speaks for itself takes the place
// of one that is only spoken of. The caller holds mu.
func (c *contacts) admit(id peer.ID, itself bool) *contact {
	if len(c.known) >= maxContacts {
		if !itself {
			return nil
		}
		for other, k := range c.known {
			if len(k.own) == 0 {
				delete(c.known, other)
				break
			}
		}
		if len(c.known) >= maxContacts {
			return nil
		}
	}
	c.known[id] = &contact{}
	return c.known[id]
}

// parseAddrs returns the addresses among texts, in order of their bytes.
func parseAddrs(texts []string) []multiaddr.Multiaddr {
	var addrs []multiaddr.Multiaddr
	for _, text := range texts[:min(len(texts), maxContactAddrs)] {
		if len(text) > maxAddrText {
			continue
		}
		a, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			continue
		}
		if _, last := multiaddr.SplitLast(a); last == nil || last.Protocol().Code == multiaddr.P_P2P {
			continue // it would name somebody else
		}
		addrs = append(addrs, a)
	}
	slices.SortFunc(addrs, func(a, b multiaddr.Multiaddr) int { return strings.Compare(a.String(), b.String()) })
	return addrs
}

// onlyHere reports whether an address leads nowhere but to this machine, whoever
// tells it: to services of it that nobody else is to reach.
func onlyHere(a multiaddr.Multiaddr) bool { return manet.IsIPLoopback(a) || manet.IsIPUnspecified(a) }

// forget drops who does not matter any more, and what strangers told long ago.
func (c *contacts) forget(now time.Time, matters func(peer.ID) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, k := range c.known {
		k.told = slices.DeleteFunc(k.told, func(h hearsay) bool { return !h.until.IsZero() && now.After(h.until) })
		if !matters(id) || len(k.own)+len(k.told) == 0 {
			delete(c.known, id)
		}
	}
}

// whose says whose word counts.
type whose int

const (
	theirOwn whose = iota // what platforms say themselves
	credible              // and what those say who may be believed
	anyones
)

// list returns what is known by somebody's word, by ID, the platforms' own first.
func (c *contacts) list(word whose) []peer.AddrInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]peer.AddrInfo, 0, len(c.known))
	for id, k := range c.known {
		addrs := slices.Clone(k.own)
		for _, h := range k.told {
			if word == anyones || word == credible && h.until.IsZero() {
				addrs = append(addrs, h.addrs...)
			}
		}
		if len(addrs) > 0 {
			list = append(list, peer.AddrInfo{ID: id, Addrs: addrs[:min(len(addrs), maxContactAddrs)]})
		}
	}
	slices.SortFunc(list, func(a, b peer.AddrInfo) int { return atp.Compare(atp.ID{ID: a.ID}, atp.ID{ID: b.ID}) })
	return list
}

// tellContacts answers where this platform and those that it knows listen.
func (n *Node) tellContacts() []wire.Contact {
	all := []wire.Contact{tellContact(peer.AddrInfo{ID: n.id().ID, Addrs: n.ownAddrs()})}
	for _, info := range n.contacts.list(theirOwn) {
		if len(all) < maxContacts && info.ID != n.id().ID {
			all = append(all, tellContact(info))
		}
	}
	return all
}

func tellContact(info peer.AddrInfo) wire.Contact {
	c := wire.Contact{ID: bft.ID{ID: info.ID}}
	for _, a := range info.Addrs[:min(len(info.Addrs), maxContactAddrs)] {
		c.Addrs = append(c.Addrs, a.String())
	}
	return c
}

// exchangeContacts asks every peer where platforms listen, when it comes and
// then now and again, and stays connected with those that matter. Whoever comes
// and goes has nobody else asked.
func (n *Node) exchangeContacts(ctx context.Context) error {
	tick := time.NewTicker(contactsEvery)
	defer tick.Stop()
	for {
		n.keepContacts()
		if !sleep(ctx, contactsPause) {
			return nil
		}
		counts := everybody
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-n.contacts.wake:
			counts = n.contacts.newcomers()
		}
		matters, beside := n.matters(), n.beside()
		n.askAll(ctx, wire.Question{Peers: true}, counts, func(id atp.ID, reply wire.Reply) bool {
			n.contacts.heard(teller{id.ID, n.credible(id.ID), beside[id.ID], time.Now()}, reply.Peers, matters)
			return false
		})
	}
}

// beside returns the peers that run on this machine.
func (n *Node) beside() map[peer.ID]bool {
	ids := map[peer.ID]bool{}
	for _, p := range n.host.Peers() {
		ids[p.ID] = slices.ContainsFunc(p.Addrs, func(a multiaddr.Multiaddr) bool { return manet.IsIPLoopback(a) })
	}
	return ids
}

// matters returns whose addresses are of use: those of validators, of those who
// wait to be, and of registered platforms or, before there is a chain, anybody's.
func (n *Node) matters() func(peer.ID) bool {
	r := n.chain.Load()
	if r == nil {
		return func(id peer.ID) bool { return id != n.id().ID }
	}
	state := r.state()
	wanted := map[peer.ID]bool{}
	for _, id := range state.Validators().IDs() {
		wanted[id.ID] = true
	}
	most := len(wanted) + maxKept
	err := state.EachCandidate(func(id atp.ID, _ chain.Candidate) error {
		wanted[id.ID] = true
		return nil
	})
	if err != nil {
		n.log.Warn("candidates not read", "err", err)
	}
	err = state.EachPlatform(func(id atp.ID, _ task.Platform) error {
		if len(wanted) < most {
			wanted[id.ID] = true
		}
		return nil
	})
	if err != nil {
		n.log.Warn("platforms not read", "err", err) // the loop meets the same trouble, and decides
	}
	delete(wanted, n.id().ID)
	return func(id peer.ID) bool { return wanted[id] }
}

// keepContacts tells the host whom to stay connected with: who matters or, while
// a federation is being founded, everyone who is heard of. It notes addresses for
// the next start.
func (n *Node) keepContacts() {
	r := n.chain.Load()
	if r == nil && n.cfg.Expect == 0 {
		return
	}
	if r != nil {
		n.favour(r)
	}
	matters := n.matters()
	n.contacts.forget(time.Now(), matters)
	own := map[peer.ID][]multiaddr.Multiaddr{}
	for _, info := range n.contacts.list(theirOwn) {
		own[info.ID] = info.Addrs
	}
	for _, info := range n.contacts.list(anyones) {
		n.host.Keep(peer.AddrInfo{ID: info.ID, Addrs: own[info.ID]}, without(info.Addrs, own[info.ID])...)
		n.contacts.kept[info.ID] = true
	}
	list := n.contacts.list(credible)
	for id := range n.contacts.kept {
		if !matters(id) {
			n.host.Release(id)
			delete(n.contacts.kept, id)
		}
	}
	if r == nil || len(list) == 0 || reflect.DeepEqual(list, n.contacts.stored) {
		return
	}
	if err := n.store.PutPeers(list); err != nil {
		n.log.Warn("addresses of peers not kept", "err", err)
		return
	}
	n.contacts.stored = list
}

// recall takes up the addresses of the last run, as our own hearsay.
func (n *Node) recall() error {
	last, err := n.store.Peers()
	if err != nil {
		return err
	}
	var told []wire.Contact
	for _, info := range last {
		told = append(told, tellContact(info))
	}
	n.contacts.heard(teller{n.id().ID, true, true, time.Now()}, told, n.matters())
	n.contacts.askAgain()
	return nil
}

// event hears of peers, which the host has logged.
func (n *Node) event(e p2p.Event) {
	switch e := e.(type) {
	case p2p.PeerUp:
		n.contacts.arrived(e.ID)
	case p2p.Refused:
		n.refused(e.Refusal)
	case p2p.Clone:
		n.cloned(e)
	}
	if r := n.chain.Load(); r != nil {
		r.wires.event(e)
	}
	n.tellPeer(e)
}
