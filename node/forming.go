package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// Notes of a host (p2p.Host.SetNote): what platforms say of themselves to all.
const (
	noteFounds  byte = 1 + iota // without a federation: it would found one by itself
	noteGathers                 // without a federation: it founds one with others
	noteYields                  // of a federation that it would leave for another
)

const (
	glanceEvery = 50 * time.Millisecond // between looks at the LAN while there is no federation
	joinFor     = 10 * time.Second      // for a federation that was heard to tell its genesis
	refusalLife = time.Minute           // that a refusal speaks of the present; a peer that stays is met every half minute
)

// rendezvous finds a federation on the LAN, or founds one. One to which the key was
// bound before power went is the only one that it can be of.
func (n *Node) rendezvous(ctx context.Context) (chain.Genesis, error) {
	rule := rendezvous{network: n.cfg.Network, founds: !n.cfg.Observer, failed: n.life.failures()}
	if !n.life.avoids(n.heading) {
		rule.heading = n.heading
	}
	if rule.founds {
		if signed, err := n.hasSigned(); err != nil {
			return chain.Genesis{}, err
		} else if signed { // an earlier start was interrupted after it had founded
			return n.found(ctx, 1)
		}
	}
	if bound := p2p.Genesis(n.signer.Genesis()); !bound.IsZero() {
		return n.adopt(ctx, bound)
	}
	if rule.founds {
		n.host.SetNote(noteFounds)
	} else if rule.failed >= maxFailed && !n.pause(ctx, joinFor, "others than those that were heard: they tell no genesis") {
		return chain.Genesis{}, nil
	}
	begun := time.Now()
	var silent time.Duration
	for {
		since, s := time.Since(begun), n.look(begun)
		if len(s.federations) == 0 {
			silent = since
		}
		s.silent = silent
		switch step := rule.decide(since, s); {
		case step.found:
			if !rule.heading.IsZero() {
				n.life.fail(rule.heading)
			}
			return n.found(ctx, 1)
		case !step.join.IsZero():
			return n.adopt(ctx, step.join)
		default:
			every := glanceEvery
			if time.Since(begun) > chooseFor {
				every = formingEvery
			}
			if !n.pause(ctx, every, step.waiting) {
				return chain.Genesis{}, nil
			}
		}
	}
}

// hasSigned reports whether this platform has founded a federation of its own
// already. One that it would found with others is an error: it goes on with them.
func (n *Node) hasSigned() (bool, error) {
	cfg := n.cfg
	cfg.Expect = 1
	f, err := newFounding(cfg, n.id(), n.params, nowAtp(), n.signer.SignBytes)
	return err == nil && f.signed(), err
}

// look returns what is to be seen on the LAN now.
func (n *Node) look(begun time.Time) (s sight) {
	near := n.near()
	for _, p := range n.host.Peers() {
		switch {
		case !near(p.ID):
		case !p.Genesis.IsZero():
			n.hearOf(&s, p.Genesis, p.Note, p.Name, p.Since.Sub(begun))
		case p.Note == noteGathers, p.Note == noteFounds && p.ID < n.id().ID:
			s.before++
		}
	}
	for _, r := range n.strangers(near) {
		n.hearOf(&s, r.Genesis, r.Note, r.Name, r.First.Sub(begun))
	}
	return s
}

// hearOf adds the word of one platform about its federation.
func (n *Node) hearOf(s *sight, genesis p2p.Genesis, note byte, name string, first time.Duration) {
	if n.life.avoids(genesis) || slices.Contains(n.signer.Left(), bft.GenesisHash(genesis)) {
		return
	}
	i := slices.IndexFunc(s.federations, func(h heardOf) bool { return h.genesis == genesis })
	if i < 0 {
		s.federations = append(s.federations, heardOf{genesis, name, max(0, first), note == noteYields})
		return
	}
	h := &s.federations[i]
	h.first = min(h.first, max(0, first))
	h.yields = h.yields && note == noteYields
}

// near returns who is on this LAN, or is one of the platforms that the operator
// named. What strangers from elsewhere say moves nothing.
func (n *Node) near() func(peer.ID) bool {
	here := map[peer.ID]bool{}
	for _, f := range n.host.Discovery().Found {
		here[f.ID] = true
	}
	return func(id peer.ID) bool { return here[id] || n.isBootstrap(id) }
}

// strangers returns the refusals of platforms nearby that are of other federations
// of this name, but for those that have come round since.
func (n *Node) strangers(near func(peer.ID) bool) (list []p2p.Refusal) {
	up := n.connected()
	for _, r := range n.host.Refusals() {
		if r.Network == n.cfg.Network && !r.Genesis.IsZero() && r.Genesis != n.host.Genesis() &&
			near(r.ID) && !up[r.ID] && time.Since(r.Last) < refusalLife {
			list = append(list, r)
		}
	}
	return list
}

// adopt joins a federation that was heard: whoever tells its genesis is believed,
// as that proves itself by its hash and signatures. If nobody does in time, or it
// is of another name, the platform begins anew without it.
func (n *Node) adopt(ctx context.Context, genesis p2p.Genesis) (chain.Genesis, error) {
	if err := n.host.SetGenesis(genesis); err != nil {
		return chain.Genesis{}, fmt.Errorf("node: %w", err)
	}
	for begun := time.Now(); time.Since(begun) < joinFor; {
		g, ok := n.adoptedGenesis(ctx)
		if ok && g.Network == n.cfg.Network {
			return g, nil
		} else if ok {
			break
		}
		if !n.pause(ctx, glanceEvery, fmt.Sprintf("the genesis of the federation %s", genesis)) {
			return chain.Genesis{}, nil
		}
	}
	n.log.Warn("a federation that was heard tells no genesis: it is left alone", "genesis", genesis)
	n.life.fail(genesis)
	return chain.Genesis{}, ErrAgain
}
