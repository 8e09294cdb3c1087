package node

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"

	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// Facts that platforms announce on the LAN, for people. They prove nothing.
const (
	factName    = "name"    // of the platform
	factGenesis = "genesis" // hex; missing while there is none
	factFounder = "founder" // the name of the first
	factSince   = "since"   // when it was founded, in Unix milliseconds
)

// introduce announces the platform's name, and where it stands while it has no
// federation.
func (n *Node) introduce() {
	n.tellLAN(map[string]string{factName: n.cfg.Name})
	if g, stored, err := n.storedGenesis(); err == nil && stored {
		if err := n.stand(g); err != nil {
			n.log.Debug("not judged whether the chain is used", "err", err) // settle meets the same trouble, and says so
		}
	}
}

// proclaim announces the platform's federation.
func (n *Node) proclaim(g chain.Genesis) {
	hash, err := g.Hash()
	if err != nil {
		return // it was checked
	}
	n.tellLAN(map[string]string{
		factName: n.cfg.Name, factGenesis: hash.String(), factFounder: g.Founders[0].Name, factSince: strconv.FormatUint(uint64(g.Time), 10),
	})
}

func (n *Node) tellLAN(facts map[string]string) {
	if err := n.host.Announce(facts); err != nil {
		n.log.Warn("not announced on the LAN", "err", err)
	}
}

// Federations implements api.Network.
func (n *Node) Federations(context.Context) ([]view.Federation, error) {
	list := federations(n.host.Neighbours())
	r := n.chain.Load()
	if r == nil {
		return list, nil
	}
	g, err := chain.ParseGenesis(r.genesisJSON)
	if err != nil {
		return nil, err
	}
	self := view.Neighbour{PeerID: n.id().ID, Name: n.cfg.Name, HeardMS: view.Millis(nowMillis())}
	own := view.Federation{Network: g.Network, Genesis: r.genesis.String(), Platforms: []view.Neighbour{self}}
	if i := slices.IndexFunc(list, same(own)); i >= 0 {
		own.Platforms = append(own.Platforms, list[i].Platforms...)
		list = slices.Delete(list, i, i+1)
	}
	own.Here, own.Founder, own.SinceMS = true, g.Founders[0].Name, view.Millis(g.Time)
	return append([]view.Federation{own}, list...), nil
}

// Overhear listens on the LAN until ctx ends, without being a platform. It returns
// the federations that were heard and, if there is none, the likely cause.
func Overhear(ctx context.Context, log *slog.Logger) (list []view.Federation, silence string, err error) {
	heard, d, err := p2p.Overhear(ctx, log)
	if err != nil {
		return nil, "", fmt.Errorf("node: %w", err)
	}
	if len(heard) == 0 {
		silence = d.Silence
	}
	return federations(heard), silence, nil
}

// federations puts together what platforms say of themselves: those that say no
// genesis are forming.
func federations(heard []p2p.Heard) []view.Federation {
	list := []view.Federation{}
	for _, h := range heard {
		f := view.Federation{Network: h.Network, Genesis: h.Facts[factGenesis]}
		i := slices.IndexFunc(list, same(f))
		if i < 0 {
			f.Founder = h.Facts[factFounder]
			if since, err := strconv.ParseUint(h.Facts[factSince], 10, 63); err == nil {
				f.SinceMS = view.Millis(since)
			}
			i, list = len(list), append(list, f)
		}
		list[i].Platforms = append(list[i].Platforms, view.Neighbour{
			PeerID: h.ID, Name: h.Facts[factName], Address: h.Source.String(), HeardMS: view.Millis(h.Last.UnixMilli()),
		})
	}
	slices.SortFunc(list, func(a, b view.Federation) int {
		return cmp.Or(cmp.Compare(a.Network, b.Network), cmp.Compare(a.Genesis, b.Genesis))
	})
	return list
}

// same finds a federation by its network and genesis.
func same(f view.Federation) func(view.Federation) bool {
	return func(o view.Federation) bool { return o.Network == f.Network && o.Genesis == f.Genesis }
}
